"""The clips for the camera of the virtual door, cut from the demo video, as raw frames that need no decoder.

  empty                         nobody is at the door
  masked, unmasked, agitated    one person stands at the door
  door                          the whole demo: the three persons come and go one after the other
  black, bright                 the lens is covered; the sun shines into the lens

A file NAME.yuyv holds frames of 640x480 in YUYV (YCbCr 4:2:2, BT.601). Sensor noise is added to each frame, so that no
two frames are equal: the door treats a camera with bit-identical frames as frozen.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

VIDEO = Path(__file__).resolve().parent.parent / "assets/demo/door.mp4"
WIDTH, HEIGHT = 640, 480
NOISE_LEVELS = 1.5  # standard deviation, in levels of 255

Picture = npt.NDArray[np.uint8]

#: The first and the last frame of the video in which a person stands at the door.
STANDING = {"masked": (49, 68), "unmasked": (156, 176), "agitated": (264, 284)}
EMPTY = (1, 8)


def yuyv(picture: Picture) -> bytes:
    """Convert a picture, (480, 640, 3) uint8 BGR, to YUYV."""
    planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    pixels = WIDTH * HEIGHT
    out = np.empty((HEIGHT, WIDTH, 2), np.uint8)
    out[..., 0] = planes[:pixels].reshape(HEIGHT, WIDTH)
    for k, offset in ((0, pixels), (1, pixels * 5 // 4)):
        chroma = planes[offset : offset + pixels // 4].reshape(HEIGHT // 2, WIDTH // 2)
        out[:, k::2, 1] = chroma.repeat(2, axis=0)
    return out.tobytes()


def write(path: Path, pictures: Iterable[Picture], seed: int = 1) -> None:
    """Write pictures, (480, 640, 3) uint8 BGR, as a clip, with sensor noise."""
    rng = np.random.default_rng(seed)
    # The noise is computed once and shifted from frame to frame: new noise for each frame would take a minute.
    noise = rng.normal(0, NOISE_LEVELS, (HEIGHT, WIDTH, 3)).round().astype(np.int16)
    with path.open("wb") as file:
        for picture in pictures:
            noise = np.roll(noise, rng.integers(HEIGHT), axis=0)
            file.write(yuyv(np.clip(picture + noise, 0, 255).astype(np.uint8)))


def video() -> list[Picture]:
    """Return the frames of the demo video, (480, 640, 3) uint8 BGR."""
    capture = cv2.VideoCapture(str(VIDEO))
    frames: list[Picture] = []
    while True:
        ok, frame = capture.read()
        if not ok:
            return frames
        frames.append(frame.astype(np.uint8, copy=False))


def write_all(folder: Path) -> None:
    """Write all clips into a folder."""
    frames = video()
    write(folder / "door.yuyv", frames)
    write(folder / "empty.yuyv", frames[EMPTY[0] : EMPTY[1] + 1] * 2)
    for name, (first, last) in STANDING.items():
        standing = frames[first : last + 1]
        # Forwards and backwards, so that the person does not jump where the loop starts again.
        write(folder / f"{name}.yuyv", standing + standing[-2:0:-1])
    write(folder / "black.yuyv", [np.full((HEIGHT, WIDTH, 3), 2, np.uint8)] * 15)
    write(folder / "bright.yuyv", [np.full((HEIGHT, WIDTH, 3), 253, np.uint8)] * 15)
