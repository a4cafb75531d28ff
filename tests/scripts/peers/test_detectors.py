"""The public face detectors: anchors, boxes, and inputs as their authors prepare them."""

from __future__ import annotations

import doctest
import math
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ModelError
from edge.inference import manifest
from peers import detectors
from support.peers import LEFT, RIGHT, FakeGraph, FakeUltraLight, draw_faces, pixels_of


def test_aizoo_anchors() -> None:
    anchors = detectors.aizoo_anchors()
    assert anchors.shape == (5972, 4)
    assert anchors.dtype == np.float32
    at, tall = 0.5 / 33, math.sqrt(0.62)
    np.testing.assert_allclose(
        anchors[:4],
        [
            [at, at, 0.04, 0.04],
            [at, at, 0.056, 0.056],
            [at, at, 0.04 * tall, 0.04 / tall],
            [at, at, 0.04 * math.sqrt(0.42), 0.04 / math.sqrt(0.42)],
        ],
        rtol=1e-5,
    )
    np.testing.assert_allclose(anchors[4, :2], [1.5 / 33, 0.5 / 33], rtol=1e-5)  # the next cell to the right
    np.testing.assert_allclose(anchors[33 * 4, :2], [0.5 / 33, 1.5 / 33], rtol=1e-5)  # the first cell of the next row
    np.testing.assert_allclose(anchors[33 * 33 * 4], [0.5 / 17, 0.5 / 17, 0.08, 0.08], rtol=1e-5)
    np.testing.assert_allclose(anchors[-3], [2.5 / 3, 2.5 / 3, 0.72, 0.72], rtol=1e-5)


def test_ultralight_anchors() -> None:
    anchors = detectors.ultralight_anchors()
    assert anchors.shape == (4420, 4)
    np.testing.assert_allclose(anchors[0], [4 / 320, 4 / 240, 10 / 320, 10 / 240], rtol=1e-5)
    np.testing.assert_allclose(anchors[2], [4 / 320, 4 / 240, 24 / 320, 24 / 240], rtol=1e-5)
    np.testing.assert_allclose(anchors[3, :2], [12 / 320, 4 / 240], rtol=1e-5)
    # The last row of stride 32 is centred on the lower edge: eight rows of 32 are more than 240.
    first = 30 * 40 * 3 + 15 * 20 * 2
    np.testing.assert_allclose(anchors[first + 7 * 10 * 2], [16 / 320, 1.0, 64 / 320, 64 / 240], rtol=1e-5)
    np.testing.assert_allclose(anchors[-1], [288 / 320, 224 / 240, 0.8, 1.0], rtol=1e-5)  # 256/240 is clipped to 1


def test_decode() -> None:
    anchors = np.array([[0.5, 0.5, 0.2, 0.4]] * 2, np.float32)
    offsets = np.array([[0, 0, 0, 0], [1, -1, math.log(2) / 0.2, 0]], np.float32)
    np.testing.assert_allclose(
        detectors.decode(offsets, anchors), [[0.4, 0.3, 0.6, 0.7], [0.32, 0.26, 0.72, 0.66]], atol=1e-6
    )
    assert detectors.decode(offsets[:0], anchors[:0]).shape == (0, 4)


def test_examples_in_docstrings() -> None:
    failed, tried = doctest.testmod(detectors, extraglobs={"np": np})
    assert tried
    assert not failed


@pytest.fixture
def aizoo(monkeypatch: pytest.MonkeyPatch) -> detectors.Aizoo:
    monkeypatch.setattr(detectors, "Graph", FakeGraph)
    return detectors.Aizoo(Path("aizoo.tflite"))


def test_aizoo_finds_each_face_once_and_classifies_it(aizoo: detectors.Aizoo) -> None:
    picture = draw_faces((LEFT, 0.9, 0.95), (RIGHT, 0.1, 0.8))
    found = aizoo.detect(picture)
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)
    assert len(found) == 2
    for d, box in zip(found, (LEFT, RIGHT), strict=True):
        np.testing.assert_allclose(d.box, box, atol=4)  # to a pixel of 260
    mask = detectors.AizooMask(aizoo)
    assert [mask.probability(picture, d.box) >= mask.threshold for d in found] == [True, False]


def test_the_input_of_aizoo_is_rgb_from_0_to_1(aizoo: detectors.Aizoo) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:] = 255, 102, 0
    aizoo.detect(picture)
    np.testing.assert_allclose(pixels_of(aizoo.graph)[100, 100], [1.0, 0.4, 0.0], atol=1e-6)  # RGB, 0..1


def test_another_threshold_can_be_given(aizoo: detectors.Aizoo) -> None:
    picture = draw_faces((LEFT, 1.0, 0.4))
    assert aizoo.detect(picture) == []
    assert len(aizoo.detect(picture, 0.05)) == 1


def test_aizoo_classifies_a_picture_that_shows_only_a_face(aizoo: detectors.Aizoo) -> None:
    mask = detectors.AizooMask(aizoo)
    assert mask.probability_of_crop(draw_faces()) is None
    probability = mask.probability_of_crop(draw_faces((LEFT, 0.9, 0.99)))
    assert probability is not None
    assert probability == pytest.approx(0.9, abs=0.02)


def test_ultralight_finds_faces_above_its_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "Graph", FakeUltraLight)
    ultralight = detectors.UltraLight(Path("ultralight.tflite"))
    found = ultralight.detect(draw_faces((LEFT, 0.0, 0.9), (RIGHT, 0.0, 0.6)))  # the second one is below its threshold
    assert len(found) == 1
    np.testing.assert_allclose(found[0].box, LEFT, atol=3)
    assert pixels_of(ultralight.graph).max() == 1.0  # (255 - 127) / 128
    assert pixels_of(ultralight.graph).min() == pytest.approx(-127 / 128)


def test_a_model_with_other_anchors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "Graph", FakeUltraLight)
    with pytest.raises(ModelError, match="4420 anchors, expected 5972"):
        detectors.Aizoo(Path("wrong.tflite"))


def test_files_that_are_not_a_detector_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.tflite.*No such file"):
        detectors.Graph(tmp_path / "none.tflite")
    (tmp_path / "torn.tflite").write_bytes(b"TFL3" * 100)
    with pytest.raises(ModelError, match=r"torn\.tflite"):
        detectors.Graph(tmp_path / "torn.tflite")
    models = manifest.load()
    with pytest.raises(ModelError, match="its input is not one float picture"):
        detectors.Graph(models.folder / models["face_detector"].file)
