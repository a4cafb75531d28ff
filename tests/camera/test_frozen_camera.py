"""LiveSource with a camera that repeats its pictures: frozen, in the dark, or before a still scene."""

from __future__ import annotations

import numpy as np
import pytest

from edge.camera import live
from edge.camera.live import LiveSource
from edge.camera.picamera import PiCamera
from edge.camera.stream import NetworkCamera
from edge.camera.v4l2 import V4l2Camera
from support.camera import PATIENCE_S, flat, quick_settings, read_error, read_until_back
from support.live_camera import FakeCamera, FakeDevice, live_source, wait_for_error
from support.wait import wait_until

pytestmark = pytest.mark.usefixtures("patient_close")

NOISE = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)


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
