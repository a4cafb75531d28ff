"""Pairs of faces and detections."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluation needs the extra: pip install .[train]")

from edge.records import Box, Detection
from training.evaluation.common import pair
from training.records import Face


def test_pairs_use_each_detection_once_and_the_closest_first() -> None:
    faces = [Face((0, 0, 10, 10), "mask", "human"), Face((2, 0, 12, 10), "mask", "human")]
    found = [Detection(Box(2, 0, 12, 10), 0.6), Detection(Box(50, 50, 60, 60), 0.9)]
    assert pair(faces, found) == [None, 0]
    assert pair(faces, []) == [None, None]
    assert pair([], found) == []
