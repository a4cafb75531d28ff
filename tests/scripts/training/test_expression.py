"""Faces of the expression classifier: those with an expression, and those that only teachers judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.inference import manifest
from edge.inference.interpreter import Model
from support.evaluation import World
from support.paths import SCRIPTS
from training.dataset import Dataset

torch = pytest.importorskip("torch")


def test_bare_faces_without_an_expression_have_the_answers_of_teachers_as_targets(world: World) -> None:
    from training import expression, teachers
    from training.nets import ExpressionClassifier

    grey = np.full((60, 60, 3), 90, np.uint8)
    scene = np.full((120, 160, 3), 120, np.uint8)
    for k, label in enumerate(("happy", "angry")):
        split = "Training" if k == 0 else "PublicTest"
        world.add(grey + np.uint8(k), crop=True, label="no_mask", expression=label, split=split)
    world.add(grey, crop=True, label="no_mask")
    world.add(grey, crop=True, label="mask")
    near, far = [40, 20, 100, 90], [2, 2, 22, 30]
    world.add(scene, faces=[{"box": box, "label": "no_mask", "by": "human"} for box in (near, far)])
    data = Dataset(world.write())
    records = list(data.records)
    found = expression.load_unlabelled(data, records)
    assert found.shape == (2, expression.AROUND, expression.AROUND)
    assert found.dtype == np.uint8
    assert sorted(int(f[36, 36]) for f in found) == [90, 120]

    task = expression.ExpressionTask(data, {"train": records, "val": records})
    assert not len(task.faces.unlabelled), "without a teacher nobody says what they show"
    teacher = teachers.of_network(ExpressionClassifier())
    before = task.faces.crops.targets.copy()
    task.teach([teacher])
    answers = teachers.answers([teacher], found, expression.SIZE)
    assert np.allclose(task.faces.unlabelled.targets, answers)
    assert np.allclose(answers.sum(2), 1, atol=1e-2)
    own = teachers.answers([teacher], task.faces.crops.faces, expression.SIZE)
    assert np.allclose(task.faces.crops.targets, 0.5 * before + 0.5 * own, atol=1e-5)
    drawn = [task.faces.draw((1, 0, k)) for k in range(200)]
    unlabelled = sum(any(np.allclose(wanted, a) for a in answers) for _, wanted in drawn)
    assert 20 <= unlabelled <= 70


def test_an_exported_model_teaches_as_it_answers(tmp_path: Path) -> None:
    from training import teachers
    from training.checkpoints import TrainingError

    models = SCRIPTS.parent / "models_tflite"
    teacher = teachers.of_file(models / "expression_classifier.tflite")
    faces = np.random.default_rng(1).integers(0, 256, (3, 48, 48), np.uint8)
    answers = teacher(faces)
    assert answers.shape == (3, 2, 7)
    assert np.allclose(answers.sum(2), 1)
    model = Model(manifest.load(models), "expression_classifier")
    for face, answer in zip(faces, answers, strict=True):
        model.invoke(face[:, :, None])
        assert np.allclose(answer[0], model.dequantized("probabilities"), atol=0.02)
    for wrong in ("mask_classifier.tflite", "manifest.toml"):
        with pytest.raises(TrainingError, match=wrong):
            teachers.of_file(models / wrong)
    (tmp_path / "broken.tflite").write_bytes(b"TFL3" * 9)
    with pytest.raises(TrainingError, match=r"broken\.tflite: not a model that can be run"):
        teachers.of_file(tmp_path / "broken.tflite")
