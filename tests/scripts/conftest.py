"""A system in a folder for the tests of scripts/install.sh --read-only and --read-write."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.read_only import System


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)
