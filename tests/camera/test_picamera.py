"""PiCamera and its driver in one process, against fakes of Picamera2 and libcamera that have the traps of the real ones."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.camera import device, picamera, picamera_driver, picamera_request
from edge.camera.factory import open_source
from edge.camera.live import LiveSource
from edge.camera.picamera import PiCamera
from edge.camera.source import CameraLostError
from edge.config import CameraSettings
from edge.errors import CameraError
from edge.imaging.images import Picture
from edge.records import Frame
from edge.system import libraries
from support.camera import PATIENCE_S, quick_settings
from support.picamera import SCENE, AeExposureModeEnum, AeMeteringModeEnum, World


def fast_settings(**changes: Any) -> CameraSettings:
    """Return settings with short timeouts and a high frame rate, so that tests are quick."""
    return quick_settings(**({"fps": 100, "max_exposure_s": 0.01, "timeout_s": 0.2} | changes))


def one_frame(settings: CameraSettings) -> Frame:
    with open_source(settings, "picamera") as source:
        frame = source.read()
    assert frame is not None
    return frame


def quarter_colours(picture: Picture) -> Picture:
    """Return the colours at the centres of the four quarters, (2, 2, 3)."""
    height, width = picture.shape[:2]
    return picture[height // 4 :: height // 2, width // 4 :: width // 2][:2, :2]


def is_near(picture: Picture | None, colours: Picture) -> bool:
    """Return whether the four quarters of `picture` have these colours, within the loss of YUV."""
    assert picture is not None
    assert picture.flags.c_contiguous
    return bool(np.abs(quarter_colours(picture).astype(int) - colours).max() <= 4)


# ---- Pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("can_flip", [True, False])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_rotation_and_mirror_do_not_depend_on_the_hardware(
    world: World, rotate: int, mirror: bool, can_flip: bool
) -> None:
    world.can_flip = can_flip
    frame = one_frame(fast_settings(width=200, height=152, lores_width=100, rotate=rotate, mirror=mirror))
    expected = np.rot90(SCENE, -rotate // 90)
    if mirror:
        expected = expected[:, ::-1]
    assert frame.lores is not None
    assert frame.picture.shape == ((200, 152, 3) if rotate in (90, 270) else (152, 200, 3))
    assert frame.lores.shape == ((100, 76, 3) if rotate in (90, 270) else (76, 100, 3))
    assert is_near(frame.picture, expected)
    assert is_near(frame.lores, expected)


def test_hardware_does_all_flips_and_half_turns() -> None:
    for rotate in (0, 90, 180, 270):
        for mirror in (False, True):
            settings = fast_settings(rotate=rotate, mirror=mirror)
            left = picamera.remaining_orientation(settings, *picamera_request.hardware_flips(settings))
            assert left == (rotate % 180 and rotate, False)


# ---- Settings --------------------------------------------------------------------------------------------------------


def test_settings_become_camera_controls(world: World) -> None:
    one_frame(fast_settings(fps=50, max_exposure_s=0.5, metering="spot", exposure_stops=0.5, grey=True))
    config = world.made[0].config
    assert config["controls"] == {
        "FrameDurationLimits": (20_000, 20_000),
        "AeExposureMode": AeExposureModeEnum.Short,
        "AeMeteringMode": AeMeteringModeEnum.Spot,
        "ExposureValue": 0.5,
        "Saturation": 0.0,
        "NoiseReductionMode": "Fast",
    }
    assert config["queue"] is False
    assert config["sensor"] == {"output_size": (2304, 1296)}, "the mode with the full field of view"


@pytest.mark.parametrize(("metering", "name"), [("centre", "CentreWeighted"), ("spot", "Spot"), ("matrix", "Matrix")])
def test_metering_modes_and_colour(world: World, metering: str, name: str) -> None:
    one_frame(fast_settings(metering=metering))
    controls = world.made[0].config["controls"]
    assert controls["AeMeteringMode"] is AeMeteringModeEnum[name]
    assert controls["Saturation"] == 1.0


def test_unsupported_controls_are_left_out(world: World) -> None:
    world.controls -= {"Saturation", "AeMeteringMode"}
    frame = one_frame(fast_settings(grey=True))
    assert {"Saturation", "AeMeteringMode"}.isdisjoint(world.made[0].config["controls"])
    assert frame.lores is not None
    for picture in (frame.picture, frame.lores):
        assert np.ptp(picture, axis=2).max() == 0, "without the control, the colours are removed here"


def test_short_exposure_speeds_up_the_sensor_and_extra_frames_are_dropped(world: World) -> None:
    with open_source(fast_settings(fps=20, max_exposure_s=0.005), "picamera") as source:
        for _ in range(4):
            source.read()
    assert world.made[0].config["controls"]["FrameDurationLimits"] == (5000, 5000)
    assert np.all(np.diff([request.taken_ns for request in world.used]) >= 0.045e9)
    assert [request.number for request in world.used] != list(range(len(world.used)))


# ---- Time ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def camera(world: World) -> Iterator[PiCamera]:
    camera = PiCamera(fast_settings())
    camera.prepare()
    camera.open()
    yield camera
    camera.close()


def test_picture_older_than_its_request_is_dropped(world: World, camera: PiCamera) -> None:
    stale_until = world.made[0].count + 3
    world.age_s = lambda number: 60.0 if number < stale_until else 0.0
    assert is_near(camera.read().picture, SCENE)
    assert [request.number >= stale_until for request in world.used] == [True]


def test_picture_may_be_a_few_frames_old(world: World, camera: PiCamera) -> None:
    world.age_s = lambda number: 3 * 0.01
    assert is_near(camera.read().picture, SCENE)


@pytest.mark.parametrize("trouble", ["hang", "old"])
def test_every_capture_has_a_timeout(world: World, camera: PiCamera, trouble: str) -> None:
    camera.read()
    if trouble == "hang":
        world.hang.set()
    else:
        world.age_s = lambda number: 60.0
    start = time.monotonic()
    with pytest.raises(CameraError, match=r"picamera: no picture within 0\.2 s") as caught:
        camera.read()
    assert 0.15 <= time.monotonic() - start < PATIENCE_S
    assert "ribbon cable" in caught.value.hint


def test_hung_camera_is_closed_and_reopened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "MIN_REOPEN_TIMEOUT_S", 0.3)
    lost: list[CameraLostError] = []
    source = open_source(fast_settings(), "picamera")
    assert isinstance(source, LiveSource)
    with source:
        first = source.read()
        world.hang.set()
        end = time.monotonic() + PATIENCE_S
        while len(world.made) < 3:
            assert time.monotonic() < end
            try:
                source.read()
            except CameraLostError as error:
                lost.append(error)
        world.hang.clear()
        while True:
            assert time.monotonic() < end + PATIENCE_S
            try:
                back = source.read()
                break
            except CameraLostError as error:
                lost.append(error)
    assert any("picamera: no picture within" in str(error) for error in lost)
    assert back.number > first.number
    assert back.t > first.t
    assert is_near(back.lores, SCENE)


# ---- Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"cameras": []}, "picamera: no camera found", "rpicam-hello --list-cameras"),
        ({"cameras": [{"Id": "/base/soc/usb@7e98/hub@1", "Num": 0}]}, "only a USB camera", 'source = "/dev/video0"'),
        ({"busy": True}, "picamera: is in use by another program", "stop that program"),
        ({"broken": "start"}, "picamera: cannot be opened: KeyError: 'tuning file'", "rpicam-hello"),
        ({"broken": "configure"}, "picamera: cannot be opened: Configuration failed", "rpicam-hello"),
        ({"gives": {"main": "MJPEG"}}, "picamera: gives MJPEG, not BGR888", "camera module"),
        ({"gives": {"lores": "RGB888"}}, "picamera: gives RGB888, not YUV420", "camera module"),
    ],
)
def test_open_reports_the_cause(world: World, changes: dict[str, Any], message: str, hint: str) -> None:
    for name, value in changes.items():
        setattr(world, name, value)
    with pytest.raises(CameraError, match=message) as caught:
        open_source(fast_settings(), "picamera").open()
    assert hint in caught.value.hint
    assert caught.value.exit_code == 69


def test_program_that_uses_the_camera_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.busy = True
    monkeypatch.setattr(
        picamera_driver, "processes_using", lambda *nodes: [(os.getpid(), "doorlight"), (812, "motion")]
    )
    with pytest.raises(CameraError, match=r"^picamera: is in use by motion \(process 812\)$"):
        open_source(fast_settings(), "picamera").open()


@pytest.mark.parametrize(
    ("mode", "hint"), [(0o660, "sudo usermod -aG video $USER, and log in again"), (0o600, "sudo doorlight doctor")]
)
@pytest.mark.parametrize("node", ["media0", "video0", "v4l-subdev0", "heap"])
def test_missing_permission_is_not_reported_as_a_missing_camera(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: str, mode: int, hint: str
) -> None:
    """Without access to a device file, libcamera finds no camera; the heap of memory is opened after that."""
    path = tmp_path / node
    path.touch()
    path.chmod(mode)
    if node == "heap":
        world.forbidden = str(path)
    else:
        world.cameras = []
    monkeypatch.setattr(picamera_driver, "DEV", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may open everything
    with pytest.raises(CameraError, match=rf"^picamera: no permission for {path}$") as caught:
        open_source(fast_settings(), "picamera").open()
    assert caught.value.hint == hint


def test_close_without_open() -> None:
    PiCamera(fast_settings()).close()


@pytest.mark.usefixtures("no_camera_process")
@pytest.mark.parametrize("wait", [False, True])
def test_missing_picamera2_is_an_error_even_with_wait(monkeypatch: pytest.MonkeyPatch, wait: bool) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)  # the import fails, whether it is installed or not
    with pytest.raises(CameraError, match="Picamera2 cannot be imported") as caught:
        open_source(fast_settings(wait=wait), "picamera").open()
    assert caught.value.hint == libraries.missing_picamera_fix()


@pytest.mark.usefixtures("no_camera_process")
def test_picamera2_that_the_venv_does_not_see_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = libraries.LibraryProblem("picamera2 is installed, but this venv does not see it", "change pyvenv.cfg")
    monkeypatch.setattr(libraries, "hidden_system_package", lambda name: problem)
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match=r"^picamera: picamera2 is installed, but this venv") as caught:
        open_source(fast_settings(), "picamera").open()
    assert caught.value.hint == problem.fix


@pytest.mark.usefixtures("no_camera_process")
@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("import libcamera", "Picamera2 is installed, but not libcamera", "pip uninstall picamera2"),
        ("import libcamera.controls", "Picamera2 is installed, but not libcamera", "apt install python3-picamera2"),
        ("raise ValueError('numpy.dtype size changed')", r"numpy\.dtype size changed", "numpy<2"),
        ("class Picamera2: pass", "Picamera2 is too old", "full-upgrade"),
    ],
)
def test_unusable_picamera2_is_reported_with_a_solution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str, hint: str
) -> None:
    (tmp_path / "picamera2.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    monkeypatch.setitem(sys.modules, "libcamera", None)
    with pytest.raises(CameraError, match=message) as caught:
        open_source(fast_settings(), "picamera").open()
    assert hint in caught.value.hint
    sys.modules.pop("picamera2", None)
