"""The data format: the pictures of index.jsonl with their faces, and the files that lie beside it.

README.md of this folder describes the format. Every function raises DataError, which names file, line and field, if a
file does not follow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from .arrays import Box, Floats

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
#: Score and number of looks (of four) from which a missed face is a face, if a second detector agrees.
MISSED_MIN_SCORE, MISSED_MIN_LOOKS = 0.7, 3
#: Score and number of looks (of three) from which a teacher's face can be trusted.
TRUSTED_MIN_SCORE, TRUSTED_MIN_LOOKS = 0.6, 2

Points = Annotated[list[tuple[float, float]], Meta(min_length=5, max_length=5)]
Text = Annotated[str, Meta(min_length=1)]
Pixels = Annotated[int, Meta(ge=1)]
Votes = Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(min_length=10, max_length=10)]
Row = TypeVar("Row", bound="_Row")


class DataError(Exception):
    """A data set that cannot be trusted; the message names record and field."""


@dataclass(frozen=True)
class Face:
    """One labelled face.

    `box` is in pixels of the picture. `label` is mask, no_mask, incorrect (worn wrongly), unknown (a face of which
    nobody says whether it wears a mask) or ignore (perhaps a face: neither a face nor background). `by` is human or
    teacher. `looks` is the number of looks at which the teacher saw it. `points` are landmarks, see `landmarks`.
    """

    box: Box
    label: str
    by: str
    score: float = 1.0
    looks: float = 3
    points: Floats | None = field(default=None, compare=False)

    @property
    def trusted(self) -> bool:
        """True if a human drew the box, or if the teacher is sure."""
        return self.by == "human" or (self.looks >= TRUSTED_MIN_LOOKS and self.score >= TRUSTED_MIN_SCORE)

    @property
    def height(self) -> float:
        """The height of the box in pixels."""
        return self.box[3] - self.box[1]


@dataclass(frozen=True)
class Record:
    """One picture of a data set. `points` are the landmarks of a crop's face."""

    file: str
    source: str
    width: int
    height: int
    label: str | None = None
    expression: str | None = None
    group: str | None = None
    crop: bool = False
    squashed: bool = False
    split: str | None = None
    votes: tuple[int, ...] | None = None
    age: float | None = None
    sex: str | None = None
    ethnicity: str | None = None
    faces: tuple[Face, ...] | None = None
    points: Floats | None = field(default=None, compare=False)

    @property
    def human(self) -> bool:
        """True if a human drew a box in it."""
        return any(f.by == "human" for f in self.faces or ())

    @property
    def face_free(self) -> bool:
        """True if the picture is known to show no face.

        A picture of a person, with a label, an expression or a group, shows one even if its teacher saw none.
        """
        return self.faces == () and not self.crop and not (self.label or self.expression or self.group)


class _Row(msgspec.Struct):
    """One line of a file. Unknown fields are allowed."""


class _FaceRow(_Row):
    box: Box
    label: Literal["mask", "no_mask", "incorrect", "unknown", "ignore"]
    by: Literal["human", "teacher"] = "human"
    score: float = 1.0
    looks: float = 3
    points: Points | None = None


class _PictureRow(_Row):
    file: Text
    source: Text
    width: Pixels
    height: Pixels
    label: Literal["mask", "no_mask"] | None = None
    expression: Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"] | None = None
    group: str | None = None
    crop: bool | None = None
    squashed: bool | None = None
    split: Literal["Training", "PublicTest"] | None = None
    votes: Votes | None = None
    age: Annotated[float, Meta(ge=0)] | None = None
    sex: str | None = None
    ethnicity: str | None = None
    faces: list[_FaceRow] | None = None


class _MissedFace(_Row):
    box: Box
    score: float
    looks: float
    agree: bool | None = None
    mask: bool | None = None


class _MissedRow(_Row):
    file: Text
    faces: list[_MissedFace]


class _FaceWithPoints(_Row):
    box: Box
    points: Points


