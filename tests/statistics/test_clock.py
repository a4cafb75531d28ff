"""Clocks that are set, nights with 23 and 25 hours, and zones that are not whole hours off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.statistics import figures, hours_file
from support.played_day import LogWriter, write_log

HOUR_S = 3600.0


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def names(path: Path) -> list[str]:
    """Return the names of the hours in the file beside a log."""
    return [hour.start.isoformat(timespec="minutes") for hour in hours_file.read(hours_file.hours_path(path)).hours]


def hourly_passages(begin: datetime, hours: int) -> LogWriter:
    """Return a log with one passage in each hour, half past."""
    log = LogWriter(begin)
    log.start()
    log.wait(1800)
    for _ in range(hours):
        log.passage()
        log.wait(HOUR_S - 4)
    log.wait(-1800)
    log.stop()
    return log


@pytest.mark.parametrize(
    ("zone", "midnight", "hours", "at_two"),
    [
        ("Europe/Berlin", "2026-10-24T22:00", 25, 2),
        ("Europe/Berlin", "2026-03-28T23:00", 23, 0),
        ("America/New_York", "2026-11-01T04:00", 25, 1),  # there, 01:00 comes twice
        ("America/New_York", "2026-03-08T05:00", 23, 0),
    ],
)
def test_a_night_with_more_or_fewer_hours(
    path: Path, zone: str, midnight: str, hours: int, at_two: int, set_zone: Callable[[str], None]
) -> None:
    set_zone(zone)
    write_log(path, hourly_passages(utc(midnight), hours).records)
    found = figures.collect(path)
    (only,) = (group for group in found.by("day") if group.figures.people)
    assert only.figures.people == hours, "one passage in each hour of the local day"
    assert found.by("hour")[2].figures.people == at_two
    assert found.total.up_ms == hours * 3_600_000
    assert all(hour.people == 1 for hour in found.hours)
    figures.keep(path)
    assert len(set(names(path))) == hours


def test_the_hour_that_comes_twice_has_two_lines(path: Path, set_zone: Callable[[str], None]) -> None:
    set_zone("Europe/Berlin")
    write_log(path, hourly_passages(utc("2026-10-24T23:00"), 5).records)
    figures.keep(path)
    assert names(path) == [
        "2026-10-25T01:00+02:00",
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
        "2026-10-25T04:00+01:00",
    ]


def test_a_zone_whose_summer_time_is_half_an_hour(path: Path, set_zone: Callable[[str], None]) -> None:
    set_zone("Australia/Lord_Howe")  # on 2026-04-05, 02:00+11:00 becomes 01:30+10:30
    log = LogWriter(utc("2026-04-04T13:00"))
    log.start()
    for _ in range(16):
        log.passage()
        log.wait(900 - 4)
    log.stop()
    write_log(path, log.records)
    found = figures.collect(path)
    assert [(group.key, group.figures.people) for group in found.by("hour") if group.figures.people] == [
        (0, 4), (1, 6), (2, 4), (3, 2),
    ]  # fmt: skip
    assert found.total.up_ms == 16 * 900_000


def test_a_clock_that_is_set_back(path: Path) -> None:
    log = LogWriter(utc("2026-11-20T12:10"))
    log.start()
    log.passage()
    log.wait(HOUR_S)
    log.passage()
    log.wait(600)
    write_log(path, log.records)
    figures.keep(path)
    assert names(path) == ["2026-11-20T12:00+00:00"]
    log.set_clock(-2 * HOUR_S)
    log.passage()
    log.wait(3 * HOUR_S)
    log.stop()
    write_log(path, log.records)
    found = figures.collect(path)
    assert {hour.start.hour: hour.people for hour in found.hours if hour.people} == {10: 1, 11: 2}
    assert found.total.up_ms == (HOUR_S + 4 + 4 + 600 + 4 + 3 * HOUR_S) * 1000, "no second is lost or counted twice"
    figures.keep(path)
    assert names(path) == [
        "2026-11-20T10:00+00:00",
        "2026-11-20T11:00+00:00",
        "2026-11-20T12:00+00:00",
        "2026-11-20T13:00+00:00",
    ]
    assert figures.collect(path).total == found.total


def test_a_clock_that_starts_in_1970(path: Path) -> None:
    log = LogWriter(datetime(1970, 1, 1, 0, 0, 20, tzinfo=UTC))
    log.start()
    log.passage()
    log.set_clock(utc("2026-11-20T12:00").timestamp() - log.now_s)
    log.passage()
    log.stop()
    write_log(path, log.records)
    found = figures.collect(path)
    assert {hour.start: hour.people for hour in found.hours} == {utc("2026-11-20T11:00"): 1, utc("2026-11-20T12:00"): 1}
    assert found.total.up_ms == 8000


def test_a_run_whose_clock_was_never_set_does_not_move_others(path: Path) -> None:
    log = LogWriter(utc("2026-11-20T12:00"))
    log.start()
    log.passage()
    log.stop()
    log.now_s = 30.0
    log.start()
    log.passage()
    log.stop()
    log.now_s = utc("2026-11-21T12:00").timestamp()
    log.start()
    log.passage()
    log.stop()
    write_log(path, log.records)
    found = figures.collect(path)
    assert [(hour.start.year, hour.people) for hour in found.hours] == [(1970, 1), (2026, 1), (2026, 1)]
    assert len(found.by("day")) == 3, "decades of empty days say nothing"
    assert found.total.up_ms == 12_000


def test_a_time_zone_that_is_changed_counts_nothing_twice(path: Path, set_zone: Callable[[str], None]) -> None:
    log = hourly_passages(utc("2026-11-20T00:00"), 12)
    write_log(path, log.records[:13])
    figures.keep(path)
    set_zone("Asia/Kolkata")
    write_log(path, log.records[5:])
    figures.keep(path)
    found = figures.collect(path)
    assert found.total.people == 12
    assert found.total.up_ms == 12 * 3_600_000
    write_log(path, log.records[20:])
    figures.keep(path)
    assert figures.collect(path).total == found.total


def test_a_time_far_in_the_future_is_no_uptime(path: Path) -> None:
    log = LogWriter(utc("2026-11-20T12:00"))
    log.start()
    log.wait(60)
    log.passage()
    log.now_s = datetime(9998, 12, 31, tzinfo=UTC).timestamp()
    log.passage()
    log.stop()
    write_log(path, log.records)
    total = figures.collect(path).total
    assert (total.people, total.up_ms) == (2, 68_000)


def test_a_clock_set_by_centuries_is_no_error(path: Path) -> None:
    log = LogWriter(utc("2026-11-20T12:00"))
    log.start()
    log.passage()
    log.write("clock_set", before="1970-01-01T00:00:00.000Z")
    log.now_s = datetime(9998, 12, 1, tzinfo=UTC).timestamp()
    for _ in range(3):
        log.write("clock_set", before="1970-01-01T00:00:00.000Z")
    log.stop()
    write_log(path, log.records)
    assert figures.collect(path).total.people == 1
    figures.keep(path)


def test_silent_hours_of_a_run_are_uptime(path: Path) -> None:
    log = LogWriter(utc("2026-11-20T12:20"))
    log.start()
    log.wait(timedelta(hours=20).total_seconds())
    log.passage()
    write_log(path, log.records)
    found = figures.collect(path)
    assert [hour.up_ms for hour in found.hours] == [2_400_000, *[3_600_000] * 19, 1_204_000]
