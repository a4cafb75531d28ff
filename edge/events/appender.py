"""The current file of an event log as the writer sees it: lock, repair, append with sync, rotate."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path

from ..errors import OutputError
from ..system.files import lock, sync_folder, wide_encoding, write_all
from .log_files import is_same_file, lines_from_end, not_a_log, rotated_files, rotated_path
from .record import parse_complete

#: A full disk stops the log but not the door.
DISK_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})


class Appender:
    """Append lines to the file at `path`. It is rotated before it exceeds `rotate_bytes`; `keep_files` rotated files are kept.

    Used by one thread. Up to the size that this object remembers, the file is complete and synced.
    """

    def __init__(self, path: Path, rotate_bytes: int, keep_files: int) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._keep_files = keep_files
        self._file: int | None = None
        self._size = 0

    def open(self) -> int:
        """Open and lock the file, and remove a torn last line. Return the number of removed bytes.

        Raises OSError, and OutputError if the file is not an event log or another process writes to it.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OutputError(f"{self._path}: is not a regular file", "name another file after --events")
            _lock(file, self._path)
            size = os.fstat(file).st_size
            complete = _complete_size(file, self._path)
            if complete < size:
                os.ftruncate(file, complete)
                os.fsync(file)
            sync_folder(self._path.parent)
        except BaseException:
            os.close(file)
            raise
        self.close()
        self._file, self._size = file, complete
        return size - complete

    def is_open(self) -> bool:
        """Return whether the file is open and still in its place: not moved, deleted, or emptied by another program."""
        file = self._file
        return file is not None and is_same_file(file, self._path) and os.fstat(file).st_size >= self._size

    def append(self, lines: Iterable[bytes]) -> int:
        """Write and sync as many of the lines as fit into this file. Return their number.

        If none fits, rotate the file and return 0. Raises OSError; then none of the lines is in the file.
        """
        room = self._rotate_bytes - self._size
        block = bytearray()
        count = 0
        for line in lines:
            if len(block) + len(line) > room and (block or self._size):
                break
            block += line
            count += 1
        if not count:
            self._rotate()
            return 0
        assert self._file is not None
        self._truncate()  # a truncation after an earlier error may have failed
        try:
            write_all(self._file, block)
            os.fsync(self._file)
        except OSError:
            # Half a line is written, or it is unknown what reached the disk. Truncate; the lines are written again later.
            with contextlib.suppress(OSError):
                self._truncate()
            raise
        self._size += len(block)
        return count

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _truncate(self) -> None:
        assert self._file is not None
        if os.fstat(self._file).st_size > self._size:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)

    def _rotate(self) -> None:
        for number, path in rotated_files(self._path):
            if number >= self._keep_files:
                path.unlink()
            else:
                path.rename(rotated_path(self._path, number + 1))
        self._path.rename(rotated_path(self._path, 1))
        self.open()


def opening_error(path: Path, error: OSError) -> OutputError:
    """Return the error for a log that cannot be opened, with the reason and a command."""
    folder, named = path.parent, error.filename or path
    if os.path.isdir(path):
        return OutputError(
            f"{path}: is a folder", f"name a file: --events {shlex.quote(str(path / 'doorlight-events.jsonl'))}"
        )
    if not os.path.isdir(folder):
        return OutputError(f"{path}: there is no folder {folder}", f"mkdir -p {shlex.quote(str(folder))}")
    command = shlex.join(["ls", "-ld", str(folder), str(named)])
    return OutputError(f"{named}: cannot be written: {error.strerror}", f"see who may write: {command}")


def _lock(file: int, path: Path) -> None:
    """Lock the file: two doors in one file would mix their lines and repeat each other's numbers."""
    try:
        lock(file)
    except BlockingIOError:
        raise OutputError(
            f"{path}: another doorlight is writing to it", f"stop it (fuser -v {path}), or name another file"
        ) from None


def _complete_size(file: int, path: Path) -> int:
    """Return the size in bytes of an open log without a torn last line.

    Raises OutputError for a file that is not an event log: truncating it would destroy someone's work.
    """
    size = os.fstat(file).st_size
    if size == 0:
        return 0
    start = os.pread(file, 16, 0)
    if encoding := wide_encoding(start):
        raise OutputError(f"{path}: is {encoding} text, an event log is UTF-8", "name another file after --events")
    # Lines are JSON objects; a power cut may leave zeros where data should be.
    if not start.removeprefix(codecs.BOM_UTF8).startswith((b"{", b"\0")):
        raise OutputError(f"{path}: holds something else than events", "name another file after --events")
    last = next(lines_from_end(file, size), None)
    if last is None:
        raise not_a_log(path)
    offset, line = last
    return size if parse_complete(line) is not None else offset
