"""A box to update."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.update import Box, trust


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box with version 0.1.0 that trusts the key "release"."""
    made = Box(tmp_path / "root")
    trust(made.layout)
    return made


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory if possible: hundreds of small files on a busy disk take a minute."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="doorlight-", dir="/dev/shm") as folder:
        yield Path(folder)
