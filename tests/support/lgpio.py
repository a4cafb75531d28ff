"""PyPI's empty lgpio, as pip installs it for Python 3.13."""

from __future__ import annotations

from pathlib import Path


def add_empty_lgpio(folder: Path, version: str = "0.0.0.2") -> Path:
    """Install an empty module lgpio of a version in a folder of packages; return the folder."""
    metadata = folder / f"lgpio-{version}.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: lgpio\nVersion: {version}\n")
    (folder / "lgpio.py").touch()
    return folder
