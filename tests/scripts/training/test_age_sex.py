"""The laboratory model of age and sex: what it learns from, its card, the audit with it, and its drawing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from support.paths import SCRIPTS
from support.training import script, script_here, write_portraits

pytest.importorskip("torch", reason="training needs the extra: pip install .[train]")

import torch

from edge.errors import ModelError
from training import age_sex, age_sex_card, age_sex_model, audit
from training.audit import Outcome
from training.dataset import Dataset
from training.records import DataError, Record

SHIPPED = SCRIPTS.parent / "models_tflite"


def record(name: str, **fields: Any) -> Record:
    given: dict[str, Any] = {"source": "utk", "width": 100, "height": 100, "crop": True, "label": "no_mask"} | fields
    return Record(file=f"{name}.jpg", **given)


def test_portraits_are_bare_crops_with_age_and_sex() -> None:
    records = [
        record("a", sex="female", age=34),
        record("masked", sex="female", age=34, label="mask"),
        record("whole", sex="male", age=34, crop=False),
        record("other", sex="other", age=34),
        record("no age", sex="male"),
    ]
    [portrait] = age_sex.portraits(records)
    assert portrait.sex.tolist() == [0, 1]
    assert portrait.age.argmax() == 3
    assert portrait.box == pytest.approx((10, 10, 90, 90))


def test_faces_without_labels_get_the_answers_of_a_regression() -> None:
    rng = np.random.default_rng(1)
    people = [record(str(k), sex=("male", "female")[k % 2], age=15.0 + 60 * (k % 2)) for k in range(40)]
    unknown = [record("x", source="k12"), record("y", source="k12"), record("no vector", source="k12")]
    vectors = {}
    for k, r in enumerate([*people, *unknown[:2]]):
        vector = rng.normal(0, 0.1, 128).astype(np.float32)
        vector[0] += 1.0 if k % 2 else -1.0
        vectors[r.file] = [((1.0, 2.0, 30.0, 40.0), vector)]
    found = age_sex.taught(age_sex.portraits(people), [*people, *unknown], vectors)
    assert [p.record.file for p in found] == ["x.jpg", "y.jpg"]
    assert [int(p.sex.argmax()) for p in found] == [0, 1]
    assert [int(p.age.argmax()) for p in found] == [1, 7]
    assert found[0].box == (1.0, 2.0, 30.0, 40.0)
    assert age_sex.taught(age_sex.portraits(people), people, {}) == []


def test_children_are_not_judged_by_sex(tmp_path: Path) -> None:
    write_portraits(tmp_path, 12)
    data = Dataset(tmp_path)

    def answer(crop: np.ndarray) -> age_sex_model.Person:
        assert crop.shape == (128, 128, 3)
        sex, age = np.array([0.9, 0.1], np.float32), np.zeros(9, np.float32)
        age[2] = 1
        return age_sex_model.Person(sex, age)

    found = age_sex.judged_by_group(data, data.records, answer)
    adults = sum((r.age or 0) >= 18 for r in data.records)
    assert next(iter(found)) == "adults"
    assert found["adults"]["n"] == adults
    assert found["male"]["bare_sex"]["share"] == 1.0
    assert found["female"]["masked_sex"]["share"] == 0.0
    assert found["under_10"]["n"] == sum((r.age or 0) < 10 for r in data.records)
    assert found["under_40"]["bare_years"]["mean"] < 20
    with pytest.raises(DataError, match="bare face crop with age and sex"):
        age_sex.judged_by_group(data, [], answer)
    card = age_sex_card.card(
        {
            "bytes": 1e6,
            "mmacs": 30,
            "steps": 9,
            "faces": {"with labels": 1, "with the answers of a regression": 2},
            "groups": found,
        }
    )
    assert "Why it is not in the product" in card
    assert f"| adults | {adults} |" in card


def test_the_card_that_is_committed_has_the_text_of_the_module() -> None:
    text = (SCRIPTS / "training" / "age_sex.md").read_text(encoding="utf-8")
    assert text.startswith(age_sex_card.CARD)
    assert "## Figures" in text


def test_the_audit_counts_by_group_and_marks_what_is_apart() -> None:
    outcomes = [Outcome("refused", k < 40, ("female",)) for k in range(100)]
    outcomes += [Outcome("refused", False, ("male", "under_20")) for _ in range(100)]
    outcomes += [Outcome("missed", False, ("male",))]
    found = audit.count(outcomes)
    assert list(found) == ["missed", "refused"]
    assert found["refused"]["all"] | {"low": 0, "high": 0} == {"wrong": 40, "n": 200, "share": 0.2, "low": 0, "high": 0}
    lines = audit.table(found).splitlines()
    assert lines[0] == "| people | detector misses the face | masked face called bare |"
    assert "0 of 1: 0.0% (0.0 to 79.3) | 40 of 200: 20.0%" in lines[2]
    assert [line for line in lines if line.startswith("| female")] == [
        "| female | – | 40 of 100: **40.0%** (30.9 to 49.8) |"
    ]


def test_a_person_is_in_a_group_by_sex_only_if_the_model_is_sure() -> None:
    age = np.eye(9, dtype=np.float32)[6]
    for p, name in ((0.79, "sex_unsure"), (0.9, "female")):
        person = age_sex_model.Person(np.array([1 - p, p], np.float32), age)
        assert audit.predicted_groups(person) == (name, "60_or_older")


def test_another_model_is_refused(tmp_path: Path) -> None:
    for path, why in (
        (tmp_path / "none.tflite", "no such file"),
        (SHIPPED / "mask_classifier.tflite", "not a model of age and sex"),
        (SHIPPED / "manifest.toml", "not a model that can be run"),
    ):
        with pytest.raises(ModelError, match=why):
            age_sex_model.AgeSexModel(path)
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.zeros((20, 20, 3), np.uint8))
    done = script_here("draw_age_sex", picture, tmp_path / "b.png", "--model", tmp_path / "none.tflite", check=False)
    assert "none.tflite: no such file (make it with python -m training.judge_age_sex)" in done.stderr
    assert not (tmp_path / "b.png").exists()


@pytest.mark.train
@pytest.mark.filterwarnings("default")
def test_train_judge_audit_and_draw(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    write_portraits(data)
    plan = ("--data", data, "--out", run, "--steps", 4, "--batch", 4, "--validate-every", 4, "--threads", 1, "--quiet")
    script_here("train", "age_sex", *plan, "--pretrained", SHIPPED / "mask_classifier.tflite")
    taken = torch.load(run / "last.pt", weights_only=False)["taken"]
    assert taken == 52, "all convolutions of the mask classifier, and neither of its dense layers"
    card = tmp_path / "card.md"
    done = script("judge_age_sex", "--data", data, "--run", run, "--samples", 4, "--card", card)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["groups"]["adults"]["n"] > 0
    assert "| adults |" in card.read_text()
    model = run / "age_sex.tflite"
    done = script("audit", "--data", data, "--model", model)
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["labelled"]) == {"missed", "let_through", "refused", "alarm"}
    assert found["labelled"]["refused"]["all"]["n"] == found["labelled"]["alarm"]["all"]["n"] > 0
    scene = SCRIPTS / "assets" / "demo" / "seen.jpg"
    done = script("draw_age_sex", scene, tmp_path / "drawn.png", "--model", model)
    assert "years" in done.stdout
    drawn, given = cv2.imread(str(tmp_path / "drawn.png")), cv2.imread(str(scene))
    assert drawn.shape == given.shape
    assert (drawn != given).any()
