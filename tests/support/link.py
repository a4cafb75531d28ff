"""Logs for the tests of the link, written without the door's writer, which waits for the disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from edge.events.record import encode
from edge.link.cursor import Cursor
from edge.link.log_tail import Line, LogTail

#: Opens a tail of a log behind a cursor.
OpenTail = Callable[[Path, Cursor], LogTail]
#: The cursor of a target that has received nothing.
START = Cursor()


def line(seq: int, event: str = "signal", **fields: object) -> bytes:
    """Return a line of a log."""
    return encode({"seq": seq, "time": "2026-11-27T10:00:00.000Z", "t": seq / 10, "event": event, **fields})


def write_log(path: Path, numbers: Iterable[int], **kinds: str) -> None:
    """Append lines with these numbers to a file. `kinds` has the events of some numbers: n5="started"."""
    with path.open("ab") as file:
        for seq in numbers:
            file.write(line(seq, kinds.get(f"n{seq}", "signal")))


def read_all(tail: LogTail) -> list[Line]:
    """Return all lines that there are now."""
    lines = []
    while (found := tail.next()) is not None:
        lines.append(found)
    return lines


def lines_after(path: Path, cursor: Cursor = START) -> list[Line]:
    """Return the lines that a new tail finds after `cursor`."""
    with contextlib.closing(LogTail(path, cursor)) as tail:
        return read_all(tail)


def numbers_after(path: Path, cursor: Cursor) -> list[int]:
    """Return the numbers of `lines_after`."""
    return [found.seq for found in lines_after(path, cursor)]
