"""Read and follow an event log: across rotated files, past damaged lines, while the door writes to it."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError
from ..system.files import open_regular, wide_encoding
from .compressed import (
    MAX_DECOMPRESSED_BYTES,
    Opened,
    TarArchiveError,
    UnsupportedCompressionError,
    decompressed_stream,
    decompression_errors,
    open_decompressed,
    peek,
)
from .log_files import MAX_SEARCH_BYTES, LogFiles, inode, is_same_file, lines_from_end, unread_files
from .record import MAX_LINE_BYTES, EventRecord, parse, sequence_number
from .write_ahead import missing

#: The first line of a log differs from that of another within these bytes: they contain its number and time.
START_BYTES = 64
#: After this number of lines in a row without an event, a file is not a log. A few compressed kilobytes may hold
#: millions of line breaks.
MAX_DAMAGED_LINES = 1_000_000


class EventReader(Iterator[EventRecord]):
    """Iterate over the records of a log.

    `damaged` counts the skipped lines, `last_seq` is the highest number so far, `unread` names the files of the log
    that are not read, each with the reason.
    """

    def __init__(self) -> None:
        self._lines: Iterator[bytes] = iter(())
        self.damaged = 0
        self.last_seq = 0
        self.unread: dict[str, str] = {}

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

    Compressed files are decompressed, up to MAX_DECOMPRESSED_BYTES each.

    Raises InputError if there is no log, or a file of it cannot be read.
    """
    files = LogFiles(path)
    try:
        found = files.snapshot()
        if not found:
            # During the first rotation of a log there is for a moment no file of any listed name.
            time.sleep(0.1)
            found = files.snapshot()
    except OSError as error:
        raise _reading_error(path, error) from error
    if not found:
        raise InputError(f"{path}: there is no event log", "'doorlight run' writes one; name it if it is elsewhere")
    reading = EventReader()
    reading._lines = _lines_of_log(files, reading)
    return reading


def read_stream(stream: BinaryIO, name: str) -> EventReader:
    """Return the records of a stream, such as standard input, decompressed. Raises InputError, with `name`."""

    def lines() -> Iterator[bytes]:
        try:
            opened = decompressed_stream(stream)
            if encoding := wide_encoding(peek(opened.file, 16)):
                raise InputError(
                    f"{name}: is {encoding} text, an event log is UTF-8",
                    f"convert it before the last |, with iconv -f {encoding} -t UTF-8",
                )
            yield from _lines_of_file(*opened, Path(name))
        except TarArchiveError as error:
            raise InputError(f"{name}: {error.reason}", "unpack it, and name the log in it instead of -") from error
        except UnsupportedCompressionError as error:
            raise InputError(
                f"{name}: {error.reason}", f"decompress it before the last |, with {error.command}"
            ) from error
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {error.strerror}", "check what is before the |") from error

    reading = EventReader()
    reading._lines = lines()
    return reading


def _lines_of_log(files: LogFiles, reading: EventReader) -> Iterator[bytes]:
    reading.unread.update(unread_files(files.path))
    with contextlib.ExitStack() as opened:
        current = next_file(files, None, reading.last_seq, reading.unread)
        while current is not None:
            opened.enter_context(current.file)
            # Look for the successor before reading: a file that has one is complete.
            successor = next_file(files, current.file, reading.last_seq, reading.unread)
            try:
                yield from _lines_of_file(*current, files.path)
                if successor is None and not current.is_compressed:
                    yield from _restorable(current.file, files.path, reading)
            except OSError as error:
                raise _reading_error(files.path, error) from error
            current.file.close()
            current = successor


def _restorable(file: BinaryIO, path: Path, reading: EventReader) -> Iterator[bytes]:
    """Yield the lines that a power cut has taken from the log's current file, and that the door restores at its next start."""
    lost = missing(file.fileno(), path)
    for line in lost.lines.splitlines(keepends=True) if lost is not None else ():
        if sequence_number(parse(line) or {}) > reading.last_seq:
            yield line


def _lines_of_file(file: BinaryIO, is_compressed: bool, log: Path) -> Iterator[bytes]:
    """Yield the lines of a file. A damaged end of a compressed file is an empty line.

    A line longer than MAX_LINE_BYTES is empty; one longer than MAX_SEARCH_BYTES, or MAX_DAMAGED_LINES in a row, end the
    file. Raises InputError if a compressed file is too large.
    """
    if not is_compressed:
        yield from _bounded_lines(file)
        return
    size = 0
    try:
        for line in _bounded_lines(file):
            size += len(line)
            if size > MAX_DECOMPRESSED_BYTES:
                name = getattr(file, "name", "") or log
                problem = f"{name}: is larger than {MAX_DECOMPRESSED_BYTES >> 20} MB when it is decompressed"
                raise InputError(problem, "decompress it, and name the decompressed file")
            yield line
    except decompression_errors() as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        yield b""


