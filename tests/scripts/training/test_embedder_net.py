"""The face embedder's network: what it takes from the large one, and what it becomes in TFLite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra: pip install .[train]")

import torch

from support.face_teacher_file import WIDTHS, network
from training import convert, embedder_net
from training.arrays import Picture
from training.embedder_net import EXACT, VECTOR, Embedder
from training.face_teacher import CHIP, FaceTeacher
from training.nets import normalise, stack

#: The blocks before the first that pads otherwise than the large network.
ALIKE = 10


@pytest.fixture
def large(tmp_path: Path) -> FaceTeacher:
    (tmp_path / "dlib.dat").write_bytes(network())
    return FaceTeacher(tmp_path / "dlib.dat")


@pytest.fixture
def chips() -> Picture:
    return np.random.default_rng(2).integers(0, 255, (3, CHIP, CHIP, 3)).astype(np.uint8)


def small(monkeypatch: pytest.MonkeyPatch, large: FaceTeacher, chips: Picture, rank: int | None) -> Embedder:
    """Return a network with the channels of the large one, which imitates it by way of `rank` channels."""
    monkeypatch.setattr(embedder_net, "CHANNELS", tuple(WIDTHS))
    monkeypatch.setattr(embedder_net, "RANKS", (None, *[rank and min(rank, width) for width in WIDTHS[1:]]))
    net = Embedder().eval()
    net.imitate(large, chips, torch.zeros(VECTOR))
    return net


def middles(large: FaceTeacher, net: Embedder, chips: Picture) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what both networks know of the chips after ALIKE blocks."""
    seen: list[torch.Tensor] = []
    large.convolutions[2 * ALIKE + 1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    large.answers(chips)
    with torch.no_grad():
        return seen[0], net.known(net.front(normalise(stack(list(chips)))))[ALIKE - EXACT - 1]


@pytest.mark.parametrize("rank", [None, 5])
def test_with_room_for_all_it_answers_as_the_large_network(
    rank: int | None, large: FaceTeacher, chips: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, found = middles(large, small(monkeypatch, large, chips, rank), chips)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_with_less_room_it_keeps_the_most(large: FaceTeacher, chips: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = []
    for rank in (1, 2, 3, 4):
        expected, found = middles(large, small(monkeypatch, large, chips, rank), chips)
        errors.append(float((found - expected).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_it_becomes_the_same_in_tflite(large: FaceTeacher, chips: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow", reason="training needs the extra: pip install .[train]")
    net = small(monkeypatch, large, chips, 3)
    pictures = normalise(stack(list(chips)))
    keras = convert.to_keras(net, (CHIP, CHIP, 3), lambda outputs: outputs[0])
    found = [keras(pictures[k : k + 1].permute(0, 2, 3, 1).numpy()).numpy()[0] for k in range(len(chips))]
    with torch.no_grad():
        expected = net(pictures).numpy()
    np.testing.assert_allclose(np.stack(found), expected, rtol=1e-3, atol=1e-4 * float(np.abs(expected).max()))


def test_its_size_is_that_of_the_product() -> None:
    net = Embedder()
    # A weight is a byte; biases and scales of 8-bit layers take about 80 kB.
    assert sum(p.numel() for p in net.parameters()) < 1_410_000
    with torch.no_grad():
        assert net.eval()(torch.zeros(1, 3, CHIP, CHIP)).shape == (1, VECTOR)
