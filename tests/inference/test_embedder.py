"""The stage that makes embeddings, with a stand-in model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge import config
from edge.errors import ModelError
from edge.inference import manifest
from edge.inference.embedder import DIMENSIONS, NAME, Embedder, mean_embedding, version_of
from edge.inference.manifest import Manifest
from edge.inference.perception import Perception, required_models
from edge.records import Face
from support.clip import UNMASKED_S, frame_at
from support.embedder import THRESHOLD, darker_below, make_models

OFF = config.load()
ON = config.replaced(OFF, "people", enabled=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return manifest.load(make_models(tmp_path_factory.mktemp("embedder") / "models"))


@pytest.fixture(scope="module")
def perception(models: Manifest) -> Perception:
    return Perception(ON, models)


def test_embeddings_have_length_1_and_are_alike_for_one_face(perception: Perception) -> None:
    embedder = perception.embedder
    assert embedder is not None
    crops = []
    for second in (UNMASKED_S, UNMASKED_S + 0.2):
        picture = frame_at(second)
        (found,) = perception.detector.detect(picture)
        points = embedder.landmarks(picture, Face(found.box, found.score, 0.0))
        crops.append(embedder.crop(picture, points))
    vectors = embedder.embed([*crops, darker_below(crops[0], 0, 96)])
    assert (vectors.shape, vectors.dtype) == ((3, DIMENSIONS), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[1] > THRESHOLD > vectors[0] @ vectors[2]
    assert embedder.embed([]).shape == (0, DIMENSIONS)
    assert embedder.threshold == THRESHOLD


def test_a_mean_is_without_what_all_faces_have_in_common() -> None:
    """By weight, and of length 1. Without that, these two strangers would be alike."""
    common = np.zeros(DIMENSIONS, np.float32)
    common[0] = 0.6
    ann, bob = (np.zeros((2, DIMENSIONS), np.float32) for _ in range(2))
    ann[:, 0] = bob[:, 0] = 0.6
    ann[:, 1], bob[:, 2] = (0.8, 0.0), (0.8, 0.8)
    ann[1, 3] = 0.8
    found = mean_embedding(ann, np.array([3, 1], np.float32), common)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    assert found[1] / found[3] == pytest.approx(3)
    equal = np.ones(2, np.float32)
    assert mean_embedding(ann, equal, common) @ mean_embedding(bob, equal, common) < 0.1
    assert mean_embedding(ann, equal, 0 * common) @ mean_embedding(bob, equal, 0 * common) > 0.35


def test_the_door_takes_from_a_mean_what_the_manifest_says(perception: Perception) -> None:
    embedder = perception.embedder
    assert embedder is not None
    entry = embedder.model.entry
    assert entry.common == ()
    looks = np.eye(2, DIMENSIONS, dtype=np.float32)
    assert embedder.mean(looks, np.ones(2, np.float32))[:3] == pytest.approx([0.5**0.5, 0.5**0.5, 0])
    common = (0.7071, *[0.0] * (DIMENSIONS - 1))
    other = _with(embedder, common=common)
    assert other.mean(looks, np.ones(2, np.float32))[:3] == pytest.approx([0, 1, 0], abs=1e-3)
    assert other.version != embedder.version == version_of(entry), "its templates cannot be compared with the others"


def test_landmarks_of_the_look_are_used(perception: Perception) -> None:
    embedder = perception.embedder
    assert embedder is not None
    points = tuple((float(k), float(k)) for k in range(5))
    picture = frame_at(UNMASKED_S)
    (found,) = perception.detector.detect(picture)
    assert embedder.landmarks(picture, Face(found.box, 1.0, 0.0, landmarks=points)) == points


def test_landmarks_that_are_off_decide_nothing(perception: Perception) -> None:
    """[people] loads their model, but a turned face is undecided only with [landmarks]."""
    assert perception.landmarks is None
    picture = frame_at(UNMASKED_S)
    (found,) = perception.detector.detect(picture)
    assert perception.classify(picture, found).landmarks is None


def test_the_models_are_needed_only_if_people_are_on(models: Manifest) -> None:
    assert NAME not in required_models(OFF)
    assert required_models(ON)[-2:] == ("face_landmarks", NAME)
    without = Manifest(models.folder, {key: row for key, row in models.items() if key != NAME})
    assert Perception(OFF, without).embedder is None
    with pytest.raises(ModelError, match=f"no model '{NAME}', which \\[people\\] enabled = true needs"):
        Perception(ON, without)


@pytest.mark.parametrize("what", ["other outputs", "other shape"])
def test_a_manifest_that_describes_another_model_is_refused(perception: Perception, what: str) -> None:
    embedder = perception.embedder
    assert embedder is not None
    row = embedder.model.entry
    tensor = row.outputs["embedding"]
    outputs = {"points": tensor} if what == "other outputs" else {
        "embedding": msgspec.structs.replace(tensor, shape=(1, 64))
    }  # fmt: skip

    with pytest.raises(ModelError, match=r"output 'embedding' of shape \[1, 128\]"):
        _with(embedder, outputs=outputs)


def test_a_manifest_with_another_number_of_common_values_is_refused(perception: Perception) -> None:
    assert perception.embedder is not None
    with pytest.raises(ModelError, match=r"other\.tflite: manifest\.toml has 64 numbers in 'common' instead of 128"):
        _with(perception.embedder, common=(0.1,) * 64)


def _with(embedder: Embedder, **changes: object) -> Embedder:
    """Return an embedder whose manifest says something else."""

    class Other:
        entry = msgspec.structs.replace(embedder.model.entry, **changes)
        path = Path("other.tflite")

    return Embedder(Other(), embedder._landmarks)  # type: ignore[arg-type]
