"""Doors in child processes, each with its pin process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.pi_door import PiDoor


@pytest.fixture
def start_door(tmp_path: Path) -> Iterator[Callable[[str], PiDoor]]:
    """Return a function that starts a `PiDoor` with some code."""
    with contextlib.ExitStack() as started:

        def start(code: str) -> PiDoor:
            return started.enter_context(contextlib.closing(PiDoor(tmp_path, code)))

        yield start
