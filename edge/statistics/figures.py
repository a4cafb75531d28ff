"""The statistics of a log as data: `collect` reads them, `Statistics` totals and groups them."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, get_args

from ..errors import InputError
from ..events import reader
from ..system.files import is_locked
from . import hours_file
from .hour import Hour, LocalHours
from .log_moments import NOW, LogMoments, Moment, Moments
from .tally import Tally

By = Literal["hour", "day", "weekday", "week", "month"]
#: What statistics are grouped by.
GROUPS: tuple[By, ...] = get_args(By)
#: Two-sided 95 % of the normal distribution.
_Z95 = 1.959963984540054
#: Empty days between two days with figures are shown up to this number. A clock that was wrong once must not add decades.
MAX_EMPTY_PERIODS = 400


class Interval(NamedTuple):
    """Limits of an interval of shares, 0..1."""

    low: float
    high: float


def wilson_interval(count: int, total: int) -> Interval | None:
    """Return the 95 % interval of the share `count` / `total`; None if `total` is 0.

    The score interval of Wilson (Journal of the American Statistical Association 22, 1927, 209-212), which Brown, Cai and
    DasGupta (Statistical Science 16, 2001, 101-133) recommend: it is right for small numbers and shares near 0 and 1, too.
    """
    if not total:
        return None
    share, square = count / total, _Z95 * _Z95
    centre = share + square / (2 * total)
    half = _Z95 * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    scale = 1 + square / total
    # At the ends, rounding must not leave 1e-17.
    low = 0.0 if count == 0 else (centre - half) / scale
    high = 1.0 if count == total else (centre + half) / scale
    return Interval(low, high)


def percentile_s(times: Counter[int], share: float) -> float | None:
    """Return the shortest of `times` (ms) that at least `share` of them do not exceed, in seconds; None if there is none."""
    needed = share * times.total()
    seen = 0
    for time_ms in sorted(times):
        seen += times[time_ms]
        if seen >= needed - 1e-9 and seen:
            return time_ms / 1000
    return None


@dataclass
class Figures:
    """Totals of some hours: people who were judged (passages), how many with a mask, alarms, times.

    `dwell` and `decision` count times in ms, see `Hour`.
    """

    people: int = 0
    masked: int = 0
    alarms: int = 0
    fault_ms: int = 0
    up_ms: int = 0
    dwell: Counter[int] = field(default_factory=Counter)
    decision: Counter[int] = field(default_factory=Counter)

    def add(self, hour: Hour) -> None:
        """Add the counts of an hour."""
        self.people += hour.people
        self.masked += hour.masked
        self.alarms += hour.alarms
        self.fault_ms += hour.fault_ms
        self.up_ms += hour.up_ms
        self.dwell.update(hour.dwell)
        self.decision.update(hour.decision)

    @property
    def share_masked(self) -> float | None:
        """Share of the people with a mask, 0..1; None without people."""
        return self.masked / self.people if self.people else None

    @property
    def interval(self) -> Interval | None:
        """95 % interval of `share_masked`."""
        return wilson_interval(self.masked, self.people)


class Group(NamedTuple):
    """The figures of an hour of the day (`key` 0..23), a weekday (0: Monday), or the day, week or month that begins at `key`."""

    key: int | date
    figures: Figures


@dataclass
class Statistics:
    """The statistics of a time span.

    `begin` and `end` (local times) are the limits of the figures; None if there are none. `is_played` says that they are of
    played files: then hours are hours of the file. `played_files` counts those. `left_out_files` are the played files of a
    camera's log. `damaged`, `lost`, `unknown` and `unread` say what could not be counted, and `whole_hours` how many hours
    reach beyond the time span: they are counted whole, because only the file of hours still has them. `from_hours` counts
    the hours that only that file has. `is_running` is True if the door runs now, `is_unfinished` if
    the last run has no end in the log and the door is not running.
    """

    source: str
    hours: list[Hour]
    begin: datetime | None = None
    end: datetime | None = None
    is_played: bool = False
    is_running: bool = False
    is_unfinished: bool = False
    has_log: bool = True
    played_files: int = 0
    left_out_files: int = 0
    damaged: int = 0
    lost: int = 0
    unknown: int = 0
    unread: dict[str, str] = field(default_factory=dict)
    whole_hours: int = 0
    from_hours: int = 0
    damaged_hours: int = 0
    newer_hours: int = 0

    @property
    def total(self) -> Figures:
        """The figures of all hours."""
        return _sum(self.hours)

    @property
    def span_ms(self) -> int:
        """Time from `begin` to `end`."""
        if self.begin is None or self.end is None:
            return 0
        return round((self.end - self.begin).total_seconds() * 1000)

    def by(self, group: By) -> list[Group]:
        """Return the figures by hour of the day, weekday, or by day, week or month from the first to the last."""
        if group in ("hour", "weekday"):
            keys = range(24 if group == "hour" else 7)
            found: dict[int | date, Figures] = {key: Figures() for key in keys}
        else:
            found = {}
        for hour in sorted(self.hours, key=lambda hour: hour.start):
            found.setdefault(_key(hour, group), Figures()).add(hour)
        if group in ("hour", "weekday"):
            return [Group(key, figures) for key, figures in found.items()]
        return _with_empty_periods(found, group)


def collect(
    path: Path, since: float | None = None, until: float | None = None, *, played: bool | None = None
) -> Statistics:
    """Return the statistics of the log at `path` and of the file of hours beside it, from `since` up to `until`.

    Times are in seconds since the epoch, None is no limit. `played` chooses played files (True) or cameras (False); None
    chooses cameras unless the log has played files only. Nothing is written.

    Raises InputError if there is no log and no file of hours, or a file cannot be read.
    """
    stored = hours_file.read(hours_file.hours_path(path), _ms(since), _ms(until))
    try:
        records = reader.read(path)
        log = LogMoments(records, stored.anchors)
    except InputError:
        if path.exists() or not stored.hours:
            raise
        records, log = reader.EventReader(), LogMoments(())
    now_ms = round(time.time() * 1000) if log.is_open and is_locked(path) else None
    statistics = _statistics(str(path), log, stored, (_ms(since), _ms(until)), now_ms, played)
    statistics.damaged, statistics.unread = records.damaged, records.unread
    return statistics


def collect_stream(
    stream: BinaryIO, name: str, since: float | None = None, until: float | None = None, *, played: bool | None = None
) -> Statistics:
    """Return the statistics of a log that comes through a stream, such as standard input. Raises InputError, with `name`."""
    records = reader.read_stream(stream, name)
    log = LogMoments(records)
    nothing = hours_file.HoursFile(Path(name))
    statistics = _statistics(name, log, nothing, (_ms(since), _ms(until)), None, played)
    statistics.damaged = records.damaged
    return statistics


def keep(path: Path) -> tuple[int, bool]:
    """Bring the file of hours beside the log at `path` up to date. Return its number of hours, and whether it has changed.

    Raises InputError if there is no log, or a file cannot be read; OutputError if the file cannot be written.
    """
    stored = hours_file.read(hours_file.hours_path(path))
    records = reader.read(path)
    log = LogMoments(records, stored.anchors)
    if not log.has_events and (log.count or records.damaged):
        raise InputError(f"{path}: is not an event log: it has no events", "name the event log")
    kept, quarters = hours_file.kept_hours(stored, log)
    local = LocalHours()
    counted = Tally(log.camera, local, quarters).hours
    unfinished = local.start(log.camera.times_ms[-1]) if log.camera else None
    hours = hours_file.complete_hours(kept, counted, unfinished)
    return len(hours), hours_file.write(stored, hours)


def _statistics(
    source: str,
    log: LogMoments,
    stored: hours_file.HoursFile,
    span: tuple[int | None, int | None],
    now_ms: int | None,
    played: bool | None,
) -> Statistics:
    kept, quarters = hours_file.kept_hours(stored, log)
    is_played = not (log.camera or kept) and bool(log.played) if played is None else played
    moments = log.played if is_played else log.camera
    if now_ms is not None and moments is log.camera:
        moments.append(Moment(log.count, 0, NOW), now_ms, now_ms)
    local = LocalHours(is_utc=is_played)
    # A played file has a clock of its own.
    since_ms, until_ms = (None, None) if is_played else span
    counted = Tally(moments, local, {} if is_played else quarters, since_ms, until_ms).hours
    kept = [] if is_played else kept
    begin, end = _limits(kept, moments, since_ms, until_ms, is_played)
    merged = {hour.start: hour for hour in kept}
    for start, hour in counted.items():
        if start in merged:
            merged[start].add(hour)
        else:
            merged[start] = hour
    return Statistics(
        source,
        [merged[start] for start in sorted(merged)],
        begin,
        end,
        is_played=is_played,
        is_running=now_ms is not None,
        is_unfinished=log.is_open and now_ms is None,
        has_log=log.has_events,
        played_files=log.played_files,
        left_out_files=0 if is_played else log.played_files,
        lost=log.lost,
        unknown=log.unknown,
        whole_hours=sum(not hour.is_within(since_ms, until_ms) for hour in kept),
        from_hours=len(kept),
        damaged_hours=stored.damaged,
        newer_hours=stored.newer,
    )


def _limits(
    kept: Sequence[Hour], moments: Moments, since_ms: int | None, until_ms: int | None, is_utc: bool
) -> tuple[datetime | None, datetime | None]:
    """Return the local times from which and up to which something is known within the time span."""
    begins = [hour.start_ms for hour in kept] + ([min(moments.times_ms)] if moments else [])
    ends = [hour.end_ms for hour in kept] + ([max(moments.times_ms)] if moments else [])
    if not begins:
        return None, None
    begin = max(min(begins), since_ms or 0)
    end = max(ends) if until_ms is None else min(max(ends), until_ms)
    if begin > end:
        return None, None
    first, last = (datetime.fromtimestamp(ms / 1000, UTC).astimezone(UTC if is_utc else None) for ms in (begin, end))
    return first, last


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _sum(hours: Iterable[Hour]) -> Figures:
    figures = Figures()
    for hour in hours:
        figures.add(hour)
    return figures


def _key(hour: Hour, group: By) -> int | date:
    day = hour.start.date()
    match group:
        case "hour":
            return hour.start.hour
        case "weekday":
            return day.weekday()
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
    return day


def _with_empty_periods(found: dict[int | date, Figures], group: By) -> list[Group]:
    """Return the groups in order, with the empty ones between them, unless there are very many."""
    groups: list[Group] = []
    for key, figures in found.items():
        assert isinstance(key, date)
        if groups:
            empty: list[Group] = []
            following = _next_period(groups[-1].key, group)
            while following < key and len(empty) <= MAX_EMPTY_PERIODS:
                empty.append(Group(following, Figures()))
                following = _next_period(following, group)
            if len(empty) <= MAX_EMPTY_PERIODS:
                groups += empty
        groups.append(Group(key, figures))
    return groups


def _next_period(key: int | date, group: By) -> date:
    assert isinstance(key, date)
    if group == "month":
        return (key + timedelta(days=31)).replace(day=1)
    return key + timedelta(days=7 if group == "week" else 1)
