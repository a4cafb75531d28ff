"""LiveSource with a camera that is slower than its timeout, and cameras that must not be taken for one."""

from __future__ import annotations

import re
import time

import pytest

from edge import frame_rate
from edge.camera.device import Capture
from edge.camera.live import LiveSource
from edge.camera.source import CameraLostError
from edge.errors import CameraError
from support.camera import flat, quick_settings, read_error, read_until_back, read_until_lost
from support.live_camera import FakeCamera, FakeDevice, live_source
from support.wait import wait_until

pytestmark = pytest.mark.usefixtures("patient_close")


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


def test_time_while_the_source_was_closed_is_not_the_interval_of_a_slow_camera(camera: FakeCamera) -> None:
    source = live_source(camera, timeout_s=0.1)
    for _ in range(3):
        camera.frames.release()
        with source:
            source.read()
        time.sleep(0.2)
