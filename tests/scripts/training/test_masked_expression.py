"""The expression classifier for masked faces: what it sees, and what it learns from the face without the mask."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra: pip install .[train]")

from support.data_folder import DataFolder
from training.arrays import as_floats
from training.dataset import Dataset
from training.landmarks import LANDMARKS
from training.masked_expression import MaskedExpressionTask, with_mask
from training.nets import ExpressionClassifier
from training.records import Record

POINTS = np.array([[15, 18], [33, 18], [24, 29], [17, 38], [31, 38]], np.float32)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Two bare faces, of which one has landmarks."""
    made = DataFolder(tmp_path / "data")
    for k, (expression, split) in enumerate((("happy", "Training"), ("angry", "PublicTest"))):
        picture = np.full((48, 48, 3), 110 + k, np.uint8)
        made.add(f"f/{k}.png", picture, crop=True, label="no_mask", expression=expression, split=split)
    folder = made.write()
    row = {"file": "f/0.png", "faces": [{"box": [0, 0, 48, 48], "points": POINTS.tolist()}]}
    (folder / LANDMARKS).write_text(json.dumps(row) + "\n")
    return Dataset(folder)


def task_of(data: Dataset) -> MaskedExpressionTask:
    records: list[Record] = list(data.records)
    return MaskedExpressionTask(data, {"train": records, "val": records})


@pytest.mark.parametrize("side", [48, 72])
@pytest.mark.parametrize("known", [True, False])
def test_the_mask_covers_the_mouth_and_not_the_brows(side: int, known: bool) -> None:
    face = np.full((side, side), 128, np.uint8)
    points = as_floats(POINTS + (side - 48) / 2) if known else None
    changed = np.zeros((side, side), np.float32)
    for seed in range(12):
        changed += np.abs(with_mask(face, points, np.random.default_rng(seed)).astype(int) - 128) > 8
    middle, x = side // 2, slice(side // 2 - 4, side // 2 + 4)
    mouth, brows = slice(middle + 12, middle + 16), slice(middle - 16, middle - 10)
    assert changed[mouth, x].mean() > 8
    assert changed[brows, x].mean() < 1


def test_most_faces_wear_a_mask_and_keep_their_targets(data: Dataset) -> None:
    task = task_of(data)
    drawn = [task.faces.choose(np.random.default_rng(k)) for k in range(100)]
    bare = sum(len(np.unique(face)) == 1 for face, _ in drawn)
    assert 2 <= bare <= 25
    assert all(any(np.allclose(wanted, t) for t in task.faces.crops.targets) for _, wanted in drawn)


def test_the_teacher_sees_the_face_without_the_mask(data: Dataset) -> None:
    seen: list[np.ndarray] = []

    def answer(faces: np.ndarray) -> np.ndarray:
        seen.append(faces)
        return np.full((len(faces), 2, 7), 1 / 7, np.float32)

    task_of(data).teach([answer])
    assert all(len(np.unique(face)) == 1 for faces in seen for face in faces)


def test_figures_are_of_masked_faces_and_of_bare_ones(data: Dataset) -> None:
    task = task_of(data)
    figures = task.validate(ExpressionClassifier().eval())
    assert {"val mean", "val labels", "val bare"} <= set(figures)
