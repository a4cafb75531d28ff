"""What the metrics count, and that counters never decrease."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import pytest

from edge.events.record import EventRecord
from edge.metrics.totals import MAX_PRESENT, Totals
from support.played_day import PEOPLE, LogWriter, play_day

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def counted(records: Iterable[EventRecord]) -> Totals:
    totals = Totals()
    for record in records:
        totals.add(record)
    return totals


def counters(totals: Totals) -> dict[str, float]:
    """Return everything that must never decrease."""
    names = ("ignored", "up_s", "fault_s", "starts", "crashes", "camera_lost", "clock_set")
    found: dict[str, float] = {
        name: getattr(totals, name) for name in (*names, "lost", "missing", "damaged", "repaired")
    }
    found |= {f"signal {name}": count for name, count in totals.signals.items()}
    found |= totals.people
    for name, times in (("dwell", totals.dwell), ("decision", totals.decision)):
        found |= {f"{name} {k}": count for k, count in enumerate(times.counts)} | {f"{name} sum": times.sum_s}
    return found


def test_a_whole_day() -> None:
    day = play_day(NOON)
    totals = counted(day.records)
    assert sum(totals.people.values()) == PEOPLE == sum(day.people.values())
    assert totals.people["masked"] == sum(day.masked.values())
    assert totals.signals["ALARM"] == sum(day.alarms.values())
    assert totals.fault_s == pytest.approx(day.fault_s, abs=0.01)
    assert totals.up_s == pytest.approx(day.up_s, abs=0.01)
    assert sum(totals.dwell.counts) == len(day.dwell)
    assert totals.dwell.sum_s == pytest.approx(sum(day.dwell))
    assert totals.decision.counts[0] == sum(seconds <= 0.5 for seconds in day.decision)
    assert totals.missing == totals.lost == totals.crashes == 0
    assert totals.present == {}


def test_no_counter_ever_decreases() -> None:
    log = LogWriter(NOON)
    log.start()
    poster = log.judge("masked")
    undecided = log.judge("masked")
    log.write("unmasked", person=undecided, evidence=-2.0)
    log.write("ignored", person=poster, verdict="masked", dwell_s=60.0)
    log.set_clock(-86400 * 365)
    log.clear(undecided, "unmasked")
    log.judge("masked")
    log.start()
    log.passage("unmasked")
    log.stop()
    totals = Totals()
    before = counters(totals)
    for record in log.records:
        totals.add(record)
        now = counters(totals)
        assert all(now[name] >= count for name, count in before.items()), record
        before = now
    assert totals.people == {"masked": 1, "unmasked": 2}
    assert (totals.ignored, totals.crashes, totals.clock_set) == (1, 1, 1)


def test_a_clock_that_is_set_adds_no_time() -> None:
    log = LogWriter(NOON)
    log.start()
    log.signal("FAULT")
    log.wait(10)
    log.write("view", state="began")
    # The clock jumps by a year, the camera's does not.
    log._started_s += 31_536_000
    log.set_clock(31_536_000)
    log.wait(5)
    log.stop()
    totals = counted(log.records)
    assert totals.fault_s == totals.up_s == 15


def test_a_played_file_says_nothing_about_the_door() -> None:
    log = LogWriter(NOON)
    log.start(live=False)
    log.passage()
    log.signal("FAULT")
    log.wait(60)
    log.stop()
    totals = counted(log.records)
    assert counters(totals) == counters(Totals())
    log.start()
    log.passage()
    log.stop()
    assert sum(counted(log.records).people.values()) == 1


@pytest.mark.parametrize(
    ("event", "skipped", "fields", "missing"),
    [
        ("signal", 3, {"signal": "STOP"}, 3),
        ("started", 1000, {}, 0),
        ("log_repaired", 2000, {"bytes": 7}, 0),
        ("log_lost", 9, {"count": 10}, 0),
        ("log_lost", 12, {"count": 10}, 3),
        ("log_lost", 0, {"count": 10}, 0),
        ("log_lost", 4, {"count": "many"}, 5),
    ],
)
def test_missing_numbers(event: str, skipped: int, fields: dict[str, object], missing: int) -> None:
    log = LogWriter(NOON)
    log.start()
    log.seq += skipped
    log.write(event, **fields)
    totals = counted(log.records)
    assert totals.missing == missing
    assert totals.lost == (10 if fields.get("count") == 10 else 0)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"event": 7, "seq": "x", "time": 3, "t": "later"},
        {"event": "signal", "signal": "GREEN"},
        {"event": "signal", "signal": ["STOP"]},
        {"event": "cleared", "person": {}, "verdict": "nice", "dwell_s": 1e300},
        {"event": "masked", "person": True, "decision_s": -1},
        {"event": "started", "t": 1e308, "seq": 1 << 60},
        {"event": "log_lost", "count": -3},
    ],
)
def test_impossible_values(record: EventRecord) -> None:
    totals = counted([record])
    signals = {name: count for name, count in totals.signals.items() if count}
    assert (signals, sum(totals.people.values()), sum(totals.dwell.counts), totals.lost) == ({}, 0, 0, 0)
    assert totals.last_seq == 0


def test_people_without_an_end_do_not_fill_the_memory() -> None:
    totals = counted({"event": "masked", "person": k, "t": 1} for k in range(10_000))
    assert len(totals.present) == MAX_PRESENT


def test_totals_survive_a_file() -> None:
    totals = counted(play_day(NOON).records[:500])
    assert msgspec.json.decode(msgspec.json.encode(totals), type=Totals) == totals
