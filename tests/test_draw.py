from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from doorlab import draw

DRAWERS = (draw.draw_mask, draw.draw_chin_mask, draw.draw_occluder)
BOX = (110.0, 60.0, 210.0, 190.0)


def _face(grey: bool = False, gain: float = 1.0) -> npt.NDArray[np.uint8]:
    """A face-coloured oval, lit from the left, before a wall."""
    picture = np.full((320, 320, 3), (120, 130, 140), np.uint8)
    cv2.ellipse(picture, (160, 125), (52, 66), 0, 0, 360, (205, 160, 135), -1)
    picture = (picture * np.linspace(1.15, 0.6, 320)[None, :, None] * gain).clip(0, 255).astype(np.uint8)
    if grey:
        picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, 2)
    return picture


@pytest.mark.parametrize("drawer", DRAWERS)
@pytest.mark.parametrize("seed", range(12))
def test_same_seed_same_picture_and_the_source_stays_untouched(drawer, seed):
    picture = _face()
    before = picture.copy()
    first = drawer(picture, BOX, np.random.default_rng(seed))
    again = drawer(picture, BOX, np.random.default_rng(seed))
    assert first.shape == picture.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("seed", range(25))
def test_a_mask_covers_nose_and_mouth_and_leaves_the_eyes(seed):
    picture = _face()
    masked = draw.draw_mask(picture, BOX, np.random.default_rng(seed))
    changed = np.abs(masked.astype(int) - picture).max(2) > 6
    x1, y1, x2, y2 = BOX
    h = y2 - y1
    lower = changed[int(y1 + 0.65 * h) : int(y1 + 0.9 * h), int(x1 + 35) : int(x2 - 35)]
    eyes = changed[int(y1 + 0.05 * h) : int(y1 + 0.33 * h), int(x1) : int(x2)]
    assert lower.mean() > 0.8
    assert eyes.mean() < 0.05
    assert not changed[:, :60].any(), "nothing far from the face may change"


@pytest.mark.parametrize("seed", range(25))
def test_a_wrongly_worn_mask_leaves_the_nose_free(seed):
    picture = _face()
    worn = draw.draw_chin_mask(picture, BOX, np.random.default_rng(seed))
    changed = np.abs(worn.astype(int) - picture).max(2) > 25
    x1, y1, x2, y2 = BOX
    h = y2 - y1
    assert changed[int(y1 + 0.3 * h) : int(y1 + 0.6 * h), int(x1 + 40) : int(x2 - 40)].mean() < 0.05
    assert changed[int(y1 + 0.93 * h) :, int(x1) : int(x2)].any()


def test_every_kind_of_occluder_paints_something():
    picture = _face()
    for paint, _ in draw.OCCLUDERS:
        stage = draw.Stage(picture, BOX)
        touched = stage.layer()
        paint(stage, np.random.default_rng(3), touched)
        assert (touched > 0).mean() > 0.01, paint.__name__
        assert not np.array_equal(stage.picture_with(touched), picture), paint.__name__


def test_the_light_on_the_face_stays_on_the_mask():
    masked = draw.paint_mask(_face(), BOX, draw.MaskLook(colour=(220, 220, 220)), np.random.default_rng(0))
    row = masked[145, :, :].mean(1)
    assert row[125:140].mean() > row[180:195].mean() + 15, "the face is lit from the left"
    dark = draw.paint_mask(_face(gain=0.25), BOX, draw.MaskLook(colour=(220, 220, 220)), np.random.default_rng(0))
    assert dark[140:180, 140:180].mean() < 0.5 * masked[140:180, 140:180].mean()


@pytest.mark.parametrize("drawer", DRAWERS)
def test_a_grey_picture_stays_grey(drawer):
    for seed in range(8):
        drawn = drawer(_face(grey=True), BOX, np.random.default_rng(seed)).astype(int)
        assert np.ptp(drawn, axis=2).max() <= 1


@pytest.mark.parametrize("drawer", DRAWERS)
@pytest.mark.parametrize(
    "box",
    [
        (-40.0, -30.0, 60.0, 90.0),
        (280.0, 270.0, 380.0, 400.0),
        (100.0, 100.0, 103.0, 104.0),
        (0.0, 0.0, 320.0, 320.0),
        (-300.0, -300.0, 620.0, 900.0),
        (319.0, 319.0, 330.0, 330.0),
    ],
)
def test_boxes_at_and_beyond_the_border(drawer, box):
    for seed in range(10):
        assert drawer(_face(), box, np.random.default_rng(seed)).shape == (320, 320, 3)
