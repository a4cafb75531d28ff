"""Intervals, percentiles, groups, and what counts as a person, uptime and FAULT."""

from __future__ import annotations

import fcntl
import io
import math
import os
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from edge.errors import InputError
from edge.events.record import encode
from edge.statistics import figures
from edge.statistics.figures import percentile_s, wilson_interval
from edge.statistics.hour import rounded_ms
from support.played_day import LogWriter, write_log

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def log() -> LogWriter:
    log = LogWriter(NOON)
    log.start()
    return log


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (1, 20, 0.0089, 0.2361),
    ],
)
def test_wilson_interval(count: int, total: int, low: float, high: float) -> None:
    found = wilson_interval(count, total)
    assert found is not None
    assert found == pytest.approx((low, high), abs=5e-5)


def test_an_interval_s_limits_solve_the_equation_of_the_score_test() -> None:
    """The definition: the shares p for which the observed share is exactly 1.96 standard errors away."""
    for count, total in ((1, 7), (3, 40), (700, 1000)):
        found = wilson_interval(count, total)
        assert found is not None
        for limit in found:
            distance = abs(count / total - limit) / math.sqrt(limit * (1 - limit) / total)
            assert distance == pytest.approx(1.959964, abs=1e-5)


def test_nobody_has_no_interval() -> None:
    assert wilson_interval(0, 0) is None


@pytest.mark.parametrize(
    ("times", "share", "expected"),
    [
        ([], 0.5, None),
        ([1000], 0.5, 1.0),
        ([1000, 2000], 0.5, 1.0),
        ([1000, 2000, 9000], 0.5, 2.0),
        (list(range(1000, 11_000, 1000)), 0.9, 9.0),
        (list(range(1000, 12_000, 1000)), 0.9, 10.0),
        ([1000] * 9 + [5000], 0.9, 1.0),
    ],
)
def test_percentile(times: list[int], share: float, expected: float | None) -> None:
    assert percentile_s(Counter(times), share) == expected


@pytest.mark.parametrize(
    ("seconds", "ms"),
    [(0, 0), (0.004, 0), (0.876, 880), (9.994, 9990), (9.996, 10_000), (12.34, 12_300), (127.4, 127_000)],
)
def test_times_have_three_digits(seconds: float, ms: int) -> None:
    assert rounded_ms(seconds) == ms


def test_the_last_verdict_counts_in_the_hour_of_the_first(path: Path, log: LogWriter) -> None:
    log.wait(3590)
    person = log.judge("unmasked", 0.5)
    log.wait(20)
    log.write("masked", person=person, evidence=2.0)
    log.clear(person, "masked", 21.5)
    log.stop()
    write_log(path, log.records)
    first, second = figures.collect(path).hours
    assert (first.people, first.masked, list(first.decision), list(first.dwell)) == (1, 1, [500], [])
    assert (second.people, second.masked, list(second.dwell)) == (0, 0, [21_500])


def test_person_numbers_begin_again_with_each_run(path: Path, log: LogWriter) -> None:
    for _ in range(3):
        log.passage()
        log.stop()
        log.start()
    log.passage()
    write_log(path, log.records)
    assert figures.collect(path).total.people == 4


def test_a_run_without_an_end(path: Path, log: LogWriter) -> None:
    log.wait(100)
    log.passage()
    log.wait(5000)
    log.start()
    log.wait(50)
    log.stop()
    write_log(path, log.records)
    found = figures.collect(path)
    assert found.total.up_ms == 154_000, "the power was cut some time after the passage: only what is known counts"
    assert found.span_ms == 5_154_000


