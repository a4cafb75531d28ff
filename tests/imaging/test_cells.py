"""The grid of cells."""

from __future__ import annotations

import numpy as np

from edge.imaging import cells as module
from edge.imaging.cells import HEIGHT, WIDTH, cells


def test_cells_hold_brightness_and_colour() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[:, 320:] = (0, 0, 255)
    found = cells(picture)
    assert (found.brightness.shape, found.brightness.dtype) == ((HEIGHT, WIDTH), np.float32)
    assert not found.brightness[:, :31].any()
    assert np.allclose(found.brightness[:, 33:], 29), "blue contributes 11 % to brightness"
    assert found.colours.shape == (HEIGHT, WIDTH, 3)
    assert (found.colours[:, 33:] == (0, 0, 255)).all()
    assert found.quarters.shape == (2 * HEIGHT, 2 * WIDTH, 3)


def test_docstring_names_the_grid_size() -> None:
    assert f"{WIDTH} x {HEIGHT}" in str(module.Cells.__doc__)
