"""The evaluation of expressions above a mask: which faces count, what is drawn, and the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluation needs the extra: pip install .[train]")

from edge.imaging.images import Picture
from edge.inference import manifest
from edge.inference.interpreter import Model
from edge.records import Box
from support.evaluation import STAGES, FakeDetector, World, needs_matplotlib
from training import metrics
from training.dataset import Dataset
from training.evaluation import masked_expression
from training.evaluation.masked_expression import evaluate_masked_expression, table, with_masks, with_model
from training.evaluation.stages import MASKED_MODEL, Stages
from training.landmarks import LANDMARKS
from training.records import EXPRESSIONS, DataError

#: Landmarks in units of the face's box.
POINTS = np.array([(0.31, 0.38), (0.69, 0.38), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
#: Blue of the face in a picture where no mask is.
BARE_BLUE = 20


class Certain:
    """Answers `bare` where the lower half of a face is bare, and `masked` where something is drawn on it."""

    labels = tuple(reversed(EXPRESSIONS))

    def __init__(self, bare: str, masked: str) -> None:
        self._answers = bare, masked

    def probabilities(self, picture: Picture, box: Box) -> tuple[float, ...]:
        x1, y1, x2, y2 = (max(0, round(v)) for v in box)
        return self.probabilities_of_crop(picture[y1:y2, x1:x2])

    def probabilities_of_crop(self, crop: Picture) -> tuple[float, ...]:
        answer = self._answers[is_masked(crop)]
        return tuple(0.4 if label == answer else 0.1 for label in self.labels)


def is_masked(crop: Picture) -> bool:
    height, width = crop.shape[:2]
    lower = crop[round(0.65 * height) : round(0.85 * height), round(0.35 * width) : round(0.65 * width)]
    return bool(np.abs(lower.astype(int) - lower[0, 0]).max() > 8 or abs(int(lower[0, 0, 2]) - BARE_BLUE) > 8)


class Everywhere(FakeDetector):
    """Finds one face, at FACE."""

    def detect(self, picture: Picture, threshold: float | None = None) -> list[Any]:
        from edge.records import Detection

        return [Detection(Box(*(float(v) for v in FACE)), 0.9)]


FACE = (40, 20, 140, 140)
#: The bare model is right about bare faces, the masked one about masked ones.
BARE, MASKED = Certain("angry", "neutral"), Certain("happy", "angry")
FAKES = STAGES._replace(detector=Everywhere(), expression=BARE, masked_expression=MASKED)


def face_picture(width: int, height: int) -> Picture:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:] = 180, 140, BARE_BLUE
    return picture


def add_crop(world: World, **fields: Any) -> str:
    return world.add(face_picture(48, 48), crop=True, **fields)


def add_scene(world: World, **fields: Any) -> str:
    face = {"box": list(FACE), "label": fields.pop("label", "no_mask"), "by": "human"}
    return world.add(face_picture(200, 160), faces=[face], **fields)


def points_of(box: tuple[float, float, float, float]) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    points = [[x1 + x * (x2 - x1), y1 + y * (y2 - y1)] for x, y in POINTS]
    return {"box": list(box), "points": points}


def dataset(world: World, points: dict[str, tuple[float, float, float, float]]) -> Dataset:
    rows = [{"file": name, "faces": [points_of(box)]} for name, box in points.items()]
    (world.folder / LANDMARKS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Dataset(world.write())


def figures(world: World, points: dict[str, Any], stages: Stages = FAKES) -> dict[str, Any]:
    data = dataset(world, points)
    return evaluate_masked_expression(data, data.records, stages).figures


def test_both_models_on_both_kinds_of_faces(world: World) -> None:
    crop = add_crop(world, expression="angry", votes=[9, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    scene = add_scene(world, expression="angry")
    found = figures(world, {crop: (0, 0, 48, 48), scene: FACE})
    assert found["accuracy"] == found["bare_model_on_bare_accuracy"] == 1.0
    assert found["on_bare_accuracy"] == found["bare_model_accuracy"] == 0.0
    assert (found["votes_accuracy"], found["bare_model_votes_accuracy"]) == (1.0, 0.0)
    assert (found["n"], found["votes_n"], found["no_points"], found["mask_seen_n"]) == (2, 1, 0, 1)
    assert found["accuracy_95"][0] < 1.0 == found["accuracy_95"][1]


def test_without_a_model_for_masked_faces_the_other_one_is_shown(world: World) -> None:
    crop = add_crop(world, expression="angry")
    found = figures(world, {crop: (0, 0, 48, 48)}, FAKES._replace(masked_expression=None))
    assert "accuracy" not in found
    assert found["bare_model_accuracy"] == 0.0
    assert "| – |" in table(found)


def test_faces_that_do_not_count(world: World) -> None:
    counts = add_scene(world, expression="angry")
    masked = add_scene(world, expression="angry", label="mask")
    add_scene(world, expression="angry")  # without landmarks
    unknown = add_scene(world)  # without an expression
    found = figures(world, dict.fromkeys((counts, masked, unknown), FACE))
    assert (found["n"], found["no_points"]) == (1, 2)


def test_no_face_at_all_is_an_error(world: World) -> None:
    add_crop(world, expression="angry")
    with pytest.raises(DataError, match=r"add the data set that has points\.jsonl"):
        figures(world, {})


def test_masks_differ_by_file_and_are_the_same_in_each_run(world: World) -> None:
    names = [add_crop(world, expression="angry") for _ in range(4)]
    data = dataset(world, dict.fromkeys(names, (0, 0, 48, 48)))
    drawn = [with_masks(record, data.picture(record)) for record in data.records]
    again = [with_masks(record, data.picture(record)) for record in reversed(data.records)][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert len({picture.tobytes() for picture in drawn}) == 4
    for record, picture in zip(data.records, drawn, strict=True):
        bare = data.picture(record)
        assert picture.shape == bare.shape
        assert np.array_equal(picture[:12], bare[:12]), "above the eyes nothing is drawn"
        assert is_masked(picture)


@needs_matplotlib
def test_drawings(world: World, tmp_path: Path) -> None:
    crop = add_crop(world, expression="angry")
    data = dataset(world, {crop: (0, 0, 48, 48)})
    out = tmp_path / "out"
    out.mkdir()
    result = evaluate_masked_expression(data, data.records, FAKES)
    result.draw(out)
    assert sorted(path.name for path in out.iterdir()) == ["masks.png", "table.md"]
    assert (out / "table.md").read_text(encoding="utf-8") == result.table
    assert "is not known" in result.table


def test_a_file_that_no_manifest_describes() -> None:
    shipped = manifest.load()
    path = shipped.folder / shipped["expression_classifier"].file
    models = with_model(shipped, path)
    model = Model(models, MASKED_MODEL)
    assert model.entry.outputs == shipped["expression_classifier"].outputs
    assert model.entry.input == shipped["expression_classifier"].input
    assert model.entry.slope == 1.0
    assert MASKED_MODEL not in shipped or masked_expression.with_model(shipped, path)[MASKED_MODEL].slope == 1.0


def test_the_interval_of_an_auc() -> None:
    rng = np.random.default_rng(3)
    positive = rng.random(400) < 0.3
    scores = positive + rng.normal(0, 1, 400)
    value, interval = metrics.auc(scores, positive), metrics.auc_interval(scores, positive)
    assert value is not None
    assert interval is not None
    assert value - 0.08 < interval[0] < value < interval[1] < value + 0.08
    assert metrics.auc_interval([0.1, 0.2], [True, True]) is None
