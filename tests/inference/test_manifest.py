"""The manifest: what is refused, with which words; and that the shipped one is whole."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from edge.errors import ModelError
from edge.inference import manifest

CONTENT = b"stands for a model"
TEXT = f"""
[mask_classifier]
file = "mask.tflite"
sha256 = "{hashlib.sha256(CONTENT).hexdigest()}"
date = "2026-11-20"
architecture = "none"
colour = "RGB"
input = {{ shape = [1, 96, 64, 3], dtype = "uint8", scale = 0.0078125, zero_point = 127 }}
labels = ["no mask", "mask"]
threshold = 0.5
margin = 1.2
[mask_classifier.outputs]
probabilities = {{ shape = [1, 2], dtype = "uint8", scale = 0.00390625, zero_point = 0 }}
[mask_classifier.metrics]
[mask_classifier.data]
"""

#: What to put in place of what, and the words of the complaint.
WRONG = {
    "not TOML": ("[mask_classifier]", "[mask_classifier", ["is not TOML"]),
    "unknown key": ("margin = ", "margn = ", ["'mask_classifier'", "margn"]),
    "missing key": ('colour = "RGB"\n', "", ["'mask_classifier'", "colour"]),
    "sha256 too short": ('sha256 = "', 'sha256 = "abc"\n#', ["mask_classifier.sha256", "[0-9a-f]{64}"]),
    "sha256 in capitals": (
        f'"{hashlib.sha256(CONTENT).hexdigest()}"',
        f'"{hashlib.sha256(CONTENT).hexdigest().upper()}"',
        ["mask_classifier.sha256", "[0-9a-f]{64}"],
    ),
    "row is a value": ("[mask_classifier]", "face_detector = 3\n[mask_classifier]", ["'face_detector'", "object"]),
    "folder in file": ('"mask.tflite"', '"../mask.tflite"', ["mask_classifier.file", "'../mask.tflite'"]),
    "folder in the twin's file": (
        "margin = ",
        f'edgetpu = {{ file = "../twin.tflite", sha256 = "{"0" * 64}" }}\nmargin = ',
        ["mask_classifier.edgetpu.file", "'../twin.tflite'"],
    ),
    "twin without its hash": (
        "margin = ",
        'edgetpu = { file = "twin.tflite" }\nmargin = ',
        ["mask_classifier.edgetpu", "sha256"],
    ),
    "other folder": ('"mask.tflite"', '"/etc/passwd"', ["mask_classifier.file", "'/etc/passwd'"]),
    "no batch": ("[1, 96, 64, 3]", "[96, 64, 3]", ["mask_classifier.input.shape", "[1, height, width, 3]"]),
    "batch of two": ("[1, 96, 64, 3]", "[2, 96, 64, 3]", ["mask_classifier.input.shape", "[1, height, width, 3]"]),
    "grey with three channels": ('"RGB"', '"grey"', ["mask_classifier.input.shape", "[1, height, width, 1] for grey"]),
    "RGB with one channel": ("[1, 96, 64, 3]", "[1, 96, 64, 1]", ["[1, height, width, 3] for RGB"]),
    "no size": ("[1, 96, 64, 3]", "[1, 0, 64, 3]", ["mask_classifier.input.shape", ">= 1"]),
    "float input": ('dtype = "uint8"', 'dtype = "float32"', ["mask_classifier.input.dtype", "'float32'"]),
    "no scale": ("scale = 0.0078125", "scale = 0.0", ["mask_classifier.input.scale", "> 0"]),
    "other colour": ('"RGB"', '"BGR"', ["mask_classifier.colour", "'BGR'"]),
    "threshold as percent": ("threshold = 0.5", "threshold = 50", ["mask_classifier.threshold", "<= 1"]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A right manifest with its one file."""
    (tmp_path / "manifest.toml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "mask.tflite").write_bytes(CONTENT)
    return tmp_path


def complaint(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        manifest.load(folder)
    assert str(caught.value).startswith(f"{folder / 'manifest.toml'}: ")
    return str(caught.value)


class TestLoad:
    def test_right(self, folder: Path) -> None:
        found = manifest.load(folder)
        assert (list(found), len(found), found.folder) == (["mask_classifier"], 1, folder)
        row = found["mask_classifier"]
        assert row.input.shape == (1, 96, 64, 3)
        assert (row.labels, row.margin, row.slope, row.offset, row.strides) == (("no mask", "mask"), 1.2, 1, 0, ())

    @pytest.mark.parametrize(("old", "new", "words"), WRONG.values(), ids=WRONG.keys())
    def test_wrong(self, folder: Path, old: str, new: str, words: list[str]) -> None:
        assert old in TEXT
        (folder / "manifest.toml").write_text(TEXT.replace(old, new, 1), encoding="utf-8")
        found = complaint(folder)
        assert [word for word in words if word not in found] == []

    def test_not_text(self, folder: Path) -> None:
        (folder / "manifest.toml").write_bytes(b"\xff\xfe")
        assert "is not TOML" in complaint(folder)

    def test_no_manifest(self, tmp_path: Path) -> None:
        assert "No such file" in complaint(tmp_path)

    def test_no_folder(self, tmp_path: Path) -> None:
        assert "No such file" in complaint(tmp_path / "none")

    def test_a_file_for_a_folder(self, folder: Path) -> None:
        assert "Not a directory" in complaint(folder / "mask.tflite")

    def test_files_are_not_opened_yet(self, folder: Path) -> None:
        (folder / "mask.tflite").unlink()
        assert "mask_classifier" in manifest.load(folder)

    def test_no_such_model(self, folder: Path) -> None:
        found = manifest.load(folder)
        assert "face_detector" not in found
        with pytest.raises(ModelError, match=re.escape(f"{folder / 'manifest.toml'}: no model 'face_detector'")):
            found["face_detector"]
        with pytest.raises(ModelError, match="face_detector"):
            found.read("face_detector")


class TestRead:
    def test_right(self, folder: Path) -> None:
        assert manifest.load(folder).read("mask_classifier") == CONTENT

    @pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"\0", b"", b"Stands for a model"])
    def test_another_file(self, folder: Path, content: bytes) -> None:
        (folder / "mask.tflite").write_bytes(content)
        with pytest.raises(ModelError) as caught:
            manifest.load(folder).read("mask_classifier")
        assert str(folder / "mask.tflite") in str(caught.value)
        assert hashlib.sha256(content).hexdigest()[:12] in str(caught.value)
        assert hashlib.sha256(CONTENT).hexdigest()[:12] in str(caught.value)

    def test_twin(self, folder: Path) -> None:
        """The same model, compiled for the Edge TPU: of its own file and hash, and there or not."""
        assert manifest.load(folder).without_edgetpu(["mask_classifier"]) == ["mask_classifier"]
        with pytest.raises(ModelError, match="'mask_classifier' is not compiled for the Edge TPU"):
            manifest.load(folder).read("mask_classifier", edgetpu=True)
        row = f'edgetpu = {{ file = "twin.tflite", sha256 = "{hashlib.sha256(b"twin").hexdigest()}" }}\nmargin = '
        (folder / "manifest.toml").write_text(TEXT.replace("margin = ", row), encoding="utf-8")
        found = manifest.load(folder)
        assert found.without_edgetpu(["mask_classifier"]) == []
        with pytest.raises(ModelError, match=r"twin\.tflite: cannot be read"):
            found.read("mask_classifier", edgetpu=True)
        (folder / "twin.tflite").write_bytes(b"twin")
        assert found.read("mask_classifier", edgetpu=True) == b"twin"
        assert found.read("mask_classifier") == CONTENT
        (folder / "twin.tflite").write_bytes(CONTENT)
        with pytest.raises(ModelError, match=r"twin\.tflite: is damaged"):
            found.read("mask_classifier", edgetpu=True)

    @pytest.mark.parametrize("name", ["none.tflite", "..", "."])
    def test_no_file(self, folder: Path, name: str) -> None:
        (folder / "manifest.toml").write_text(TEXT.replace('"mask.tflite"', f'"{name}"'), encoding="utf-8")
        with pytest.raises(ModelError, match=r"cannot be read|without a folder"):
            manifest.load(folder).read("mask_classifier")


class TestShipped:
    def test_whole(self) -> None:
        """Every model has a row and a card, every row a file, and nothing lies about."""
        shipped = manifest.load()
        assert shipped
        assert set(shipped) <= set(manifest.MODEL_NAMES)
        files = {row.file for row in shipped.values()} | {row.edgetpu.file for row in shipped.values() if row.edgetpu}
        assert {path.name for path in shipped.folder.glob("*.tflite")} == files
        assert {f"{name}.md" for name in shipped} <= {path.name for path in shipped.folder.glob("*.md")}

    @pytest.mark.parametrize("name", sorted(manifest.load()))
    def test_row(self, name: str) -> None:
        shipped = manifest.load()
        row = shipped[name]
        content = shipped.read(name)
        assert row.input.dtype == "uint8", "pixels go in as they are"
        assert content[4:8] == b"TFL3"
        assert row.metrics.get("bytes", len(content)) == len(content)
        assert len(set(row.labels)) == len(row.labels)
        shapes = [tensor.shape for tensor in row.outputs.values()]
        assert len(set(shapes)) == len(shapes), "outputs are told apart by shape"
