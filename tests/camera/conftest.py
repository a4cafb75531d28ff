"""A fake camera, and short or long time limits for LiveSource and a Raspberry Pi camera."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge.camera import device, live, picamera_process
from support.camera import PATIENCE_S
from support.live_camera import FakeCamera


@pytest.fixture
def camera() -> Iterator[FakeCamera]:
    camera = FakeCamera()
    yield camera
    camera.wake.set()
    camera.plugged = False


@pytest.fixture
def patient_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the thread of a camera that does not hang, also on a busy machine."""
    monkeypatch.setattr(live, "CLOSE_TIMEOUT_S", PATIENCE_S)


@pytest.fixture
def short_limits(patient_close: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Detect a hang within a fraction of a second."""
    monkeypatch.setattr(live, "GRACE_S", 0.05)
    monkeypatch.setattr(live, "CLOSE_TIMEOUT_S", 0.1)


@pytest.fixture
def short_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a camera open, and give its first picture, within a fraction of a second."""
    monkeypatch.setattr(device, "MIN_OPEN_TIMEOUT_S", 0.2)


@pytest.fixture
def short_picamera_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait ten seconds for a first picture of a Raspberry Pi camera that never comes."""
    monkeypatch.setattr(device, "MIN_REOPEN_TIMEOUT_S", 1.0)
    monkeypatch.setattr(picamera_process, "READ_GRACE_S", 0.5)
