"""V4l2Camera: USB and other cameras of the Linux kernel, through OpenCV."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2

from ..config import CameraSettings
from ..errors import CameraError
from ..system.open_files import processes_using
from .adjust import adjust
from .device import CameraDevice, Capture
from .opencv import read_rgb

#: USB 2 reliably carries this much uncompressed video (two bytes a pixel). Above it, request JPEG.
MAX_RAW_BYTES_PER_S = 16e6


class V4l2Camera(CameraDevice):
    """A camera with a /dev/video… or /dev/v4l/by-id/… name, or a link to it such as /dev/camera."""

    def __init__(self, path: str, settings: CameraSettings) -> None:
        self._path = path
        self._settings = settings
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        if not os.path.exists(self._path):
            nodes = sorted(map(str, Path("/dev").glob("video*")), key=lambda name: (len(name), name))
            hint = f"there are: {', '.join(nodes)}" if nodes else "there is no /dev/video*: check the cable"
            raise CameraError(f"{self._path}: no such camera", hint)
        capture = self._capture = _open_capture(self._path)
        if not capture.isOpened():
            raise self._explain("cannot be opened as a camera")
        settings = self._settings
        # Set the format first: changing it later may reset size and rate.
        if 2 * settings.width * settings.height * settings.fps > MAX_RAW_BYTES_PER_S:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
        capture.set(cv2.CAP_PROP_FPS, settings.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # frames in the driver's queue only get old

    def read(self) -> Capture:
        assert self._capture is not None
        picture = read_rgb(self._capture)
        if picture is None:
            raise self._explain("gives no picture")
        return Capture(adjust(picture, self._settings))

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()

    def _explain(self, problem: str) -> CameraError:
        """Return an error with the cause of `problem`, which OpenCV does not report."""
        path = self._path
        if not os.path.exists(path):
            return CameraError(f"{path}: the camera has gone", "check cable and power of the camera")
        try:
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        except PermissionError:
            return CameraError(f"{path}: no permission", "sudo usermod -aG video $USER, and log in again")
        except OSError as error:
            problem = f"cannot be opened: {error.strerror}"
        users = dict(processes_using(path))
        if users.pop(os.getpid(), None) and not (self._capture and self._capture.isOpened()):
            return CameraError(f"{path}: an earlier capture that hangs still holds it", "restart if that lasts")
        if users:
            names = ", ".join(f"{name} (process {pid})" for pid, name in users.items())
            return CameraError(f"{path}: is in use by another program: {names}", "stop that program")
        # Only root sees the open files of other users, so the device may be in use although no process was found.
        return CameraError(
            f"{path}: {problem}",
            "it may be in use by another program, or be one of the additional devices of a camera: "
            "list them with v4l2-ctl --list-devices",
        )


def _open_capture(path: str) -> cv2.VideoCapture:
    """Return a capture of the V4L2 device `path`, open or not, with OpenCV's log messages turned off."""
    logging: Any = cv2
    if not hasattr(logging, "setLogLevel"):  # moved after OpenCV 4.11
        logging = logging.utils.logging
    logging.setLogLevel(0)  # silent: our own errors say more
    capture = cv2.VideoCapture()
    capture.open(path, cv2.CAP_V4L2)
    return capture
