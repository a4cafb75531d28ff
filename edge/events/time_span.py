"""Choose the events of a time span: what --since and --until mean, and which records lie between them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime, time, timedelta

from ..errors import UsageError
from .record import EventRecord, parse_time, timestamp

_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", re.ASCII)
_MOMENT = re.compile(
    r"""
    (?P<day> today | yesterday | \d{4}-\d\d-\d\d )?
    (?:
        (?(day) [t\ ] \s* )  # between date and time
        (?P<time> \d\d?:\d\d (?: :\d\d (?: \.\d{1,6} )? )? )
        \s* (?P<zone> z | [+-]\d\d:?\d\d )?
    )?
    """,
    re.ASCII | re.VERBOSE,
)
_TIMES = "an age (30m, 1h, 2d), today, yesterday, a date (2026-11-20), a time (14:30), or date and time"


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as "90s", "30m", "1h" or "2d". Raises UsageError for other text."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise UsageError(f"'{text}' is not a duration", "write a number and s, m, h or d: 90s, 30m, 1h, 2d")
    return float(match[1]) * _UNIT_S[match[2]]


def parse_moment(text: str, now: datetime, *, is_end: bool = False) -> float:
    """Return the moment that `text` means, in seconds since the epoch. `now` is the local time, with its time zone.

    An age such as "30m" counts back from `now`. "today", "yesterday" and a date mean the beginning of the day, or its
    end if `is_end`. A time alone is one of today. Times are local unless they name a zone: "2026-11-20T14:30Z".

    Raises UsageError for other text.
    """
    words = text.strip().lower()
    if _AGE.fullmatch(words):
        return now.timestamp() - parse_duration(words)
    if words == "now":
        return now.timestamp()
    match = _MOMENT.fullmatch(words)
    if match is None or not words:
        raise UsageError(f"'{text}' is not a time", f"write {_TIMES}")
    try:
        return _moment(match["day"], match["time"], match["zone"], now, is_end)
    except (ValueError, OverflowError):
        raise UsageError(f"'{text}' is a time that does not exist", f"write {_TIMES}") from None


def _moment(day: str | None, clock: str | None, zone: str | None, now: datetime, is_end: bool) -> float:
    if day in (None, "today", "yesterday"):
        date = now.date() - timedelta(days=day == "yesterday")
    else:
        date = datetime.fromisoformat(str(day)).date()
    if clock is None:
        # The next midnight: a day may have 23 or 25 hours.
        return datetime.combine(date + timedelta(days=is_end), time()).astimezone().timestamp()
    moment = datetime.fromisoformat(f"{date}T{clock.rjust(len(clock) + (clock[1] == ':'), '0')}{(zone or '').upper()}")
    return (moment if moment.tzinfo else moment.astimezone()).timestamp()


def window(records: Iterable[EventRecord], since: float | None, until: float | None) -> tuple[int, int]:
    """Return the positions [begin, end) of the records from `since` up to `until` (seconds since the epoch; None: no
    limit).

    Records come oldest first. If the clock was set during a run, the records of that run before it count as if the
    clock had been right. A record is never newer than a later one, whatever its time says.
    """
    known: list[tuple[int, float, float, bool]] = []
    count = 0
    for position, record in enumerate(records):
        count = position + 1
        if (moment := timestamp(record)) is not None:
            kind = record.get("event")
            before = parse_time(record.get("before")) if kind == "clock_set" else None
            set_by_s = (moment - before).total_seconds() if before is not None else 0.0
            known.append((position, moment.timestamp(), set_by_s, kind == "started"))
    begin, end = 0, count if until is None else 0
    correction_s, newest = 0.0, math.inf
    for position, time_s, set_by_s, started in reversed(known):
        newest = min(newest, time_s + correction_s)
        if until is not None and not end and newest < until:
            end = position + 1
        if since is not None and newest < since:
            begin = position + 1
            break
        correction_s = 0.0 if started else correction_s + set_by_s
    return begin, max(begin, end)
