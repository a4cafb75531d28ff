"""The data format (index.jsonl + images.zip or a folder), its checks, and splits that no face straddles."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FACE_LABELS = ("mask", "no_mask", "incorrect", "ignore")
SPLITS = ("train", "val", "test")


class DataError(Exception):
    """A data set that cannot be trusted; the message names record and field."""


@dataclass(frozen=True)
class Face:
    """One labelled face; box is (x1, y1, x2, y2) in pixels, x to the right, y down."""

    box: tuple[float, float, float, float]
    label: str
    by: str
    score: float = 1.0
    looks: int = 3

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
    faces: tuple[Face, ...] | None = None

    @property
    def human(self) -> bool:
        return any(f.by == "human" for f in self.faces or ())


def _record(row: Any, where: str) -> Record:
    def bad(name: str, why: str) -> DataError:
        return DataError(f"{where}: field '{name}': {why}")

    def number(v: Any) -> bool:
        return isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)

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
    if not isinstance(row.get("group"), str | None):
        raise bad("group", f"must be text, found {row['group']!r}")
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
            if not isinstance(box, list) or len(box) != 4 or not all(number(v) for v in box):
                raise bad(f"{name}.box", f"must be four numbers, found {box!r}")
            one_of(f"{name}.by", ("human", "teacher"), face.get("by", "human"))
            one_of(f"{name}.label", FACE_LABELS, face.get("label"))
            for key in ("score", "looks"):
                if not number(face.get(key, 1)):
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
        faces=faces,
    )


class Dataset:
    """A folder holding index.jsonl and the pictures, in images.zip or beside it.

    Raises DataError, naming record and field, where the index or a picture is not what it should be.
    """

    def __init__(self, folder: Path, sources: Iterable[str] | None = None) -> None:
        self.folder = folder
        index = folder / "index.jsonl"
        if not index.is_file():
            raise DataError(f"{index}: no such file; --data takes a folder with index.jsonl and images.zip")
        self.records: list[Record] = []
        wanted = set(sources) if sources is not None else None
        seen: set[str] = set()
        with index.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                where = f"{index}:{number}"
                try:
                    row = json.loads(line.decode("utf-8"))
                except ValueError as error:
                    raise DataError(f"{where}: not JSON: {error}") from None
                record = _record(row, where)
                if record.file in seen:
                    raise DataError(f"{where}: field 'file': '{record.file}' is there twice")
                seen.add(record.file)
                if wanted is None or record.source in wanted:
                    self.records.append(record)
        if wanted is not None and (missing := wanted - {r.source for r in self.records}):
            raise DataError(f"{index}: no picture of source {', '.join(sorted(missing))}")
        if not self.records:
            raise DataError(f"{index}: holds no picture")
        self._lock = threading.Lock()
        self._cache: dict[str, Picture] = {}
        self._zip: zipfile.ZipFile | None = None
        names: set[str] | None = None
        if (folder / "images.zip").is_file():
            try:
                self._zip = zipfile.ZipFile(folder / "images.zip")
            except (zipfile.BadZipFile, OSError) as error:
                raise DataError(f"{folder / 'images.zip'}: {error}") from None
            names = set(self._zip.namelist())
        for r in self.records:
            if not (r.file in names if names is not None else (folder / r.file).is_file()):
                raise DataError(f"{index}: record '{r.file}': field 'file': no such picture in {folder}")

    def picture(self, record: Record, cache: bool = False) -> Picture:
        """The picture, (H, W, 3) uint8, RGB."""
        found = self._cache.get(record.file)
        if found is not None:
            return found
        if self._zip is not None:
            try:
                with self._lock:
                    data = self._zip.read(record.file)
            except (zipfile.BadZipFile, zlib.error) as error:
                raise DataError(f"record '{record.file}': field 'file': damaged in images.zip: {error}") from None
        else:
            data = (self.folder / record.file).read_bytes()
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
        4 of 64 bits apart, Krawetz 2013), across sources. FER2013 keeps its own: Training trains, PublicTest chooses.
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
        # A family is named by its smallest file name, so that the order of the index does not matter.
        names: dict[int, str] = {}
        for k, r in enumerate(self.records):
            top = root(k)
            names[top] = min(names.get(top, r.file), r.file)
        return [names[root(k)] for k in range(len(self.records))]

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
