"""Faces are a few coloured cells; the rest of the picture is untouched."""

from __future__ import annotations

import numpy as np
import pytest

from edge.records import Box
from edge.view.pixelate import CELLS, pixelate_all, pixelate_faces

NOISE = np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)


def test_a_face_has_few_colours_and_the_rest_is_untouched() -> None:
    out = pixelate_faces(NOISE, [Box(60, 40, 100, 80)])
    colours = np.unique(out[40:80, 60:100].reshape(-1, 3), axis=0)
    assert len(colours) <= (CELLS + 1) ** 2
    changed = (out != NOISE).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (24, 96, 44, 116), "the face and a margin"


def test_the_original_is_not_changed() -> None:
    before = NOISE.copy()
    pixelate_faces(NOISE, [Box(60, 40, 100, 80)])
    assert (before == NOISE).all()


@pytest.mark.parametrize(
    "box", [Box(-50, -50, 20, 20), Box(140, 100, 400, 300), Box(10, 10, 10.4, 10.4), Box(500, 500, 600, 600)]
)
def test_boxes_at_and_beyond_the_edges(box: Box) -> None:
    assert pixelate_faces(NOISE, [box]).shape == NOISE.shape


def test_without_faces_nothing_is_hidden() -> None:
    assert (pixelate_faces(NOISE, []) == NOISE).all()


@pytest.mark.parametrize("shape", [(480, 640, 3), (1, 1, 3), (7, 300, 3)])
def test_a_whole_picture_has_few_cells(shape: tuple[int, int, int]) -> None:
    picture = np.random.default_rng(2).integers(0, 256, shape, np.uint8)
    out = pixelate_all(picture)
    assert out.shape == shape
    assert len(np.unique(out.reshape(-1, 3), axis=0)) <= 12 * 12 * max(shape[:2]) // min(shape[:2]) + 1
