"""The counts of one local hour, and its line in the file of hours.

An hour begins at a full hour of the local clock. It is named by this time with its UTC offset, "2026-10-25T02:00+01:00": this
is exact in a night with 23 or 25 hours, and in zones that are half an hour off.
"""

from __future__ import annotations

import functools
import json
import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ..events.record import MAX_LINE_BYTES, parse_time, utc_text

#: Version of the lines. A program that changes their meaning counts it up.
VERSION = 1
HOUR_MS = 3_600_000
#: Every UTC offset in use is a multiple of it. So a local hour consists of whole quarters of a UTC hour.
QUARTER_MS = 900_000
#: Nobody stands at a door for longer. A longer time in a log is damage.
MAX_SECONDS = 1e6
#: More people than pass a door in an hour. A larger number is damage.
_MAX_COUNT = 100_000


_BEGINNING = re.compile(rb'\{"v":%d,"hour":"([0-9T:+-]{22})",' % VERSION)


class Anchor(NamedTuple):
    """A record of the log: its number, and its time as it was written, in ms since the epoch."""

    seq: int
    time_ms: int


_NO_RECORD = Anchor(0, 0)


@dataclass(slots=True)
class Hour:
    """Counts of the hour that begins at `start`.

    A person counts in the hour of the first verdict, with the last verdict. `dwell` and `decision` are times in ms, rounded by
    `rounded_ms`, in no order: in an array, because years have millions of them. `up_ms` is the time in which the door ran, `fault_ms` the part of it in which it showed FAULT.

    `first` and `last` are the outermost records of the log that these counts come from. There are `records` in all from
    the one to the other.
    """

    start: datetime
    people: int = 0
    masked: int = 0
    alarms: int = 0
    fault_ms: int = 0
    up_ms: int = 0
    dwell: array[int] = field(default_factory=lambda: array("I"))
    decision: array[int] = field(default_factory=lambda: array("I"))
    first: Anchor = _NO_RECORD
    last: Anchor = _NO_RECORD
    records: int = 0

    @property
    def start_ms(self) -> int:
        """Begin of the hour in ms since the epoch."""
        return round(self.start.timestamp()) * 1000

    @property
    def end_ms(self) -> int:
        """End of the hour in ms since the epoch."""
        return self.start_ms + HOUR_MS

    def overlaps(self, since_ms: int | None, until_ms: int | None) -> bool:
        """Return whether a part of the hour is in a time span. None is no limit."""
        return (since_ms is None or self.end_ms > since_ms) and (until_ms is None or self.start_ms < until_ms)

    def is_within(self, since_ms: int | None, until_ms: int | None) -> bool:
        """Return whether the whole hour is in a time span. None is no limit."""
        return (since_ms is None or self.start_ms >= since_ms) and (until_ms is None or self.end_ms <= until_ms)

    def add(self, other: Hour) -> None:
        """Add the counts of `other`, which come from later records of the log."""
        self.people += other.people
        self.masked += other.masked
        self.alarms += other.alarms
        self.fault_ms += other.fault_ms
        self.up_ms += other.up_ms
        self.dwell.extend(other.dwell)
        self.decision.extend(other.decision)
        self.last = other.last
        self.clip()

    def clip(self) -> None:
        """Limit the times to an hour: a clock that repeats an hour, as after a power cut without a network, counts it once."""
        self.up_ms = min(self.up_ms, HOUR_MS)
        self.fault_ms = min(self.fault_ms, self.up_ms)


class LocalHours:
    """Finds the local hour of a moment, in the time zone of this machine, or in UTC."""

    def __init__(self, is_utc: bool = False) -> None:
        self._zone = UTC if is_utc else None
        self._starts: dict[int, datetime] = {}

    def start(self, time_ms: int) -> datetime:
        """Return the begin of the local hour of a moment, with its UTC offset."""
        quarter = time_ms // QUARTER_MS
        found = self._starts.get(quarter)
        if found is None:
            moment = datetime.fromtimestamp(quarter * QUARTER_MS / 1000, UTC)
            found = moment.astimezone(self._zone).replace(minute=0, second=0)
            self._starts[quarter] = found
        return found


def rounded_ms(seconds: float) -> int:
    """Return a time in ms, rounded to three digits: to 0.01 s below 10 s, 0.1 s below 100 s, else 1 s."""
    step = 10 if seconds < 10 else 100 if seconds < 100 else 1000
    return round(seconds * 1000 / step) * step


