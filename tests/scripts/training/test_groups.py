"""Figures by age, sex and ethnicity: everybody is counted in the right groups, bare and masked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.data_folder import DataFolder, picture
from training import groups
from training.dataset import Dataset


def people(folder: Path, *rows: dict[str, object]) -> Dataset:
    made = DataFolder(folder)
    for k, row in enumerate(rows):
        made.add(f"a/{k}.png", picture(k, 96, 96), crop=True, label="no_mask", **row)
    return Dataset(made.write())


def test_groups_of_a_person(tmp_path: Path) -> None:
    ages = (0, 9, 10, 39, 60, 100)
    data = people(tmp_path / "data", *({"age": age, "sex": "female", "ethnicity": "black"} for age in ages))
    found = [list(groups.groups(record)) for record in data.records]
    bands = ["under_10", "under_10", "under_20", "under_40", "60_or_older", "60_or_older"]
    assert found == [[band, "female", "black"] for band in bands]


def test_a_classifier_that_sees_masks_everywhere_fails_on_bare_faces_alone(tmp_path: Path) -> None:
    data = people(tmp_path / "data", {"age": 5, "sex": "male"}, {"age": 70, "sex": "female"}, {})
    figures = groups.mask_figures_by_group(data, data.records, lambda crop: True)
    assert set(figures) == {"all", "under_10", "60_or_older", "male", "female"}
    assert figures["all"] == {"bare": 0, "masked": 1, "mean": 0.5, "n": 2}
    assert figures["male"]["n"] == 1


def test_every_crop_is_another_one(tmp_path: Path) -> None:
    data = people(tmp_path / "data", {"sex": "male"})
    seen: list[np.ndarray] = []

    def masked(crop: np.ndarray) -> bool:
        seen.append(crop)
        return False

    groups.mask_figures_by_group(data, data.records, masked)
    assert {crop.shape for crop in seen} == {(96, 96, 3)}
    assert len({crop.tobytes() for crop in seen}) == len(seen) == 2 * groups.DRAWN


def test_a_group_that_is_called_agitated_more_often_is_shown(tmp_path: Path) -> None:
    data = people(tmp_path / "data", {"sex": "male"}, {"sex": "female"})
    shown: list[np.ndarray] = []

    def probabilities(crop: np.ndarray) -> list[float]:
        shown.append(crop)
        return [0.4, 0.2, 0.4] if len(shown) <= groups.DRAWN else [0.2, 0.1, 0.7]

    figures = groups.expression_figures_by_group(data, data.records, probabilities, [0, 1], 0.5)
    assert list(figures) == ["all", "female", "male"]
    assert figures["all"] == {"agitated": 0.5, "certainty": pytest.approx(0.55), "n": 2}
    assert sorted(f["agitated"] for f in (figures["male"], figures["female"])) == [0, 1]
    # The face without its surroundings: a crop shows a quarter more.
    assert {crop.shape for crop in shown} == {(76, 76, 3)}
