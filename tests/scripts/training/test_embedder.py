"""The face embedder's task: what the network sees, what its teacher sees, and what is learned from both."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra: pip install .[train]")

import torch

from support.data_folder import DataFolder
from support.face_teacher_file import WIDTHS, network
from training import calibration, embedder, embedder_net
from training.arrays import Floats, Picture
from training.dataset import Dataset
from training.embedder import CUTS, REGION, SIZE, EmbedderTask
from training.embedder_net import VECTOR, Embedder
from training.face_teacher import CHIP, FaceTeacher
from training.landmarks import LANDMARKS
from training.loop import Task
from training.people import Pairs
from training.records import DataError

#: A face of 60 pixels from the eyes to the chin, in a picture of 160 x 120 pixels.
POINTS = np.array([[66, 45], [94, 45], [80, 62], [69, 76], [91, 76]], np.float32)
BOX = [50.0, 20.0, 110.0, 100.0]


@pytest.fixture(autouse=True)
def few_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder_net, "CHANNELS", tuple(WIDTHS))
    monkeypatch.setattr(embedder_net, "RANKS", (*[None] * 7, *[1] * 22))
    monkeypatch.setattr(embedder, "TYPICAL", 2)


@pytest.fixture
def teacher(tmp_path: Path) -> FaceTeacher:
    (tmp_path / "dlib.dat").write_bytes(network())
    return FaceTeacher(tmp_path / "dlib.dat")


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Two people with two bare and two masked pictures each, all of them in every split."""
    made = DataFolder(tmp_path / "data")
    rng = np.random.default_rng(4)
    rows = []
    for source, label in (("mux", "no_mask"), ("rwmfd2", "mask")):
        for person in ("ann", "bob"):
            for k in range(2):
                picture = np.full((120, 160, 3), rng.integers(60, 200, 3), np.uint8)
                for j, (x, y) in enumerate(POINTS):
                    cv2.circle(picture, (int(x), int(y)), 4, (40 * j,) * 3, -1)
                name = f"{source}/{person}{k}.png"
                made.add(name, picture, group=person, faces=[{"box": BOX, "label": label, "by": "human"}])
                rows.append({"file": name, "faces": [{"box": BOX, "points": POINTS.tolist()}]})
    folder = made.write()
    (folder / LANDMARKS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Dataset(folder)


@pytest.fixture
def task(data: Dataset, teacher: FaceTeacher) -> EmbedderTask:
    return EmbedderTask(data, dict.fromkeys(("train", "val", "test"), data.records), teacher)


def test_the_task_is_one_of_the_loop(task: EmbedderTask) -> None:
    checked: Task = task
    assert checked.metric in task.validate(Embedder().eval())


def test_a_batch_has_crops_vectors_and_pairs(task: EmbedderTask) -> None:
    batch = task.batch(1, 2, 30)
    # Four pairs, and CUTS crops of each of seven faces.
    assert batch["pictures"].shape == (29, 3, SIZE, SIZE)
    assert batch["pictures"].dtype == torch.uint8
    assert batch["vectors"].shape == (7, VECTOR)
    assert batch["alike"].shape == (4, 4)
    assert batch["alike"].diagonal().all()
    again, other = task.batch(1, 2, 30), task.batch(1, 3, 30)
    assert all(bool((batch[k] == again[k]).all()) for k in batch)
    assert not bool((batch["pictures"] == other["pictures"]).all())


def test_the_teacher_sees_the_face_without_its_mask(task: EmbedderTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "BLENDED", 0.0)
    monkeypatch.setattr(embedder, "DRAWN", 1.0)
    monkeypatch.setattr("training.embedder.masks.draw_mask", lambda picture, *_: np.zeros_like(picture))
    monkeypatch.setattr("training.augment.lens_and_light", lambda picture, *_: picture)
    face = task._bare_face(np.random.default_rng(3))
    assert face.chip.shape == (CHIP, CHIP, 3)
    assert face.chip.max() > 0
    assert max(crop.max() for crop in task._seen(face, np.random.default_rng(3), CUTS)) == 0


@pytest.mark.parametrize("mirrored", [False, True])
def test_landmarks_stay_on_the_face(task: EmbedderTask, mirrored: bool) -> None:
    face = task._shown(task.bare[0], mirrored)
    shades = [int(face.region[round(float(y)), round(float(x)), 0]) for x, y in face.points]
    expected = [40, 0, 80, 160, 120] if mirrored else [0, 40, 80, 120, 160]
    assert shades == pytest.approx(expected, abs=8)
    assert face.points[0, 0] < face.points[1, 0]
    assert face.region.shape == (REGION, REGION, 3)


def test_faces_with_real_masks_are_aligned_as_at_the_door(
    data: Dataset, teacher: FaceTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(1.0, 2.0), (3.0, 2.0), (2.0, 3.0), (1.0, 4.0), (3.0, 4.0)]
    monkeypatch.setattr(embedder, "finder", lambda: lambda *_: found)
    task = EmbedderTask(data, dict.fromkeys(("train", "val", "test"), data.records), teacher)
    faces = [e for groups in task.people for group in groups for e in group]
    assert {e.masked for e in faces} == {False, True}
    for e in faces:
        assert e.points.tolist() == (np.array(found) if e.masked else POINTS).tolist()


def test_no_kind_of_strangers_exceeds_the_threshold(
    task: EmbedderTask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """But for real masks, and single looks at people of training."""
    strangers, one = np.linspace(0.1, 0.6, 5000).astype(np.float32), np.ones(1, np.float32)

    def judged(**above: float) -> dict[str, Pairs]:
        return {name: Pairs(strangers + by, one, one) for name, by in above.items()}

    def answers(_folder: Path, _name: str, _output: str, crops: Picture, _runtime: str) -> Floats:
        return np.ones((len(crops), VECTOR), np.float32)

    monkeypatch.setattr(calibration, "answers", answers)
    validation = judged(bare=0.1, drawn=0.2, masked=0.4, bare_visit=0.0, drawn_visit=0.1)
    training = judged(bare=0.4, drawn=0.4, masked=0.4, bare_visit=0.0, drawn_visit=0.1)
    monkeypatch.setattr(task.judge, "pairs", lambda *_: validation)
    monkeypatch.setattr(task, "judge_of_training", lambda: SimpleNamespace(pairs=lambda *_: training))
    net = Embedder().eval()
    assert calibration.choose_embedding(tmp_path, task, net).threshold == pytest.approx(0.7995, abs=1e-3)
    training |= judged(drawn_visit=0.3)
    assert calibration.choose_embedding(tmp_path, task, net).threshold == pytest.approx(0.8995, abs=1e-3)
    assert (tmp_path / "face_embedding.png").is_file()


def test_people_of_training_are_judged(task: EmbedderTask) -> None:
    judge = task.judge_of_training()
    assert (len(judge.bare), len(judge.masked)) == (4, 4)


def test_the_network_learns_what_the_teacher_says(task: EmbedderTask) -> None:
    torch.manual_seed(1)
    net = Embedder()
    batch = task.batch(1, 1, 30)
    net.train()
    first = task.loss(net, batch, 0.0)
    assert torch.isfinite(first)
    optimiser = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 1e-3)
    for _ in range(8):
        optimiser.zero_grad()
        loss = task.loss(net, batch, 0.0)
        loss.backward()
        optimiser.step()
    assert loss.item() < first.item()


def test_its_blocks_learn_what_those_of_the_teacher_know(task: EmbedderTask) -> None:
    net = task.build()
    batch = task.batch(1, 1, 12)
    first = task._block_loss(net, batch)
    assert first.item() > 0.1
    optimiser = torch.optim.Adam(net.blocks.parameters(), 1e-3)
    for _ in range(8):
        optimiser.zero_grad()
        loss = task._block_loss(net, batch)
        loss.backward()
        optimiser.step()
    assert loss.item() < first.item()


def test_a_set_without_people_is_refused(data: Dataset, teacher: FaceTeacher) -> None:
    alone = data.records[:1]
    with pytest.raises(DataError, match="person with two"):
        EmbedderTask(data, dict.fromkeys(("train", "val", "test"), alone), teacher)
