"""V4L2 cameras: what OpenCV is asked for, and errors that name the cause."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.factory import open_source
from edge.camera.v4l2 import V4l2Camera
from edge.errors import CameraError
from edge.imaging.images import Picture
from support.camera import RED, flat, is_red, quick_settings


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """An empty file in place of a device node."""
    path = tmp_path / "video0"
    path.touch()
    return path


class FakeCapture:
    """A cv2.VideoCapture that gives two red pictures, in BGR as OpenCV does."""

    made: list[FakeCapture]

    def __init__(self) -> None:
        self.properties: list[tuple[int, float]] = []
        self.left = 2
        self.opened_with: tuple[str, int] = ("", 0)
        FakeCapture.made.append(self)

    def open(self, source: str, backend: int) -> bool:
        self.opened_with = (source, backend)
        return True

    def isOpened(self) -> bool:
        return True

    def set(self, key: int, value: float) -> bool:
        self.properties.append((key, value))
        return True

    def read(self) -> tuple[bool, Picture | None]:
        self.left -= 1
        return (True, flat(RED[::-1])) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.left = -1


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[FakeCapture]:
    """The captures that the code under test opens."""
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    FakeCapture.made = []
    return FakeCapture.made


def test_missing_device_lists_the_existing_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter([Path("/dev/video10"), Path("/dev/video2")]))
    with pytest.raises(CameraError, match=r"^/dev/video987: no such camera$") as caught:
        open_source(quick_settings(), "/dev/video987").open()
    assert caught.value.hint == "there are: /dev/video2, /dev/video10"
    assert caught.value.exit_code == 69


def test_device_in_use_names_the_program(tmp_path: Path, node: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to(node)
    code = f"import time; f = open({str(node)!r}); print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout
            other.stdout.readline()
            camera = V4l2Camera(str(link), quick_settings())
            with pytest.raises(CameraError, match=rf"in use by another program: .+ \(process {other.pid}\)"):
                camera.open()
            camera.close()
        finally:
            other.kill()


def test_other_file_is_refused(node: Path) -> None:
    with pytest.raises(CameraError, match="cannot be opened as a camera") as caught:
        V4l2Camera(str(node), quick_settings()).open()
    assert "v4l2-ctl" in caught.value.hint


def test_own_hung_capture_is_not_reported_as_another_program(node: Path) -> None:
    with node.open("w"), pytest.raises(CameraError, match="an earlier capture that hangs"):
        V4l2Camera(str(node), quick_settings()).open()


@pytest.mark.parametrize(("width", "height", "jpeg"), [(640, 480, False), (1280, 720, True)])
def test_settings_are_requested_and_pictures_are_rgb(
    node: Path, captures: list[FakeCapture], width: int, height: int, jpeg: bool
) -> None:
    camera = V4l2Camera(str(node), quick_settings(width=width, height=height, fps=15))
    camera.open()
    (capture,) = captures
    assert capture.opened_with == (str(node), cv2.CAP_V4L2)
    properties = dict(capture.properties)
    assert (properties[cv2.CAP_PROP_FRAME_WIDTH], properties[cv2.CAP_PROP_FRAME_HEIGHT]) == (width, height)
    assert (properties[cv2.CAP_PROP_FPS], properties[cv2.CAP_PROP_BUFFERSIZE]) == (15, 1)
    is_jpeg_first = capture.properties[0] == (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    assert is_jpeg_first == jpeg
    assert is_red(camera.read().picture)
    camera.read()
    with pytest.raises(CameraError, match="gives no picture"):
        camera.read()
    node.unlink()
    with pytest.raises(CameraError, match="the camera has gone"):
        camera.read()
    camera.close()


@pytest.mark.usefixtures("captures")
def test_pictures_are_rotated_and_mirrored(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = flat((0, 0, 0))
    marked[0, 0] = 255
    monkeypatch.setattr(FakeCapture, "read", lambda self: (True, marked))
    camera = V4l2Camera(str(node), quick_settings(rotate=90, mirror=True))
    camera.open()
    picture = camera.read().picture
    assert picture.shape == (64, 48, 3)
    assert [tuple(at) for at in np.argwhere(picture[:, :, 0])] == [(0, 0)]
