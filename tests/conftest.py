"""Settings and fixtures that all tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from edge.commands import options

# A busy machine is no failure: hypothesis's time limits are off, as no test here is about time.
settings.register_profile("doorlight", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("doorlight")

pytest_plugins = [
    "support.doctor",
    "support.edgetpu",
    "support.explanations",
    "support.gpio",
    "support.picamera",
    "support.sensor",
]


@pytest.fixture(autouse=True, scope="session")
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the counter of this machine's door out of the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("STATE_DIRECTORY", raising=False)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_service() -> Iterator[None]:
    """Ignore the settings of a service that is installed on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "SERVICE_SETTINGS", Path("/nonexistent/doorlight.toml"))
        yield


@pytest.fixture(autouse=True)
def own_signal_handlers() -> Iterator[None]:
    """Undo what a command that runs in this process does to the stop signals: children of later tests inherit it."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
