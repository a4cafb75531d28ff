"""The current file of an event log as the writer sees it: lock, restore, repair, append durably, rotate."""

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
from .write_ahead import WriteAhead, missing

#: A full disk stops the log but not the door.
DISK_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})


class Appender:
    """Append lines to the file at `path`. It is rotated before it exceeds `rotate_bytes`; `keep_files` rotated files are kept.

    Used by one thread. Up to the size that this object remembers, the file is complete. Up to `_synced`, it is also synced; the
    lines after that are durable in the write-ahead file.
    """

    def __init__(self, path: Path, rotate_bytes: int, keep_files: int) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._keep_files = keep_files
        self._file: int | None = None
        self._ahead = WriteAhead(path)
        self._synced = 0
        self._unsynced = bytearray()
        self._is_doubtful = False  # a sync of the file has failed: what it has after `_synced` may never reach the disk

    @property
    def _size(self) -> int:
        return self._synced + len(self._unsynced)

    def open(self) -> int:
        """Open and lock the file, restore lines that a power cut has taken, and remove a torn last line.

        Return the number of removed bytes. Raises OSError, and OutputError if the file is not an event log or another process
        writes to it.
        """
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OutputError(f"{self._path}: is not a regular file", "name another file after --events")
            _lock(file, self._path)
            _restore(file, self._path)
            size = os.fstat(file).st_size
            complete = _complete_size(file, self._path)
            if complete < size:
                os.ftruncate(file, complete)
            # Also if nothing is repaired: a process that was killed may have left lines that only the write-ahead file has.
            os.fsync(file)
            sync_folder(self._path.parent)
        except BaseException:
            os.close(file)
            raise
        self.close()
        self._file = file
        self._begin_pass(complete)
        return size - complete

    def is_open(self) -> bool:
        """Return whether the file is open and still in its place: not moved, deleted, or emptied by another program."""
        file = self._file
        return file is not None and is_same_file(file, self._path) and os.fstat(file).st_size >= self._size

    def append(self, lines: Iterable[bytes]) -> int:
        """Write as many of the lines as fit into this file, and make them durable. Return their number.

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
            self._rewrite()
            self._ahead.prepare(self._file)
            write_all(self._file, block)
            if self._is_doubtful or not self._ahead.add(block):
                self._sync(self._size + len(block))
            else:
                self._unsynced += block
        except OSError:
            # Half a line is written, or it is unknown what reached the disk. Truncate; the lines are written again later.
            with contextlib.suppress(OSError):
                self._truncate()
            raise
        return count

    def close(self) -> None:
        """Sync and close the file, if it is open. If that fails, the next start restores what is missing."""
        if self._file is not None:
            is_synced = False
            with contextlib.suppress(OSError):
                self._truncate()
                self._rewrite()
                self._sync(self._size)
                is_synced = True
            self._ahead.close(remove=is_synced)
            os.close(self._file)
            self._file = None

    def _sync(self, size: int) -> None:
        """Sync the file, which has `size` bytes. Raises OSError; then it is written again from `_synced` on."""
        assert self._file is not None
        try:
            if size > self._synced:
                os.fsync(self._file)
        except OSError:
            self._is_doubtful = True  # the kernel drops the pages, and the next sync would succeed without them
            raise
        self._begin_pass(size)

    def _begin_pass(self, size: int) -> None:
        """Continue with an empty write-ahead file: the log is synced up to `size`."""
        self._synced, self._unsynced, self._is_doubtful = size, bytearray(), False
        self._ahead.begin(size)

    def _rewrite(self) -> None:
        """If a sync has failed, write everything again that it was to make durable."""
        if self._is_doubtful:
            assert self._file is not None
            if os.fstat(self._file).st_size < self._synced:
                raise OSError(errno.EIO, "was emptied by another program")
            os.ftruncate(self._file, self._synced)
            write_all(self._file, self._unsynced)

    def _truncate(self) -> None:
        assert self._file is not None
        if os.fstat(self._file).st_size > self._size:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)

    def _rotate(self) -> None:
        assert self._file is not None
        self._truncate()
        self._rewrite()
        self._sync(self._size)
        for number, path in rotated_files(self._path):
            if number >= self._keep_files:
                path.unlink()
            else:
                path.rename(rotated_path(self._path, number + 1))
        self._path.rename(rotated_path(self._path, 1))
        os.close(self._file)
        self._file = None
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


def _restore(file: int, path: Path) -> None:
    """Write the lines into the open log that only the write-ahead file has, after a power cut. Raises OSError."""
    lost = missing(file, path)
    if lost is None:
        return
    # With O_APPEND, Linux appends whatever the position is.
    position = lost.position + lost.present
    writable = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not os.path.samestat(os.fstat(writable), os.fstat(file)):
            return
        rest = lost.lines[lost.present :]
        while rest:
            count = os.pwrite(writable, rest, position)
            position, rest = position + count, rest[count:]
    finally:
        os.close(writable)


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
