"""PicameraRequest: the parameters of a camera process of the Raspberry Pi camera, and its start.

Nothing here loads NumPy or OpenCV: `doorlight run` starts the camera before it imports them.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from ..system import child_process
from . import picture_process

if TYPE_CHECKING:
    from ..config import CameraSettings

#: libcamera prints a dozen lines for each opening otherwise. NumPy would start a thread for each core.
ENVIRONMENT = {"LIBCAMERA_LOG_LEVELS": "*:WARN", "OPENBLAS_NUM_THREADS": "1"}


class PicameraRequest(NamedTuple):
    """Parameters of the camera, named as in CameraSettings. The image processor applies the flips."""

    width: int
    height: int
    lores_width: int
    fps: float
    max_exposure_s: float
    metering: str
    exposure_stops: float
    grey: bool
    hflip: bool
    vflip: bool


def make_request(settings: CameraSettings) -> PicameraRequest:
    """Return the parameters for these settings."""
    return PicameraRequest(
        settings.width,
        settings.height,
        settings.lores_width,
        settings.fps,
        settings.max_exposure_s,
        settings.metering,
        settings.exposure_stops,
        settings.grey,
        *hardware_flips(settings),
    )


def hardware_flips(settings: CameraSettings) -> tuple[bool, bool]:
    """Return the flips requested from the hardware: (left to right, top to bottom). It cannot rotate by 90 degrees."""
    if settings.rotate in (90, 270):
        return False, settings.mirror  # rotated afterwards, which exchanges the axes
    return (settings.rotate == 180) != settings.mirror, settings.rotate == 180


#: The process of start_early with its request, until a connection takes it over.
_early: list[tuple[PicameraRequest, subprocess.Popen[bytes]]] = []


def start_early(settings: CameraSettings) -> None:
    """Start the process for the first connection. Call it in the main thread: the child ends with its thread."""
    request = make_request(settings)
    _early.append((request, _start(request)))


def start(request: PicameraRequest) -> subprocess.Popen[bytes]:
    """Return a camera process for `request`: that of start_early if its request is equal, or a new one."""
    while _early:
        early_request, child = _early.pop()
        if early_request == request:
            return child
        picture_process.PictureProcess(child).close()
    return _start(request)


def _start(request: PicameraRequest) -> subprocess.Popen[bytes]:
    variables = {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()}
    # The child's messages go where the door's go: libcamera's say what is wrong with a camera.
    command = child_process.command("edge.camera.picamera_process")
    return picture_process.start(command, request, variables, stderr=None)
