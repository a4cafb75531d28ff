"""What is in models_tflite/: one row a model, with everything needed to feed it and to trust it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .errors import ModelError
from .files import read_plain, read_toml

FILE = "manifest.toml"
#: Larger than this (bytes) is no model for a door.
MOST_MODEL = 100_000_000
NAMES = ("face_detector", "mask_classifier", "expression_classifier")
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Positive = Annotated[int, Meta(ge=1, le=65536)]


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shape, type and quantisation of a model's input or output: real = (stored - zero_point) * scale."""

    shape: tuple[Positive, ...]
    dtype: Literal["uint8", "int8"]
    scale: Annotated[float, Meta(gt=0, le=1000)]
    zero_point: Annotated[int, Meta(ge=-128, le=255)]


class Twin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same model compiled for the Edge TPU: same input, outputs and quantisation, another file."""

    file: str
    sha256: Sha256


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model. `input` is (1, height, width, channels) of plain pixels 0..255, RGB or grey by `colour`.

    `threshold` decides (a face, a mask); `slope` and `offset` calibrate a probability p on the log-odds scale:
    logit(p') = slope * logit(p) + offset. `margin` is the side of a crop in units of the face box's longer side.
    `edgetpu` is None where nobody has compiled the model for the Edge TPU (scripts/compile_edgetpu.sh does).
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
    edgetpu: Twin | None = None


class Manifest(Mapping[str, Row]):
    """The rows of a manifest, by model name; `folder` holds the files."""

    def __init__(self, folder: Path, rows: dict[str, Row]) -> None:
        self.folder = folder
        self._rows = rows

    def __getitem__(self, name: str) -> Row:
        try:
            return self._rows[name]
        except KeyError:
            raise ModelError(f"{self.folder / FILE}: no model '{name}'", "is --models the right folder?") from None

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __iter__(self) -> Any:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def without_twin(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that have no Edge TPU twin."""
        return [name for name in names if self[name].edgetpu is None]

    def read(self, name: str, edgetpu: bool = False) -> bytes:
        """The bytes of a model file (or of its Edge TPU twin), checked against the manifest.

        Raises ModelError if there is none, or it is missing or not that file.
        """
        row = self[name]
        described = row.edgetpu if edgetpu else row
        if described is None:
            raise ModelError(
                f"{self.folder / FILE}: '{name}' has no Edge TPU twin", "scripts/compile_edgetpu.sh makes one"
            )
        path = self.folder / described.file
        try:
            data = read_plain(path, MOST_MODEL)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}", "install Doorlight again") from None
        found = hashlib.sha256(data).hexdigest()
        if found != described.sha256:
            raise ModelError(
                f"{path}: is damaged or not the model that {FILE} describes "
                f"(sha256 {found[:12]}…, expected {described.sha256[:12]}…)",
                "copy the file again, or install Doorlight again",
            )
        return data


def shipped() -> Path:
    """The folder of the models that came with Doorlight: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "models_tflite"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "models_tflite"


def load(folder: Path | None = None) -> Manifest:
    """Read the manifest of `folder` (None: the shipped models). Model files are not opened yet.

    Raises ModelError, naming file and key, where it is missing or wrong.
    """
    folder = shipped() if folder is None else folder
    path = folder / FILE
    try:
        raw = read_toml(path)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read: {error.strerror}", "--models takes a folder with manifest.toml"
        ) from None
    except ValueError as error:
        raise ModelError(f"{path}: is not TOML: {error}", "install Doorlight again") from None
    rows: dict[str, Row] = {}
    for name, values in raw.items():
        try:
            row = rows[name] = msgspec.convert(values, Row)
        except msgspec.ValidationError as error:
            what, _, where = str(error).replace("`", "").partition(" - at $")
            raise ModelError(f"{path}: '{name}{where}': {what}", "install Doorlight again") from None
        wanted = 3 if row.colour == "RGB" else 1
        if len(row.input.shape) != 4 or row.input.shape[0] != 1 or row.input.shape[3] != wanted:
            raise ModelError(
                f"{path}: '{name}.input.shape' must be [1, height, width, {wanted}] for {row.colour}",
                "install Doorlight again",
            )
        files = {"file": row.file} | ({"edgetpu.file": row.edgetpu.file} if row.edgetpu else {})
        for key, file in files.items():
            if Path(file).name != file or "\0" in file:
                raise ModelError(
                    f"{path}: '{name}.{key}' must be a file name without a folder, found {file!r}",
                    "install Doorlight again",
                )
    return Manifest(folder, rows)