def encode(hour: Hour) -> bytes:
    """Return the line of an hour: one JSON object and a line feed. Times without a count are left out."""
    line: dict[str, object] = {
        "v": VERSION,
        "hour": hour.start.isoformat(timespec="minutes"),
        "people": hour.people,
        "masked": hour.masked,
        "alarms": hour.alarms,
        "fault_s": _seconds(hour.fault_ms),
        "up_s": _seconds(hour.up_ms),
    }
    for name, times in (("dwell_s", hour.dwell), ("decision_s", hour.decision)):
        if times:
            line[name] = {str(_seconds(time_ms)): count for time_ms, count in sorted(Counter(times).items())}
    first, last = hour.first, hour.last
    line["log"] = [first.seq, utc_text(first.time_ms / 1000), last.seq, utc_text(last.time_ms / 1000), hour.records]
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def is_certainly_outside(line: bytes, since_ms: int | None, until_ms: int | None) -> bool:
    """Return True if a line is of an hour outside of a time span, without decoding it, as far as its beginning tells."""
    if since_ms is None and until_ms is None:
        return False
    match = _BEGINNING.match(line)
    moment = parse_time(match[1].decode()) if match is not None else None
    return moment is not None and not Hour(moment).overlaps(since_ms, until_ms)


def decode(line: bytes) -> Hour | None:
    """Return the hour of a line; None if the line is of a newer version.

    Raises ValueError for a line that is damaged.
    """
    if len(line) > MAX_LINE_BYTES or not line.endswith(b"\n"):
        raise ValueError("an incomplete line")
    try:
        fields = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(fields, dict) or _count(fields.get("v")) < 1:
        raise ValueError("not an hour")
    if fields["v"] > VERSION:
        return None
    hour = Hour(
        start=_start(fields.get("hour")),
        people=_count(fields.get("people")),
        masked=_count(fields.get("masked")),
        alarms=_count(fields.get("alarms")),
        fault_ms=_milliseconds(fields.get("fault_s"), HOUR_MS / 1000),
        up_ms=_milliseconds(fields.get("up_s"), HOUR_MS / 1000),
        dwell=_times(fields.get("dwell_s", {})),
        decision=_times(fields.get("decision_s", {})),
    )
    hour.first, hour.last, hour.records = _source(fields.get("log"))
    if hour.masked > hour.people or hour.fault_ms > hour.up_ms:
        raise ValueError("impossible counts")
    return hour


def _seconds(time_ms: int) -> float | int:
    return time_ms // 1000 if time_ms % 1000 == 0 else time_ms / 1000


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_COUNT:
        raise ValueError("not a count")
    return value


def _milliseconds(value: object, limit_s: float) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= limit_s:
        raise ValueError("not a time")
    return round(value * 1000)


def _times(value: object) -> array[int]:
    if not isinstance(value, dict):
        raise ValueError("not a table of times")
    times = array("I")
    for text, count in value.items():
        time_ms = _text_ms(text)
        if count == 1:
            times.append(time_ms)
        else:
            times.extend([time_ms] * _count(count))
    return times


@functools.lru_cache(maxsize=10_000)
def _text_ms(seconds: str) -> int:
    # Years of hours have millions of times, but there are only some thousand different ones.
    return _milliseconds(float(seconds), MAX_SECONDS)


def _start(value: object) -> datetime:
    moment = parse_time(value)
    if moment is None:
        raise ValueError("not an hour")
    start = datetime.fromisoformat(str(value))
    if start.minute or start.second or start.microsecond or abs(start.utcoffset() or timedelta()) > timedelta(hours=15):
        raise ValueError("not a full hour")
    return start


def _source(value: Any) -> tuple[Anchor, Anchor, int]:
    if not isinstance(value, list) or len(value) != 5:
        raise ValueError("no source")
    first, last = (parse_time(value[k]) for k in (1, 3))
    if first is None or last is None:
        raise ValueError("not a time")
    anchors = [
        Anchor(seq if type(seq) is int else 0, round(moment.timestamp() * 1000))
        for seq, moment in ((value[0], first), (value[2], last))
    ]
    if type(value[4]) is not int or value[4] < 1:
        raise ValueError("not a number of records")
    return anchors[0], anchors[1], value[4]
