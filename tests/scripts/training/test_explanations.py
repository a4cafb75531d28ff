"""Deletion and insertion curves, their table, and the maps on the sheet of the worst mistakes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.evaluate needs the extra: pip install .[train]")

from edge import config
from edge.explain.black_box import BlackBox
from edge.inference import manifest
from edge.records import Box
from support.clip import UNMASKED_S, frame_at
from support.evaluation import A, B, World, crop, human, needs_matplotlib, scene
from training import contact_sheet, evaluate
from training.dataset import Dataset
from training.evaluate_explanations import choose, mean_and_interval, mean_curves, read_results, table
from training.evaluation.explaining import explainer
from training.evaluation.stages import open_stages
from training.explanation_curves import STEPS, area, centre_map, curves, random_map

SIZE = 24


def left_half() -> BlackBox:
    """Return a question whose answer is how much of the left half is kept: log-odds -4 to 4."""
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    return BlackBox(pixels, Box(0, 0, SIZE, SIZE), "left", lambda keep: 8 * float(keep[:, : SIZE // 2].mean()) - 4)


def test_the_right_map_is_better_than_none_and_the_wrong_one() -> None:
    across = np.tile(np.arange(SIZE, dtype=np.float32), (SIZE, 1))
    right, wrong = curves(left_half(), -across), curves(left_half(), across)
    unknowing = curves(left_half(), random_map(SIZE, 3))
    assert area(right.deletion) < area(unknowing.deletion) < area(wrong.deletion)
    assert area(right.insertion) > area(unknowing.insertion) > area(wrong.insertion)


def test_curves_begin_and_end_with_the_whole_face() -> None:
    found = curves(left_half(), centre_map(SIZE))
    assert len(found.deletion) == len(found.insertion) == STEPS + 1
    assert found.deletion[0] == found.insertion[-1] == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-6)
    assert found.deletion[-1] == found.insertion[0] == pytest.approx(1 / (1 + np.exp(4)), abs=1e-6)


def test_the_opposite_answer_has_the_opposite_map() -> None:
    """For "no mask" the pixels that speak most against a mask go first, and its probability is 1 minus that of a mask."""
    across = np.tile(np.arange(SIZE, dtype=np.float32), (SIZE, 1))
    found, mirrored = curves(left_half(), across, -1), curves(left_half(), -across, 1)
    assert found.deletion == pytest.approx(1 - mirrored.deletion, abs=1e-6)


def test_baselines_are_the_same_each_time() -> None:
    assert random_map(SIZE, 7).tobytes() == random_map(SIZE, 7).tobytes()
    assert random_map(SIZE, 7).tobytes() != random_map(SIZE, 8).tobytes()
    y, x = np.unravel_index(int(centre_map(SIZE).argmax()), (SIZE, SIZE))
    assert abs(y - SIZE / 2) <= 1
    assert abs(x - SIZE / 2) <= 1


def row(stage: str, deletion: float) -> dict[str, object]:
    names = ("rise", "lime", "occlusion", "random", "centre")
    maps = {name: {"deletion": [1.0, deletion], "insertion": [0.0, 1.0]} for name in names}
    return {"stage": stage, "file": "x", "seconds": dict.fromkeys(names[:3], 0.4), "maps": maps}


def test_the_table_has_a_row_for_each_map_of_a_stage() -> None:
    lines = table([row("mask", 0.0), row("mask", 0.5)]).splitlines()
    assert len(lines) == 2 + 5
    assert lines[2].startswith("| mask (2 faces) | rise | 0.625 ± 0.245 |")
    assert lines[2].endswith("| 0.40 |")
    assert lines[-1].endswith("| – |")
    assert mean_and_interval([0.5]) == (0.5, 0.0)
    shares, mean = mean_curves([row("mask", 0.0), row("mask", 0.5)], "mask", "deletion")["rise"]
    assert shares.tolist() == [0.0, 1.0]
    assert mean.tolist() == [1.0, 0.25]
    assert mean_curves([], "mask", "deletion") == {}


def test_results_with_a_torn_last_line(tmp_path: Path) -> None:
    assert read_results(tmp_path / "none.jsonl") == []
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"file": "a"}) + '\n{"file": "b')
    assert read_results(path) == [{"file": "a"}]


class _Perception:
    """Finds every rectangle of `scene`."""

    def __init__(self) -> None:
        from support.evaluation import FakeDetector

        self.detector = FakeDetector()


def test_faces_are_chosen_in_halves_and_found(world: World) -> None:
    for _ in range(4):
        world.add(scene((A, 0.9, 0.9)), faces=[human(A, "mask")])
    world.add(scene((A, 0.9, 0.1)), faces=[human(B), human(A)])  # B is not found
    world.add(scene((A, 0.1, 0.1)), faces=[human(A)])  # not found
    world.add(scene((A, 0.9, 0.1)), label="no_mask")
    world.add(crop(0.1), label="no_mask", crop=True)
    data = Dataset(world.write())
    found = list(choose(data, data.records, "mask", _Perception(), 4, random.Random(1)))  # type: ignore[arg-type]
    assert sorted(subject.label for subject in found) == ["mask", "mask", "no_mask", "no_mask"]
    assert all(tuple(round(v) for v in subject.box) == A for subject in found)


def test_tiles_with_maps_are_half_as_many_a_row(tmp_path: Path) -> None:
    tile = contact_sheet.tile(np.full((50, 60, 3), 60, np.uint8), None, ("x",))
    heat = np.full((contact_sheet.TILE_PX, contact_sheet.TILE_PX, 3), 90, np.uint8)
    wide = [contact_sheet.with_map(tile, one) for one in (heat, None, heat, heat, heat)]
    contact_sheet.write(tmp_path / "worst.png", wide)
    sheet = cv2.imread(str(tmp_path / "worst.png"))
    assert sheet.shape == (2 * (contact_sheet.TILE_PX + contact_sheet.TEXT_PX), 8 * contact_sheet.TILE_PX, 3)
    assert (sheet[20, contact_sheet.TILE_PX + 20] == 90).all()
    assert (sheet[20, 3 * contact_sheet.TILE_PX + 20] == 255).all()


@pytest.mark.usefixtures("coarse_maps")
@pytest.mark.parametrize("task", ["detector", "mask", "expression"])
def test_every_task_explains_a_face_and_a_crop(task: str) -> None:
    settings = config.load()
    stages = open_stages(task, settings, manifest.load(), None)
    explain = explainer(task, stages, settings.expression.agitated)
    picture = frame_at(UNMASKED_S)
    box = stages.detector.detect(picture)[0].box
    boxes = (box,) if task == "detector" else (box, None)
    for one in boxes:
        tile = explain(picture, one)
        assert tile.shape == (contact_sheet.TILE_PX, contact_sheet.TILE_PX, 3)
        assert (tile[..., 0] != tile[..., 2]).any(), "nothing is coloured"


@needs_matplotlib
@pytest.mark.usefixtures("coarse_maps")
def test_the_command_explains_the_worst_mistakes(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The picture's label is wrong, so the answer counts as a mistake."""
    world.add(frame_at(UNMASKED_S), label="mask")
    world.add(np.full((100, 100, 3), 90, np.uint8), label="mask")  # no face is found
    assert evaluate.main(["mask", "--data", str(world.write()), "--out", str(tmp_path / "out"), "--explain"]) == 0
    sheet = cv2.imread(str(tmp_path / "out" / "worst.png"))
    tile = contact_sheet.TILE_PX
    maps = [sheet[:tile, k * tile : (k + 1) * tile] for k in (1, 3)]
    assert sorted(bool((one == 255).all()) for one in maps) == [False, True]


@pytest.mark.parametrize(
    "arguments", [["mask", "--data", "x"], ["passages", "--video", "x", "--truth", "y", "--out", "z"]]
)
def test_maps_without_a_sheet(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        evaluate.main([*arguments, "--explain"])
    assert "--explain needs --out" in capsys.readouterr().err
