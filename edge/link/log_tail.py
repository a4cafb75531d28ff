"""The lines of an event log after a cursor, as they are written: in order, in bounded memory, and with what is missing.

A target that is away for weeks has a backlog of any size, so a line is read when it is asked for. The log may be rotated,
compressed and cut meanwhile, also while nobody reads it.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import DoorlightError, InputError
from ..events.compressed import MAX_DECOMPRESSED_BYTES, Opened, decompression_errors, open_decompressed
from ..events.log_files import LogFiles, inode
from ..events.numbering import newest_record
from ..events.reader import START_BYTES, next_file, read
from ..events.record import MAX_LINE_BYTES, EventRecord, parse, sequence_number
from .cursor import Cursor

_BLOCK_BYTES = 1 << 16
#: A door that ends without `stopped` skips at most this many numbers (see events/writer.py). The next run begins with one of
#: these records.
MAX_SKIPPED = 2000
_FIRST_OF_RUN = ("started", "log_repaired")


class Missing(NamedTuple):
    """Numbers that are not in the log any more, from `first` to `last`. The door may not have used all of them."""

    first: int
    last: int


class Line(NamedTuple):
    """A line of the log without its line feed, its record, and the cursor behind it.

    `missing` are the numbers that the log should have before this line, but has not. The cursor of a line whose number is
    damaged, or may be, is that of the line before.
    """

    seq: int
    text: bytes
    record: EventRecord
    cursor: Cursor
    missing: Missing | None


class LogTail:
    """Reads the log at `path` after `cursor`. Used by one thread.

    `last_seq` is the number of the last line. Lines whose numbers were there before are left out, because the receivers could
    not tell them from those. `unread` names the files that cannot be read, with the reasons.

    If all numbers of the log are lower, it is another log, as after the folder was deleted. Then all its lines follow, and
    `on_new_log` is called with the last number of the former log.
    """

    def __init__(self, path: Path, cursor: Cursor, on_new_log: Callable[[int], None] = lambda _: None) -> None:
        self.last_seq = cursor.seq
        self.unread: dict[str, str] = {}
        self._cursor = self._cursor_behind = cursor
        self._path = path
        self._on_new_log = on_new_log
        self._files = LogFiles(path)
        self._current: Opened | None = None
        self._successor: Opened | None = None
        self._identity = (0, 0)  # device and inode of the current file
        self._position = 0
        self._start = b""  # how the file begins, to notice that it was emptied and written again
        self._is_in_long_line = False  # the position is within a line that is no record, because it is too long
        self._lines: deque[bytes] = deque()
        self._has_seen_older = False  # the log still has lines up to the cursor
        self._doubted: Line | None = None  # the last line, if its number may be damaged and the cursor is before it
        self._before_jump: int | None = None  # the number before the last line, if that may be damaged
        self._damaged_numbers = 0  # lines since the last number that was right
        self._may_be_new = False  # since the last line that was returned, all numbers were there before

    def next(self) -> Line | None:
        """Return the next line; None if there is none yet. Raises InputError if a file of the log cannot be read."""
        try:
            while True:
                if not self._lines and not self._fill():
                    if not self._is_new_log():
                        return None
                    self._begin_again()
                while self._lines:
                    line = self._lines.popleft()
                    self._position += len(line)
                    if (found := self._accept(line)) is not None:
                        return found
        except OSError as error:
            name = error.filename or self._files.path
            raise InputError(f"{name}: cannot be read: {error.strerror}", f"ls -l {name}") from error

    @property
    def cursor(self) -> Cursor:
        """The cursor behind the last line that `next` has returned."""
        return self._cursor_behind

    def close(self) -> None:
        """Close the files."""
        for opened in (self._current, self._successor):
            if opened is not None:
                opened.file.close()
        self._current = self._successor = None
        self._lines.clear()

    def _accept(self, line: bytes) -> Line | None:
        """Return the line if its number follows, and None if it is left out: damaged, without a number, or sent before."""
        record = parse(line)
        seq = sequence_number(record) if record is not None else 0
        if record is None or not seq:
            return None
        if self._doubted is not None and line.rstrip(b"\r\n") == self._doubted.text:
            return None  # a repetition says nothing about the number
        late = self._judge_jump(seq)
        if seq <= self.last_seq:
            self._has_seen_older = self._may_be_new = True
            return None
        text, cursor = line.rstrip(b"\r\n"), self._cursor_here(seq)
        missing = self._missing_before(seq, record)
        if seq > self.last_seq + 1:
            following = self._following_number(line)
            if 0 < following <= seq:  # damaged: an event, but its number says nothing
                self._damaged_numbers += 1
                return Line(seq, text, record, self._cursor_behind, late)
            if not following and missing is not None:
                # The next line says whether this is damage. An alarm cannot wait for it, so the cursor does.
                self._doubted = Line(seq, text, record, cursor, missing)
                return Line(seq, text, record, self._cursor_behind, late)
            self._before_jump = None if following else self.last_seq
        self.last_seq, self._has_seen_older, self._may_be_new = seq, True, False
        self._cursor_behind, self._damaged_numbers = cursor, 0
        if late is not None:
            missing = Missing(late.first, missing.last if missing is not None else late.last)
        return Line(seq, text, record, cursor, missing)

    def _judge_jump(self, seq: int) -> Missing | None:
        """Decide about the jump before the last line by the number of this one: a jump that is taken back is damage.

        Return the numbers that are missing if the jump is real, and that was not said yet.
        """
        doubted, before, late = self._doubted, self._before_jump, None
        self._doubted = self._before_jump = None
        if doubted is not None and seq > doubted.seq:
            self.last_seq, self._cursor_behind, late = doubted.seq, doubted.cursor, doubted.missing
        elif doubted is not None:
            self._damaged_numbers += 1
        elif before is not None and seq < self.last_seq:
            self.last_seq = before
            self._damaged_numbers += 1
        return late

    def _following_number(self, line: bytes) -> int:
        """Return the number of the next other line that has one; 0 if the file has none yet, or not within a block."""
        if not self._lines and self._current is not None:
            self._read_block(self._current)
        return next(filter(None, (sequence_number(parse(other) or {}) for other in self._lines if other != line)), 0)

    def _cursor_here(self, seq: int) -> Cursor:
        device, number = self._identity
        is_compressed = self._current is not None and self._current.is_compressed
        return Cursor(seq) if is_compressed else Cursor(seq, device, number, self._position)

    def _is_new_log(self) -> bool:
        """Return whether the log has only numbers that were there before, and is not the rest of the former log.

        A power cut removes lines that were sent perhaps, but not more than MAX_SKIPPED, and the file stays the same.
        """
        if not self._may_be_new:
            return False
        self._may_be_new = False
        place = self._cursor_behind
        try:
            is_file_gone = place.inode > 0 and (place.device, place.inode) not in dict(self._files.snapshot())
            limit = self.last_seq - (0 if is_file_gone else MAX_SKIPPED)
            # The newest record says it at once for a log that continues; only others are read as a whole.
            if self.unread or not 0 < end_of_log(self._path).seq < limit:
                return False
            reading = read(self._path)
            return 0 < _highest_number(reading) < limit and not reading.unread
        except (OSError, DoorlightError):
            return False

    def _begin_again(self) -> None:
        """Continue with the oldest line of a new log."""
        former = self.last_seq
        self.close()
        self.last_seq, self._cursor, self._cursor_behind = 0, Cursor(), Cursor()
        self._has_seen_older = False
        self._forget_jump()
        self._on_new_log(former)

    def _forget_jump(self) -> None:
        self._doubted, self._before_jump, self._damaged_numbers = None, None, 0

    def _missing_before(self, seq: int, record: EventRecord) -> Missing | None:
        skipped = seq - self.last_seq - 1
        if not skipped or not self.last_seq:  # before the first line, nothing is known about earlier ones
            return None
        if skipped <= self._damaged_numbers:
            return None
        kind = record.get("event")
        # The log itself says what it has lost; a crash makes the door skip numbers.
        is_explained = kind == "log_lost" or (kind in _FIRST_OF_RUN and skipped <= MAX_SKIPPED)
        return None if is_explained and self._has_seen_older else Missing(self.last_seq + 1, seq - 1)

    def _fill(self) -> bool:
        """Read the next lines, of the next file if this one is complete. Return whether there may be more."""
        if self._current is None:
            opened = self._first_file()
            if opened is None:
                return False
            self._use(opened)
        assert self._current is not None
        # Look for the successor before reading: a file that has one is complete.
        if self._successor is None:
            self._successor = next_file(self._files, self._current.file, self.last_seq, self.unread)
        if self._read_block(self._current):
            return True
        if self._successor is None:
            return False
        self._current.file.close()
        self._use(self._successor)
        self._successor = None
        return True

    def _use(self, opened: Opened) -> None:
        self._current = opened
        self._identity = inode(os.fstat(opened.file.fileno()))
        self._position, self._start, self._is_in_long_line = 0, b"", False
        cursor = self._cursor
        if not opened.is_compressed and self._identity == (cursor.device, cursor.inode) and cursor.seq == self.last_seq:
            self._position = cursor.offset if _ends_with(opened.file, cursor) else 0
            self._has_seen_older = self._position > 0

    def _first_file(self) -> Opened | None:
        """Open the file in which the cursor is, else the oldest; None if there is no log."""
        seq = self._cursor.seq
        while seq:
            found = [entry for entry in self._files.snapshot() if str(entry[1]) not in self.unread]
            # By number, not by inode: that of a deleted file is given to the next one.
            named = [entry for entry in found if 0 < self._files.first_number(entry[1]) <= seq]
            if not named:
                break
            number, name = named[-1]
            try:
                opened = open_decompressed(name)
            except FileNotFoundError:
                continue  # rotated in this moment
            except OSError as error:
                self.unread[str(name)] = str(getattr(error, "reason", error.strerror))
                continue
            if inode(os.fstat(opened.file.fileno())) == number:
                return opened
            opened.file.close()
        return next_file(self._files, None, self.last_seq, self.unread)

    def _read_block(self, opened: Opened) -> bool:
        """Read complete lines into `_lines`. Return False at the end of the file, as far as it is written."""
        if opened.is_compressed:
            return self._read_compressed(opened.file)
        descriptor = opened.file.fileno()
        start = os.pread(descriptor, START_BYTES, 0)
        if os.fstat(descriptor).st_size < self._position or not start.startswith(self._start):
            # The door has removed lines that it could not sync, or another program has emptied the file (copytruncate).
            self._position, self._is_in_long_line = 0, False
            self._forget_jump()
        self._start = start
        if self._is_in_long_line:
            return self._skip_long_line(descriptor)
        data = os.pread(descriptor, _BLOCK_BYTES, self._position)
        if len(data) == _BLOCK_BYTES and b"\n" not in data:
            data = os.pread(descriptor, MAX_LINE_BYTES, self._position)
        end = data.rfind(b"\n") + 1
        if not end:
            if len(data) < MAX_LINE_BYTES:
                return False
            self._position += len(data)
            self._is_in_long_line = True
            return True
        self._lines.extend(line + b"\n" for line in data[: end - 1].split(b"\n"))
        return True

    def _skip_long_line(self, descriptor: int) -> bool:
        """Move towards the end of a line that is too long for a record. Return False at the end of the file."""
        data = os.pread(descriptor, MAX_LINE_BYTES, self._position)
        end = data.find(b"\n") + 1
        self._position += end or len(data)
        self._is_in_long_line = not end
        return bool(data)

    def _read_compressed(self, file: BinaryIO) -> bool:
        """Read lines of a compressed file. A damaged end is the end of the file."""
        size = 0
        with contextlib.suppress(*decompression_errors()):
            while size < _BLOCK_BYTES and self._position + size < MAX_DECOMPRESSED_BYTES:
                line = file.readline(MAX_LINE_BYTES)
                if not line:
                    break
                self._lines.append(line)
                size += len(line)
        return bool(self._lines)


def end_of_log(path: Path) -> Cursor:
    """Return the cursor behind the newest event. Raises OSError or OutputError if the log cannot be read."""
    return Cursor(sequence_number(newest_record(path) or {}))


def events_behind(path: Path, cursor: Cursor | None) -> int | None:
    """Return how many numbers the log is ahead of a cursor; None if the log cannot be read."""
    try:
        newest = end_of_log(path).seq
    except (OSError, DoorlightError):
        return None
    return max(0, newest - (cursor.seq if cursor is not None else 0))


def _highest_number(records: Iterable[EventRecord]) -> int:
    """Return the highest number of a log, without those that are damaged: the next record takes the jump back."""
    highest = before = last = 0
    for seq in filter(None, map(sequence_number, records)):
        if seq >= last or last <= before + MAX_SKIPPED:
            highest = max(highest, last)
        before, last = last, seq
    return max(highest, last)


def _ends_with(file: BinaryIO, cursor: Cursor) -> bool:
    """Return whether the line of the cursor ends where the cursor says: the file may have been written again."""
    start = max(0, cursor.offset - _BLOCK_BYTES)
    data = os.pread(file.fileno(), cursor.offset - start, start)
    if len(data) != cursor.offset - start or not data.endswith(b"\n"):
        return False
    line = data[:-1].rpartition(b"\n")[2]
    record = parse(line)
    return record is not None and sequence_number(record) == cursor.seq
