"""The stage that makes embeddings, with a stand-in model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge import config
from edge.errors import ModelError
from edge.inference import manifest
from edge.inference.embedder import DIMENSIONS, NAME, Embedder
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

    class Other:
        entry = msgspec.structs.replace(row, outputs=outputs)
        path = Path("other.tflite")

    with pytest.raises(ModelError, match=r"output 'embedding' of shape \[1, 128\]"):
        Embedder(Other(), embedder._landmarks)  # type: ignore[arg-type]
