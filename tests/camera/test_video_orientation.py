"""Videos are shown upright, as their container says, in every version of OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.video_file import VideoFile
from edge.imaging.images import Picture
from support.camera import quick_settings, read_all
from support.video_bytes import MATRICES, jpeg, mkv, mp4

#: Red, green, blue and white quarters, from left to right and top to bottom, and wider than high.
QUARTERS = ((220, 30, 30), (30, 200, 30), (30, 30, 220), (240, 240, 240))


def upright() -> Picture:
    picture = np.zeros((96, 160, 3), np.uint8)
    for k, colour in enumerate(QUARTERS):
        picture[48 * (k // 2) : 48 * (k // 2 + 1), 80 * (k % 2) : 80 * (k % 2 + 1)] = colour
    return picture


def stored(rotate: int, mirror: bool) -> Picture:
    """Return the pixels of which rotation (degrees clockwise) and mirroring make the upright picture."""
    picture = upright()
    if mirror:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(np.rot90(picture, rotate // 90))


@pytest.mark.parametrize(
    ("container", "orientation"),
    [
        *(("mov", orientation) for orientation in ((90, False), (180, False), (270, False), (0, True), (90, True))),
        *(("mkv", orientation) for orientation in ((90, False), (270, False), (180, True))),
    ],
)
def test_video_is_upright(tmp_path: Path, container: str, orientation: tuple[int, bool]) -> None:
    rotate, mirror = orientation
    pixels = stored(rotate, mirror)
    size = pixels.shape[1], pixels.shape[0]
    path = tmp_path / f"film.{container}"
    if container == "mov":
        path.write_bytes(mp4([jpeg(pixels)] * 2, [100, 100], size=size, matrix=MATRICES[orientation]))
    else:
        # In FFmpeg's words: yaw mirrors, roll is anticlockwise.
        projection = {b"\x73": 180.0 if mirror else 0.0, b"\x75": float(rotate if mirror else -rotate)}
        path.write_bytes(mkv([jpeg(pixels)] * 2, [0, 100], size=size, projection=projection))
    frames = read_all(VideoFile(path, quick_settings()))
    assert len(frames) == 2
    for frame in frames:
        assert frame.picture.shape == (96, 160, 3)
        assert frame.picture.flags.c_contiguous
        assert np.abs(frame.picture.astype(int) - upright()).mean() < 8


def test_settings_apply_to_the_upright_picture(tmp_path: Path) -> None:
    path = tmp_path / "film.mov"
    path.write_bytes(mp4([jpeg(stored(90, False))], [100], size=(96, 160), matrix=MATRICES[90, False]))
    (frame,) = read_all(VideoFile(path, quick_settings(rotate=180, mirror=True)))
    assert np.abs(frame.picture.astype(int) - upright()[::-1]).mean() < 8
    (frame,) = read_all(VideoFile(path, quick_settings(grey=True)))
    grey = cv2.cvtColor(upright(), cv2.COLOR_RGB2GRAY)
    assert np.abs(frame.picture.astype(int) - grey[:, :, None]).mean() < 8
