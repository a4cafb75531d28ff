"""Reduce a picture to a grid of cells, for measures that need no model.

Sixteen pixels of each cell are sampled instead of all: a face is larger than a cell, and noise is handled by what uses
the grid. This costs a hundredth of a face search.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from .images import Picture

#: (48, 64) float32: mean brightness 0..255 of each cell, top row first. (96, 128) for quarters of cells.
BrightnessGrid = npt.NDArray[np.float32]

WIDTH, HEIGHT = 64, 48


class Cells(NamedTuple):
    """A picture reduced to 64 x 48 cells.

    `brightness` is a `BrightnessGrid`. `colours` is (48, 64, 3) uint8 RGB, the mean of each cell; `quarters` is
    (96, 128, 3) uint8 RGB, the mean of each quarter of a cell.
    """

    brightness: BrightnessGrid
    colours: Picture
    quarters: Picture


def cells(picture: Picture) -> Cells:
    """Return the cells of `picture`, (H, W, 3) uint8 RGB of any size."""
    samples = cv2.resize(picture, (4 * WIDTH, 4 * HEIGHT), interpolation=cv2.INTER_NEAREST)
    quarters = cv2.resize(samples, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_AREA)  # two halvings are faster
    colours = cv2.resize(quarters, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    brightness = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return Cells(brightness, cast(Picture, colours), cast(Picture, quarters))


def grey_quarters(picture: Cells) -> BrightnessGrid:
    """Return the brightness of each quarter of a cell, (96, 128) float32."""
    return cv2.cvtColor(picture.quarters, cv2.COLOR_RGB2GRAY).astype(np.float32)
