"""The figures of the face detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluation needs the extra: pip install .[train]")

from edge.records import Box
from support.evaluation import SMALL, STAGES, A, B, World, crop, human, needs_matplotlib, scene
from training import contact_sheet
from training.dataset import Dataset
from training.evaluation import detector
from training.evaluation.detector import evaluate_detector


def test_small_and_ignored_faces_do_not_count(world: World) -> None:
    # Found, found below the threshold, missed, too small (and found), ignored (and found).
    world.add(
        scene((A, 0.9, 0), (B, 0.3, 0), (SMALL, 0.95, 0), ((60, 100, 90, 140), 0.99, 0)),
        faces=[human(A), human(B), human((150, 60, 190, 140)), human(SMALL), human((60, 100, 90, 140), "ignore")],
    )
    figures = world.figures("detector")
    assert (figures["images"], figures["faces"]) == (1, 3)
    assert figures["ap35_h10"] == pytest.approx(2 / 3)
    assert figures["recall"] == pytest.approx(1 / 3)
    assert figures["precision"] == 1.0
    assert figures["empty_fp"] is None


def test_average_precision_by_height_and_iou(world: World) -> None:
    low = (10, 100, 40, 125)  # 17 % of the height
    loose = (100, 20, 140, 60)  # IoU with what is found there (B): 2/3
    world.add(scene((B, 0.9, 0), (low, 0.8, 0)), faces=[human(loose), human(low)])
    tight = (10, 10, 50, 30)  # IoU with A 0.4: found at 0.35, not at 0.5
    world.add(scene((A, 0.7, 0)), faces=[human(tight)])
    figures = world.figures("detector")
    assert figures["faces"] == 3
    assert figures["ap35_h10"] == 1.0
    assert figures["ap50_h10"] == pytest.approx(2 / 3)
    assert figures["ap35_h20"] == 1.0  # `tight` is 13 % high: only `loose` counts
    assert figures["precision"] == 1.0


def test_false_boxes_lower_the_precision(world: World) -> None:
    world.add(scene((A, 0.8, 0), (B, 0.9, 0)), faces=[human(A)])
    figures = world.figures("detector")
    assert figures["precision"] == 0.5
    assert figures["recall"] == 1.0
    assert figures["ap35_h10"] == 0.5  # the false box has the higher score


def test_pictures_without_a_face_count_at_the_threshold(world: World) -> None:
    world.add(scene((A, 0.9, 0)), faces=[])
    world.add(scene((A, 0.4, 0)), faces=[])
    world.add(scene(), faces=[])
    world.add(scene(), faces=[])
    world.add(scene((A, 0.9, 0)))  # not searched for faces
    world.add(crop(0.5), crop=True, faces=[])
    world.add(scene((A, 0.9, 0)), faces=[{"box": list(B), "label": "mask", "by": "teacher"}])
    figures = world.figures("detector")
    assert figures["empty_fp"] == 0.25
    assert (figures["images"], figures["faces"], figures["ap35_h10"], figures["recall"]) == (0, 0, None, None)


def test_teacher_boxes_count_for_recall_only(world: World) -> None:
    """A detection without a teacher's box is not false: the teacher misses faces."""

    def taught(box: tuple[int, int, int, int], score: float = 0.9) -> dict[str, Any]:
        return {"box": list(box), "label": "mask", "by": "teacher", "score": score, "looks": 3}

    world.add(scene((A, 0.9, 0), (B, 0.9, 0)), "wild", faces=[taught(A)])
    world.add(scene((A, 0.4, 0)), "wild", faces=[taught(A), taught(B, 0.3), taught(SMALL)])  # unsure, too small
    world.add(scene((A, 0.9, 0)), "ilc", faces=[human(A), taught(B)])
    figures = world.figures("detector")
    assert (figures["taught_images"], figures["taught_faces"], figures["taught_recall"]) == (2, 2, 0.5)
    assert (figures["images"], figures["faces"], figures["recall"], figures["precision"]) == (1, 1, 1.0, 1.0)
    assert figures["per_source"]["wild"]["taught_recall"] == 0.5
    assert figures["per_source"]["ilc"]["taught_recall"] is None


def test_pictures_without_a_face_count_at_new_score(world: World) -> None:
    for score in (0.9, 0.6, 0.4, 0.0):
        world.add(scene((A, score, 0)), faces=[])
    figures = world.figures("detector")
    assert (figures["empty_fp"], figures["empty_new"]) == (0.5, 0.25)
    assert figures["empty_new_95"] == pytest.approx((0.046, 0.699), abs=1e-3)
    data = Dataset(world.folder)
    without = evaluate_detector(data, data.records, STAGES._replace(new_score=None)).figures
    assert "empty_new" not in without


def test_figures_by_source(world: World) -> None:
    world.add(scene((A, 0.9, 0)), "ilc", faces=[human(A)])
    world.add(scene((B, 0.8, 0)), "maks", faces=[human(A), human(B)])
    world.add(scene((B, 0.8, 0)), "bikes", faces=[])
    figures = world.figures("detector")
    own = figures["per_source"]
    assert list(own) == ["bikes", "ilc", "maks"]
    assert [own[s]["ap35_h10"] for s in own] == [None, 1.0, 0.5]
    assert [own[s]["faces"] for s in own] == [0, 1, 2]
    assert [own[s]["empty_fp"] for s in own] == [1.0, None, None]
    assert (figures["ap35_h10"], figures["empty_fp"], figures["empty_images"]) == (pytest.approx(2 / 3), 1.0, 1)


@needs_matplotlib
def test_the_sheet_shows_what_the_figures_count(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = (10, 10, 29, 60), (31, 10, 50, 60)  # both are A, IoU 0.475: one of them is false
    world.add(
        scene((left, 0.8, 0), (right, 0.7, 0), (B, 0.95, 0), (SMALL, 0.9, 0), ((60, 100, 90, 140), 0.3, 0)),
        faces=[human(A), human((150, 60, 190, 140))],
    )
    world.add(scene((SMALL, 0.6, 0)), faces=[])  # without a face every box is false, of any size
    data = Dataset(world.write())
    result = evaluate_detector(data, data.records, STAGES)
    shown: list[contact_sheet.Mistake] = []
    monkeypatch.setattr(
        detector, "draw_sheet", lambda _d, _r, groups, _o, _e: shown.extend(m.mistake for g in groups for m in g)
    )
    result.draw(tmp_path)
    assert [m.lines[-1] for m in shown] == ["false 0.95", "false 0.70", "no face 0.60", "missed no_mask 53%"]
    assert [m.box for m in shown[:2]] == [Box(*B), Box(*right)]
    assert (result.figures["precision"], result.figures["recall"]) == (pytest.approx(1 / 3), 0.5)
