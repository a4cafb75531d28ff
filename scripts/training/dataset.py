"""The data format (index.jsonl + images.zip or a folder), its checks, and splits that no face straddles."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from . import landmarks
from .arrays import Box, Floats, Picture

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
#: `unknown`: a face of which nobody says whether it wears a mask; `ignore`: perhaps a face, neither asked for nor background.
FACE_LABELS = ("mask", "no_mask", "incorrect", "unknown", "ignore")
#: The file, beside an index, that lists faces which the labels of any package miss.
MISSED = "missed.jsonl"
#: Teachers' boxes that are dogs, horses and other animals, found by eye: {"file", "boxes"} a line.
NOT_FACES = Path(__file__).with_name("not_faces.jsonl")
#: Score and number of looks (of four) from which a missed face is a face, if a second detector agrees.
MISSED_MIN_SCORE, MISSED_MIN_LOOKS = 0.7, 3
SPLITS = ("train", "val", "test")
#: Side of a face crop in units of the longer side of the face's box: of crops in the data, and of what the mask classifier gets.
CROP_MARGIN = 1.25


class DataError(Exception):
    """A data set that cannot be trusted; the message names record and field."""


@dataclass(frozen=True)
class Face:
    """One labelled face. `box` is in pixels of the picture; `points` are its landmarks, see `landmarks`."""

    box: Box
    label: str
    by: str
    score: float = 1.0
    looks: int = 3
    points: Floats | None = field(default=None, compare=False)

    @property
    def trusted(self) -> bool:
        return self.by == "human" or (self.looks >= 2 and self.score >= 0.6)

    @property
    def height(self) -> float:
        return self.box[3] - self.box[1]


@dataclass(frozen=True)
class Record:
    """One picture of a data set."""

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
    age: int | None = None
    sex: str | None = None
    ethnicity: str | None = None
    faces: tuple[Face, ...] | None = None
    #: Landmarks of the face of a crop.
    points: Floats | None = field(default=None, compare=False)

    @property
    def human(self) -> bool:
        return any(f.by == "human" for f in self.faces or ())

    @property
    def face_free(self) -> bool:
        """Whether the picture is known to show no face.

        A picture of a person, with a label, an expression or a group, holds one even if its teacher saw none.
        """
        return self.faces == () and not self.crop and not (self.label or self.expression or self.group)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(_is_number(v) for v in value)


def _record(row: Any, where: str) -> Record:
    def bad(name: str, why: str) -> DataError:
        return DataError(f"{where}: field '{name}': {why}")

    def one_of(name: str, values: Sequence[object], found: object) -> None:
        if found not in values:
            raise bad(name, f"must be {', '.join(str(v) for v in values if v is not None)}; found {found!r}")

    if not isinstance(row, dict):
        raise DataError(f"{where}: expected a JSON object, found {type(row).__name__}")
    for name, kind in (("file", str), ("source", str), ("width", int), ("height", int)):
        if not isinstance(row.get(name), kind) or isinstance(row[name], bool):
            raise bad(name, f"must be {kind.__name__}, found {row.get(name)!r}")
    if row["width"] < 1 or row["height"] < 1:
        raise bad("width", "a picture has at least one pixel")
    one_of("label", (None, "mask", "no_mask"), row.get("label"))
    one_of("expression", (None, *EXPRESSIONS), row.get("expression"))
    one_of("split", (None, "Training", "PublicTest"), row.get("split"))
    for name in ("crop", "squashed"):
        one_of(name, (None, False, True), row.get(name))
    for name in ("group", "sex", "ethnicity"):
        if not isinstance(row.get(name), str | None):
            raise bad(name, f"must be text, found {row[name]!r}")
    age = row.get("age")
    if age is not None and (not _is_number(age) or age < 0):
        raise bad("age", f"must be a number of years, found {age!r}")
    votes = row.get("votes")
    if votes is not None and (
        not isinstance(votes, list) or len(votes) != 10 or any(not isinstance(v, int) or v < 0 for v in votes)
    ):
        raise bad("votes", f"must be ten counts, found {votes!r}")
    faces = None
    if row.get("faces") is not None:
        if not isinstance(row["faces"], list):
            raise bad("faces", f"must be a list, found {row['faces']!r}")
        found = []
        for k, face in enumerate(row["faces"]):
            name = f"faces[{k}]"
            if not isinstance(face, dict):
                raise bad(name, f"must be an object with box and label, found {face!r}")
            box = face.get("box")
            if not _is_box(box):
                raise bad(f"{name}.box", f"must be four numbers, found {box!r}")
            one_of(f"{name}.by", ("human", "teacher"), face.get("by", "human"))
            one_of(f"{name}.label", FACE_LABELS, face.get("label"))
            for key in ("score", "looks"):
                if not _is_number(face.get(key, 1)):
                    raise bad(f"{name}.{key}", f"must be a number, found {face[key]!r}")
            x1, y1, x2, y2 = box
            if not (x1 < x2 and y1 < y2) or x2 <= 0 or y2 <= 0 or x1 >= row["width"] or y1 >= row["height"]:
                if face.get("by") == "teacher" and x1 < x2 and y1 < y2:
                    continue  # a teacher's anchor that drifted off the picture says nothing about it
                raise bad(f"{name}.box", f"{box} lies outside the {row['width']}x{row['height']} picture or is empty")
            found.append(
                Face(
                    (x1, y1, x2, y2),
                    face["label"],
                    face.get("by", "human"),
                    face.get("score", 1.0),
                    face.get("looks", 3),
                    landmarks.parse(face.get("points")),
                )
            )
        faces = tuple(found)
    return Record(
        file=row["file"],
        source=row["source"],
        width=row["width"],
        height=row["height"],
        label=row.get("label"),
        expression=row.get("expression"),
        group=row.get("group"),
        crop=bool(row.get("crop")),
        squashed=bool(row.get("squashed")),
        split=row.get("split"),
        votes=tuple(votes) if votes is not None else None,
        age=row.get("age"),
        sex=row.get("sex"),
        ethnicity=row.get("ethnicity"),
        faces=faces,
    )


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (place for messages, value) of each line of a JSON Lines file. Raises DataError."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                yield where, json.loads(line.decode("utf-8"))
            except ValueError as error:
                raise DataError(f"{where}: not JSON: {error}") from None


def _missed_face(row: Any, where: str) -> Face:
    """Return one face of MISSED: a teacher's face if it is sure enough, `ignore` otherwise. Raises DataError."""
    if not isinstance(row, dict) or not _is_box(row.get("box")):
        raise DataError(f"{where}: field 'faces': must hold objects with a box of four numbers, found {row!r}")
    for key in ("score", "looks"):
        if not _is_number(row.get(key)):
            raise DataError(f"{where}: field 'faces': field '{key}' must be a number, found {row.get(key)!r}")
    x1, y1, x2, y2 = row["box"]
    score, looks = row["score"], row["looks"]
    if not (score >= MISSED_MIN_SCORE and looks >= MISSED_MIN_LOOKS and row.get("agree") is True):
        return Face((x1, y1, x2, y2), "ignore", "teacher", score, looks)
    label = {True: "mask", False: "no_mask"}.get(row.get("mask"), "unknown")
    return Face((x1, y1, x2, y2), label, "teacher", score, looks)


