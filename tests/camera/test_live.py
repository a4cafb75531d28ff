"""LiveSource, with a fake device that fails, hangs and freezes on request."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edge import frame_rate
from edge.camera import device, live
from edge.camera.device import CameraDevice, Capture
from edge.camera.live import LiveSource
from edge.camera.picamera import PiCamera
from edge.camera.source import CameraLostError
from edge.camera.stream import NetworkCamera
from edge.camera.v4l2 import V4l2Camera
from edge.errors import CameraError
from edge.imaging.images import Picture
from support.camera import (
    PATIENCE_S,
    RED,
    flat,
    quick_settings,
    read_error,
    read_until_back,
    read_until_lost,
    wait_until,
)

NOISE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)


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


@pytest.fixture
def camera() -> Iterator[FakeCamera]:
    camera = FakeCamera()
    yield camera
    camera.wake.set()
    camera.plugged = False


@pytest.fixture(autouse=True)
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


def test_frozen_camera_is_lost_and_reopened_until_its_picture_changes(camera: FakeCamera) -> None:
    camera.frozen, camera.endless = NOISE, True
    with live_source(camera) as source:
        assert np.array_equal(source.read().picture, NOISE)
        error = wait_for_error(source, r"fake: frozen, .* the same .*; no new picture for 0\.1 s")
        assert "unplug" in error.hint
        # Even after reopening, the frozen picture is not a new frame: the lights must not react to it.
        wait_until(lambda: read_error(source) and len(camera.opened) >= 4)
        assert camera.max_open == 1
        other = NOISE.copy()
        other[16, 3, 1] ^= 1
        camera.frozen = other
        back, lost = read_until_back(source)
        assert back.number == 1, "the repeated picture was returned once"
        assert np.array_equal(back.picture, other)
        assert all("frozen" in str(error) for error in lost)
    assert camera.open_now == 0


@pytest.mark.parametrize("where", [(0, 0, 0), (17, 5, 1), (47, 63, 2)])
def test_one_changed_bit_makes_a_different_picture(where: tuple[int, int, int]) -> None:
    other = NOISE.copy()
    assert live._is_identical(NOISE, other)
    other[where] ^= 1
    assert not live._is_identical(NOISE, other)
    assert not live._is_identical(NOISE, NOISE[:, :32]), "another size is another picture"


def test_repeated_picture_is_returned_once(camera: FakeCamera) -> None:
    """Some webcams repeat pictures in the dark to keep their frame rate."""
    camera.endless = True
    camera.frozen = flat((100, 200, 0))
    with live_source(camera, timeout_s=60) as source:
        numbers = []
        for k in range(4):
            camera.frozen = flat((100, 200, k))
            enough = camera.given + 4
            wait_until(lambda enough=enough: camera.given >= enough)  # type: ignore[misc]
            numbers.append(source.read().number)
        assert np.all(np.diff(numbers) == 1)
        assert len(camera.opened) == 1


@pytest.mark.parametrize("level", [0, 255])
def test_black_or_white_camera_is_not_reported_as_frozen(camera: FakeCamera, level: int) -> None:
    """Black and white clip the noise. The door reports these pictures as blind."""
    camera.frozen, camera.endless = flat((level, level, level)), True
    with live_source(camera, timeout_s=60) as source:
        numbers = [source.read().number for _ in range(10)]
        assert len(set(numbers)) == 10
        assert len(camera.opened) == 1


def test_still_scene_of_a_network_camera_is_not_frozen_at_once(camera: FakeCamera) -> None:
    class Network(FakeDevice):
        repeat_allowed_s = PATIENCE_S

    camera.frozen, camera.endless = NOISE, True
    with LiveSource("fake", lambda: Network(camera), quick_settings()) as source:
        began = source.read().t
        for _ in range(3):
            assert read_until_back(source)[0].is_repeat, "it is no look at anyone"
        Network.repeat_allowed_s = 0.4
        assert wait_for_error(source, "frozen").t - began >= 0.4, "later than for a sensor"
        wait_until(lambda: read_error(source) and len(camera.opened) >= 3)
    assert NetworkCamera.repeat_allowed_s >= 60, "key frames may be that far apart"
    assert V4l2Camera.repeat_allowed_s == PiCamera.repeat_allowed_s == 0


def test_picture_whose_repeat_is_read_first_is_no_repeat(camera: FakeCamera) -> None:
    class Network(FakeDevice):
        repeat_allowed_s = 60.0

    camera.frozen = NOISE
    camera.frames.release(3)
    with LiveSource("fake", lambda: Network(camera), quick_settings(timeout_s=60)) as source:
        wait_until(lambda: camera.published == 3)
        assert not source.read().is_repeat
        camera.frames.release()
        assert source.read().is_repeat
        camera.frozen = NOISE[::-1]
        camera.frames.release()
        assert not source.read().is_repeat


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


class SlowDevice(FakeDevice):
    """A device that waits for its pictures without a timeout of its own."""

    def read(self) -> Capture:
        self.camera.published = self.camera.given
        while not self.camera.frames.acquire(timeout=0.002):
            if not self.camera.plugged:
                raise CameraError("fake: has gone", "plug it in")
            if self.camera.endless:
                break
        self.camera.given += 1
        return Capture(flat((self.camera.given % 256, 0, 0), 4, 6))


@pytest.fixture
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge the rate of a camera within a fraction of a second."""
    monkeypatch.setattr(frame_rate, "SLOW_S", 0.0)
    monkeypatch.setattr(frame_rate, "WINDOW_S", 0.3)


@pytest.mark.usefixtures("short_intervals")
def test_camera_slower_than_the_timeout_is_lost_until_it_is_faster(camera: FakeCamera) -> None:
    camera.frames.release()
    with LiveSource("fake", lambda: SlowDevice(camera), quick_settings(timeout_s=0.2)) as source:
        assert source.read().number == 0
        lost: list[CameraLostError | None] = []
        while sum("too slow" in str(error) for error in lost) < 3:
            lost.append(read_error(source))
            assert len(lost) < 100
            camera.frames.release()
            given = camera.given + 1
            wait_until(lambda given=given: camera.published >= given)  # type: ignore[misc]
            if len(lost) == 1:
                assert source.read().number == 1, "a single late picture is no slow camera"
        assert "no new picture for 0.2 s" in str(lost[1])
        for error in lost:
            assert error is not None
            if "too slow" in str(error):
                assert re.search(r": its pictures arrive \d+\.\d s apart, the door needs one every 0.2 s", str(error))
                assert "5 pictures a second" in error.hint
            else:  # on a busy machine, a slow camera may be so late that it is lost
                assert "no new picture for 0.2 s" in str(error)
        assert len(camera.opened) == 1
        camera.endless = True
        read_until_back(source)


@pytest.mark.usefixtures("short_intervals")
def test_lost_camera_is_not_taken_for_a_slow_one(camera: FakeCamera) -> None:
    with LiveSource("fake", lambda: SlowDevice(camera), quick_settings(timeout_s=0.1, wait=True)) as source:
        for _ in range(4):
            camera.plugged = True
            camera.frames.release(4)
            read_until_back(source)
            camera.plugged = False
            error = read_until_lost(source)
            assert "too slow" not in str(error)


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


def test_time_while_the_source_was_closed_is_not_the_interval_of_a_slow_camera(camera: FakeCamera) -> None:
    source = live_source(camera, timeout_s=0.1)
    for _ in range(3):
        camera.frames.release()
        with source:
            source.read()
        time.sleep(0.2)


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
