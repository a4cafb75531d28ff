"""A door's source of a Raspberry Pi camera with quick settings, and what it gives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edge.camera.factory import open_source
from edge.camera.live import LiveSource
from edge.camera.source import CameraLostError
from edge.config import CameraSettings
from edge.imaging.images import Picture
from edge.records import Frame
from support.camera import quick_settings

#: Time limit for what must happen at some time: each new camera process starts Python, on a test machine that may be busy.
PATIENCE_S = 90.0
#: How far a colour may be off: the sensor's noise, and the rounding of two conversions.
TOLERANCE = 6
#: Pixels at the edges of a quarter that mix with the next one when a picture is scaled.
BLURRED = 8


def settings(**changes: Any) -> CameraSettings:
    """Return settings that are quick, and slow enough for a busy machine."""
    return quick_settings(**({"fps": 30, "timeout_s": 1.0, "reopen_s": 0.05, "reopen_max_s": 0.2} | changes))


def camera(**changes: Any) -> LiveSource:
    source = open_source(settings(**changes), "picamera")
    assert isinstance(source, LiveSource)
    return source


def one_frame(**changes: Any) -> Frame:
    with camera(**changes) as source:
        return source.read()


def shows(picture: Picture | None, quarters: Picture) -> bool:
    """Return whether every pixel of the four quarters of `picture` has the colour in `quarters`, (2, 2, 3)."""
    assert picture is not None
    assert picture.flags.c_contiguous
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    for row, column in np.ndindex(2, 2):
        quarter = picture[row * height : (row + 1) * height, column * width : (column + 1) * width].astype(int)
        inner = quarter[BLURRED:-BLURRED, BLURRED:-BLURRED]
        if np.abs(inner - quarters[row, column]).max() > TOLERANCE:
            return False
    return True


def read_until(source: LiveSource, is_due: Callable[[Frame | CameraLostError], bool]) -> Frame | CameraLostError:
    """Read until a frame or error is due, and return it."""
    last: Frame | CameraLostError | None = None
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            last = source.read()
        except CameraLostError as error:
            last = error
        if is_due(last):
            return last
    raise AssertionError(f"did not happen in time: {last!r}")


def is_lost(event: Frame | CameraLostError) -> bool:
    return isinstance(event, CameraLostError)


def is_back(event: Frame | CameraLostError) -> bool:
    return isinstance(event, Frame)


def one(event: Frame | CameraLostError) -> Frame:
    assert isinstance(event, Frame)
    return event


def read_lost(source: LiveSource) -> bool:
    try:
        source.read()
    except CameraLostError:
        return True
    return False
