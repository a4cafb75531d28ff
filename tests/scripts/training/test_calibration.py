"""Thresholds that validation data choose."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training.calibration needs the extra: pip install .[train]")

from training.calibration import min_score_of_a_face


def test_at_most_one_in_200_pictures_without_a_face_gets_a_box() -> None:
    scores = np.linspace(0.9, 0.1, 81)
    f1 = -np.abs(scores - 0.7)
    empty = np.concatenate([np.full(399, 0.2), [0.5, 0.6]])
    assert min_score_of_a_face(empty, scores, f1) == pytest.approx(0.21), "two of 401 may get a box"
    assert min_score_of_a_face(empty[-200:], scores, f1) == pytest.approx(0.51)
    assert min_score_of_a_face(empty[:199], scores, f1) == pytest.approx(0.7), "without enough pictures: by F1"
