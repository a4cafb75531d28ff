"""The landmark model and its task: what is drawn, what is learned, and what the exported model computes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra: pip install .[train]")

import torch

from support.data_folder import DataFolder
from training.dataset import Dataset
from training.landmarker import CELLS, LABELS, MARGIN, SIZE, LandmarkModel, LandmarkTask, points_in_picture, wanted_heat
from training.landmarks import LANDMARKS, Example, box_around, error, examples
from training.nets import normalise
from training.records import DataError, Record

#: A face of 60 pixels from the eyes to the chin, in a picture of 160 x 120 pixels.
POINTS = np.array([[70, 50], [90, 50], [80, 60], [73, 70], [87, 70]], np.float32)
BOX = [55.0, 30.0, 105.0, 90.0]

#: Five pixels.
SHIFT = np.array([3, 4], np.float32)


def face(points: np.ndarray = POINTS, width: int = 160, height: int = 120) -> np.ndarray:
    """Return a picture (H, W, 3) with a grey level of its own at each landmark."""
    picture = np.full((height, width, 3), 128, np.uint8)
    for k, (x, y) in enumerate(points):
        shade = (0, 40, 80, 180, 255)[k]
        cv2.circle(picture, (round(float(x)), round(float(y))), 4, (shade,) * 3, -1)
    return picture


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """One bare and one masked face in whole pictures, and a crop; all of them in every split."""
    made = DataFolder(tmp_path / "data")
    rows = []
    for name, label in (("a/bare.png", "no_mask"), ("a/masked.png", "mask")):
        made.add(name, face(), faces=[{"box": BOX, "label": label, "by": "human"}])
        rows.append({"file": name, "faces": [{"box": BOX, "points": POINTS.tolist()}]})
    made.add("b/crop.png", face()[20:100, 40:120], crop=True, label="no_mask")
    rows.append({"file": "b/crop.png", "faces": [{"box": [0, 0, 80, 80], "points": (POINTS - [40, 20]).tolist()}]})
    folder = made.write()
    (folder / LANDMARKS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Dataset(folder)


@pytest.fixture
def task(data: Dataset) -> LandmarkTask:
    return LandmarkTask(data, dict.fromkeys(("train", "val", "test"), data.records))


def test_every_face_with_landmarks_is_an_example(data: Dataset) -> None:
    found = examples(data.records)
    assert [(e.record.file, e.masked, e.is_labelled) for e in found] == [
        ("a/bare.png", False, True),
        ("a/masked.png", True, True),
        ("b/crop.png", False, True),
    ]
    assert found[0].box == tuple(BOX)
    x1, y1, x2, y2 = found[2].box
    assert (x1 + x2) / 2 == pytest.approx(40)
    assert x2 - x1 == pytest.approx(y2 - y1)


def test_a_face_of_which_nobody_says_whether_it_wears_a_mask_has_no_label(data: Dataset) -> None:
    record = data.records[0]
    assert record.faces is not None
    unknown = replace(record, faces=(replace(record.faces[0], label="unknown"),))
    assert [e.is_labelled for e in examples([unknown])] == [False]
    ignored = replace(record, faces=(replace(record.faces[0], label="ignore"),))
    assert examples([ignored]) == []


def test_the_box_around_points_is_where_they_are() -> None:
    x1, y1, x2, y2 = box_around(POINTS)
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((80, 60))


def test_the_error_is_in_units_of_the_eye_distance() -> None:
    assert error(POINTS, POINTS) == 0
    assert error(POINTS + SHIFT, POINTS) == pytest.approx(5 / 20)
    profile = POINTS.copy()
    profile[:, 0] = [70, 72, 90, 72, 76]  # eyes that are 2 pixels apart: the distance from the eyes to the mouth counts
    assert error(profile + SHIFT, profile) == pytest.approx(5 / (0.9 * np.hypot(3, 20)))


@pytest.mark.parametrize("seed", range(12))
def test_points_are_where_they_were_drawn(task: LandmarkTask, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turned, moved, scaled and mirrored: each point stays on the spot of its own grey level."""
    monkeypatch.setattr("training.augment.lens_and_light", lambda picture, *_: picture)
    monkeypatch.setattr("training.augment.coarse", lambda picture, *_: picture)
    monkeypatch.setattr("training.augment.motion", lambda picture, *_: picture)
    monkeypatch.setattr("training.landmarker._disguised", lambda picture, *_: picture)
    for crop, points in task.draw((seed,), 3):
        assert crop.shape == (SIZE, SIZE)
        assert crop.dtype == np.uint8
        assert points.dtype == np.float32
        shades = [int(crop[int(y * SIZE), int(x * SIZE)]) for x, y in points]
        # Of each pair, the left one in the picture comes first: mirrored, its shade is the other one's.
        assert sorted(shades[:2]) == pytest.approx([0, 40], abs=12)
        assert shades[2] == pytest.approx(80, abs=12)
        assert sorted(shades[3:]) == pytest.approx([180, 255], abs=12)
        assert (shades[0] < shades[1]) is (shades[3] < shades[4])
        assert points[0, 0] < points[1, 0]
        assert points[3, 0] < points[4, 0]


