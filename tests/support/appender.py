"""Lines for an event log, and what its appender makes of them."""

from __future__ import annotations

from pathlib import Path

from edge.events.appender import Appender
from edge.events.reader import read
from edge.events.record import encode
from support.event_log import NO_ROTATION


def line(seq: int, text: str = "") -> bytes:
    """Return the line of an event."""
    return encode({"seq": seq, "time": "2026-11-27T19:05:44.123Z", "t": float(seq), "event": "calm", "text": text})


def append(log: Appender, *lines: bytes) -> None:
    """Append lines, over a rotation if one is due."""
    rest = list(lines)
    while rest:
        del rest[: log.append(rest)]


def seqs(path: Path) -> list[int]:
    """Return the numbers of the log's events, all files included; none of its lines may be damaged."""
    reading = read(path)
    found = [record["seq"] for record in reading]
    assert reading.damaged == 0
    return found


def reopened(path: Path) -> int:
    """Open the log as the next start does, and close it. Return the number of removed bytes."""
    again = Appender(path, NO_ROTATION, 4)
    removed = again.open()
    again.close()
    return removed
