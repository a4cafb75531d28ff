"""The tests of the page need the extra `web`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.view import short_folder

for name in ("starlette", "uvicorn", "jinja2", "httpx2"):
    pytest.importorskip(name, reason="the extra `web` is not installed")


@pytest.fixture
def folder() -> Iterator[Path]:
    """The folder of a door, with a short name."""
    with short_folder() as path:
        yield path