def test_a_running_door_counts_up_to_now(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogWriter(NOON)
    log.start()
    log.signal("FAULT")
    write_log(path, log.records)
    monkeypatch.setattr("edge.statistics.figures.time.time", lambda: NOON.timestamp() + 7200)
    assert figures.collect(path).is_unfinished
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        row = f":{os.fstat(file.fileno()).st_ino} "
        if row not in Path("/proc/locks").read_text():
            pytest.skip("this system hides locks")
        found = figures.collect(path)
        assert found.is_running
        assert (found.total.up_ms, found.total.fault_ms) == (7_200_000, 7_200_000), (
            "it is blind, and no event says more"
        )
        assert figures.keep(path) == (0, False), "the file depends on the log only, not on the time of its making"
    assert not figures.collect(path).is_running


def test_fault_that_began_before_the_log(path: Path, log: LogWriter) -> None:
    log.signal("FAULT")
    log.wait(60)
    log.write("camera_lost", source="x", reason="y")
    log.wait(60)
    log.signal("IDLE")
    log.wait(10)
    log.stop()
    write_log(path, log.records[2:])
    total = figures.collect(path).total
    assert (total.up_ms, total.fault_ms) == (70_000, 60_000)


def test_played_files_are_left_out_of_a_camera_s_log(path: Path, log: LogWriter) -> None:
    log.passage()
    log.stop()
    log.start(source="film.mp4", live=False)
    log.write("masked", person=1, evidence=2.0)
    log.records[-1]["t"] = 3700.0
    log.write("cleared", person=1, verdict="masked", dwell_s=2.0)
    log.records[-1]["t"] = 7300.5
    log.stop()
    log.records[-1]["t"] = 7310.0
    write_log(path, log.records)
    found = figures.collect(path)
    assert (found.total.people, found.left_out_files, found.is_played) == (1, 1, False)
    played = figures.collect(path, played=True)
    assert [group.figures.people for group in played.by("hour")][:3] == [0, 1, 0], "hours of the film"
    assert played.total.up_ms == 7_310_000
    write_log(path, log.records[4:])
    assert figures.collect(path).is_played, "a log of played files shows them"
    assert figures.keep(path) == (0, False), "they are no hours of the door"


def test_impossible_values_are_skipped(path: Path, log: LogWriter) -> None:
    for person in (None, "1", -1, True, 1.5, [1]):
        log.write("masked", person=person)
    for dwell_s in (None, "1", -1, True, 1e300, float("inf")):
        log.write("cleared", person=1, dwell_s=dwell_s)
    log.write("signal", signal=[1])
    log.write("signal")
    log.write("log_lost", count="many")
    log.write("masked", person=10**30)
    log.records += [{"event": "masked", "person": 3}, {"event": 5}, {}, {"seq": 1, "time": "never", "event": "started"}]
    write_log(path, log.records)
    total = figures.collect(path).total
    assert total.people == 1, "the record without a time, which has that of the record before"
    assert total.dwell == {}


def test_what_could_not_be_counted_is_said(path: Path, log: LogWriter) -> None:
    log.passage()
    log.write("log_lost", count=12)
    log.write("sang", song="x")
    path.write_bytes(b"".join(map(encode, log.records)) + b"garbage\n{torn\n")
    found = figures.collect(path)
    assert (found.damaged, found.lost, found.unknown) == (2, 12, 1)


def test_groups_by_day_week_and_month(path: Path) -> None:
    log = LogWriter(datetime(2026, 11, 29, 23, 59, tzinfo=UTC))  # a Sunday
    log.start()
    log.passage()
    log.wait(120)
    log.passage()
    log.wait(86400 * 2)
    log.passage()
    write_log(path, log.records)
    found = figures.collect(path)
    assert [(g.key, g.figures.people) for g in found.by("day")] == [
        (date(2026, 11, 29), 1), (date(2026, 11, 30), 1), (date(2026, 12, 1), 0), (date(2026, 12, 2), 1),
    ]  # fmt: skip
    assert [(g.key, g.figures.people) for g in found.by("week")] == [(date(2026, 11, 23), 1), (date(2026, 11, 30), 2)]
    assert [(g.key, g.figures.people) for g in found.by("month")] == [(date(2026, 11, 1), 2), (date(2026, 12, 1), 1)]
    assert [(g.key, g.figures.people) for g in found.by("weekday")] == [
        (0, 1), (1, 0), (2, 1), (3, 0), (4, 0), (5, 0), (6, 1),
    ]  # fmt: skip


def test_a_window_cuts_uptime_and_blind_time_exactly(path: Path, log: LogWriter) -> None:
    log.wait(1800)
    log.signal("FAULT")
    log.wait(3600)
    log.signal("IDLE")
    log.wait(1800)
    log.stop()
    write_log(path, log.records)
    start = NOON.timestamp()
    total = figures.collect(path, start + 3000, start + 3601.5).total
    assert (total.up_ms, total.fault_ms) == (601_500, 601_500)
    assert figures.collect(path, start + 90_000).hours == []


def test_a_stream_has_no_file_of_hours(log: LogWriter) -> None:
    log.passage()
    found = figures.collect_stream(io.BytesIO(b"".join(map(encode, log.records))), "standard input")
    assert found.total.people == 1


def test_no_log(path: Path) -> None:
    with pytest.raises(InputError, match="there is no event log"):
        figures.collect(path)
    path.write_bytes(b"")
    found = figures.collect(path)
    assert (found.hours, found.begin, found.has_log) == ([], None, False)
    assert figures.keep(path) == (0, False)
    path.write_text("a shopping list\n")
    with pytest.raises(InputError, match="is not an event log"):
        figures.keep(path)


def test_a_poster_is_no_person(log: LogWriter, path: Path) -> None:
    log.passage("masked")
    poster = log.judge("unmasked", 0.5)
    log.wait(60)
    log.write("ignored", person=poster, verdict="unmasked", dwell_s=60.5)
    log.passage("unmasked")
    log.stop()
    total = figures.collect(write_log(path, log.records)).total
    assert (total.people, total.masked) == (2, 1)
    assert sorted(total.decision.elements()) == [rounded_ms(0.9)] * 2
    assert sum(total.dwell.values()) == 2
