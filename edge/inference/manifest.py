"""Read models_tflite/manifest.toml: one entry per model, with everything needed to feed the model and to verify its
file.

A message names the file and the key. Model files are read only when asked for, and always checked against their
SHA-256: tflite-runtime crashes the process on a truncated file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..errors import ModelError
from ..system.files import WrongEncodingError, read_regular, read_toml

MANIFEST_NAME = "manifest.toml"
#: A larger file is not read.
MAX_MODEL_BYTES = 100_000_000
#: The models of the cascade, in the order in which it runs them.
MODEL_NAMES = ("face_detector", "mask_classifier", "expression_classifier")
#: Models that the door runs only if a setting asks for them, with that setting. A folder of models may be without them.
SETTING_OF = {
    "face_landmarks": "[landmarks] enabled",
    "masked_expression_classifier": "[expression] masked",
    "face_embedding": "[people] enabled",
}
OPTIONAL_MODEL_NAMES = tuple(SETTING_OF)
REINSTALL = "install Doorlight again"

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Positive = Annotated[int, Meta(ge=1, le=65536)]


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shape, type and quantisation of a model's input or output: real = (stored - zero_point) * scale."""

    shape: tuple[Positive, ...]
    dtype: Literal["uint8", "int8"]
    scale: Annotated[float, Meta(gt=0, le=1000)]
    zero_point: Annotated[int, Meta(ge=-128, le=255)]


class EdgeTpuFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same model compiled for the Edge TPU: another file with the same input, outputs and quantisation."""

    file: str
    sha256: Sha256


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest's entry for one model.

    `input` is (1, height, width, channels) with pixel values 0 to 255, RGB or grey as `colour` says. `threshold` is the
    probability from which the answer is yes (a face, a mask). `slope` and `offset` calibrate a probability p: logit(p')
    = slope * logit(p) + offset. `margin` is the side of a crop divided by the longer side of the face box. `edgetpu` is
    None if the model is not compiled for the Edge TPU (scripts/compile_edgetpu.sh does it).
    """

    file: str
    sha256: Sha256
    date: str
    architecture: str
    colour: Literal["RGB", "grey"]
    input: Tensor
    outputs: dict[str, Tensor]
    labels: tuple[str, ...]
    threshold: Annotated[float, Meta(ge=0, le=1)]
    metrics: dict[str, Any]
    data: dict[str, Any]
    strides: tuple[Positive, ...] = ()
    margin: Annotated[float, Meta(gt=0, le=10)] = 1.0
    slope: Annotated[float, Meta(gt=0, le=20)] = 1.0
    offset: Annotated[float, Meta(ge=-20, le=20)] = 0.0
    edgetpu: EdgeTpuFile | None = None


class Manifest(Mapping[str, ModelEntry]):
    """The entries of a manifest by model name. `folder` holds the model files."""

    def __init__(self, folder: Path, entries: dict[str, ModelEntry]) -> None:
        self.folder = folder
        self._entries = entries

    def __getitem__(self, name: str) -> ModelEntry:
        """Return the entry of model `name`. Raises ModelError if there is none."""
        try:
            return self._entries[name]
        except KeyError:
            raise self._missing(name) from None

    def _missing(self, name: str) -> ModelError:
        where = self.folder / MANIFEST_NAME
        if setting := SETTING_OF.get(name):
            return ModelError(
                f"{where}: no model '{name}', which {setting} = true needs",
                f"set {setting} = false, or install a version of Doorlight that has this model",
            )
        return ModelError(f"{where}: no model '{name}'", "is --models the right folder?")

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # Mapping's own method expects a KeyError

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def without_edgetpu(self, names: Iterable[str]) -> list[str]:
        """Return those of `names` that are not compiled for the Edge TPU."""
        return [name for name in names if self[name].edgetpu is None]

    def read(self, name: str, edgetpu: bool = False) -> bytes:
        """Return the content of a model file, or of the file compiled for the Edge TPU, after checking its SHA-256.

        Raises ModelError if there is no such file, or if it cannot be read or has another SHA-256.
        """
        entry = self[name]
        described = entry.edgetpu if edgetpu else entry
        if described is None:
            raise ModelError(
                f"{self.folder / MANIFEST_NAME}: '{name}' is not compiled for the Edge TPU",
                "compile it: scripts/compile_edgetpu.sh",
            )
        path = self.folder / described.file
        try:
            content = read_regular(path, MAX_MODEL_BYTES)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}", REINSTALL) from None
        found = hashlib.sha256(content).hexdigest()
        if found != described.sha256:
            raise ModelError(
                f"{path}: is damaged or not the model that {MANIFEST_NAME} describes "
                f"(sha256 {found[:12]}…, expected {described.sha256[:12]}…)",
                "copy the file again, or install Doorlight again",
            )
        return content


def find_shipped_models() -> Path:
    """Return the folder of the shipped models: inside the installed package, or next to it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "models_tflite"
    return installed if installed.is_dir() else package.parent / "models_tflite"


def load(folder: Path | None = None) -> Manifest:
    """Read the manifest in `folder` (default: the shipped models) without opening the model files.

    Raises ModelError, with file and key, if the manifest is missing or wrong.
    """
    folder = find_shipped_models() if folder is None else folder
    path = folder / MANIFEST_NAME
    try:
        raw = read_toml(path)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read: {error.strerror}", f"--models takes a folder with {MANIFEST_NAME}"
        ) from None
    except WrongEncodingError as error:
        raise ModelError(f"{path}: is {error.encoding} text, not UTF-8", "save it as UTF-8") from None
    except ValueError as error:
        raise ModelError(f"{path}: is not TOML: {error}", REINSTALL) from None
    return Manifest(folder, {name: _parse_entry(path, name, values) for name, values in raw.items()})


def _parse_entry(path: Path, name: str, values: object) -> ModelEntry:
    try:
        entry = msgspec.convert(values, ModelEntry)
    except msgspec.ValidationError as error:
        what, _, where = str(error).replace("`", "").partition(" - at $")
        raise ModelError(f"{path}: '{name}{where}': {what}", REINSTALL) from None
    channels = 3 if entry.colour == "RGB" else 1
    if len(entry.input.shape) != 4 or entry.input.shape[0] != 1 or entry.input.shape[3] != channels:
        raise ModelError(
            f"{path}: '{name}.input.shape' must be [1, height, width, {channels}] for {entry.colour}", REINSTALL
        )
    files = {"file": entry.file} | ({"edgetpu.file": entry.edgetpu.file} if entry.edgetpu else {})
    for key, file in files.items():
        if Path(file).name != file or "\0" in file:
            raise ModelError(f"{path}: '{name}.{key}' must be a file name without a folder, found {file!r}", REINSTALL)
    return entry
