"""Doors in child processes, each with its pin process; and the four kinds of relay."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from edge.config import RelaySettings
from support.lights import RELAY
from support.pi_door import PiDoor


@pytest.fixture
def start_door(tmp_path: Path) -> Iterator[Callable[[str], PiDoor]]:
    """Return a function that starts a `PiDoor` with some code."""
    with contextlib.ExitStack() as started:

        def start(code: str) -> PiDoor:
            return started.enter_context(contextlib.closing(PiDoor(tmp_path, code)))

        yield start


@pytest.fixture(params=itertools.product(("secure", "safe"), (False, True)), ids=lambda p: f"{p[0]}-{p[1]}")
def relay(request: pytest.FixtureRequest) -> RelaySettings:
    """A relay: fails secure or safe, unlocks with a high or a low pin."""
    fail, active_low = request.param
    return msgspec.structs.replace(RELAY, fail=fail, active_low=active_low)
