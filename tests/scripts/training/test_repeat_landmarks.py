"""What the landmarks' teacher says when it looks again, mapped back to the first picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.metrics needs the extra: pip install .[train]")

from training.arrays import Floats, Picture
from training.landmarks import Example
from training.records import Record
from training.repeat_landmarks import LOOKS, Look, look_again, repeat_figures

POINTS = np.array([[300, 200], [380, 210], [340, 250], [310, 290], [370, 300]], np.float32)
BOX = (260.0, 140.0, 420.0, 340.0)
#: The grey of each point's spot. The surroundings are black.
SHADES = (60, 100, 140, 180, 220)


def example(masked: bool = False) -> Example:
    return Example(Record("a.png", "s", 800, 600), BOX, POINTS, masked)


def spots() -> Picture:
    """Return a picture (600, 800, 3) with a spot at each point."""
    picture = np.zeros((600, 800, 3), np.uint8)
    for (x, y), shade in zip(POINTS, SHADES, strict=True):
        cv2.circle(picture, (int(x), int(y)), 12, (shade,) * 3, -1)
    return picture


class SpotFinder:
    """A teacher that sees the spots, in the order from the left as YuNet has it, and two faces that are none."""

    score = 0.9

    def candidates(self, picture: Picture) -> tuple[Floats, Floats, Floats]:
        grey = picture[..., 0]
        count, labels, _, centres = cv2.connectedComponentsWithStats((grey > 30).astype(np.uint8))
        brightness = [int(grey[labels == k].max()) for k in range(1, count)]
        points = np.array(centres[1:][np.argsort(brightness)], np.float32) + 0.5
        if points[0, 0] > points[1, 0]:
            points = points[[1, 0, 2, 4, 3]]
        x, y = points.mean(0)
        half = 1.2 * (points[:, 1].max() - points[:, 1].min())
        box = [x - half, y - half, x + half, y + half]
        elsewhere = [0, 0, 20, 20]
        boxes = np.array([elsewhere, box, elsewhere], np.float32)
        return boxes, np.array([0.99, self.score, 0.98], np.float32), np.stack([points * 0, points, points * 0])


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_the_points_come_back_to_the_first_picture(look: Look) -> None:
    found = look_again(SpotFinder(), spots(), example(), look)
    assert found is not None
    assert np.abs(found - POINTS).max() < 3


def test_a_face_that_is_not_seen_again() -> None:
    unsure = SpotFinder()
    unsure.score = 0.2
    assert look_again(unsure, spots(), example(), LOOKS[0]) is None


def test_the_figures_are_of_bare_and_of_masked_faces() -> None:
    eyes = float(np.hypot(80, 10))
    moved = POINTS + np.array([0.1 * eyes, 0], np.float32)
    figures = repeat_figures([example(), example(), example(masked=True)], [POINTS, moved, None])
    assert figures["bare"] == pytest.approx(0.05)
    assert figures["bare_n"] == 2
    assert figures["bare_found"] == 1
    assert "masked" not in figures