def read_missed(path: Path) -> dict[str, tuple[Face, ...]]:
    """Return the faces of a MISSED file by the picture's file name. Raises DataError."""
    found: dict[str, tuple[Face, ...]] = {}
    for where, row in _rows(path):
        if not isinstance(row, dict) or not isinstance(row.get("file"), str) or not isinstance(row.get("faces"), list):
            raise DataError(f"{where}: expected an object with the fields 'file' and 'faces'")
        found[row["file"]] = tuple(_missed_face(face, where) for face in row["faces"])
    return found


def read_landmarks(path: Path) -> dict[str, list[tuple[Box, Floats]]]:
    """Return the faces (box, landmarks) of a LANDMARKS file by the picture's file name, the surest first. Raises DataError."""
    found: dict[str, list[tuple[Box, Floats]]] = {}
    for where, row in _rows(path):
        if not isinstance(row, dict) or not isinstance(row.get("file"), str) or not isinstance(row.get("faces"), list):
            raise DataError(f"{where}: expected an object with the fields 'file' and 'faces'")
        for face in row["faces"]:
            points = landmarks.parse(face.get("points")) if isinstance(face, dict) else None
            if points is None or not _is_box(face.get("box")):
                raise DataError(f"{where}: field 'faces': must hold objects with a box and five points, found {face!r}")
            found.setdefault(row["file"], []).append((tuple(face["box"]), points))
    return found


