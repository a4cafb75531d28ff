"""The tests of the page need the extra `web`; without it they are left out."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.view import short_folder

if not all(find_spec(name) for name in ("starlette", "uvicorn", "jinja2", "segno", "httpx2")):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """The folder of a door, with a short name."""
    with short_folder() as path:
        yield path
