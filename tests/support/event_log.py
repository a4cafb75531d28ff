"""Write and inspect event logs."""

from __future__ import annotations

import json
from pathlib import Path

from edge.events.record import EventRecord
from edge.events.writer import EventLog
from edge.records import Event

#: A size that no test's log reaches, so that it is not rotated.
NO_ROTATION = 1_000_000
#: A line of a log, for its number and a person.
CALM = '{"seq": %d, "time": "2026-11-20T10:00:03.120Z", "event": "calm", "person": %d}\n'


def write(path: Path, *kinds: str, rotate_bytes: int = NO_ROTATION, keep: int = 4) -> None:
    """Open the log at `path`, write an event of each kind, and close it."""
    with EventLog(path, rotate_bytes, keep) as log:
        for kind in kinds:
            log.write(Event(kind, 0.0))


def log_files(path: Path) -> list[Path]:
    """Return the files of a log, without its counter, sorted by name."""
    return sorted(path.parent.glob(f"{path.name}*"))


def records(path: Path) -> list[EventRecord]:
    """Return the records of one file, all of whose lines must be complete and undamaged."""
    raw = path.read_bytes()
    assert raw == b"" or raw.endswith(b"\n")
    return [json.loads(line) for line in raw.splitlines()]


def kinds(path: Path) -> list[str]:
    """Return the `event` of each record of one file."""
    return [record["event"] for record in records(path)]


def is_written(path: Path, seq: int) -> bool:
    """Return whether the current file contains an event; waiting for it keeps a test from overtaking the disk."""
    try:
        return f'"seq": {seq},'.encode() in path.read_bytes()
    except FileNotFoundError:  # during a rotation
        return False
