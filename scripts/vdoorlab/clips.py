"""What the camera of the virtual door sees: clips cut from the demo's video, as raw frames that need no decoder.

  empty                         nobody there
  masked, unmasked, agitated    somebody stands at the door
  door                          the whole demo: all three come and go, with the empty corridor in between
  black, bright                 the lens covered; the sun in it

Files NAME.yuyv: frames of 640x480 in YUYV (YCbCr 4:2:2, BT.601), one after the other. Every frame has a camera's noise, so
that no two are the same: only a frozen camera repeats a picture byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

VIDEO = Path(__file__).resolve().parent.parent / "demo_data/door.mp4"
WIDTH, HEIGHT = 640, 480
NOISE = 1.5  # standard deviation, in levels of 255

Picture = npt.NDArray[np.uint8]

#: First and last frame of the video in which somebody stands at the door.
STANDING = {"masked": (49, 68), "unmasked": (156, 176), "agitated": (264, 284)}
EMPTY = (1, 8)


def yuyv(picture: Picture) -> bytes:
    """A picture, (480, 640, 3) uint8 BGR, as YUYV."""
    planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    pixels = WIDTH * HEIGHT
    out = np.empty((HEIGHT, WIDTH, 2), np.uint8)
    out[..., 0] = planes[:pixels].reshape(HEIGHT, WIDTH)
    for k, offset in ((0, pixels), (1, pixels * 5 // 4)):
        chroma = planes[offset : offset + pixels // 4].reshape(HEIGHT // 2, WIDTH // 2)
        out[:, k::2, 1] = chroma.repeat(2, axis=0)
    return out.tobytes()


def write(path: Path, pictures: Iterable[Picture], seed: int = 1) -> None:
    """A clip of pictures, (480, 640, 3) uint8 BGR, with a camera's noise."""
    rng = np.random.default_rng(seed)
    # Drawn once, and shifted from frame to frame: a new one for each would take a minute.
    noise = rng.normal(0, NOISE, (HEIGHT, WIDTH, 3)).round().astype(np.int16)
    with path.open("wb") as file:
        for picture in pictures:
            noise = np.roll(noise, rng.integers(HEIGHT), axis=0)
            file.write(yuyv(np.clip(picture + noise, 0, 255).astype(np.uint8)))


def video() -> list[Picture]:
    """The demo's frames, (480, 640, 3) uint8 BGR."""
    capture, frames = cv2.VideoCapture(str(VIDEO)), []
    while True:
        ok, frame = capture.read()
        if not ok:
            return frames
        frames.append(frame)


def make(folder: Path) -> None:
    """Fill a folder with all clips."""
    frames = video()
    write(folder / "door.yuyv", frames)
    write(folder / "empty.yuyv", frames[EMPTY[0] : EMPTY[1] + 1] * 2)
    for name, (first, last) in STANDING.items():
        there = frames[first : last + 1]
        write(folder / f"{name}.yuyv", there + there[-2:0:-1])  # forth and back: nobody jumps where it begins again
    write(folder / "black.yuyv", [np.full((HEIGHT, WIDTH, 3), 2, np.uint8)] * 15)
    write(folder / "bright.yuyv", [np.full((HEIGHT, WIDTH, 3), 253, np.uint8)] * 15)
