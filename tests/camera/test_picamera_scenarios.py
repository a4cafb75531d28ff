"""The Raspberry Pi camera: its pictures, and how it fails. test_picamera_process.py has the scenarios of its process.

The scenarios are the same with fake libraries, and with the real libcamera and Picamera2. The real ones run in the system that
scripts/checks/picamera builds. What they do differently shows here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.camera.source import CameraLostError
from edge.errors import CameraError
from edge.records import Frame
from support.fake_picamera2 import SCENE
from support.pi_camera import camera, is_back, is_lost, one, one_frame, read_until, shows
from support.sensor import TESTS, Sensor

# ---- Pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "lores_width", "lores_size"),
    [
        ((640, 480), 256, (256, 192)),  # the defaults: no padding
        ((200, 150), 100, (100, 74)),  # padding in both; rows of U and V end in the middle of a row of the array
        ((1280, 720), 322, (322, 180)),  # a size for which BT.709 is the default
        ((202, 152), 201, (200, 150)),  # sides must be even
        ((640, 480), 0, None),
        ((640, 480), 640, None),  # not smaller: off
        ((640, 480), 4096, None),
    ],
)
def test_both_streams_show_the_scene_in_its_colours(
    sensor: Sensor, size: tuple[int, int], lores_width: int, lores_size: tuple[int, int] | None
) -> None:
    frame = one_frame(width=size[0], height=size[1], lores_width=lores_width)
    assert frame.picture.shape == (size[1], size[0], 3)
    assert shows(frame.picture, SCENE)
    assert (frame.lores is None) == (lores_size is None)
    if lores_size:
        assert frame.lores is not None
        assert frame.lores.shape == (lores_size[1], lores_size[0], 3)
        assert shows(frame.lores, SCENE)


@pytest.mark.parametrize(("rotate", "mirror"), [(0, True), (90, False), (90, True), (180, False), (270, True)])
def test_rotation_and_mirror(sensor: Sensor, rotate: int, mirror: bool) -> None:
    frame = one_frame(width=200, height=152, lores_width=100, rotate=rotate, mirror=mirror)
    expected = np.rot90(SCENE, -rotate // 90)
    if mirror:
        expected = expected[:, ::-1]
    assert frame.picture.shape == ((200, 152, 3) if rotate in (90, 270) else (152, 200, 3))
    assert shows(frame.picture, expected)
    assert shows(frame.lores, expected)


def test_settings_become_controls(sensor: Sensor) -> None:
    one_frame(fps=50, max_exposure_s=0.5, metering="spot", exposure_stops=0.5, grey=True)
    controls = sensor.controls()
    assert controls["FrameDurationLimits"] == "[ 20000, 20000 ]"
    assert (controls["AeExposureMode"], controls["AeMeteringMode"]) == ("1", "1"), "short exposure, spot metering"
    assert (float(controls["ExposureValue"]), float(controls["Saturation"])) == (0.5, 0.0)


def test_short_exposure_speeds_up_the_sensor_and_extra_frames_are_dropped(sensor: Sensor) -> None:
    with camera(fps=20, max_exposure_s=0.01) as source:
        frames = [one(read_until(source, is_back)) for _ in range(8)]
    assert sensor.controls()["FrameDurationLimits"] == "[ 10000, 10000 ]"
    assert frames[-1].t - frames[0].t >= (frames[-1].number - frames[0].number) * 0.04


# ---- The camera cannot be opened -------------------------------------------------------------------------------------


def test_no_camera(sensor: Sensor) -> None:
    sensor.unplug()
    with pytest.raises(CameraError, match=r"^picamera: no camera found$") as caught:
        camera().open()
    assert "rpicam-hello --list-cameras" in caught.value.hint


def test_camera_that_is_busy(sensor: Sensor) -> None:
    sensor.order("busy")
    with pytest.raises(CameraError, match=r"^picamera: is in use by ") as caught:
        camera().open()
    assert "stop that program" in caught.value.hint


def test_camera_of_another_process(sensor: Sensor) -> None:
    with camera() as first:
        first.read()
        with pytest.raises(CameraError, match=r"^picamera: is in use by "):
            camera().open()
        first.read()
    one_frame()


def can_become_nobody() -> bool:
    """Return whether this user can start Python as another one, with device files for it."""
    folders = Path(sys.executable).resolve().parents
    return os.geteuid() == 0 and all(folder.stat().st_mode & 0o001 for folder in folders)


@pytest.mark.skipif(not can_become_nobody(), reason="needs root, and a Python that other users may run")
@pytest.mark.parametrize(
    ("node", "mode", "hint"),
    [
        ("media0", "660", "sudo usermod -aG video"),
        ("v4l-subdev0", "660", "sudo usermod -aG video"),
        ("dma_heap/linux,cma", "660", "sudo usermod -aG video"),
        ("dma_heap/linux,cma", "600", "sudo doorlight doctor"),  # a Debian without the rules of Raspberry Pi OS
    ],
)
def test_camera_that_the_user_may_not_open(sensor: Sensor, node: str, mode: str, hint: str) -> None:
    """The user is in no group. Without access to media devices, libcamera lists no camera; the heap is opened later."""
    if not node.startswith("dma_heap"):
        (sensor.folder / "frames").chmod(0o600)
    program = (
        "from edge.camera.factory import open_source; from edge.config import load; from edge.errors import CameraError\n"
        "try: open_source(load().camera, 'picamera').open()\n"
        "except CameraError as error: print(error, error.hint, sep='|')\n"
    )
    shown = run_as_nobody([sys.executable, "-c", program], node, mode, sensor)
    message, _, fix = shown.strip().splitlines()[-1].partition("|")
    assert message == f"picamera: no permission for /dev/{node}"
    assert hint in fix


def run_as_nobody(command: list[str], node: str, mode: str, sensor: Sensor) -> str:
    """Run a command as a user in no group, with a /dev that has `node` for the group video. Return what it prints."""
    script = """
        mount --make-private /dev
        mount -t tmpfs -o mode=755 none /dev
        mknod -m 666 /dev/null c 1 3
        mknod -m 666 /dev/urandom c 1 9
        mkdir -m 1777 /dev/shm
        mkdir -p "/dev/$(dirname "$1")"
        mknod -m "$2" "/dev/$1" c 240 0
        chgrp video "/dev/$1"
        shift 2
        exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
    """
    sensor.folder.chmod(0o777)
    for folder in sensor.folder.parents:  # pytest's are for root
        if folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    unshare = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-euc", script, "sh"]
    return subprocess.run(
        [*unshare, node, mode, *command],
        cwd="/",
        env=os.environ | {"PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(TESTS.parent)])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def test_camera_that_does_not_start(sensor: Sensor) -> None:
    sensor.order("nostart")
    with pytest.raises(CameraError, match=r"^picamera: cannot be opened: Failed to start camera") as caught:
        camera().open()
    assert "rpicam-hello" in caught.value.hint


def test_busy_camera_is_waited_for(sensor: Sensor) -> None:
    sensor.order("busy")
    with camera(wait=True) as source:
        lost = read_until(source, lambda event: "in use by" in str(event))
        assert isinstance(lost, CameraLostError)
        sensor.order("play")
        assert shows(one(read_until(source, is_back)).picture, SCENE)


# ---- The camera fails ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_picamera_limits")
@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("hang", r"^picamera: (no picture within|no new picture for) "),
        ("timeout", r"^picamera: (no picture within|no new picture for) "),  # libcamera cancels the requests
        ("error", r"^picamera: (no picture within|no new picture for) "),  # Picamera2 drops damaged frames
        ("late", r"^picamera: (no picture within|no new picture for) "),  # they are left over from a stall
        ("freeze", r"^picamera: frozen, "),
    ],
)
def test_camera_that_fails_is_lost_and_comes_back(sensor: Sensor, order: str, reason: str) -> None:
    with camera() as source:
        first = source.read()
        sensor.order(order)
        lost = read_until(source, is_lost)
        with pytest.raises(CameraLostError, match=reason):
            raise lost  # type: ignore[misc]
        read_until(source, lambda event: is_lost(event) and source._attempts >= 2)  # opened during the fault, too
        sensor.order("play")
        back = one(read_until(source, is_back))
        assert back.number > first.number
        assert back.t > first.t
        assert shows(back.lores, SCENE)


def test_black_pictures_are_passed_on(sensor: Sensor) -> None:
    """The door reports them as blind."""
    with camera() as source:
        source.read()
        sensor.order("black")
        read_until(source, lambda event: isinstance(event, Frame) and event.picture.max() < 16)
