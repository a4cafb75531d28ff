"""What all drawing functions have in common."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from support.faces import BOX, ODD_BOXES, drawn_face
from training.arrays import Box, Picture, Rng
from training.drawing import masks, occluders

Drawer = Callable[[Picture, Box, Rng], Picture]
DRAWERS = (masks.draw_mask, masks.draw_chin_mask, occluders.draw_occluder)


@pytest.mark.parametrize("drawer", DRAWERS)
@pytest.mark.parametrize("seed", range(12))
def test_the_same_seed_gives_the_same_picture_and_the_source_stays_unchanged(drawer: Drawer, seed: int) -> None:
    picture = drawn_face()
    before = picture.copy()
    first = drawer(picture, BOX, np.random.default_rng(seed))
    again = drawer(picture, BOX, np.random.default_rng(seed))
    assert first.shape == picture.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("drawer", DRAWERS)
def test_a_grey_picture_stays_grey(drawer: Drawer) -> None:
    for seed in range(8):
        drawn = drawer(drawn_face(grey=True), BOX, np.random.default_rng(seed)).astype(int)
        assert np.ptp(drawn, axis=2).max() <= 1


@pytest.mark.parametrize("drawer", DRAWERS)
@pytest.mark.parametrize("box", ODD_BOXES)
def test_boxes_at_and_beyond_the_border_are_drawn_on(drawer: Drawer, box: Box) -> None:
    for seed in range(10):
        assert drawer(drawn_face(), box, np.random.default_rng(seed)).shape == (320, 320, 3)