def test_equal_seeds_give_equal_batches(task: LandmarkTask) -> None:
    first, again, other = task.batch(1, 5, 6), task.batch(1, 5, 6), task.batch(1, 6, 6)
    assert first["pictures"].shape == (6, 1, SIZE, SIZE)
    assert first["points"].shape == (6, 10)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["points"], other["points"])


def test_points_come_back_to_the_picture(data: Dataset) -> None:
    """Also from a crop that begins between two pixels."""
    record = data.records[0]
    e = Example(record, (55.3, 30.1, 104.9, 90.6), POINTS, False)
    side = round(60.5 * MARGIN)
    left, top = round(80.1 - side / 2), round(60.35 - side / 2)
    in_crop = ((POINTS - [left, top]) / side).astype(np.float32)
    assert points_in_picture(in_crop, e) == pytest.approx(POINTS, abs=1e-3)


def test_the_heat_has_its_mean_at_the_point() -> None:
    points = torch.tensor([[0.3, 0.4, 0.71, 0.42, 0.5, 0.5, 0.36, 0.66, 0.6, 0.7]])
    heat = wanted_heat(points)
    assert heat.shape == (1, 5, CELLS * CELLS)
    assert heat.sum(2).numpy() == pytest.approx(1)
    net = LandmarkModel()
    places = net.places([heat[:, k].log() for k in range(5)])
    assert places.detach().numpy() == pytest.approx(points.numpy(), abs=0.01)


def test_the_network_answers_inside_the_crop_and_keeps_the_grid() -> None:
    torch.manual_seed(1)
    net = LandmarkModel().eval()
    x = normalise(torch.randint(0, 256, (3, 1, SIZE, SIZE), dtype=torch.uint8))
    with torch.no_grad():
        points = net(x)
    assert points.shape == (3, 2 * len(LABELS))
    assert ((points > 0) & (points < 1)).all()
    assert not any(p.requires_grad for p in net.mean_place.parameters())


def test_a_few_steps_lower_the_loss(task: LandmarkTask) -> None:
    torch.manual_seed(1)
    net = task.build()
    batch = task.batch(1, 0, 16)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        loss = task.loss(net, batch, 0.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    figures = task.validate(net.eval())
    assert set(figures) == {"val score", "val bare", "val masked"}
    assert figures["val score"] == pytest.approx(-(figures["val bare"] + figures["val masked"]) / 2)


def test_without_a_face_with_landmarks_the_split_is_named(data: Dataset) -> None:
    empty: list[Record] = []
    with pytest.raises(DataError, match="split 'train' holds no face with landmarks"):
        LandmarkTask(data, {"train": empty, "val": data.records, "test": empty})
    with pytest.raises(DataError, match="split 'val' holds no face with landmarks"):
        LandmarkTask(data, {"train": data.records, "val": empty, "test": empty})
