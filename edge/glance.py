"""What a glance at a picture tells before any model is asked: has anything changed, and is there anything to see at all?

Both are told from 64 x 48 cells of brightness, which cost a hundredth of the face detector. A picture in which nothing
has changed since faces were last sought need not be searched again; one that is all black or all white shows nobody,
and a door that takes it for an empty one would be blind and not know it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
#: (48, 64) float32: brightness 0..255 by cell, rows from the top.
Cells = npt.NDArray[np.float32]

WIDTH, HEIGHT = 64, 48
#: A face from 9 % of the picture's height covers 12 cells and more, and comes with a head and shoulders.
LEAST_CELLS = 5
#: A cell has changed if it differs by this many levels, and by this many times what the others differ (noise).
LEAST_CHANGE, TIMES_NOISE = 7.0, 5.0
#: Beyond this, it is not noise by which most cells differ: somebody stands close, or the camera was turned.
MOST_NOISE = 10.0
#: Darker or brighter than this in nearly every cell, and by fewer levels apart than this: nothing to see.
BLACK, WHITE, LEAST_CONTRAST = 20.0, 240.0, 8.0


def cells(picture: Picture) -> Cells:
    """Brightness by cell of `picture`, (H, W, 3) uint8 RGB.

    From sixteen pixels a cell, not from all: what there is to tell is larger than a cell, and noise is taken care of.
    """
    points = cv2.resize(picture, (4 * WIDTH, 4 * HEIGHT), interpolation=cv2.INTER_NEAREST)
    halved = cv2.resize(points, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_AREA)  # twice by 2: faster than by 4
    means = cv2.resize(halved, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(means, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _median(values: Cells) -> float:
    """The upper median; numpy's own takes twice as long."""
    middle = values.size // 2
    return float(np.partition(values, middle, axis=None)[middle])


def changed(now: Cells, before: Cells) -> bool:
    """Whether something of a face's size is new, gone, or has moved.

    Not told from it: noise, because a cell must differ by much more than most cells do; and light that changes all over,
    as clouds and a camera's exposure do, because what most cells have in common is taken off.
    """
    difference = now - before
    difference -= _median(difference)
    np.abs(difference, out=difference)
    noise = 1.4826 * _median(difference)  # the standard deviation, where most differences are noise
    if noise > MOST_NOISE:
        return True
    return int(np.count_nonzero(difference > max(LEAST_CHANGE, TIMES_NOISE * noise))) >= LEAST_CELLS


def unseeing(now: Cells) -> str | None:
    """Why nothing can be seen in such a picture; None where something can."""
    # Sixteen cells each, which leaves little of the noise of a camera in the dark; without a few that a lamp shines into.
    blocks = np.sort(now.reshape(HEIGHT // 4, 4, WIDTH // 4, 4).mean(axis=(1, 3)), axis=None)
    low, high = float(blocks[2]), float(blocks[-3])
    if high - low >= LEAST_CONTRAST:
        return None
    if high <= BLACK:
        return "the picture is black"
    if low >= WHITE:
        return "the picture is white"
    return None
