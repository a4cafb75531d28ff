"""Durations, records since a time, selection, and counts."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from edge.errors import UsageError
from edge.events.record import EventRecord
from edge.events.summary import last_before, parse_duration, select, summarise


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172800), (" 1.5 h ", 5400), ("0s", 0)]
)
def test_parse_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1 week", "1h30m", "1H", "٣h", "nans"])
def test_parse_duration_refuses_other_text(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"'{text}'")) as caught:
        parse_duration(text)
    assert "30m" in caught.value.hint


def log_of(*rows: tuple[str, str] | tuple[str, str, str]) -> list[EventRecord]:
    """Return records from (time, kind) and (time, "clock_set", time before); a time without a date is on 20 November."""

    def moment(text: str) -> str:
        return f"{text if 'T' in text else '2026-11-20T' + text}:00Z"

    found = []
    for seq, row in enumerate(rows, 1):
        record: EventRecord = {"seq": seq, "time": moment(row[0]), "event": row[1]}
        found.append(record | ({"before": moment(row[2])} if len(row) == 3 else {}))
    return found


@pytest.mark.parametrize(
    ("rows", "last_old"),
    [
        ([], 0),
        ([("11:30", "started"), ("11:45", "calm")], 0),
        ([("10:00", "started"), ("10:59", "calm"), ("11:01", "calm")], 2),
        # The Pi was off for two days, and got the right time only from the network.
        (
            [
                ("2026-11-18T09:00", "started"),
                ("2026-11-18T10:00", "stopped"),
                ("2026-11-18T10:01", "started"),
                ("2026-11-18T10:02", "calm"),
                ("11:32", "clock_set", "2026-11-18T10:03"),
                ("11:40", "calm"),
            ],
            2,
        ),
        # The clock was years ahead for an hour and a half, and then set right: those records are old.
        (
            [
                ("10:00", "started"),
                ("2035-01-01T00:00", "clock_set", "10:00"),
                ("2035-01-01T00:10", "calm"),
                ("2035-01-01T01:20", "calm"),
                ("11:30", "clock_set", "2035-01-01T01:30"),
            ],
            3,
        ),
        # The same, but it was set right between two runs: a record is not newer than the first one after it.
        ([("2035-01-01T00:10", "started"), ("2035-01-01T01:20", "calm"), ("10:30", "started"), ("11:30", "calm")], 3),
        ([("2035-01-01T00:10", "started"), ("2035-01-01T01:20", "calm"), ("11:30", "started")], 0),
        # A clock that is years late affects its own run only.
        ([("10:00", "calm"), ("1999-01-01T00:00", "started"), ("11:59", "clock_set", "1999-01-01T01:00")], 2),
        ([("10:00", "calm"), ("1999-01-01T00:00", "started"), ("11:59", "clock_set", "1999-01-01T00:50")], 1),
        ([("10:00", "calm"), ("11:30", "clock_set", "yesterday")], 1),
    ],
)
def test_last_before_corrects_times_of_a_wrong_clock(rows: list[Any], last_old: int) -> None:
    since = datetime(2026, 11, 20, 11, tzinfo=UTC).timestamp()
    assert last_before(log_of(*rows), since) == last_old


def test_records_without_time_or_number() -> None:
    some: list[EventRecord] = [
        {"event": "old", "time": "2020-01-01T00:00:00Z"},
        {"event": "timeless", "seq": 7},
        {"event": "no number"},
    ]
    assert last_before(some, time.time()) == 0
    assert [record["event"] for record in select(some, 7, ())] == ["old", "no number"]
    assert list(select(some, 0, ("TIMELESS", "timeless"))) == [some[1]]


def test_summarise() -> None:
    some: list[EventRecord] = [
        {"event": "started", "time": "2026-11-20T10:00:00.000Z"},
        {"event": "signal", "signal": "STOP", "time": "2026-11-20T10:00:03.120Z"},
        {"event": "unmasked", "time": "rubbish"},
        {"event": "signal", "signal": "IDLE", "time": "2026-11-20T10:00:05.000Z"},
        {"event": "signal", "signal": "STOP"},
    ]
    summary = summarise(iter(some))
    assert summary.records == 5
    assert summary.events == {"started": 1, "signal": 3, "unmasked": 1}
    assert summary.signals == {"STOP": 2, "IDLE": 1}
    assert summary.first == datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
    assert summary.last == datetime(2026, 11, 20, 10, 0, 5, tzinfo=UTC)


def test_summarise_an_empty_log() -> None:
    summary = summarise([])
    assert (summary.records, summary.events, summary.signals, summary.first, summary.last) == (0, {}, {}, None, None)
