"""Where the checkout's files are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
DEMO = SCRIPTS / "assets" / "demo"
CLIP = DEMO / "door.mp4"
