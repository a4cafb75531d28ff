"""The reader of dlib's face recognition network: what it reads, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra: pip install .[train]")

import torch

from support.face_teacher_file import network
from training.checkpoints import TrainingError
from training.face_teacher import CHIP, FaceTeacher


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dlib.dat"
    path.write_bytes(network())
    return path


def test_the_file_becomes_a_network_of_29_convolutions(file: Path) -> None:
    teacher = FaceTeacher(file)
    chips = np.random.default_rng(0).integers(0, 255, (2, CHIP, CHIP, 3)).astype(np.uint8)
    vectors = teacher.answers(chips)
    assert vectors.shape == (2, 128)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert np.abs(vectors[0] - vectors[1]).max() > 0
    strides = [layer.stride[0] for layer in teacher.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert strides == [2 if k in (0, 7, 15, 21, 27) else 1 for k in range(29)]


@pytest.mark.parametrize(
    "content",
    [b"", b"con_4", network(28), network()[:-400], b"con_4\x01\x02\x04\xff\xff\xff\xff\x01\x01\x01\x01\x01\x01" * 3],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.dat"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"other\.dat: "):
        FaceTeacher(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none\.dat: cannot be read: No such file"):
        FaceTeacher(tmp_path / "none.dat")
