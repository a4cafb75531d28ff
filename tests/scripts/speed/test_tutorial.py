"""The mask detector of the tutorials."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ModelError, UnavailableError
from edge.records import Box
from peers.float_models import Floats
from speed import scenes, tutorial


def test_crops_are_prepared_as_in_the_tutorials() -> None:
    inputs: list[Floats] = []

    def classify(crops: Floats) -> Floats:
        inputs.append(crops)
        return np.tile(np.array([0.25, 0.75], np.float32), (len(crops), 1))

    picture = np.zeros((480, 640, 3), np.uint8)
    picture[100:200, 100:200] = 255, 0, 127
    boxes = [Box(100, 100, 200, 200), Box(-50, -50, 40, 40), Box(700, 10, 900, 90)]
    found = tutorial.MaskDetector(lambda _: boxes, classify).look(picture)
    assert [box for box, _ in found] == boxes[:2]  # the third is outside
    assert found[0][1].tolist() == [0.25, 0.75]
    (crops,) = inputs  # all crops of a frame in one call
    assert crops.shape == (2, 224, 224, 3)
    assert crops.dtype == np.float32
    np.testing.assert_allclose(crops[0, 100, 100], [1, -1, 0], atol=0.01)
    assert (crops[1] == -1).all()
    assert tutorial.MaskDetector(lambda _: [], classify).look(picture) == []
    assert len(inputs) == 1  # without a face, no call


def test_the_haar_cascade_finds_a_face_without_a_mask(footage: scenes.Footage) -> None:
    picture, box = footage["unmasked"][-1]
    assert box is not None
    found = tutorial.HaarDetector().detect(picture)
    assert len(found) == 1
    x, y = (found[0].x1 + found[0].x2) / 2, (found[0].y1 + found[0].y2) / 2
    assert box.x1 < x < box.x2
    assert box.y1 < y < box.y2
    assert tutorial.HaarDetector().detect(np.zeros((480, 640, 3), np.uint8)) == []


class FakeSsd:
    """OpenCV's network: a face in the left half with a score of 0.9, and one with 0.4."""

    def setInput(self, blob: Floats) -> None:
        assert blob.shape == (1, 3, 300, 300)
        # BGR, minus the means.
        assert blob[0, :, 0, 0].tolist() == [30 - 104, 20 - 177, 10 - 123]

    def forward(self) -> Floats:
        return np.array([[[[0, 1, 0.9, 0.25, 0.25, 0.5, 0.75], [0, 1, 0.4, 0.6, 0.1, 0.9, 0.9]]]], np.float32)


def test_the_ssd_keeps_faces_above_its_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2.dnn, "readNetFromCaffe", lambda *_: FakeSsd())
    picture = np.full((480, 640, 3), (10, 20, 30), np.uint8)
    assert tutorial.SsdDetector(Path("a"), Path("b")).detect(picture) == [Box(160, 120, 320, 360)]


def test_missing_ssd_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.prototxt"):
        tutorial.SsdDetector(tmp_path / "no.prototxt", tmp_path / "no.caffemodel")


def test_keras_needs_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UnavailableError, match="needs TensorFlow"):
        tutorial.KerasMobileNet(None)
