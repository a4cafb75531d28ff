"""PictureFiles: a picture, or the pictures of a folder, as a source of frames."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..config import CameraSettings
from ..errors import InputError
from ..imaging import image_file
from ..imaging.images import Picture
from ..records import Frame
from .adjust import adjust
from .source import SOURCE_KINDS, Source

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
PICTURE_HINT = f"pictures are {', '.join(sorted(PICTURE_SUFFIXES))}"


class PictureFiles(Source):
    """A picture, or the pictures of a folder in natural order (2.jpg before 10.jpg), played at settings.fps.

    `current` is the file of the last frame. `skipped` lists the unreadable pictures of a folder as (file name, reason),
    `damaged` those that are only readable in part. Frames are numbered without gaps.
    """

    live = False

    def __init__(self, path: Path, settings: CameraSettings) -> None:
        self.name = str(path)
        self.fps: float = settings.fps
        self.skipped: list[tuple[str, str]] = []
        self.damaged: list[tuple[str, str]] = []
        self.current: Path | None = None
        self._path = path
        self._settings = settings
        self._pictures: Iterator[tuple[Path, Picture]] = iter(())
        self._first: tuple[Path, Picture] | None = None
        self._number = 0

    @property
    def damage(self) -> str | None:
        parts = []
        for label, pictures in (("left out", self.skipped), ("damaged", self.damaged)):
            if pictures:
                name, reason = pictures[0]
                parts.append(f"{len(pictures)} of {self.length} pictures {label} ({name}: {reason})")
        return f"{self.name}: {', '.join(parts)}" if parts else None

    def open(self) -> None:
        self.close()
        paths = self._list()
        self.length, self._number, self.current, self.skipped, self.damaged = len(paths), 0, None, [], []
        self._pictures = self._decode(paths)
        # Decode the first picture now, to report a folder without any readable picture.
        self._first = next(self._pictures, None)
        if self._first is None:
            name, reason = self.skipped[0]
            if self._path.is_dir():
                reason = f"none of its {len(paths)} pictures can be read ({name}: {reason})"
            raise InputError(f"{self._path}: {reason}", PICTURE_HINT)

    def read(self) -> Frame | None:
        item, self._first = self._first or next(self._pictures, None), None
        if item is None:
            return None
        self.current, picture = item
        frame = Frame(self._number, self._number / self.fps, picture)
        self._number += 1
        return frame

    def close(self) -> None:
        self._pictures, self._first = iter(()), None

    def _list(self) -> list[Path]:
        """Return the picture itself, or the pictures of the folder in natural order, without hidden files."""
        if not os.path.isdir(self._path):
            if os.path.exists(self._path):
                return [self._path]
            raise InputError(f"{self._path}: no such file or folder", f"give {SOURCE_KINDS}")
        try:
            named = [p for p in self._path.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and p.name[0] != "."]
            paths = sorted((p for p in named if p.is_file()), key=_natural_key)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be read: {error.strerror}", "check its permissions") from None
        if not paths:
            raise InputError(f"{self._path}: no picture in this folder", PICTURE_HINT)
        return paths

    def _decode(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Picture]]:
        """Yield the readable pictures, and note the others in `skipped` and `damaged`."""
        for path in paths:
            try:
                picture, damage = image_file.decode(path)
            except OSError as error:
                self.skipped.append((path.name, f"cannot be read: {error.strerror}"))
            except ValueError as error:
                self.skipped.append((path.name, str(error)))
            else:
                if damage:
                    self.damaged.append((path.name, damage))
                yield path, adjust(picture, self._settings)


def _natural_key(path: Path) -> tuple[list[str | int], str]:
    """Return a sort key that compares numbers in a name by value and text without case. The exact name breaks ties."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if k % 2 else part.casefold() for k, part in enumerate(parts)], path.name
