"""The cascade with the shipped models on the demo clip."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import config
from edge.imaging import boxes
from edge.inference import manifest
from edge.inference.interpreter import Model
from edge.inference.perception import (
    ExpressionClassifier,
    MaskedExpressionClassifier,
    Perception,
    log_odds,
    required_models,
)
from edge.records import Box, Detection, Frame
from support.clip import frame_at


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(config.load(), manifest.load())


@pytest.mark.parametrize(("second", "masked"), [(4.0, True), (11.0, False), (18.5, False)])
def test_the_person_in_the_clip_is_found_and_classified(perception: Perception, second: float, masked: bool) -> None:
    picture = frame_at(second)
    found = perception.detector.detect(picture)
    assert len(found) == 1
    face = perception.classify(picture, found[0])
    assert (face.mask_probability > 0.5) is masked
    assert (face.expression is None) is masked, "only an unmasked face has an expression"
    if face.expression is not None:
        assert len(face.expression) == 7
        assert sum(face.expression) == pytest.approx(1.0, abs=1e-5)


def test_an_expression_above_a_mask_is_the_same_in_the_mirror() -> None:
    models = manifest.load()
    picture = frame_at(4.0)
    masked = MaskedExpressionClassifier(Model(models, "masked_expression_classifier"))
    bare = ExpressionClassifier(Model(models, "expression_classifier"))
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    assert masked.probabilities_of_crop(mirrored) == pytest.approx(masked.probabilities_of_crop(picture), abs=1e-6)
    assert sum(masked.probabilities_of_crop(picture)) == pytest.approx(1.0, abs=1e-5)
    assert bare.probabilities_of_crop(mirrored) != pytest.approx(bare.probabilities_of_crop(picture), abs=1e-6), (
        "a bare face is read once: the door pays for no second look"
    )


def test_without_an_accelerator_the_models_run_on_the_cpu(perception: Perception) -> None:
    assert perception.runs_on == f"CPU ({perception.runtime})"


def test_an_empty_corridor_has_no_face(perception: Perception) -> None:
    assert perception.detector.detect(frame_at(6.8)) == []


@pytest.mark.parametrize("second", [4.0, 11.0, 18.5])
@pytest.mark.parametrize("size", [(256, 192), (320, 200), (200, 240)])
def test_faces_found_in_the_small_picture_have_boxes_in_the_large_one(
    perception: Perception, second: float, size: tuple[int, int]
) -> None:
    picture = frame_at(second)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # also with another aspect ratio
    (plain,) = perception.detect(Frame(0, 0.0, picture))
    (found,) = perception.detect(Frame(0, 0.0, picture, small))  # type: ignore[arg-type]
    assert boxes.iou(np.array([plain.box], np.float32), np.array([found.box], np.float32))[0, 0] > 0.7
    assert perception.detector.detect(picture) == [plain]


def test_several_faces_are_found_in_pictures_of_any_size(perception: Perception) -> None:
    masked, unmasked = frame_at(4.0), frame_at(11.0)
    wide = np.hstack([masked, unmasked])
    found = perception.detector.detect(wide)
    assert len(found) == 2
    is_masked = {d.box.x1 < 640: perception.mask.probability(wide, d.box) > 0.5 for d in found}
    assert is_masked == {True: True, False: False}
    for scale in (0.5, 1.7):
        small = cv2.resize(unmasked, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        (again,) = perception.detector.detect(small)  # type: ignore[arg-type]
        (first,) = perception.detector.detect(unmasked)
        assert np.array(again.box) / scale == pytest.approx(np.array(first.box), abs=14)


def test_in_a_crowd_the_nearest_faces_are_kept(perception: Perception) -> None:
    near = cv2.resize(frame_at(11.0), (320, 240), interpolation=cv2.INTER_AREA)
    far = cv2.resize(near, (160, 120), interpolation=cv2.INTER_AREA)
    canvas = np.full((240, 480, 3), 127, np.uint8)
    canvas[:, :320], canvas[:120, 320:], canvas[120:, 320:] = near, far, far
    everyone = perception.detector.detect(canvas)
    assert len(everyone) == 3
    perception.detector._max_faces = 1
    try:
        (kept,) = perception.detector.detect(canvas)
    finally:
        perception.detector._max_faces = config.load().detector.max_faces
    assert kept.box == max(everyone, key=lambda d: d.box.height).box


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (2000, 3), (48, 48)])
@pytest.mark.parametrize("value", [0, 255])
def test_pictures_of_unusual_shape_give_a_result(perception: Perception, shape: tuple[int, int], value: int) -> None:
    picture = np.full((*shape, 3), value, np.uint8)
    assert isinstance(perception.detector.detect(picture), list)
    box = Box(-50.0, -50.0, 5000.0, 5000.0)
    assert 0 <= perception.classify(picture, Detection(box, 1.0)).mask_probability <= 1


def test_a_threshold_above_every_score_finds_no_face(perception: Perception) -> None:
    assert perception.detector.detect(frame_at(11.0), threshold=1.0) == []


def test_the_expression_model_is_not_loaded_if_expression_is_off(tmp_path: Path) -> None:
    file = tmp_path / "door.toml"
    file.write_text("[expression]\nenabled = false\n")
    perception = Perception(config.load(file), manifest.load())
    assert perception.expression is None
    assert required_models(config.load(file)) == ("face_detector", "mask_classifier")
    assert required_models(config.load()) == manifest.MODEL_NAMES
    picture = frame_at(11.0)
    assert perception.classify(picture, perception.detector.detect(picture)[0]).expression is None


def test_agitation_is_the_sum_of_the_named_expressions(perception: Perception) -> None:
    assert perception.expression is not None
    p = (0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1)
    assert perception.expression.agitation(p, ("angry", "disgust")) == pytest.approx(0.5)
    assert perception.expression.agitation(p, ("neutral",)) == pytest.approx(0.1)


def test_log_odds_are_finite() -> None:
    assert log_odds(0.5) == 0
    assert log_odds(1.0) == -log_odds(0.0) == pytest.approx(math.log(511))
