"""The overview of all doors for a terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from ..counted import counted
from ..system.terminal import printable
from .overview import DoorSummary, Trouble

HEADING = ("door", "last seen", "signal", "blind since", "version", "alarms today", "missing events", "trouble")
_WORDS = {
    Trouble.BLIND: "blind",
    Trouble.OFFLINE: "offline",
    Trouble.SILENT: "silent",
    Trouble.PROBLEM: "problem",
    Trouble.MISSING: "events missing",
    Trouble.NONE: "",
}
AGES = ("never", "{n} s ago", "{n} min ago", "{n} h ago", "{n} days ago")
_COLOURS = {Trouble.NONE: "", Trouble.MISSING: "\x1b[33m", Trouble.PROBLEM: "\x1b[33m"}
_RED, _PLAIN = "\x1b[31m", "\x1b[0m"
_MAX_LENGTH = 40


def render(doors: Sequence[DoorSummary], now: datetime, has_colour: bool = False) -> Iterator[str]:
    """Yield the lines of the table, and how many doors are in trouble."""
    rows = [HEADING, *(_row(door, now) for door in doors)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADING))]
    for k, row in enumerate(rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        colour = _COLOURS.get(doors[k - 1].trouble, _RED) if k and has_colour else ""
        yield f"{colour}{line}{_PLAIN}" if colour else line
    troubled = sum(door.trouble is not Trouble.NONE for door in doors)
    yield ""
    yield f"{counted(len(doors), 'door')}, {troubled or 'none'} in trouble"


def as_json(doors: Sequence[DoorSummary]) -> str:
    """Return the doors as one JSON list."""
    return json.dumps(
        [
            {
                "door": door.name,
                "trouble": _WORDS[door.trouble] or None,
                "last_seen": _iso(door.last_seen),
                "online": door.is_online,
                "signal": door.signal or None,
                "blind_since": _iso(door.blind_since),
                "version": door.version or None,
                "newer_version": door.newer_version or None,
                "alarms_today": door.alarms,
                "missing_events": door.missing,
                "problem": door.problem or None,
            }
            for door in doors
        ],
        indent=1,
    )


def _row(door: DoorSummary, now: datetime) -> tuple[str, ...]:
    phrase, number = age(door.last_seen, now)
    version = f"{door.version}, {door.newer_version} is there" if door.newer_version else door.version
    trouble = ": ".join(filter(None, (_WORDS[door.trouble], door.problem)))
    cells = (
        door.name,
        phrase.format(n=number),
        door.signal,
        door.blind_since.astimezone().strftime("%Y-%m-%d %H:%M") if door.blind_since else "",
        version,
        str(door.alarms),
        str(door.missing),
    )
    return *(printable(cell, _MAX_LENGTH) for cell in cells), printable(trouble, 2 * _MAX_LENGTH)


def age(moment: datetime | None, now: datetime) -> tuple[str, int]:
    """Return how long ago a moment is, as one of AGES and the number in it."""
    if moment is None:
        return AGES[0], 0
    passed = max(now - moment, timedelta())
    if passed < timedelta(minutes=2):
        return AGES[1], passed.seconds
    if passed < timedelta(hours=2):
        return AGES[2], passed.seconds // 60
    if passed < timedelta(days=2):
        return AGES[3], int(passed.total_seconds()) // 3600
    return AGES[4], passed.days


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
