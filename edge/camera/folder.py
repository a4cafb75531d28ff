"""Folder: the pictures and videos of a folder, one after the other, as a source of frames."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

from ..config import CameraSettings
from ..counted import counted
from ..errors import InputError
from ..records import Frame
from .file_kind import MEDIA_SUFFIXES, FileKind, kind_of, source_kind_of
from .picture_files import PICTURE_HINT, PictureFile
from .source import NEITHER, LeftOut, Scene, Source
from .video_file import VideoFile

#: Time between the last frame of a file and the first of the next one: nobody is remembered for so long (the maximum of
#: tracker.forget_after_s is 10 s), so that each file is decided by itself.
SCENE_GAP_S = 15.0
#: Files that file managers write and do not show.
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})


class Folder(Source):
    """The pictures and videos of a folder in natural order (2.jpg before 10.jpg), without those of its subfolders.

    Each file is a scene by itself: a picture is held for settings.picture_s, a video plays on its own clock, and the time
    between two files is longer than a person is remembered. With picture_s = 0 the pictures are the frames of a film,
    played at settings.fps. Frames are numbered without gaps.

    `scene` is the file of the last frame, None for a film of pictures. `left_out` lists the files that were not played,
    with the reason, `damaged` those that were only readable in part; hidden files are in neither.
    """

    live = False

    def __init__(self, path: Path, settings: CameraSettings) -> None:
        self.name = str(path)
        self.left_out: list[LeftOut] = []
        self.damaged: list[str] = []
        self.files = 0
        self._path = path
        self._settings = settings
        self._frames: Iterator[tuple[Scene, Frame]] = iter(())
        self._first: tuple[Scene, Frame] | None = None

    @property
    def damage(self) -> str | None:
        parts = []
        if unread := [one for one in self.left_out if one.is_media]:
            named = ", ".join(f"{one.name}: {one.reason}" for one in unread[:10])
            more = ", …" if len(unread) > 10 else ""
            parts.append(f"{len(unread)} of {counted(self.files, 'file')} left out ({named}{more})")
        if self.damaged:
            parts.append(f"{len(self.damaged)} damaged ({self.damaged[0]})")
        return f"{self.name}: {', '.join(parts)}" if parts else None

    def open(self) -> None:
        self.close()
        files, self.left_out = list_folder(self._path)
        self.files = len(files) + sum(one.is_media for one in self.left_out)
        self.damaged, self.scene = [], None
        self.length, self.fps = self._announce(files)
        self._frames = self._play(files)
        # Decode the first frame now, to report a folder without any readable file.
        self._first = next(self._frames, None)
        if self._first is None:
            raise nothing_readable(self._path, self.left_out)

    def read(self) -> Frame | None:
        item, self._first = self._first or next(self._frames, None), None
        if item is None:
            return None
        scene, frame = item
        self.scene = scene if self._settings.picture_s else None
        return frame

    def close(self) -> None:
        # A suspended generator closes its file when it is closed.
        frames, self._frames, self._first = self._frames, iter(()), None
        if isinstance(frames, Generator):
            frames.close()

    def _announce(self, files: list[tuple[Path, FileKind]]) -> tuple[int | None, float | None]:
        """Return the number of frames and their rate; None for both if a video is among the files."""
        if any(kind is FileKind.VIDEO for _, kind in files):
            return None, None
        picture = PictureFile(self._path, self._settings)
        return len(files) * picture.length, picture.fps

    def _play(self, files: list[tuple[Path, FileKind]]) -> Iterator[tuple[Scene, Frame]]:
        """Yield the frames of all files, and note the unreadable files in `left_out` and `damaged`."""
        number, start = 0, 0.0
        for path, kind in files:
            source = (PictureFile if kind is FileKind.PICTURE else VideoFile)(path, self._settings)
            scene = Scene(path.name, kind is FileKind.PICTURE)
            try:
                with source:
                    t = 0.0
                    while (frame := source.read()) is not None:
                        t = frame.t
                        yield scene, replace(frame, number=number, t=start + t)
                        number += 1
            except InputError as error:
                self.left_out.append(unreadable(path, error))
                continue
            if source.damage:
                self.damaged.append(source.damage)
            start += t + (SCENE_GAP_S if self._settings.picture_s else 1 / self._settings.fps)


def open_file(path: Path, settings: CameraSettings) -> PictureFile | VideoFile:
    """Return the source for a picture or a video, chosen by its content and not yet opened."""
    is_picture = source_kind_of(path) is FileKind.PICTURE
    return PictureFile(path, settings) if is_picture else VideoFile(path, settings)


def list_folder(path: Path) -> tuple[list[tuple[Path, FileKind]], list[LeftOut]]:
    """Return the pictures and videos of a folder in natural order, and what else is in it, without hidden files.

    A picture may turn out to be of a kind that is not decoded.

    Raises InputError if the folder cannot be read or has neither a picture nor a video.
    """
    try:
        entries = sorted(path.iterdir(), key=_natural_key)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", "check its permissions") from None
    found: list[tuple[Path, FileKind]] = []
    left_out: list[LeftOut] = []
    for entry in entries:
        if entry.name.startswith(".") or entry.name.casefold() in SYSTEM_FILES:
            continue
        if os.path.isdir(entry):
            reason = "is a folder, and only the files of one folder are played"
            left_out.append(LeftOut(entry.name, reason, is_media=False))
            continue
        try:
            kind = kind_of(entry)
            is_empty = not entry.stat().st_size
        except OSError as error:
            left_out.append(LeftOut(entry.name, f"cannot be read: {error.strerror}"))
            continue
        if kind is FileKind.OTHER:
            reason = "is empty" if is_empty else f"is {NEITHER}"
            left_out.append(LeftOut(entry.name, reason, is_media=entry.suffix.lower() in MEDIA_SUFFIXES))
        else:
            found.append((entry, kind))
    if not found:
        raise nothing_readable(path, left_out)
    return found, left_out


def nothing_readable(path: Path, left_out: list[LeftOut]) -> InputError:
    """Return the error for a folder of which every file is left out."""
    if not left_out:
        return InputError(f"{path}: no picture or video in this folder", PICTURE_HINT)
    name, reason, hint, _ = left_out[0]
    what = "its only file cannot" if len(left_out) == 1 else f"none of its {len(left_out)} files can"
    return InputError(f"{path}: {what} be read ({name}: {reason})", hint or PICTURE_HINT)


def unreadable(path: Path, error: InputError) -> LeftOut:
    """Return the entry of `left_out` for a file that cannot be opened."""
    return LeftOut(path.name, str(error).removeprefix(f"{path}: "), error.hint)


def _natural_key(path: Path) -> tuple[list[str | int], str]:
    """Return a sort key that compares numbers in a name by value and text without case. The exact name breaks ties."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if k % 2 else part.casefold() for k, part in enumerate(parts)], path.name
