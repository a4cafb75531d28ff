"""What the detector is trained with: scenes, hard negatives, bent pictures, and pruning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("default")]


torch = pytest.importorskip("torch", reason="needs the extra: pip install .[train]")

from training import augment, nets, prune  # noqa: E402  (they need torch)
from training.dataset import Dataset  # noqa: E402
from training.scenes import HEIGHT, MAX_HARD, WIDTH, Scenes  # noqa: E402


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Pictures that are red where there is a face, yellow where there may be one, and blue elsewhere."""
    rows = []
    for k in range(12):
        picture = np.full((120, 160, 3), (0, 0, 160), np.uint8)
        faces = []
        if k % 3:
            for box, label in (((20, 20, 60, 70), "no_mask"), ((90, 30, 120, 70), "ignore")):
                x1, y1, x2, y2 = box
                picture[y1:y2, x1:x2] = (255, 255 * (label == "ignore"), 0)
                faces.append({"box": list(box), "label": label, "by": "human"})
        name = f"{k:02d}.png"
        assert cv2.imwrite(str(tmp_path / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        rows.append({"file": name, "source": "made", "width": 160, "height": 120, "faces": faces})
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return Dataset(tmp_path)


def test_face_free_regions_hold_neither_faces_nor_what_may_be_one(data: Dataset) -> None:
    scenes = Scenes(data, data.records)
    regions = list(scenes.face_free(1, 200))
    assert len(regions) > 100
    assert max(scenes.shown(region)[..., 0].max() for region in regions) < 140, "padding is the reddest"


def test_what_fools_a_detector_most_is_kept(data: Dataset) -> None:
    scenes = Scenes(data, data.records)
    scores = iter(np.linspace(0, 1, 10_000))

    def best_scores(pictures: Sequence[np.ndarray]) -> np.ndarray:
        return np.array([next(scores) for _ in pictures])

    scenes.mine(best_scores, tries=3000)
    assert len(scenes.hard) == MAX_HARD
    later = list(scenes.face_free(9, 3000))
    assert scenes.hard[0] == later[-1], "the highest score first"


def test_a_scene_is_drawn_again_from_its_seed(data: Dataset) -> None:
    scenes = Scenes(data, data.records)
    for k in range(20):
        first, second = scenes.draw((3, k)), scenes.draw((3, k))
        assert all((a == b).all() for a, b in zip(first, second, strict=True))
        picture, faces, ignored = first
        assert picture.shape == (HEIGHT, WIDTH, 3)
        for found in (faces, ignored):
            assert found.dtype == np.float32
            assert found.shape[1:] == (4,)
            assert (found[:, 2:] > found[:, :2]).all()


@pytest.mark.parametrize("seed", range(12))
def test_boxes_move_with_a_bent_picture(seed: int) -> None:
    picture = np.zeros((192, 256, 3), np.uint8)
    cv2.ellipse(picture, (100, 90), (20, 30), 0, 0, 360, (255, 255, 255), -1)
    box = np.array([[80, 60, 120, 120]], np.float32)
    rng = np.random.default_rng(seed)
    bent, (moved, none) = augment.bend(picture, rng, box, np.zeros((0, 4), np.float32))
    corner = bent[0, 0]
    rows, columns = np.nonzero((bent > 250).all(2) & (corner < 250).any())
    assert none.shape == (0, 4)
    if len(rows):
        assert moved[0] == pytest.approx([columns.min(), rows.min(), columns.max(), rows.max()], abs=3)


def test_elimination_keeps_what_the_target_needs() -> None:
    rng = torch.Generator().manual_seed(1)
    inputs = torch.randn(500, 8, generator=rng)
    true = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    target = inputs[:, [1, 6]] @ true + 7
    kept, weight, bias, unexplained = prune.eliminate(inputs, target, 2)
    assert kept.tolist() == [1, 6]
    assert weight.T.numpy() == pytest.approx(true.numpy(), abs=1e-2)
    assert bias.tolist() == pytest.approx([7, 7], abs=1e-2)
    assert unexplained < 1e-4


def test_elimination_makes_up_for_what_it_removes() -> None:
    """Two columns that are the same: either may go, and the other takes over its weight."""
    column = torch.randn(300, 1, generator=torch.Generator().manual_seed(2))
    kept, weight, _, unexplained = prune.eliminate(torch.cat([column, column], 1), 3 * column, 1)
    assert len(kept) == 1
    assert weight.item() == pytest.approx(3, abs=1e-2)
    assert unexplained < 1e-4


def test_a_pruned_detector_sees_what_the_full_one_sees() -> None:
    torch.manual_seed(0)
    full = nets.FaceDetector(nets.FULL_DETECTOR).eval()
    pictures = torch.rand(4, 3, 192, 256) * 2 - 1
    hidden = tuple(h if k in (1, 13) else h // 2 for k, h in enumerate(nets.FULL_DETECTOR))
    small = nets.FaceDetector(hidden)
    unexplained = prune.prune(full, small, pictures)
    assert len(unexplained) == len(hidden)
    with torch.no_grad():
        whole, half = (net.eval()(pictures)[0] for net in (full, small))
    assert (whole - half).abs().mean() < 0.2 * whole.std() + 0.02
