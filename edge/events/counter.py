"""The number up to which `seq` may be in use, in a file of its own: it survives when the log is moved, compressed or deleted.

The file has two slots of one block each, which are written in turn and carry a checksum: a power cut while one is written
leaves the other. A slot is replaced in place, so that a full disk does not prevent it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import zlib
from pathlib import Path

from ..system.files import lock, read_regular, sync_folder
from .log_files import is_same_file

#: Distance of the slots: a larger unit than a disk replaces at once.
SLOT_BYTES = 4096
_MAX_NUMBER = 1 << 53


class Counter:
    """A number in the file at `path`. Used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        #: The number that this object has written last.
        self.stored: int | None = None

    def read(self) -> int | None:
        """Return the number; None if there is no file, or it cannot be read."""
        with contextlib.suppress(OSError):
            return _newest_slot(read_regular(self._path, 2 * SLOT_BYTES))[1]
        return None

    def store(self, number: int) -> None:
        """Write and sync the number. A higher one that is there already is kept, unless this object wrote it.

        Raises OSError if that is impossible, or if another process uses the counter.
        """
        if self._file is None or not is_same_file(self._file, self._path):
            self._open()
        assert self._file is not None
        generation, current = _newest_slot(os.pread(self._file, 2 * SLOT_BYTES, 0))
        if current is not None and current != self.stored:
            number = max(number, current)
        if number != current:
            slot = _slot_text(generation + 1, number).ljust(SLOT_BYTES)
            os.pwrite(self._file, slot, (generation + 1) % 2 * SLOT_BYTES)
            os.fdatasync(self._file)
            if current is None:
                sync_folder(self._path.parent)  # the file is new
        self.stored = number

    def reserve(self, number: int, ahead: int) -> None:
        """If `number` is above the one on the disk, store the number that is `ahead` of it. Raises OSError, as `store`."""
        if self.stored is None or number > self.stored:
            self.store(number + ahead)

    def close(self) -> None:
        """Release the file, if it is open."""
        if self._file is not None:
            os.close(self._file)
        self._file = self.stored = None

    def _open(self) -> None:
        """Open the file, or create it, and keep it locked: two doors would count the same numbers."""
        self.close()
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise OSError("is not a regular file")
            lock(file)
            if status.st_size < 2 * SLOT_BYTES:
                os.posix_fallocate(file, 0, 2 * SLOT_BYTES)
        except BaseException:
            os.close(file)
            raise
        self._file = file


def counter_path(log: Path) -> Path:
    """Return the path of the counter beside a log. It is hidden, so that `mv events.jsonl* elsewhere` leaves it."""
    return log.with_name(f".{log.name}.seq")


def _slot_text(generation: int, number: int) -> bytes:
    content = f"{generation} {number}"
    return f"{content} {zlib.crc32(content.encode()):08x}\n".encode()


def _newest_slot(data: bytes) -> tuple[int, int | None]:
    """Return generation and number of the slot that was written last; (0, None) if none is intact."""
    newest: tuple[int, int | None] = (0, None)
    for start in (0, SLOT_BYTES):
        line = data[start : start + SLOT_BYTES].partition(b"\n")[0] + b"\n"
        with contextlib.suppress(ValueError):
            generation, number = map(int, line.split()[:2])
            if line == _slot_text(generation, number) and generation > newest[0] and 0 <= number < _MAX_NUMBER:
                newest = generation, number
    return newest
