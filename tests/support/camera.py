"""Helpers for tests of cameras and other sources: settings with short timeouts, test videos and pictures, reading."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from edge.camera.source import CameraLostError, Source
from edge.config import CameraSettings, load
from edge.imaging.images import Picture
from edge.records import Frame

#: RGB. With red and blue swapped it would be blue.
RED = (220, 30, 10)
#: Time limit of a test for what must happen at some time: generous, as a test machine may be busy.
PATIENCE_S = 60.0


def quick_settings(**changes: Any) -> CameraSettings:
    """Return the default settings with short timeouts, so that tests are quick."""
    quick = {"timeout_s": 0.1, "reopen_s": 0.01, "reopen_max_s": 0.04}
    return msgspec.structs.replace(load().camera, **(quick | changes))


def flat(colour: tuple[int, int, int], height: int = 48, width: int = 64) -> Picture:
    """Return a picture of one colour, (height, width, 3) uint8."""
    return np.full((height, width, 3), colour, np.uint8)


def is_red(picture: Picture, at: tuple[int, int] = (5, 5)) -> bool:
    """Return whether the pixel `at` (row, column) is RED, within the loss of JPEG."""
    return bool(np.all(np.abs(picture[at].astype(int) - RED) < 25))


def write_video(path: Path, fourcc: str, frames: int = 30, fps: float = 20.0) -> Path:
    """Write a 160 x 120 video of a green disc that moves over RED."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), fps, (160, 120))
    assert writer.isOpened()
    for k in range(frames):
        picture = flat(RED[::-1], 120, 160)
        cv2.circle(picture, (4 * k, 60), 20, (0, 255, 0), -1)
        writer.write(picture)
    writer.release()
    return path


def write_picture(path: Path, colour: tuple[int, int, int] = RED, height: int = 48) -> Path:
    """Write a picture of one colour, in the format of the suffix."""
    assert cv2.imwrite(str(path), flat(colour, height)[:, :, ::-1])
    return path


def read_all(source: Source) -> list[Frame]:
    """Open the source, return all its frames and close it."""
    frames = []
    with source:
        while (frame := source.read()) is not None:
            frames.append(frame)
    return frames


def read_error(source: Source) -> CameraLostError | None:
    """Read once. Return the error; None if a frame came."""
    try:
        source.read()
    except CameraLostError as error:
        return error
    return None


def read_until_lost(source: Source, numbers: list[int] | None = None) -> CameraLostError:
    """Read until the camera is lost. Return the error; add the numbers of the frames before it to `numbers`."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            frame = source.read()
        except CameraLostError as error:
            return error
        if frame is not None and numbers is not None:
            numbers.append(frame.number)
    raise AssertionError("the camera was not lost")


def read_until_back(source: Source) -> tuple[Frame, list[CameraLostError]]:
    """Read until a frame comes. Return it, and the errors before it."""
    errors: list[CameraLostError] = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            frame = source.read()
        except CameraLostError as error:
            errors.append(error)
        else:
            assert frame is not None
            return frame, errors
    raise AssertionError(f"no frame came: {errors[-1:]}")
