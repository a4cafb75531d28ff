"""Data sets: pictures in images.zip or a folder with their index, and splits that no face straddles."""

from __future__ import annotations

import hashlib
import threading
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from . import landmarks
from .arrays import Box, Floats, Picture
from .families import Families, difference_hash, join_alike
from .records import DataError, Face, Record, read_corrections, read_index, read_landmarks, read_missed

#: The file, beside an index, that lists faces which the labels of any package miss.
MISSED = "missed.jsonl"
#: Labels that are wrong, found by eye: teachers' boxes that are animals, and faces whose mask label is not what they
#: show. Unknown are faces of which the eye cannot tell either.
CORRECTIONS = Path(__file__).with_name("corrections.jsonl")
SPLITS = ("train", "val", "test")
#: Side of a face crop in units of the longer side of the face's box: of crops in the data, and of what the mask
#: classifier gets.
CROP_MARGIN = 1.25


def _with_landmarks(record: Record, rows: list[tuple[Box, Floats]]) -> Record:
    """Return the record with landmarks for those of its faces that have none."""
    if record.crop:
        return replace(record, points=rows[0][1])
    faces = tuple(
        f if f.points is not None else replace(f, points=landmarks.nearest(f.box, rows)) for f in record.faces or ()
    )
    return replace(record, faces=faces if record.faces is not None else None)


def _corrected(record: Record, right: dict[Box, str]) -> Record:
    """Return the record with the right labels of the faces at these boxes. The label of the picture gives way."""
    if record.crop:
        [label] = right.values()
        return replace(record, label={"mask": "mask", "unknown": None}.get(label, "no_mask"))
    faces = tuple(
        replace(f, label=right.get(f.box, f.label)) for f in record.faces or () if right.get(f.box) != "not_a_face"
    )
    relabelled = any(label != "not_a_face" for label in right.values())
    return replace(record, faces=faces, label=None if relabelled else record.label)


class _Store:
    """The pictures of one folder, in images.zip or as files. Raises DataError for a damaged archive."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._zip: zipfile.ZipFile | None = None
        self._names: set[str] = set()
        self.open()

    def open(self) -> None:
        """Open the archive, if there is one. A forked process opens it again: it shares the file's position."""
        archive = self.folder / "images.zip"
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
    """Folders that each hold index.jsonl and the pictures, in images.zip or beside it. A file among them holds more
    landmarks.

    File names are unique across the folders. A MISSED or LANDMARKS file in any of them adds faces or landmarks to the
    pictures of all; pictures that are not there are skipped, because it may be about a package that is not used. Raises
    DataError, naming record and field, where an index or a picture is not what it should be.
    """

    def __init__(self, *folders: Path, sources: Iterable[str] | None = None) -> None:
        self.records: list[Record] = []
        self._stores: list[_Store] = []
        self._store_of: dict[str, int] = {}  # by file; the order of the folders
        wanted = set(sources) if sources is not None else None
        missed: dict[str, tuple[Face, ...]] = {}
        points: dict[str, list[tuple[Box, Floats]]] = {}
        for folder in folders:
            if folder.is_file():
                points |= read_landmarks(folder)
                continue
            self._read(folder, wanted)
            if (folder / MISSED).is_file():
                missed |= read_missed(folder / MISSED)
            if (folder / landmarks.LANDMARKS).is_file():
                points |= read_landmarks(folder / landmarks.LANDMARKS)
        indexes = ", ".join(str(folder / "index.jsonl") for folder in folders if not folder.is_file())
        if wanted is not None and (absent := wanted - {r.source for r in self.records}):
            raise DataError(f"{indexes}: no picture of source {', '.join(sorted(absent))}")
        if not self.records:
            raise DataError(f"{indexes}: holds no picture")
        corrections = read_corrections(CORRECTIONS)
        for k, r in enumerate(self.records):
            if r.file in corrections:
                r = _corrected(r, corrections[r.file])
            if r.file in missed:
                r = replace(r, faces=(r.faces or ()) + missed[r.file])
            self.records[k] = _with_landmarks(r, points[r.file]) if r.file in points else r
        self._cache: dict[str, Picture] = {}

    def _read(self, folder: Path, wanted: set[str] | None) -> None:
        """Add the records of one folder, those of the sources `wanted` (None: all)."""
        index = folder / "index.jsonl"
        if not index.is_file():
            raise DataError(f"{index}: no such file; --data takes folders with index.jsonl and images.zip")
        found = []
        for where, record in read_index(index):
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

    def reopen(self) -> None:
        """Open the archives again, in a process that was forked."""
        for store in self._stores:
            store.open()

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

        Whole families go to one side: the same `group`, and pictures that look alike (difference hashes at most 4 of 64
        bits apart, Krawetz 2013), across sources and folders. FER2013 keeps its own: Training trains, PublicTest
        chooses.
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
        """Return the family of each record: the name of its smallest file, so that the order of the index does not
        matter."""
        families = Families(len(self.records))
        split_here = [k for k, r in enumerate(self.records) if r.split is None]
        first: dict[str, int] = {}
        for k in split_here:
            r = self.records[k]
            if r.group is not None:
                families.join(k, first.setdefault(f"{r.source}/{r.group}", k))
        join_alike(families, split_here, [difference_hash(self.picture(self.records[k])) for k in split_here])
        # A folder added later names only the families that are new with it, so that the others keep their side.
        names: dict[int, tuple[int, str]] = {}
        for k, r in enumerate(self.records):
            top, name = families.root(k), (self._store_of[r.file], r.file)
            names[top] = min(names.get(top, name), name)
        return [names[families.root(k)][1] for k in range(len(self.records))]


def require(split: Sequence[object], name: str, what: str) -> None:
    """Raise DataError if a split is empty."""
    if not split:
        raise DataError(f"split '{name}' holds no {what}: the data set is too small or --sources leaves nothing")
