"""`doorlight annotate`: names of files. What is drawn is tested in tests/test_annotate.py."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge.cli import main
from support.paths import CLIP


def test_names_that_are_not_utf8() -> None:
    """Pictures can have such names. OpenCV crashes on them for videos, so those are refused."""
    shutil.copy(CLIP.with_name("still.jpg"), "x\udcff.jpg")
    assert main(["annotate", "x\udcff.jpg", "seen\udcff.jpg"]) == 0
    assert Path("seen\udcff.jpg").stat().st_size > 10_000
    assert main(["annotate", str(CLIP), "seen\udcff.mp4"]) == 74
