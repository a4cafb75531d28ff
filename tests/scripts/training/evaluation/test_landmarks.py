"""The evaluation of landmarks: which faces count, in whose boxes, and what is averaged."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluation needs the extra: pip install .[train]")

from edge.imaging.images import Picture
from edge.records import Box, Point
from support.evaluation import STAGES, A, B, FakeMask, World, human, needs_matplotlib, scene
from training import metrics
from training.dataset import Dataset
from training.evaluation.landmarks import evaluate_landmarks
from training.landmarks import LANDMARKS

#: Landmarks of a face in A, whose eyes are 20 pixels apart.
POINTS = [[20, 25], [40, 25], [30, 35], [22, 48], [38, 48]]


class FakeLandmarks:
    """Answers with POINTS moved to the box, and by blue / 255 * 10 pixels too far to the right."""

    def find(self, picture: Picture, box: Box) -> Sequence[Point]:
        off = float(picture[int(box.y1 + box.y2) // 2, int(box.x1 + box.x2) // 2, 2]) / 25.5
        return [(x + box.x1 - A[0] + off, y + box.y1 - A[1]) for x, y in POINTS]


FAKES = STAGES._replace(landmarks=FakeLandmarks(), mask=FakeMask())


def evaluated(
    world: World, points: dict[str, list[tuple[Sequence[int], Sequence[Sequence[float]]]]]
) -> dict[str, object]:
    """Return the figures, with these landmarks (box, points) by file."""
    folder = world.write()
    rows = [
        {"file": f, "faces": [{"box": list(b), "points": list(p)} for b, p in faces]} for f, faces in points.items()
    ]
    (folder / LANDMARKS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = Dataset(folder)
    return evaluate_landmarks(data, data.records, FAKES).figures


def test_errors_of_bare_and_masked_faces_are_averaged(world: World) -> None:
    bare = world.add(scene((A, 0.9, 0.2)), faces=[human(A)])
    masked = world.add(scene((A, 0.9, 0.4)), source="other", faces=[human(A, "mask")])
    figures = evaluated(world, {f: [(A, POINTS)] for f in (bare, masked)})
    assert figures["bare"] == pytest.approx(2 / 20)
    assert figures["masked"] == pytest.approx(4 / 20)
    assert (figures["bare_n"], figures["masked_n"], figures["no_face"]) == (1, 1, 0)
    assert figures["frontal_bare"] == figures["bare"]
    assert figures["turned_bare"] is None
    assert figures["turned_bare_95"] is None
    per_source = figures["per_source"]
    assert isinstance(per_source, dict)
    assert list(per_source) == ["made", "other"]
    assert per_source["other"]["bare"] is None


def test_a_turned_head_is_counted_apart(world: World) -> None:
    turned = [[20, 25], [40, 25], [42, 35], [22, 48], [38, 48]]
    file = world.add(scene((A, 0.9, 0.0)), faces=[human(A)])
    figures = evaluated(world, {file: [(A, turned)]})
    assert figures["turned_bare"] == pytest.approx(12 / 5 / (0.9 * 23))
    assert figures["frontal_bare"] is None


def test_a_face_that_is_not_found_has_no_error(world: World) -> None:
    """Also if the detector finds something beside it."""
    file = world.add(scene((B, 0.9, 0.0)), faces=[human(A)])
    figures = evaluated(world, {file: [(A, POINTS)]})
    assert (figures["bare"], figures["bare_n"], figures["no_face"]) == (None, 0, 1)


def test_faces_without_landmarks_do_not_count(world: World) -> None:
    file = world.add(scene((A, 0.9, 0.0), (B, 0.9, 0.0)), faces=[human(A), human(B)])
    world.add(scene((A, 0.9, 0.0)), faces=[human(A)])
    assert evaluated(world, {file: [(A, POINTS)]})["bare_n"] == 1


def test_the_mask_classifier_is_judged_by_the_turn(world: World) -> None:
    """Blue is P(mask): 0.9 is a mask."""
    files = [
        world.add(scene((A, 0.9, 0.9)), faces=[human(A, label)]) for label in ("mask", "mask", "no_mask", "unknown")
    ]
    by_turn = evaluated(world, {f: [(A, POINTS)] for f in files})["by_turn"]
    assert isinstance(by_turn, dict)
    assert by_turn["0 to 10"] == {"bare": [0, 1], "masked": [2, 2]}
    assert by_turn["10 to 20"] == {"bare": [0, 0], "masked": [0, 0]}


@needs_matplotlib
def test_curves_and_sheets_are_drawn(world: World, tmp_path: Path) -> None:
    files = [world.add(scene((A, 0.9, k / 10)), faces=[human(A, "mask" if k % 2 else "no_mask")]) for k in range(10)]
    folder = world.write()
    rows = [{"file": f, "faces": [{"box": list(A), "points": POINTS}]} for f in files]
    (folder / LANDMARKS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = Dataset(folder)
    out = tmp_path / "out"
    out.mkdir()
    evaluate_landmarks(data, data.records, FAKES).draw(out)
    assert {p.name for p in out.iterdir()} == {"by_turn.png", "by_size.png", "faces.png", "worst.png"}


def test_the_interval_of_a_mean_holds_the_mean() -> None:
    assert metrics.mean_interval([]) is None
    assert metrics.mean_interval([0.5]) == (0.5, 0.5)
    low, high = metrics.mean_interval(np.arange(100) / 100) or (math.nan, math.nan)
    assert 0.42 < low < 0.495 < high < 0.57
