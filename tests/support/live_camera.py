"""A fake camera for LiveSource that fails, hangs and freezes on request."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

from edge.camera.device import CameraDevice, Capture
from edge.camera.live import LiveSource
from edge.camera.source import CameraLostError
from edge.errors import CameraError
from edge.imaging.images import Picture
from support.camera import PATIENCE_S, flat, quick_settings, read_error
from support.wait import wait_until


class FakeCamera:
    """How the devices of a test behave, and what they have done."""

    def __init__(self) -> None:
        self.frames = threading.Semaphore(0)  # pictures left; after them read() fails
        self.endless = False  # read() always gives a picture
        self.plugged = True
        self.broken = False  # read() raises an unexpected exception
        self.frozen: Picture | None = None  # the only picture that read() gives
        self.hang_in = ""  # "open", "read" or "close"
        self.wake = threading.Event()  # ends every hang
        self.opened: list[float] = []  # times of the calls of open()
        self.closed = 0  # number of calls of close()
        self.open_now = 0
        self.max_open = 0
        self.given = 0  # pictures that read() has returned
        self.published = 0  # of these, how many LiveSource has certainly processed
        self.lock = threading.Lock()

    def make(self) -> FakeDevice:
        return FakeDevice(self)


class FakeDevice(CameraDevice):
    def __init__(self, camera: FakeCamera) -> None:
        self.camera = camera
        self.thread: int | None = None
        self.is_open = False

    def _enter(self, method: str) -> None:
        self.thread = self.thread or threading.get_ident()
        assert self.thread == threading.get_ident(), "a device belongs to one thread"
        if self.camera.hang_in == method:
            self.camera.wake.wait(PATIENCE_S)

    def open(self) -> None:
        self.camera.opened.append(time.monotonic())
        self._enter("open")
        if not self.camera.plugged:
            raise CameraError("fake: not there", "plug it in")
        with self.camera.lock:
            self.is_open = True
            self.camera.open_now += 1
            self.camera.max_open = max(self.camera.max_open, self.camera.open_now)

    def read(self) -> Capture:
        self.camera.published = self.camera.given
        end = time.monotonic() + 0.05
        while not self.camera.frames.acquire(timeout=0.002):
            self._enter("read")
            if not self.camera.plugged:
                raise CameraError("fake: has gone", "plug it in")
            if self.camera.broken:
                raise ValueError("a bug in a driver")
            if self.camera.endless:
                break
            if time.monotonic() > end:
                raise CameraError("fake: gives no picture")
        with self.camera.lock:
            self.camera.given += 1
            if self.camera.frozen is not None:
                return Capture(self.camera.frozen.copy())
            return Capture(flat((self.camera.given % 256, 0, 0), 4, 6))

    def close(self) -> None:
        self._enter("close")
        with self.camera.lock:
            self.camera.closed += 1
            self.camera.open_now -= self.is_open
            self.is_open = False


def wait_for_error(source: LiveSource, pattern: str) -> CameraLostError:
    """Read until the camera is lost for a reason: on a busy machine, it may be lost for another one before."""
    errors: list[CameraLostError] = []

    def is_found() -> bool:
        errors[:] = [error for error in [read_error(source)] if error is not None]
        return any(re.search(pattern, str(error)) for error in errors)

    wait_until(is_found)
    return errors[0]


def live_source(camera: FakeCamera, **changes: Any) -> LiveSource:
    return LiveSource("fake", camera.make, quick_settings(**changes))
