"""Figures by age, sex and ethnicity: everybody is counted in the right groups, bare and masked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training.mask needs the extra: pip install .[train]")

from edge.records import Box
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
    bands = ["under 10", "under 10", "under 20", "under 40", "60 or older", "60 or older"]
    assert found == [[band, "female", "black"] for band in bands]


def test_a_classifier_that_sees_masks_everywhere_fails_on_bare_faces_alone(tmp_path: Path) -> None:
    data = people(tmp_path / "data", {"age": 5, "sex": "male"}, {"age": 70, "sex": "female"}, {})
    figures = groups.group_figures(data, data.records, lambda picture, box: True)
    assert set(figures) == {"all", "under 10", "60 or older", "male", "female"}
    assert figures["all"] == {"bare": 0, "masked": 1, "mean": 0.5, "n": 2}
    assert figures["male"]["n"] == 1


def test_faces_lie_in_their_boxes(tmp_path: Path) -> None:
    data = people(tmp_path / "data", {"sex": "male"})
    seen: list[tuple[np.ndarray, Box]] = []

    def judge(shown: np.ndarray, box: Box) -> bool:
        seen.append((shown, box))
        return False

    groups.group_figures(data, data.records, judge)
    assert len(seen) == 2 * groups.DRAWN
    assert len({shown.tobytes() for shown, _ in seen}) == 2 * groups.DRAWN
    for shown, box in seen:
        assert shown.shape == (groups.SIDE, groups.SIDE, 3)
        assert 0 < box.x1 < box.x2 < groups.SIDE
