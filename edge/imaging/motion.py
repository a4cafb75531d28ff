"""Detect changes between frames, and frames in which nothing can be seen, without a model.

Both work on a grid of 64 x 48 brightness cells, at a hundredth of the face detector's cost. A frame without a change
since the last face search need not be searched again. A black or white frame shows nobody, but the door must report it
as blind instead of empty.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .images import Picture

#: (48, 64) float32: mean brightness 0..255 of each cell, top row first.
BrightnessGrid = npt.NDArray[np.float32]

WIDTH, HEIGHT = 64, 48
#: A face with 9 % of the picture's height covers at least 12 cells, and head and shoulders move with it.
MIN_CHANGED_CELLS = 5
#: A cell has changed if it differs by more than this many levels, and by more than this multiple of the noise.
MIN_CHANGE, MIN_NOISE_RATIO = 7.0, 5.0
#: If the typical difference is larger, it is not noise: a person stands close, or the camera was moved.
MAX_NOISE = 10.0
#: A frame is blind if nearly all blocks are darker than BLACK or brighter than WHITE, and differ by less than
#: MIN_CONTRAST levels.
BLACK, WHITE, MIN_CONTRAST = 20.0, 240.0, 8.0
#: Cells along each side of a block, over which noise averages out.
BLOCK = 4
#: Blocks to ignore at each end of the brightness range: a status lamp may shine into a covered lens.
OUTLIERS = 2
#: Standard deviation of normally distributed values, as a multiple of their median absolute deviation.
SIGMA_PER_MAD = 1.4826


def brightness_grid(picture: Picture) -> BrightnessGrid:
    """Return the mean brightness of each cell of `picture`, (H, W, 3) uint8 RGB.

    Sixteen pixels a cell are sampled instead of all: a face is larger than a cell, and noise is handled later.
    """
    samples = cv2.resize(picture, (4 * WIDTH, 4 * HEIGHT), interpolation=cv2.INTER_NEAREST)
    halved = cv2.resize(samples, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_AREA)  # two halvings are faster
    means = cv2.resize(halved, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(means, cv2.COLOR_RGB2GRAY).astype(np.float32)


def has_changed(now: BrightnessGrid, before: BrightnessGrid) -> bool:
    """Return whether an object of a face's size has appeared, disappeared or moved.

    Ignores noise, because a changed cell must differ much more than most cells do, and ignores changes of the overall
    brightness (clouds, auto-exposure), because the median difference is subtracted.
    """
    difference = now - before
    difference -= _median(difference)
    np.abs(difference, out=difference)
    noise = SIGMA_PER_MAD * _median(difference)
    if noise > MAX_NOISE:
        return True
    return int(np.count_nonzero(difference > max(MIN_CHANGE, MIN_NOISE_RATIO * noise))) >= MIN_CHANGED_CELLS


def blind_reason(now: BrightnessGrid) -> str | None:
    """Return why nothing can be seen in the frame ("the picture is black"); None if something can."""
    blocks = now.reshape(HEIGHT // BLOCK, BLOCK, WIDTH // BLOCK, BLOCK).mean(axis=(1, 3))
    blocks = np.sort(blocks, axis=None)
    low, high = float(blocks[OUTLIERS]), float(blocks[-1 - OUTLIERS])
    if high - low >= MIN_CONTRAST:
        return None
    if high <= BLACK:
        return "the picture is black"
    if low >= WHITE:
        return "the picture is white"
    return None


def _median(values: BrightnessGrid) -> float:
    """Return the upper median. np.median takes twice as long."""
    middle = values.size // 2
    return float(np.partition(values, middle, axis=None)[middle])
