"""LiveSource, with a fake device that fails, hangs and freezes on request."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edge.camera import device, live
from edge.camera.device import Capture
from edge.camera.live import LiveSource
from edge.camera.source import CameraLostError
from edge.errors import CameraError
from support.camera import PATIENCE_S, RED, flat, quick_settings, read_error, read_until_back
from support.limits import no_more_threads
from support.live_camera import FakeCamera, FakeDevice, live_source, wait_for_error
from support.wait import wait_until

pytestmark = pytest.mark.usefixtures("patient_close")


def test_slow_reader_gets_the_newest_frame(camera: FakeCamera) -> None:
    camera.frames.release()
    with live_source(camera, timeout_s=60) as source:
        first = source.read()
        camera.frames.release(5)
        wait_until(lambda: camera.published == 6)
        newest = source.read()
        assert (first.number, newest.number) == (0, 5), "the dropped frames leave a gap in the numbers"
        assert newest.picture[0, 0, 0] == 6
        assert newest.t >= first.t >= 0
        camera.frames.release()
        assert source.read().number == 6, "no frame is returned twice"
    assert camera.open_now == 0


@pytest.mark.usefixtures("short_limits")
def test_read_has_a_timeout(camera: FakeCamera) -> None:
    camera.frames.release()
    camera.hang_in = "read"  # after this one
    with live_source(camera) as source:
        source.read()
        start = time.monotonic()
        with pytest.raises(CameraLostError, match=r"fake: no new picture for 0\.1 s") as caught:
            source.read()
        assert 0.1 <= time.monotonic() - start < PATIENCE_S
        assert caught.value.exit_code == 69
        assert caught.value.t > 0


def test_failing_camera_is_reopened_with_back_off(camera: FakeCamera) -> None:
    camera.frames.release()
    source = live_source(camera)
    source.open()
    assert source.read().number == 0
    camera.plugged = False
    error = wait_for_error(source, r"fake: (has gone|not there); no new picture for")
    assert error.hint == "plug it in"
    wait_until(lambda: read_error(source) and len(camera.opened) >= 6)
    pauses = np.diff(camera.opened[1:6])
    # 0.01, 0.02, then 0.04 at most: a sleep may take longer, but not shorter.
    assert np.all(pauses >= [0.019, 0.039, 0.039, 0.039])
    assert camera.max_open == 1
    camera.plugged = True
    camera.frames.release()
    frame, _ = read_until_back(source)
    assert frame.number == 1, "numbers continue"
    assert frame.t > 0.1, "and so does the time"
    source.close()
    assert camera.open_now == 0
    assert camera.closed == len(camera.opened)


def test_unexpected_exception_of_a_device_is_a_lost_camera(camera: FakeCamera) -> None:
    camera.frames.release()
    with live_source(camera) as source:
        source.read()
        camera.broken = True
        wait_for_error(source, "fake: ValueError: a bug in a driver")
        camera.broken = False
        camera.frames.release()
        assert read_until_back(source)[0].number == 1


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize("call", ["open", "read", "close"])
def test_hung_device_blocks_neither_read_nor_close(camera: FakeCamera, call: str) -> None:
    camera.frames.release()
    source = live_source(camera)
    source.open()
    source.read()
    camera.hang_in = call
    if call != "read":
        camera.broken = True
    for _ in range(4):
        start = time.monotonic()
        with pytest.raises(CameraLostError):
            source.read()
        assert time.monotonic() - start < PATIENCE_S / 2
    start = time.monotonic()
    source.close()
    assert time.monotonic() - start < PATIENCE_S / 2
    camera.wake.set()
    wait_until(lambda: camera.closed == len(camera.opened))  # a thread that wakes up closes its own device
    assert camera.open_now == 0


@pytest.mark.usefixtures("short_limits")
def test_new_thread_replaces_a_hung_one(camera: FakeCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    camera.endless = True
    source = live_source(camera)
    source.open()
    source.read()
    monkeypatch.setattr(device, "MIN_REOPEN_TIMEOUT_S", 0.2)  # one that hangs while it is reopened is replaced soon
    monkeypatch.setattr(source, "_open_timeout_s", 0.2)
    camera.hang_in = "read"
    wait_until(lambda: "hangs" in str(read_error(source)))
    camera.hang_in = ""
    before, _ = read_until_back(source)
    assert len(camera.opened) > 1
    camera.wake.set()
    # The hung threads close their devices, and the new one keeps running.
    wait_until(lambda: camera.closed == len(camera.opened) - 1 and camera.open_now == 1)
    assert read_until_back(source)[0].number > before.number
    source.close()
    assert camera.open_now == 0


@pytest.mark.usefixtures("short_limits", "short_open")
def test_number_of_hung_threads_is_limited(camera: FakeCamera) -> None:
    camera.hang_in = "open"
    source = live_source(camera, wait=True)
    source.open()
    wait_until(lambda: read_error(source) and len(camera.opened) == live.MAX_STUCK)
    for _ in range(4):
        assert read_error(source)
    assert len(camera.opened) == live.MAX_STUCK
    camera.hang_in, camera.endless = "", True
    camera.wake.set()
    assert read_until_back(source)
    source.close()


@pytest.mark.usefixtures("short_limits")
def test_a_thread_that_cannot_be_started_is_a_lost_camera(camera: FakeCamera) -> None:
    camera.frames.release()
    with live_source(camera) as source:
        source.read()
        with no_more_threads():
            camera.plugged = False
            wait_for_error(source, "fake: cannot be opened: can't start new thread; no new picture for")
        camera.plugged = True
        camera.frames.release()
        read_until_back(source)
    with no_more_threads(), pytest.raises(CameraError, match="can't start new thread"):
        source.open()


@pytest.mark.usefixtures("short_limits")
def test_open_raises_the_error_of_the_device_at_once(camera: FakeCamera) -> None:
    camera.plugged = False
    source = live_source(camera)
    with pytest.raises(CameraError, match="fake: not there") as caught:
        source.open()
    assert not isinstance(caught.value, CameraLostError)
    assert len(camera.opened) == camera.closed == 1
    camera.plugged = True
    camera.frames.release()
    with source:  # open() may be called again
        assert source.read().number == 0


@pytest.mark.usefixtures("short_limits", "short_open")
@pytest.mark.parametrize("call", ["open", "read"])
def test_open_has_a_timeout_for_the_first_picture(camera: FakeCamera, call: str) -> None:
    camera.hang_in = call
    with pytest.raises(CameraError, match=r"gives no picture within 0\.2 s"):
        live_source(camera).open()


def test_with_wait_the_camera_may_appear_later(camera: FakeCamera) -> None:
    camera.plugged = False
    with live_source(camera, wait=True) as source:
        with pytest.raises(CameraLostError, match="fake: not there"):
            source.read()
        camera.plugged = True
        camera.frames.release()
        assert read_until_back(source)[0].number == 0


def test_close_wakes_a_reader(camera: FakeCamera) -> None:
    camera.frames.release()
    source = live_source(camera, timeout_s=60)
    source.open()
    source.read()
    errors: list[Exception] = []

    def read() -> None:
        try:
            source.read()
        except CameraLostError as error:
            errors.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    source.close()
    source.close()
    reader.join(PATIENCE_S)
    assert [str(error) for error in errors] == ["fake: is closed"]


def test_low_resolution_picture_is_passed_on() -> None:
    class Two(FakeDevice):
        def read(self) -> Capture:
            return Capture(flat(RED, 4, 6), flat(RED, 2, 3))

    with LiveSource("fake", lambda: Two(FakeCamera()), quick_settings()) as source:
        frame = source.read()
    assert frame.lores is not None
    assert (frame.picture.shape, frame.lores.shape) == ((4, 6, 3), (2, 3, 3))


# ---- Preparation and reopening ---------------------------------------------------------------------------------------


def test_prepare_connects_and_open_goes_on_with_that_connection(camera: FakeCamera) -> None:
    camera.endless = True
    source = live_source(camera, timeout_s=60)
    source.prepare()
    wait_until(lambda: camera.published >= 3)
    source.open()
    assert source.read().number >= 2, "the newest frame, not the first"
    assert len(camera.opened) == 1
    source.close()
    assert camera.open_now == 0


def test_close_after_prepare_releases_the_device(camera: FakeCamera) -> None:
    camera.endless = True
    source = live_source(camera)
    source.prepare()
    wait_until(lambda: camera.published)
    source.close()
    wait_until(lambda: not camera.open_now)


def test_camera_that_is_lost_between_prepare_and_open_is_reopened(camera: FakeCamera) -> None:
    camera.frames.release()
    source = live_source(camera, timeout_s=60)
    source.prepare()
    wait_until(lambda: camera.closed)
    camera.endless = True
    source.open()
    assert source.read().number >= 1, "not the picture of the lost connection"
    assert len(camera.opened) == 2
    source.close()


def test_camera_that_fails_between_prepare_and_open_is_an_error(camera: FakeCamera) -> None:
    camera.plugged = False
    source = live_source(camera)
    source.prepare()
    wait_until(lambda: camera.closed)
    with pytest.raises(CameraError, match="fake: not there"):
        source.open()
    assert len(camera.opened) == 1


@pytest.mark.parametrize(
    ("timeout_s", "attempts", "expected"),
    [(2.0, 0, 3.0), (2.0, 1, 6.0), (2.0, 2, 10.0), (0.2, 99, 10.0), (5.0, 0, 5.0)],
)
def test_first_attempts_to_reopen_are_short(timeout_s: float, attempts: int, expected: float) -> None:
    assert device.first_timeout_s(quick_settings(timeout_s=timeout_s), attempts) == expected


def test_limit_of_the_first_picture_doubles_until_the_camera_works(camera: FakeCamera) -> None:
    limits: list[float] = []

    class NotingDevice(FakeDevice):
        def open(self) -> None:
            limits.append(self.first_timeout_s)
            super().open()

    camera.frames.release()
    source = LiveSource("fake", lambda: NotingDevice(camera), quick_settings())
    source.open()
    source.read()
    wait_until(lambda: read_error(source) and len(limits) >= 4)
    source.close()
    assert limits[:4] == [10.0, 3.0, 6.0, 10.0]


class ShiftedClock:
    """A monotonic clock that a device can set forward."""

    def __init__(self) -> None:
        self.shift_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.shift_s


def test_a_late_first_picture_after_a_slow_opening_is_no_hang(
    camera: FakeCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ShiftedClock()
    monkeypatch.setattr(live, "time", clock)
    monkeypatch.setattr(device, "MIN_OPEN_TIMEOUT_S", 600.0)
    monkeypatch.setattr(live, "GRACE_S", 100.0)
    errors: list[str] = []

    class SlowDevice(FakeDevice):
        def open(self) -> None:
            super().open()
            clock.shift_s += 650.0

        def read(self) -> Capture:
            clock.shift_s += self.first_timeout_s + 50.0
            raise CameraError("fake: no picture within its limit")

    source = LiveSource("fake", lambda: SlowDevice(camera), quick_settings(wait=True))
    with source:
        while not errors or "within its limit" not in errors[-1]:
            errors.append(str(read_error(source)))
            assert "hangs" not in errors[-1]
