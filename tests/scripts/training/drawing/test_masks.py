"""Masks drawn on a face: where they are, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from support.faces import BOX, drawn_face
from training.drawing import masks


@pytest.mark.parametrize("seed", range(25))
def test_a_mask_covers_nose_and_mouth_and_leaves_the_eyes(seed: int) -> None:
    picture = drawn_face()
    masked = masks.draw_mask(picture, BOX, np.random.default_rng(seed))
    changed = np.abs(masked.astype(int) - picture).max(2) > 6
    x1, y1, x2, y2 = BOX
    h = y2 - y1
    lower = changed[int(y1 + 0.65 * h) : int(y1 + 0.9 * h), int(x1 + 35) : int(x2 - 35)]
    eyes = changed[int(y1 + 0.05 * h) : int(y1 + 0.33 * h), int(x1) : int(x2)]
    assert lower.mean() > 0.8
    assert eyes.mean() < 0.05
    assert not changed[:, :60].any(), "nothing far from the face may change"


@pytest.mark.parametrize("seed", range(25))
def test_a_wrongly_worn_mask_leaves_the_nose_free(seed: int) -> None:
    picture = drawn_face()
    worn = masks.draw_chin_mask(picture, BOX, np.random.default_rng(seed))
    changed = np.abs(worn.astype(int) - picture).max(2) > 25
    x1, y1, x2, y2 = BOX
    h = y2 - y1
    assert changed[int(y1 + 0.3 * h) : int(y1 + 0.6 * h), int(x1 + 40) : int(x2 - 40)].mean() < 0.05
    assert changed[int(y1 + 0.93 * h) :, int(x1) : int(x2)].any()


def test_the_light_on_the_face_stays_on_the_mask() -> None:
    white = masks.MaskStyle(colour=(220, 220, 220))
    masked = masks.paint_mask(drawn_face(), BOX, white, np.random.default_rng(0))
    row = masked[145, :, :].mean(1)
    assert row[125:140].mean() > row[180:195].mean() + 15, "the face is lit from the left"
    dark = masks.paint_mask(drawn_face(gain=0.25), BOX, white, np.random.default_rng(0))
    assert dark[140:180, 140:180].mean() < 0.5 * masked[140:180, 140:180].mean()