class _LandmarksRow(_Row):
    file: Text
    faces: list[_FaceWithPoints]


class _CorrectedFace(_Row):
    box: Box
    label: Literal["mask", "no_mask", "incorrect", "unknown", "not_a_face"]


class _CorrectionsRow(_Row):
    file: Text
    faces: list[_CorrectedFace]


def read_index(path: Path) -> Iterator[tuple[str, Record]]:
    """Yield (place for messages, record) of each line of an index.jsonl."""
    for where, row in _rows(path, _PictureRow):
        faces = None
        if row.faces is not None:
            faces = tuple(
                _face(f, f"{where}: field 'faces[{k}].box'", row) for k, f in enumerate(row.faces) if _counts(f, row)
            )
        known = {
            name: getattr(row, name) for name in row.__struct_fields__ if name not in ("faces", "crop", "squashed")
        }
        yield where, Record(**known, crop=bool(row.crop), squashed=bool(row.squashed), faces=faces)


def read_missed(path: Path) -> dict[str, tuple[Face, ...]]:
    """Return the faces of a missed.jsonl by the picture's file name."""
    return {row.file: tuple(_missed_face(face) for face in row.faces) for _, row in _rows(path, _MissedRow)}


def read_landmarks(path: Path) -> dict[str, list[tuple[Box, Floats]]]:
    """Return the faces (box, landmarks) of a points.jsonl by the picture's file name, the surest first."""
    rows = _rows(path, _LandmarksRow)
    return {row.file: [(f.box, np.array(f.points, np.float32)) for f in row.faces] for _, row in rows if row.faces}


def read_corrections(path: Path) -> dict[str, dict[Box, str]]:
    """Return the right labels of a corrections.jsonl, by the picture's file name and the face's box."""
    return {row.file: {f.box: f.label for f in row.faces} for _, row in _rows(path, _CorrectionsRow)}


def _rows(path: Path, kind: type[Row]) -> Iterator[tuple[str, Row]]:
    """Yield (place for messages, row) of each line of a JSON Lines file."""
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                yield where, decoder.decode(line)
            except msgspec.ValidationError as error:
                # Such as "Expected `int`, got `str` - at `$.width`"; a missing field has no place of its own.
                what, _, place = str(error).replace("`", "").partition(" - at $")
                raise DataError(
                    f"{where}: field '{place.lstrip('.')}': {what}" if place else f"{where}: {what}"
                ) from None
            except msgspec.DecodeError as error:
                raise DataError(f"{where}: not JSON: {error}") from None


def _counts(face: _FaceRow, row: _PictureRow) -> bool:
    """Return False for a teacher's box beside the picture, which says nothing about it."""
    return face.by == "human" or _is_inside(face.box, row) or not _has_area(face.box)


def _face(face: _FaceRow, where: str, row: _PictureRow) -> Face:
    if not (_has_area(face.box) and _is_inside(face.box, row)):
        raise DataError(f"{where}: {list(face.box)} lies outside the {row.width}x{row.height} picture or is empty")
    points = None if face.points is None else np.array(face.points, np.float32)
    return Face(face.box, face.label, face.by, face.score, face.looks, points)


def _has_area(box: Box) -> bool:
    return box[0] < box[2] and box[1] < box[3]


def _is_inside(box: Box, row: _PictureRow) -> bool:
    """Return True if a part of the box is inside the picture."""
    return box[2] > 0 and box[3] > 0 and box[0] < row.width and box[1] < row.height


def _missed_face(face: _MissedFace) -> Face:
    """Return a teacher's face if the teacher is sure enough, else one with the label `ignore`."""
    if not (face.score >= MISSED_MIN_SCORE and face.looks >= MISSED_MIN_LOOKS and face.agree):
        return Face(face.box, "ignore", "teacher", face.score, face.looks)
    label = "unknown" if face.mask is None else "mask" if face.mask else "no_mask"
    return Face(face.box, label, "teacher", face.score, face.looks)
