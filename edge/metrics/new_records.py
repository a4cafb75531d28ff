"""The records of a log after a number. As a rule these are few: they are read from the end of the current file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..events import reader
from ..events.log_files import is_same_file, lines_from_end
from ..events.record import EventRecord, parse, sequence_number, timestamp
from ..system.files import open_regular

#: Further from the end, the log is read from its beginning.
MAX_LINES_FROM_END = 5000
#: A crash makes the door skip fewer numbers.
MAX_JUMP = 2001
#: Records without a number that may follow a jump, so that a damaged log does not fill the memory.
MAX_WAITING = 1000


class NewRecord(NamedTuple):
    """A record, and the number of damaged lines between it and the one before."""

    record: EventRecord
    damaged_before: int


def records_after(path: Path, seq: int) -> Iterator[NewRecord]:
    """Yield the records of the log at `path` after the one with number `seq`, oldest first. 0: all records.

    If the log has only lower numbers, it is another one, and all its records are new. A number that the next record takes
    back is damaged, and corrected. Raises InputError if there is no log, or it cannot be read.
    """
    found = _from_end(path, seq) if seq else None
    return _corrected(iter(found) if found is not None else _from_beginning(path, seq), seq)


def _corrected(records: Iterator[NewRecord], last_seq: int) -> Iterator[NewRecord]:
    """Yield the records with plausible numbers. `last_seq` is the number before them; 0 if there is none.

    A newest record with a large jump is left out until the next one shows whether its number is damaged.
    """
    waiting: list[NewRecord] = []  # a record that jumps, and those without a number after it
    for found in records:
        seq = sequence_number(found.record)
        if seq and waiting:
            jump = waiting[0]
            if seq < sequence_number(jump.record):
                waiting[0] = jump._replace(record={**jump.record, "seq": _number_between(last_seq, seq)})
            last_seq = sequence_number(waiting[0].record) or last_seq
            yield from waiting
            waiting = []
        if (waiting and len(waiting) < MAX_WAITING) or (not waiting and seq > last_seq + 1):
            waiting.append(found)
            continue
        if waiting:
            last_seq = sequence_number(waiting[0].record)
            yield from waiting
            waiting = []
        last_seq = seq or last_seq
        yield found
    if waiting and (not last_seq or sequence_number(waiting[0].record) <= last_seq + MAX_JUMP):
        yield from waiting


def _number_between(before: int, after: int) -> int:
    """Return the number of the record between two others; 0 if there is none."""
    number = before + 1 if before else after - 1
    return number if before < number < after else 0


def _from_end(path: Path, seq: int) -> list[NewRecord] | None:
    """Return the records of the current file after number `seq`; None if the file does not have that record near its end."""
    lines: list[bytes] = []
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            for _, line in lines_from_end(file.fileno(), size):
                if not line.endswith(b"\n") and not lines:
                    continue  # it is being written
                record = parse(line)
                if record is not None and 0 < sequence_number(record) <= seq:
                    is_the_one = sequence_number(record) == seq and is_same_file(file.fileno(), path)
                    return _with_damage(reversed(lines), 0) if is_the_one else None
                lines.append(line)
                if len(lines) > MAX_LINES_FROM_END:
                    break
    except OSError:
        pass  # reading from the beginning says what is wrong
    return None


def _with_damage(lines: Iterator[bytes], damaged: int) -> list[NewRecord]:
    found = []
    for line in lines:
        record = parse(line)
        if record is None:
            damaged += 1
        else:
            found.append(NewRecord(record, damaged))
            damaged = 0
    return found


def _from_beginning(path: Path, seq: int) -> Iterator[NewRecord]:
    """Yield the records after number `seq` from the whole log; all, if its numbers end before."""
    if seq and _last_number(path) < seq:
        seq = 0
    reading = reader.read(path)
    damaged, is_new = 0, seq == 0
    for record in reading:
        is_new = is_new or sequence_number(record) > seq
        if is_new:
            yield NewRecord(record, reading.damaged - damaged)
        damaged = reading.damaged


def _last_number(path: Path) -> int:
    """Return the highest number of the log."""
    reading = reader.read(path)
    for _ in reading:
        pass
    return reading.last_seq


def first_time_s(path: Path) -> float | None:
    """Return the time of the first record that has one, in seconds since the epoch; None if there is none."""
    try:
        for record in reader.read(path):
            if (moment := timestamp(record)) is not None:
                return moment.timestamp()
    except InputError:
        pass
    return None
