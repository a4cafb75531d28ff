"""Read and follow an event log: across rotated files, past damaged lines, while the door writes to it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError
from ..system.files import open_regular
from .log_files import MAX_SEARCH_BYTES, inode, is_same_file, lines_from_end, snapshot
from .record import MAX_LINE_BYTES, EventRecord, parse, sequence_number


class EventReader(Iterator[EventRecord]):
    """Iterate over the records of a log. `damaged` counts the skipped lines, `last_seq` is the highest number so far."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.damaged = 0
        self.last_seq = 0

    def __next__(self) -> EventRecord:
        for line in self._lines:
            record = parse(line)
            if record is not None:
                self.last_seq = max(self.last_seq, sequence_number(record))
                return record
            self.damaged += 1
        raise StopIteration


def read(path: Path) -> EventReader:
    """Return the records of the log at `path`: the rotated files, oldest first, then the current file.

    Raises InputError if there is no log, or a file of it cannot be read.
    """
    try:
        found = snapshot(path)
        if not found:
            # During the first rotation of a log there is for a moment no file of any listed name.
            time.sleep(0.1)
            found = snapshot(path)
    except OSError as error:
        raise _reading_error(path, error) from error
    if not found:
        raise InputError(f"{path}: there is no event log", "'doorlight run' writes one; name it if it is elsewhere")
    return EventReader(_lines_of_log(path))


def _lines_of_log(path: Path) -> Iterator[bytes]:
    with contextlib.ExitStack() as opened:
        file = _next_file(path, None)
        while file is not None:
            opened.enter_context(file)
            # Look for the successor before reading: a file that has one is complete.
            successor = _next_file(path, file)
            try:
                yield from _lines_of_file(file)
            except OSError as error:
                raise _reading_error(path, error) from error
            file.close()
            file = successor


def _lines_of_file(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file. A line longer than MAX_LINE_BYTES is empty; one longer than MAX_SEARCH_BYTES ends the file."""
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            continue
        for _ in range(MAX_SEARCH_BYTES // MAX_LINE_BYTES):
            if not line or line.endswith(b"\n"):
                break
            line = file.readline(MAX_LINE_BYTES)
        else:
            return
        yield b""


def follow(path: Path, poll_s: float, stop: Callable[[], bool], after: int | None = None) -> Iterator[EventRecord]:
    """Yield events as they are written, polling every `poll_s` seconds until `stop()` is true. The log may not exist yet.

    Without `after`, start with the next event; with `after`, with the oldest event of a higher `seq` (0: all events).
    Damaged lines are skipped, an incomplete last line is waited for, and rotation loses nothing.

    Raises InputError if a file of the log cannot be read.
    """
    follower = _Follower(path)
    if after is None:
        follower.skip_to_end()
    try:
        while True:
            # Ask before reading, so that events written before the stop are still returned.
            stopping = stop()
            for record in follower.new_records():
                if after is None or sequence_number(record) > after:
                    yield record
            if stopping:
                return
            time.sleep(poll_s)
    finally:
        follower.close()


class _Follower:
    """A position in a log that is being written: the open file, and where its next line begins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._position = 0

    def skip_to_end(self) -> None:
        """Move behind the last complete line: an incomplete one is still being written."""
        while (successor := _next_file(self._path, self._file)) is not None:
            self._open(successor)
        if self._file is not None:
            size = os.fstat(self._file.fileno()).st_size
            start, last = next(lines_from_end(self._file.fileno(), size), (size, b""))
            self._position = size if last.endswith(b"\n") else start

    def new_records(self) -> Iterator[EventRecord]:
        """Yield what was written since the last call, in all files up to the current one."""
        while True:
            # Look for the successor before reading: a file that has one is complete.
            successor = _next_file(self._path, self._file)
            if self._file is not None:
                yield from self._rest_of(self._file)
            if successor is None:
                return
            self._open(successor)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _open(self, file: BinaryIO) -> None:
        self.close()
        self._file, self._position = file, 0

    def _rest_of(self, file: BinaryIO) -> Iterator[EventRecord]:
        # The door may have removed a torn line.
        self._position = min(self._position, os.fstat(file.fileno()).st_size)
        while True:
            file.seek(self._position)
            data = file.read(MAX_LINE_BYTES) or b""  # None: a file of /proc that has nothing to read yet
            end = data.rfind(b"\n") + 1
            self._position += end
            if not end and len(data) == MAX_LINE_BYTES:
                # No record is so long, so the rest of this file is not a log.
                self._position = os.fstat(file.fileno()).st_size
            for line in data[:end].split(b"\n"):
                if line and (record := parse(line)) is not None:
                    yield record
            if not end:
                return


def _next_file(path: Path, file: BinaryIO | None) -> BinaryIO | None:
    """Open the file of the log that follows `file`; the oldest one after None. Return None if there is none.

    Files are compared by inode: the door may rename them at any time, even between two looks at the folder.
    """
    try:
        if file is not None and is_same_file(file.fileno(), path):
            return None
        current = inode(os.fstat(file.fileno())) if file is not None else None
        while True:
            files = snapshot(path)
            if files != snapshot(path):
                continue
            inodes = [number for number, _ in files]
            # A file that is gone was the oldest: the door deletes at that end.
            following = inodes.index(current) + 1 if current in inodes else 0
            if following == len(files):
                return None
            number, name = files[following]
            with contextlib.suppress(FileNotFoundError):
                successor = open_regular(name)
                if inode(os.fstat(successor.fileno())) == number:
                    return successor
                successor.close()
    except OSError as error:
        raise _reading_error(path, error) from error


def _reading_error(path: Path, error: OSError) -> InputError:
    name = Path(error.filename or path)
    return InputError(f"{name}: cannot be read: {error.strerror}", f"see who may read it: ls -ld {name}")
