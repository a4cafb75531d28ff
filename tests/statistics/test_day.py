"""A whole day of 2,630 people: every figure is exactly the one with which the log was made."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from edge.events.record import encode
from edge.statistics import figures
from edge.statistics.figures import Statistics
from edge.statistics.hour import rounded_ms
from support.played_day import PEOPLE, Day, play_day, write_log

BEGIN = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def day() -> Day:
    return play_day(BEGIN)


def nearest_rank(times: list[float], percent: int) -> float:
    """Return a percentile by its definition: the value with which at least that many percent of the values are reached."""
    ordered = sorted(rounded_ms(time) for time in times)
    return ordered[-(-len(ordered) * percent // 100) - 1] / 1000


def check(found: Statistics, day: Day) -> None:
    """Check every figure of a day."""
    total = found.total
    assert (total.people, total.masked) == (PEOPLE, sum(day.masked.values()))
    assert total.alarms == sum(day.alarms.values())
    assert (total.up_ms, total.fault_ms) == (day.up_s * 1000, day.fault_s * 1000)
    assert total.dwell == Counter(map(rounded_ms, day.dwell))
    assert total.decision == Counter(map(rounded_ms, day.decision))
    for percent in (50, 90):
        assert figures.percentile_s(total.dwell, percent / 100) == nearest_rank(day.dwell, percent)
        assert figures.percentile_s(total.decision, percent / 100) == nearest_rank(day.decision, percent)
    for hour in found.hours:
        counts = day.people[hour.start], day.masked[hour.start], day.alarms[hour.start]
        assert (hour.people, hour.masked, hour.alarms) == counts, hour.start
    assert len(found.hours) == 24


def test_every_figure_of_a_day(path: Path, day: Day) -> None:
    write_log(path, day.records)
    found = figures.collect(path)
    check(found, day)
    assert (found.begin, found.end) == (BEGIN, BEGIN + timedelta(days=1))
    assert [group.figures.people for group in found.by("hour")] == [
        day.people[BEGIN + timedelta(hours=k)] for k in range(24)
    ]
    assert {group.key: group.figures.people for group in found.by("weekday") if group.figures.people} == {4: PEOPLE}


def test_the_same_day_in_rotated_and_compressed_files(path: Path, day: Day) -> None:
    lines = list(map(encode, day.records))
    parts = [lines[k::1][:900] for k in range(0, len(lines), 900)]
    path.write_bytes(b"".join(parts[-1]))
    for k, part in enumerate(reversed(parts[:-1]), 1):
        if k == 1:
            path.with_name("events.jsonl.1").write_bytes(b"".join(part))
        else:
            path.with_name(f"events.jsonl.{k}.gz").write_bytes(gzip.compress(b"".join(part)))
    assert len(list(path.parent.iterdir())) == len(parts) > 4
    check(figures.collect(path), day)


def test_the_same_day_forgotten_by_the_log(path: Path, day: Day) -> None:
    """The log is rotated eight times in the day and keeps two files; the hours are kept after each rotation."""
    step = len(day.records) // 8
    for end in range(step, len(day.records) + step, step):
        write_log(path, day.records[max(end - 2 * step, 0) : end])
        figures.keep(path)
    found = figures.collect(path)
    assert found.from_hours >= 17
    check(found, day)


def test_the_same_day_in_parts(path: Path, day: Day) -> None:
    write_log(path, day.records)
    cuts = [BEGIN + timedelta(minutes=minutes) for minutes in (0, 191, 1033, 1440)]
    parts = [figures.collect(path, since.timestamp(), until.timestamp()).total for since, until in pairwise(cuts)]
    assert sum(part.people for part in parts) == PEOPLE
    assert sum(part.masked for part in parts) == sum(day.masked.values())
    assert sum(part.up_ms for part in parts) == day.up_s * 1000
    assert sum(part.fault_ms for part in parts) == day.fault_s * 1000
    assert sum((part.dwell for part in parts), Counter()) == Counter(map(rounded_ms, day.dwell))


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns"])
def test_the_same_day_elsewhere(path: Path, day: Day, zone: str, set_zone: Callable[[str], None]) -> None:
    set_zone(zone)
    write_log(path, day.records)
    found = figures.collect(path)
    expected: Counter[int] = Counter()
    for record in day.records:
        if "decision_s" in record:
            expected[datetime.fromisoformat(record["time"]).astimezone().hour] += 1
    assert {group.key: group.figures.people for group in found.by("hour")} == dict(expected)
    assert found.total.up_ms == day.up_s * 1000
    figures.keep(path)
    assert figures.collect(path).hours == found.hours