def _with_landmarks(record: Record, rows: list[tuple[Box, Floats]]) -> Record:
    """Return the record with landmarks for those of its faces that have none."""
    if record.crop:
        return replace(record, points=rows[0][1])
    faces = tuple(
        f if f.points is not None else replace(f, points=landmarks.nearest(f.box, rows)) for f in record.faces or ()
    )
    return replace(record, faces=faces if record.faces is not None else None)


def _without(faces: tuple[Face, ...], boxes: set[Box]) -> tuple[Face, ...]:
    """Faces without those that a teacher put exactly at one of `boxes`."""
    return tuple(f for f in faces if f.by == "human" or f.box not in boxes)


class _Store:
    """The pictures of one folder, in images.zip or as files. Raises DataError for a damaged archive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._zip: zipfile.ZipFile | None = None
        self._names: set[str] = set()
        archive = folder / "images.zip"
        if archive.is_file():
            try:
                self._zip = zipfile.ZipFile(archive)
            except (zipfile.BadZipFile, OSError) as error:
                raise DataError(f"{archive}: {error}") from None
            self._names = set(self._zip.namelist())

    def __contains__(self, file: str) -> bool:
        return file in self._names if self._zip is not None else (self.folder / file).is_file()

    def read(self, file: str) -> bytes:
        """Return the encoded picture. Raises DataError if it is damaged in the archive."""
        if self._zip is None:
            return (self.folder / file).read_bytes()
        try:
            with self._lock:
                return self._zip.read(file)
        except (zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"record '{file}': field 'file': damaged in images.zip: {error}") from None


class Dataset:
    """Folders that each hold index.jsonl and the pictures, in images.zip or beside it.

    File names are unique across the folders. A MISSED or LANDMARKS file in any of them adds faces or landmarks to the pictures of all;
    pictures that are not there are skipped, because it may be about a package that is not used.
    Raises DataError, naming record and field, where an index or a picture is not what it should be.
    """

    def __init__(self, *folders: Path, sources: Iterable[str] | None = None) -> None:
        self.records: list[Record] = []
        self._stores: list[_Store] = []
        self._store_of: dict[str, int] = {}  # by file; the order of the folders
        wanted = set(sources) if sources is not None else None
        missed: dict[str, tuple[Face, ...]] = {}
        points: dict[str, list[tuple[Box, Floats]]] = {}
        for folder in folders:
            self._read(folder, wanted)
            if (folder / MISSED).is_file():
                missed |= read_missed(folder / MISSED)
            if (folder / landmarks.LANDMARKS).is_file():
                points |= read_landmarks(folder / landmarks.LANDMARKS)
        indexes = ", ".join(str(folder / "index.jsonl") for folder in folders)
        if wanted is not None and (absent := wanted - {r.source for r in self.records}):
            raise DataError(f"{indexes}: no picture of source {', '.join(sorted(absent))}")
        if not self.records:
            raise DataError(f"{indexes}: holds no picture")
        not_faces = {row["file"]: {tuple(box) for box in row["boxes"]} for _, row in _rows(NOT_FACES)}
        for k, r in enumerate(self.records):
            if r.file in missed or r.file in not_faces:
                faces = _without(r.faces or (), not_faces.get(r.file, set())) + missed.get(r.file, ())
                r = replace(r, faces=faces)
            self.records[k] = _with_landmarks(r, points[r.file]) if r.file in points else r
        self._cache: dict[str, Picture] = {}

    def _read(self, folder: Path, wanted: set[str] | None) -> None:
        """Add the records of one folder, those of the sources `wanted` (None: all)."""
        index = folder / "index.jsonl"
        if not index.is_file():
            raise DataError(f"{index}: no such file; --data takes folders with index.jsonl and images.zip")
        found = []
        for where, row in _rows(index):
            record = _record(row, where)
            if record.file in self._store_of:
                raise DataError(f"{where}: field 'file': '{record.file}' is there twice")
            self._store_of[record.file] = len(self._stores)
            if wanted is None or record.source in wanted:
                found.append(record)
        store = _Store(folder)
        for r in found:
            if r.file not in store:
                raise DataError(f"{index}: record '{r.file}': field 'file': no such picture in {folder}")
        self._stores.append(store)
        self.records += found

    def picture(self, record: Record, cache: bool = False) -> Picture:
        """The picture, (H, W, 3) uint8, RGB."""
        found = self._cache.get(record.file)
        if found is not None:
            return found
        data = self._stores[self._store_of[record.file]].read(record.file)
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise DataError(f"record '{record.file}': field 'file': not a readable picture")
        picture: Picture = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
        if picture.shape[:2] != (record.height, record.width):
            raise DataError(
                f"record '{record.file}': fields 'width', 'height': say {record.width}x{record.height}, "
                f"the picture is {picture.shape[1]}x{picture.shape[0]}"
            )
        if cache:
            self._cache[record.file] = picture
        return picture

    def splits(self) -> dict[str, list[Record]]:
        """Records by split: about 80 % train, 8 % val (for every choice), 12 % test (for figures only).

        Whole families go to one side: the same `group`, and pictures that look alike (difference hashes at most
        4 of 64 bits apart, Krawetz 2013), across sources and folders. FER2013 keeps its own: Training trains, PublicTest chooses.
        """
        families = self._families()
        out: dict[str, list[Record]] = {s: [] for s in SPLITS}
        for record, family in zip(self.records, families, strict=True):
            if record.split is not None:
                out["train" if record.split == "Training" else "val"].append(record)
                continue
            draw = int(hashlib.sha256(f"doorlight-1:{family}".encode()).hexdigest()[:8], 16) / 2**32
            out["val" if draw < 0.08 else "test" if draw < 0.20 else "train"].append(record)
        return out

    def _families(self) -> list[str]:
        parent = list(range(len(self.records)))

        def root(k: int) -> int:
            while parent[k] != k:
                parent[k] = parent[parent[k]]
                k = parent[k]
            return k

        first: dict[str, int] = {}
        hashed = [(k, r) for k, r in enumerate(self.records) if r.split is None]
        for k, r in hashed:
            if r.group is not None:
                key = f"{r.source}/{r.group}"
                parent[root(k)] = root(first.setdefault(key, k))
        hashes = self._hashes([r for _, r in hashed])
        # Four bits apart at most: by the pigeonhole principle, one of five bands is the same in both.
        bands = ((0, 13), (13, 13), (26, 13), (39, 13), (52, 12))
        for shift, width in bands:
            buckets: dict[int, list[int]] = defaultdict(list)
            for j, value in enumerate(hashes):
                buckets[(value >> shift) & ((1 << width) - 1)].append(j)
            for bucket in buckets.values():
                if len(bucket) < 2:
                    continue
                values = np.array([hashes[j] for j in bucket], np.uint64)
                for a, j in enumerate(bucket[:-1]):
                    apart = np.unpackbits((values[a + 1 :] ^ values[a]).view(np.uint8).reshape(-1, 8), axis=1).sum(1)
                    for b in np.flatnonzero(apart <= 4):
                        parent[root(hashed[bucket[a + 1 + int(b)]][0])] = root(hashed[j][0])
        # A family is named by its smallest file name, so that the order of the index does not matter. A folder added
        # later names only the families that are new with it, so that the others keep their side.
        names: dict[int, tuple[int, str]] = {}
        for k, r in enumerate(self.records):
            top, name = root(k), (self._store_of[r.file], r.file)
            names[top] = min(names.get(top, name), name)
        return [names[root(k)][1] for k in range(len(self.records))]

    def _hashes(self, records: Sequence[Record]) -> list[int]:
        out = []
        for r in records:
            grey = cv2.cvtColor(self.picture(r), cv2.COLOR_RGB2GRAY)
            small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
            bits = np.packbits(small[:, 1:] > small[:, :-1])
            out.append(int.from_bytes(bits.tobytes(), "big"))
        return out


def require(split: Sequence[Record], name: str, what: str) -> None:
    """Raise DataError where a split is empty."""
    if not split:
        raise DataError(f"split '{name}' holds no {what}: the data set is too small or --sources leaves nothing")