def _bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    damaged = 0
    while line := file.readline(MAX_LINE_BYTES):
        if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
            yield line
            if not line.endswith(b"\n"):
                # The end. The door may still be writing this line: its rest, read as a line, would be a gap in the events.
                return
            damaged = 0 if line.startswith(b"{") else damaged + 1
            if damaged == MAX_DAMAGED_LINES:
                return
            continue
        for _ in range(MAX_SEARCH_BYTES // MAX_LINE_BYTES):
            if not line or line.endswith(b"\n"):
                break
            line = file.readline(MAX_LINE_BYTES)
        else:
            yield b""
            return
        yield b""


def follow(path: Path, poll_s: float, stop: Callable[[], bool], after: int | None = None) -> Iterator[EventRecord]:
    """Yield events as they are written, polling every `poll_s` seconds until `stop()` is true.

    The log may not exist yet.

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
    """A position in a log that is being written: the open file, and where its next line begins.

    Compressed files are left out.
    """

    def __init__(self, path: Path) -> None:
        self._files = LogFiles(path)
        self._file: BinaryIO | None = None
        self._position = 0
        self._start = b""  # how the file begins, to notice that it was emptied and written again
        self._last_seq = 0
        self._seen_before = 0  # events up to this number are skipped: they have been returned already

    def skip_to_end(self) -> None:
        """Move behind the last complete line: an incomplete one is still being written."""
        while (successor := self._next_file()) is not None:
            self._open(successor)
        if self._file is not None:
            size = os.fstat(self._file.fileno()).st_size
            start, last = next(lines_from_end(self._file.fileno(), size), (size, b""))
            self._position = size if last.endswith(b"\n") else start

    def new_records(self) -> Iterator[EventRecord]:
        """Yield what was written since the last call, in all files up to the current one."""
        while True:
            # Look for the successor before reading: a file that has one is complete.
            successor = self._next_file()
            if self._file is not None:
                yield from self._rest_of(self._file)
            if successor is None:
                return
            self._open(successor)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _next_file(self) -> BinaryIO | None:
        found = next_file(self._files, self._file, self._last_seq, None)
        return None if found is None else found.file

    def _open(self, file: BinaryIO) -> None:
        self.close()
        self._file, self._position, self._start, self._seen_before = file, 0, b"", 0

    def _rest_of(self, file: BinaryIO) -> Iterator[EventRecord]:
        start = os.pread(file.fileno(), START_BYTES, 0)
        if os.fstat(file.fileno()).st_size < self._position or not start.startswith(self._start):
            # The door has removed lines that it could not sync, or another program has emptied the file (copytruncate).
            self._position, self._seen_before = 0, self._last_seq
        self._start = start
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
                    number = sequence_number(record)
                    if not 0 < number <= self._seen_before:
                        self._last_seq = max(self._last_seq, number)
                        yield record
            if not end:
                return


def next_file(files: LogFiles, file: BinaryIO | None, last_seq: int, unread: dict[str, str] | None) -> Opened | None:
    """Open the file of the log that follows `file`; the oldest one after None. Return None if there is none.

    Files are compared by inode: the door may rename them at any time, even between two looks at the folder. `last_seq`
    is the highest number read so far. Files that another program has rotated and that cannot be read are added to
    `unread`; None leaves out compressed files.
    """
    path = files.path
    try:
        if file is not None and is_same_file(file.fileno(), path):
            return None
        current = inode(os.fstat(file.fileno())) if file is not None else None
        while True:
            found = files.snapshot(compressed=unread is not None)
            if found != files.snapshot(compressed=unread is not None):
                continue
            if unread:
                found = [entry for entry in found if str(entry[1]) not in unread]
            following = _following(files, found, file, current, last_seq)
            if following == len(found):
                return None
            number, name = found[following]
            try:
                successor = open_decompressed(name) if unread is not None else Opened(open_regular(name), False)
            except FileNotFoundError:
                continue
            except OSError as error:
                if unread is None or name == path or name.suffix[1:].isdigit():
                    raise
                unread[str(name)] = (
                    error.reason if isinstance(error, UnsupportedCompressionError) else str(error.strerror)
                )
                continue
            if inode(os.fstat(successor.file.fileno())) == number:
                return successor
            successor.file.close()
    except OSError as error:
        raise _reading_error(path, error) from error


def _following(
    files: LogFiles,
    found: list[tuple[tuple[int, int], Path]],
    file: BinaryIO | None,
    current: tuple[int, int] | None,
    last_seq: int,
) -> int:
    """Return the index in `found` of the file that follows the open `file`, whose inode is `current`."""
    if file is None:
        return 0
    inodes = [number for number, _ in found]
    if current in inodes:
        return inodes.index(current) + 1
    # The file was deleted, compressed, or moved away. Its descriptor still leads to it.
    read_up_to = max(last_seq, files.first_number(Path(f"/proc/self/fd/{file.fileno()}")))
    for index, (_, name) in enumerate(found):
        if files.first_number(name) > read_up_to:
            return index
    is_replaced = bool(found) and found[-1][1] == files.path
    return len(found) - is_replaced


def _reading_error(path: Path, error: OSError) -> InputError:
    name = Path(error.filename or path)
    if isinstance(error, UnsupportedCompressionError):
        return InputError(
            f"{name}: {error.reason}",
            f"{error.command} {shlex.quote(str(name))} | doorlight events -",
        )
    if error.errno == errno.EISDIR:
        log = next(iter(sorted(name.glob("*.jsonl"))), name / "events.jsonl")
        return InputError(
            f"{name}: is a folder, not an event log", f"name the log in it: doorlight events {shlex.quote(str(log))}"
        )
    quoted = shlex.quote(str(name))
    hint = f"see who may read it: ls -ld {quoted}"
    if error.errno == errno.EINVAL:
        hint = f"to read a pipe: doorlight events - < {quoted}"
    return InputError(f"{name}: cannot be read: {error.strerror}", hint)
