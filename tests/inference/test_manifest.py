"""The manifest: which ones are refused and why, reading model files, and the shipped manifest."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from edge.errors import ModelError
from edge.inference import manifest

CONTENT = b"the content of a model"
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

#: Text to replace, the text to put there, and words of the error message.
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
    "entry is a value": ("[mask_classifier]", "face_detector = 3\n[mask_classifier]", ["'face_detector'", "object"]),
    "folder in file": ('"mask.tflite"', '"../mask.tflite"', ["mask_classifier.file", "'../mask.tflite'"]),
    "folder in the Edge TPU file": (
        "margin = ",
        f'edgetpu = {{ file = "../edgetpu.tflite", sha256 = "{"0" * 64}" }}\nmargin = ',
        ["mask_classifier.edgetpu.file", "'../edgetpu.tflite'"],
    ),
    "Edge TPU file without sha256": (
        "margin = ",
        'edgetpu = { file = "edgetpu.tflite" }\nmargin = ',
        ["mask_classifier.edgetpu", "sha256"],
    ),
    "other folder": ('"mask.tflite"', '"/etc/passwd"', ["mask_classifier.file", "'/etc/passwd'"]),
    "no batch axis": ("[1, 96, 64, 3]", "[96, 64, 3]", ["mask_classifier.input.shape", "[1, height, width, 3]"]),
    "batch of two": ("[1, 96, 64, 3]", "[2, 96, 64, 3]", ["mask_classifier.input.shape", "[1, height, width, 3]"]),
    "grey with three channels": ('"RGB"', '"grey"', ["mask_classifier.input.shape", "[1, height, width, 1] for grey"]),
    "RGB with one channel": ("[1, 96, 64, 3]", "[1, 96, 64, 1]", ["[1, height, width, 3] for RGB"]),
    "height of 0": ("[1, 96, 64, 3]", "[1, 0, 64, 3]", ["mask_classifier.input.shape", ">= 1"]),
    "float input": ('dtype = "uint8"', 'dtype = "float32"', ["mask_classifier.input.dtype", "'float32'"]),
    "no scale": ("scale = 0.0078125", "scale = 0.0", ["mask_classifier.input.scale", "> 0"]),
    "other colour": ('"RGB"', '"BGR"', ["mask_classifier.colour", "'BGR'"]),
    "threshold in percent": ("threshold = 0.5", "threshold = 50", ["mask_classifier.threshold", "<= 1"]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A valid manifest with one model file."""
    (tmp_path / "manifest.toml").write_text(TEXT, encoding="utf-8")
    (tmp_path / "mask.tflite").write_bytes(CONTENT)
    return tmp_path


def load_error(folder: Path) -> str:
    """Return the message with which a manifest is refused; it begins with the file."""
    with pytest.raises(ModelError) as caught:
        manifest.load(folder)
    assert str(caught.value).startswith(f"{folder / 'manifest.toml'}: ")
    return str(caught.value)


class TestLoad:
    def test_a_valid_manifest(self, folder: Path) -> None:
        found = manifest.load(folder)
        assert (list(found), len(found), found.folder) == (["mask_classifier"], 1, folder)
        entry = found["mask_classifier"]
        assert entry.input.shape == (1, 96, 64, 3)
        assert (entry.labels, entry.margin, entry.slope, entry.offset, entry.strides) == (
            ("no mask", "mask"),
            1.2,
            1,
            0,
            (),
        )

    @pytest.mark.parametrize(("old", "new", "words"), WRONG.values(), ids=WRONG.keys())
    def test_a_wrong_entry_is_refused_with_file_and_key(
        self, folder: Path, old: str, new: str, words: list[str]
    ) -> None:
        assert old in TEXT
        (folder / "manifest.toml").write_text(TEXT.replace(old, new, 1), encoding="utf-8")
        found = load_error(folder)
        assert [word for word in words if word not in found] == []

    def test_binary_data_is_refused(self, folder: Path) -> None:
        (folder / "manifest.toml").write_bytes(b"\xff\xfe")
        assert "is not TOML" in load_error(folder)

    def test_a_byte_order_mark_is_skipped_and_another_encoding_is_named(self, folder: Path) -> None:
        (folder / "manifest.toml").write_text(TEXT, encoding="utf-8-sig")
        assert list(manifest.load(folder)) == ["mask_classifier"]
        (folder / "manifest.toml").write_text(TEXT, encoding="utf-16")
        assert "is UTF-16 text" in load_error(folder)

    def test_a_missing_manifest_is_refused(self, tmp_path: Path) -> None:
        assert "No such file" in load_error(tmp_path)

    def test_a_missing_folder_is_refused(self, tmp_path: Path) -> None:
        assert "No such file" in load_error(tmp_path / "none")

    def test_a_file_in_place_of_the_folder_is_refused(self, folder: Path) -> None:
        assert "Not a directory" in load_error(folder / "mask.tflite")

    def test_model_files_are_not_opened(self, folder: Path) -> None:
        (folder / "mask.tflite").unlink()
        assert "mask_classifier" in manifest.load(folder)

    def test_a_missing_model_is_reported(self, folder: Path) -> None:
        found = manifest.load(folder)
        assert "face_detector" not in found
        with pytest.raises(ModelError, match=re.escape(f"{folder / 'manifest.toml'}: no model 'face_detector'")):
            found["face_detector"]
        with pytest.raises(ModelError, match="face_detector"):
            found.read("face_detector")


