"""YuNet's boxes and input, with a network that marks one cell."""

from __future__ import annotations

import doctest
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.errors import ModelError, UnavailableError
from peers import yunet

NAMES = [f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in yunet.STRIDES]


class FakeSession:
    """A network that sees one face of 160 x 80 pixels in cell (3, 5) of stride 16, and the same again beside it."""

    pixels: np.ndarray

    def __init__(self, content: bytes, options: Any) -> None:
        if content != b"yunet":
            raise ValueError("no graph in it\nat line 1")

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in NAMES]

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        FakeSession.pixels = inputs["input"]
        height, width = inputs["input"].shape[2:]
        outputs = []
        for name in names:
            head, _, stride = name.partition("_")
            cells = (height // int(stride)) * (width // int(stride))
            out = np.zeros((1, cells, {"bbox": 4, "kps": 10}.get(head, 1)), np.float32)
            if stride == "16":
                for k, score in ((5 * (width // 16) + 3, 0.99), (5 * (width // 16) + 4, 0.95)):
                    out[0, k] = (0.5 + 3 - k % (width // 16), 0.5, np.log(10), np.log(5)) if head == "bbox" else score
            outputs.append(out)
        return outputs


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> yunet.YuNet:
    runtime = SimpleNamespace(InferenceSession=FakeSession, SessionOptions=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    (tmp_path / "yunet.onnx").write_bytes(b"yunet")
    return yunet.YuNet(tmp_path / "yunet.onnx")


def test_a_face_is_found_once_in_pixels_of_the_picture(detector: yunet.YuNet) -> None:
    picture = np.full((240, 320, 3), (200, 100, 50), np.uint8)
    (found,) = detector.detect(picture)
    # The picture was doubled: the face's centre is (56, 88) in the input.
    np.testing.assert_allclose(found.box, (0, 24, 68, 64), atol=0.01)
    assert found.score == pytest.approx(0.99)
    assert FakeSession.pixels.shape == (1, 3, 480, 640)
    assert FakeSession.pixels[0, :, 100, 100].tolist() == [50, 100, 200]  # BGR, as OpenCV reads


def test_the_landmarks_of_the_surest_face_are_in_pixels_of_the_picture(detector: yunet.YuNet) -> None:
    points, score = detector.landmarks(np.full((240, 320, 3), 9, np.uint8))
    assert score == pytest.approx(0.99)
    # All of them a cell's size from the corner of cell (3, 5), halved like the picture.
    np.testing.assert_allclose(points, [[(3 + 0.99) * 16 / 2, (5 + 0.99) * 16 / 2]] * 5, rtol=1e-5)


def test_a_picture_of_another_aspect_is_padded_below_and_on_the_right(detector: yunet.YuNet) -> None:
    detector.detect(np.full((100, 640, 3), 9, np.uint8))
    assert FakeSession.pixels.shape == (1, 3, 128, 640)
    assert FakeSession.pixels[0, 0, 99].min() == 9
    assert FakeSession.pixels[0, 0, 100].max() == 0


def test_a_higher_threshold_leaves_nothing(detector: yunet.YuNet) -> None:
    assert detector.detect(np.zeros((240, 320, 3), np.uint8), 0.995) == []


def test_files_that_are_not_yunet_are_named(
    detector: yunet.YuNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx.*No such file"):
        yunet.YuNet(tmp_path / "none.onnx")
    (tmp_path / "torn.onnx").write_bytes(b"torn")
    with pytest.raises(ModelError, match=r"torn\.onnx: is not an ONNX model: no graph in it$"):
        yunet.YuNet(tmp_path / "torn.onnx")
    monkeypatch.setattr(sys.modules[__name__], "NAMES", ["scores"])
    with pytest.raises(ModelError, match="is not YuNet"):
        yunet.YuNet(tmp_path / "yunet.onnx")


def test_without_its_runtime_the_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UnavailableError, match="needs ONNX Runtime"):
        yunet.YuNet(tmp_path / "yunet.onnx")


def test_examples_in_docstrings() -> None:
    failed, tried = doctest.testmod(yunet, extraglobs={"np": np})
    assert tried
    assert not failed
