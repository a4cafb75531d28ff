"""The stage that finds landmarks, with the shipped model on the demo clip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge import config
from edge.errors import ModelError
from edge.inference import manifest
from edge.inference.interpreter import Model
from edge.inference.landmarks import LandmarkFinder
from edge.inference.manifest import Manifest
from edge.inference.perception import Perception, required_models
from edge.records import Box, Detection
from support.clip import frame_at

OFF = config.load()
ON = config.replaced(OFF, "landmarks", enabled=True)
#: A bare face and a masked one.
BARE_S, MASKED_S = 11.0, 4.0


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(ON, manifest.load())


def without(name: str) -> Manifest:
    shipped = manifest.load()
    return Manifest(shipped.folder, {key: row for key, row in shipped.items() if key != name})


@pytest.mark.parametrize("second", [BARE_S, MASKED_S])
def test_points_are_where_a_face_has_them(perception: Perception, second: float) -> None:
    picture = frame_at(second)
    (found,) = perception.detector.detect(picture)
    face = perception.classify(picture, found)
    assert face.landmarks is not None
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    box = found.box
    assert all(box.x1 < x < box.x2 and box.y1 < y < box.y2 for x, y in face.landmarks)
    assert left_eye[0] + 0.2 * box.width < right_eye[0]
    assert left_mouth[0] + 0.1 * box.width < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert not face.is_undecided
    assert (face.expression is None) is (second == MASKED_S)


def test_points_follow_the_face_in_the_picture(perception: Perception) -> None:
    assert perception.landmarks is not None
    picture = frame_at(BARE_S)
    (found,) = perception.detector.detect(picture)
    points = np.array(perception.landmarks.find(picture, found.box))
    moved = np.roll(picture, (30, -40), (0, 1))
    box = Box(found.box.x1 - 40, found.box.y1 + 30, found.box.x2 - 40, found.box.y2 + 30)
    assert np.array(perception.landmarks.find(moved, box)) - points == pytest.approx(np.tile([-40, 30], (5, 1)), abs=1)
    large = np.asarray(cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR), np.uint8)
    box = Box(*(2 * v for v in found.box))
    in_large = np.array(perception.landmarks.find(large, box))
    assert in_large / 2 == pytest.approx(points, abs=0.03 * found.box.height)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (48, 48)])
def test_pictures_of_unusual_shape_give_a_result(perception: Perception, shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 200, np.uint8)
    for box in (Box(-50.0, -50.0, 5000.0, 5000.0), Box(0.0, 0.0, 0.0, 0.0), Box(9000.0, 9000.0, 9010.0, 9010.0)):
        face = perception.classify(picture, Detection(box, 1.0))
        assert face.landmarks is not None
        assert np.isfinite(face.landmarks).all()


class _Answers:
    """A mask classifier that always answers the same."""

    def __init__(self, probability: float, threshold: float) -> None:
        self._probability, self.threshold = probability, threshold

    def probability(self, *_: object) -> float:
        return self._probability


@pytest.mark.parametrize("mask_probability", [0.02, 0.98])
@pytest.mark.parametrize("max_turn", [1e-6, 90.0])
def test_a_turned_face_is_undecided_only_if_it_looks_bare(
    mask_probability: float, max_turn: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    perception = Perception(config.replaced(ON, "landmarks", max_turn=max_turn), manifest.load())
    monkeypatch.setattr(perception, "mask", _Answers(mask_probability, perception.mask.threshold))
    picture = frame_at(BARE_S)
    (found,) = perception.detector.detect(picture)
    face = perception.classify(picture, found)
    is_bare, is_turned = mask_probability < 0.5, max_turn < 1
    assert face.is_undecided is (is_bare and is_turned)
    assert face.mask_probability == mask_probability, "reported as it is"
    assert (face.expression is not None) is (is_bare and not is_turned)


def test_the_model_is_needed_only_if_landmarks_are_on() -> None:
    assert "face_landmarks" not in required_models(OFF)
    assert required_models(ON) == (*manifest.MODEL_NAMES, "face_landmarks")
    no_expression = config.replaced(ON, "expression", enabled=False)
    assert required_models(no_expression) == ("face_detector", "mask_classifier", "face_landmarks")
    folder_without = without("face_landmarks")
    perception = Perception(OFF, folder_without)
    picture = frame_at(BARE_S)
    (found,) = perception.detector.detect(picture)
    face = perception.classify(picture, found)
    assert (face.landmarks, face.is_undecided) == (None, False)
    with pytest.raises(ModelError, match="no model 'face_landmarks'"):
        Perception(ON, folder_without)


def test_off_nothing_of_it_is_opened_or_imported(tmp_path: Path) -> None:
    """In a process of its own: this one has imported the module."""
    code = (
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "from edge import config\n"
        "from edge.inference import manifest\n"
        "from edge.inference.perception import Perception\n"
        "Perception(config.load(), manifest.load())\n"
        "assert any(name.endswith('mask_classifier.tflite') for name in opened), opened\n"
        "assert not [name for name in opened if 'landmarks' in name], opened\n"
        "assert 'edge.inference.landmarks' not in sys.modules\n"
        "assert 'edge.imaging.head_turn' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", ["other outputs", "other shape"])
def test_a_manifest_that_describes_another_model_is_refused(what: str) -> None:
    shipped = manifest.load()
    model = Model(shipped, "face_landmarks")
    tensor = model.entry.outputs["points"]
    outputs = {"probabilities": tensor} if what == "other outputs" else {
        "points": msgspec.structs.replace(tensor, shape=(1, 8))
    }  # fmt: skip
    model.entry = msgspec.structs.replace(model.entry, outputs=outputs)
    with pytest.raises(ModelError, match=r"no output 'points' of shape \[1, 10\]"):
        LandmarkFinder(model, 45.0)


def test_the_model_is_small_and_takes_grey_crops() -> None:
    shipped = manifest.load()
    row = shipped["face_landmarks"]
    assert len(shipped.read("face_landmarks")) <= 300_000
    assert row.input.shape == (1, 64, 64, 1)
    assert row.colour == "grey"
    assert row.outputs["points"].shape == (1, 10)
    assert len(row.labels) == 5


def test_max_turn_must_be_an_angle_of_a_head() -> None:
    for wrong in (0, -5, 91):
        with pytest.raises(Exception, match=r"landmarks\.max_turn"):
            config.replaced(OFF, "landmarks", max_turn=wrong)
