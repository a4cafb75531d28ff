"""Make new lines of a log durable without a sync of the log: a small file beside it has them, too.

The log grows, so a sync of it makes ext4 write its inode through the journal: 17 KB for a line of 200 bytes. This file has its
size and its blocks from the beginning. What is written to it is one sector or two, and its sync (fdatasync) writes nothing else.
The log stays a plain text file that everybody can read while it grows; the kernel writes it half a minute later. After a power
cut, `missing` says what it lacks.

The file is filled from its beginning: that is a pass. A pass begins when the log is synced. Each record begins in a sector of
its own, so that a torn sector damages no earlier one, with a line of text,

    PASS START CHECKSUM LENGTH CHECKSUM

and LENGTH bytes of the log. PASS is a random name, START the size of the log at the begin of the pass, the first checksum is of
the last bytes of the log before START, and the second one of the record. So a log that is not this one any more, because it was
moved, emptied or edited, is recognised and left alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import zlib
from pathlib import Path
from typing import NamedTuple

from ..system.files import read_regular, sync_folder
from .log_files import is_same_file

#: The log is synced when the file is full: after some 80 moments.
FILE_BYTES = 1 << 16
SECTOR_BYTES = 512
#: If the disk refuses the file, the log is synced for this number of moments before the next attempt.
RETRY_AFTER = 64
#: What is compared of the log before the lines of a pass.
ANCHOR_BYTES = 1024
#: The file is made only if it takes less than this part of the free space.
_MIN_FREE_FILES = 16
_MAX_HEADER_BYTES = 96


class Missing(NamedTuple):
    """Lines that a log should have at `position`. The first `present` bytes of them are there; the others are not, or are zeros."""

    position: int
    lines: bytes
    present: int


class WriteAhead:
    """The file beside the log at `log`. Used by one thread; the lock of the log protects it.

    It may be impossible to make one (no space, no such file system): then `add` refuses everything, and the log has to be
    synced.
    """

    def __init__(self, log: Path) -> None:
        self._path = write_ahead_path(log)
        self._file: int | None = None
        self._buffer = mmap.mmap(-1, FILE_BYTES)  # direct writes come from an aligned address
        self._refused = 0  # passes until the next attempt
        self._start = 0
        self._pass = b""  # what each record of this pass begins with
        self._position = 0

    def begin(self, start: int) -> None:
        """Begin a pass: the log is synced up to `start`."""
        self._start, self._pass, self._position = start, b"", 0
        self._refused = max(0, self._refused - 1)

    def prepare(self, log: int) -> None:
        """Make the file if there is none, and name the pass, before the open file `log` gets its first lines of it."""
        # Without a line before it, a pass would fit any empty file.
        if self._refused or self._pass or self._start == 0:
            return
        try:
            if self._file is None:
                self._file = _open(self._path, os.fstat(log).st_mode & 0o666)
            anchor = zlib.crc32(_before(log, self._start))
        except OSError:
            self._refused = RETRY_AFTER
            return
        self._pass = f"{os.urandom(8).hex()} {self._start} {anchor:08x}".encode()

    def add(self, lines: bytes | bytearray) -> bool:
        """Write and sync lines of the log. Return whether they are durable; if not, the log has to be synced."""
        if self._file is None or not self._pass:
            return False
        record = _record(self._pass, bytes(lines))
        if self._position + len(record) > FILE_BYTES:
            return False
        try:
            if not is_same_file(self._file, self._path):
                # Deleted or moved: no start would find the lines. Another file is made once the log is synced.
                os.close(self._file)
                self._file, self._pass = None, b""
                return False
            self._write(self._file, record)
            os.fdatasync(self._file)
        except OSError:
            self._pass, self._refused = b"", RETRY_AFTER
            return False
        self._position += len(record)
        return True

    def _write(self, file: int, record: bytes) -> None:
        self._buffer[: len(record)] = record
        with memoryview(self._buffer)[: len(record)] as data:
            try:
                written = os.pwrite(file, data, self._position)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                # The sectors of this disk are larger: without direct writes, the kernel writes blocks of 4 KB.
                fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) & ~os.O_DIRECT)
                written = os.pwrite(file, data, self._position)
        if written < len(record):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self, *, remove: bool) -> None:
        """Close the file. With `remove`, for a log that is synced, delete it: nothing is missing, whatever happens to the log."""
        if remove:
            with contextlib.suppress(OSError):
                if stat.S_ISREG(self._path.lstat().st_mode):
                    self._path.unlink()
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._refused = 0  # the next log is on another disk, perhaps
        self.begin(0)


def write_ahead_path(log: Path) -> Path:
    """Return the path of the file beside a log. It is hidden, so that `mv events.jsonl* elsewhere` leaves it."""
    return log.with_name(f".{log.name}.ahead")


def missing(log: int, path: Path) -> Missing | None:
    """Return what a power cut has taken from the open file `log` at `path`; None if it has everything, or is another log.

    Raises OSError if the log cannot be read.
    """
    try:
        data = read_regular(write_ahead_path(path), 2 * FILE_BYTES)
    except OSError:
        return None  # it was never made, or belongs to root
    start, anchor, lines = _newest_pass(data)
    if not lines or os.fstat(log).st_size < start or zlib.crc32(_before(log, start)) != anchor:
        return None
    there = os.pread(log, len(lines), start)
    # Bytes that were not written are absent, or zeros. Any other difference comes from another program.
    if there == lines or any(one and one != other for one, other in zip(there, lines, strict=False)):
        return None
    present = next((k for k, (one, other) in enumerate(zip(there, lines, strict=False)) if one != other), len(there))
    return Missing(start, lines, present)


def _open(path: Path, mode: int) -> int:
    """Open the file, or create it with all its blocks. Raises OSError."""
    disk = os.statvfs(path.parent)
    if disk.f_bavail * disk.f_frsize < _MIN_FREE_FILES * FILE_BYTES:
        raise OSError("too little space")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW, mode)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("is not a regular file")
        if status.st_size < FILE_BYTES:
            # Written, not only allocated: the first write to an allocated block costs a commit of the journal.
            os.pwrite(file, bytes(FILE_BYTES), 0)
            os.fsync(file)
            sync_folder(path.parent)
            if os.fstat(file).st_size < FILE_BYTES:
                raise OSError("too little space")
        # Direct writes write a sector instead of a block. Some file systems have none.
        with contextlib.suppress(OSError):
            fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_DIRECT)
    except BaseException:
        os.close(file)
        raise
    return file


def _before(log: int, size: int) -> bytes:
    begin = max(0, size - ANCHOR_BYTES)
    return os.pread(log, size - begin, begin)


def _record(of_pass: bytes, lines: bytes) -> bytes:
    head = b"%s %d" % (of_pass, len(lines))
    record = b"%s %08x\n%s" % (head, zlib.crc32(lines, zlib.crc32(head)), lines)
    return record.ljust(-(-len(record) // SECTOR_BYTES) * SECTOR_BYTES, b"\0")


def _newest_pass(data: bytes) -> tuple[int, int, bytes]:
    """Return START, the first checksum and all lines of the pass in the file's content; (0, 0, b"") if there is none."""
    found, start, anchor, lines, position = b"", 0, 0, bytearray(), 0
    with contextlib.suppress(ValueError, IndexError):
        while (end := data.find(b"\n", position, position + _MAX_HEADER_BYTES)) >= 0:
            words = data[position:end].split(b" ")
            of_pass, part = b" ".join(words[:3]), data[end + 1 : end + 1 + int(words[3])]
            record = _record(of_pass, part)
            if not part or data[position : position + len(record)] != record or found not in (b"", of_pass):
                break
            found, start, anchor = of_pass, int(words[1]), int(words[2], 16)
            lines += part
            position += len(record)
    return start, anchor, bytes(lines)
