"""How far a head is turned, from landmarks."""

from __future__ import annotations

import doctest
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge.imaging import head_turn as module
from edge.imaging.head_turn import NOSE_LENGTH, face_axis, head_turn

#: A head that looks into the camera, in units of the distance from the eyes to the mouth: x, y, and z towards the viewer.
HEAD = np.array([[-0.48, -0.5, 0], [0.48, -0.5, 0], [0, 0.1, NOSE_LENGTH], [-0.35, 0.5, 0], [0.35, 0.5, 0]])


def seen(turn: float, tilt: float = 0.0, size: float = 40.0) -> npt.NDArray[np.floating[Any]]:
    """Return the landmarks (5, 2) of HEAD, turned by `turn` degrees and tilted to a shoulder by `tilt`."""
    a, b = math.radians(turn), math.radians(tilt)
    x = HEAD[:, 0] * math.cos(a) + HEAD[:, 2] * math.sin(a)
    y = HEAD[:, 1]
    points = np.stack([x * math.cos(b) - y * math.sin(b), x * math.sin(b) + y * math.cos(b)], 1)
    return np.asarray(points * size + 100)


def test_examples_in_docstrings() -> None:
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed


@pytest.mark.parametrize("turn", [-90, -50, -10, 0, 25, 60, 90])
@pytest.mark.parametrize("tilt", [0, -25, 40])
@pytest.mark.parametrize("size", [6.0, 200.0])
def test_a_head_in_space_is_turned_as_it_was(turn: float, tilt: float, size: float) -> None:
    assert head_turn(seen(turn, tilt, size)) == pytest.approx(turn, abs=0.01)


def test_a_nose_that_is_too_long_is_a_profile() -> None:
    points = seen(0)
    points[2, 0] += 500
    assert head_turn(points) == 90


def test_points_at_one_place_are_no_crash() -> None:
    axis = face_axis(np.full((5, 2), 7.0))
    assert math.isfinite(axis.nose)
    assert math.isfinite(head_turn(np.full((5, 2), 7.0)))
