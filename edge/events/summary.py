"""Count events, and choose those of a time span or kind."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ..errors import UsageError
from .record import EventRecord, parse_time, sequence_number, timestamp

_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as "90s", "30m", "1h" or "2d". Raises UsageError for other text."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", text, re.ASCII)
    if match is None:
        raise UsageError(f"'{text}' is not a duration", "write a number and s, m, h or d: 90s, 30m, 1h, 2d")
    return float(match[1]) * _UNIT_S[match[2]]


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of some records: of all, by event, by signal shown; first and last time (UTC)."""

    records: int
    events: dict[str, int]
    signals: dict[str, int]
    first: datetime | None
    last: datetime | None


def summarise(records: Iterable[EventRecord]) -> Summary:
    """Count records. The counts are in the order of first appearance."""
    count = 0
    events: Counter[str] = Counter()
    signals: Counter[str] = Counter()
    first = last = None
    for record in records:
        count += 1
        events[str(record.get("event", "?"))] += 1
        if record.get("event") == "signal":
            signals[str(record.get("signal", "?"))] += 1
        last = timestamp(record) or last
        first = first or last
    return Summary(count, dict(events), dict(signals), first, last)


def last_before(records: Iterable[EventRecord], since: float) -> int:
    """Return the `seq` of the last record older than `since` (seconds since the epoch), or 0. Records come oldest first.

    If the clock was set during a run, the records of that run before it count as if the clock had been right. A record is
    never newer than a later one, whatever its time says.
    """
    known: list[tuple[float, float, bool, int]] = []
    for record in records:
        if (moment := timestamp(record)) is not None:
            kind = record.get("event")
            before = parse_time(record.get("before")) if kind == "clock_set" else None
            set_by_s = (moment - before).total_seconds() if before is not None else 0.0
            known.append((moment.timestamp(), set_by_s, kind == "started", sequence_number(record)))
    correction_s, newest = 0.0, math.inf
    for time_s, set_by_s, started, seq in reversed(known):
        newest = min(newest, time_s + correction_s)
        if newest < since and seq:
            return seq
        correction_s = 0.0 if started else correction_s + set_by_s
    return 0


def select(records: Iterable[EventRecord], after: int, kinds: Collection[str]) -> Iterator[EventRecord]:
    """Yield the records with a `seq` above `after` whose event or signal is one of `kinds` (lower case).

    0 and an empty collection select everything. A record without a number counts as new.
    """
    for record in records:
        names = {str(record.get("event", "")).lower(), str(record.get("signal", "")).lower()}
        if (not kinds or names & set(kinds)) and not 0 < sequence_number(record) <= after:
            yield record