class TestRead:
    def test_a_valid_file(self, folder: Path) -> None:
        assert manifest.load(folder).read("mask_classifier") == CONTENT

    @pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"\0", b"", b"The content of a model"])
    def test_a_file_with_another_sha256_is_refused(self, folder: Path, content: bytes) -> None:
        (folder / "mask.tflite").write_bytes(content)
        with pytest.raises(ModelError) as caught:
            manifest.load(folder).read("mask_classifier")
        assert str(folder / "mask.tflite") in str(caught.value)
        assert hashlib.sha256(content).hexdigest()[:12] in str(caught.value)
        assert hashlib.sha256(CONTENT).hexdigest()[:12] in str(caught.value)

    def test_the_file_compiled_for_the_edge_tpu_has_its_own_sha256(self, folder: Path) -> None:
        assert manifest.load(folder).without_edgetpu(["mask_classifier"]) == ["mask_classifier"]
        with pytest.raises(ModelError, match="'mask_classifier' is not compiled for the Edge TPU"):
            manifest.load(folder).read("mask_classifier", edgetpu=True)
        field = (
            f'edgetpu = {{ file = "edgetpu.tflite", sha256 = "{hashlib.sha256(b"compiled").hexdigest()}" }}\nmargin = '
        )
        (folder / "manifest.toml").write_text(TEXT.replace("margin = ", field), encoding="utf-8")
        found = manifest.load(folder)
        assert found.without_edgetpu(["mask_classifier"]) == []
        with pytest.raises(ModelError, match=r"edgetpu\.tflite: cannot be read"):
            found.read("mask_classifier", edgetpu=True)
        (folder / "edgetpu.tflite").write_bytes(b"compiled")
        assert found.read("mask_classifier", edgetpu=True) == b"compiled"
        assert found.read("mask_classifier") == CONTENT
        (folder / "edgetpu.tflite").write_bytes(CONTENT)
        with pytest.raises(ModelError, match=r"edgetpu\.tflite: is damaged"):
            found.read("mask_classifier", edgetpu=True)

    @pytest.mark.parametrize("name", ["none.tflite", "..", "."])
    def test_a_name_that_is_not_a_file_is_refused(self, folder: Path, name: str) -> None:
        (folder / "manifest.toml").write_text(TEXT.replace('"mask.tflite"', f'"{name}"'), encoding="utf-8")
        with pytest.raises(ModelError, match=r"cannot be read|without a folder"):
            manifest.load(folder).read("mask_classifier")


class TestShipped:
    def test_models_entries_and_cards_belong_together(self) -> None:
        """Every entry has a file and a card, and there is no other model file."""
        shipped = manifest.load()
        assert shipped
        assert set(shipped) <= {*manifest.MODEL_NAMES, *manifest.OPTIONAL_MODEL_NAMES}
        files = {entry.file for entry in shipped.values()} | {
            entry.edgetpu.file for entry in shipped.values() if entry.edgetpu
        }
        assert {path.name for path in shipped.folder.glob("*.tflite")} == files
        assert {f"{name}.md" for name in shipped} <= {path.name for path in shipped.folder.glob("*.md")}

    @pytest.mark.parametrize("name", sorted(manifest.load()))
    def test_an_entry_describes_its_file(self, name: str) -> None:
        shipped = manifest.load()
        entry = shipped[name]
        content = shipped.read(name)
        assert entry.input.dtype == "uint8", "pixels are fed without conversion"
        assert content[4:8] == b"TFL3"
        assert entry.metrics.get("bytes", len(content)) == len(content)
        assert len(set(entry.labels)) == len(entry.labels)
        shapes = [tensor.shape for tensor in entry.outputs.values()]
        assert len(set(shapes)) == len(shapes), "outputs are recognised by shape"
