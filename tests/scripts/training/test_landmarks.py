"""Landmarks of faces: what they tell about the pose, and the file that holds them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.metrics needs the extra: pip install .[train]")

from support.data_folder import BOX, DataFolder, picture
from training.arrays import Floats
from training.dataset import Dataset
from training.landmarks import LANDMARKS, nearest, pose
from training.records import DataError

#: A face of 100 pixels from hairline to chin, centred at (200, 150), that looks into the camera.
FRONTAL = np.array([[182, 140], [218, 140], [200, 160], [186, 180], [214, 180]], np.float32)


def turned(points: Floats, degrees: float) -> Floats:
    a = math.radians(degrees)
    matrix = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]], np.float32)
    centre = np.array([200, 150], np.float32)
    return np.asarray((points - centre) @ matrix.T + centre, np.float32)


def test_pose_of_a_frontal_face() -> None:
    found = pose(FRONTAL)
    assert found.box == pytest.approx((161, 100, 239, 200))
    assert found.roll == pytest.approx(0)
    assert found.yaw == pytest.approx(0)


@pytest.mark.parametrize("degrees", [-60, -20, 20, 60])
def test_a_tilted_head_changes_the_roll_alone(degrees: float) -> None:
    found = pose(turned(FRONTAL, degrees))
    assert math.degrees(found.roll) == pytest.approx(degrees, abs=0.01)
    assert found.box == pytest.approx((161, 100, 239, 200), abs=0.01)
    assert found.yaw == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("side", [-1, 1])
def test_the_nose_points_where_the_head_is_turned(side: int) -> None:
    points = FRONTAL.copy()
    points[2, 0] += side * 10
    assert pose(points).yaw * side > 0.5


def test_points_on_one_spot_are_no_crash() -> None:
    assert all(map(math.isfinite, pose(np.full((5, 2), 7.0, np.float32)).box))


def test_nearest_takes_the_face_that_overlaps_most() -> None:
    other = FRONTAL + 5
    rows = [((160.0, 100.0, 240.0, 200.0), FRONTAL), ((165.0, 105.0, 245.0, 205.0), other)]
    assert nearest((166, 106, 246, 206), rows) is other
    assert nearest((0, 0, 50, 50), rows) is None


def row(file: str, *faces: dict[str, object]) -> str:
    return json.dumps({"file": file, "faces": faces}) + "\n"


def test_landmarks_go_to_the_face_whose_box_they_have(tmp_path: Path) -> None:
    made = DataFolder(tmp_path / "data")
    faces = [{"box": BOX, "label": "mask"}, {"box": [50, 10, 70, 40], "label": "no_mask"}]
    made.add("a/1.png", picture(1), faces=faces)
    made.add("a/2.png", picture(2), crop=True, label="mask")
    folder = made.write()
    points = [[20, 25], [30, 25], [25, 30], [21, 40], [29, 40]]
    (folder / LANDMARKS).write_text(
        row("a/1.png", {"box": BOX, "points": points})
        + row("a/2.png", {"box": BOX, "points": points})
        + row("elsewhere/1.png", {"box": BOX, "points": points})
    )
    whole, crop = Dataset(folder).records
    assert whole.faces is not None
    assert whole.faces[0].points is not None
    assert whole.faces[0].points.tolist() == points
    assert whole.faces[1].points is None
    assert crop.points is not None


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{",
        '{"file": 3, "faces": []}',
        '{"file": "a/1.png", "faces": [{"box": [1, 2, 3, 4]}]}',
        '{"file": "a/1.png", "faces": [{"box": [1, 2, 3, 4], "points": [[1, 2], [1, 2], [1, 2], [1, 2]]}]}',
        '{"file": "a/1.png", "faces": [{"box": [1, 2, 3, 4], "points": [[1, 2], [1, 2], [1, 2], [1, 2], [1, NaN]]}]}',
    ],
)
def test_a_damaged_file_of_landmarks_is_named(tmp_path: Path, line: str) -> None:
    made = DataFolder(tmp_path / "data")
    made.add("a/1.png", picture(1), faces=[])
    folder = made.write()
    (folder / LANDMARKS).write_text(line + "\n")
    with pytest.raises(DataError, match=rf"{LANDMARKS}:1: "):
        Dataset(folder)
