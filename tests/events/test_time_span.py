"""What --since and --until mean, and which records lie between them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from edge.errors import UsageError
from edge.events.record import EventRecord
from edge.events.time_span import parse_duration, parse_moment, window


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
    """Return records from (time, kind) and (time, "clock_set", time before); a time without a date is on 20
    November."""

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
def test_window_corrects_times_of_a_wrong_clock(rows: list[Any], last_old: int) -> None:
    since = datetime(2026, 11, 20, 11, tzinfo=UTC).timestamp()
    assert window(log_of(*rows), since, None) == (last_old, len(rows))
    assert window(log_of(*rows), None, since) == (0, last_old)
    assert window(log_of(*rows), since, since) == (last_old, last_old)


@pytest.mark.parametrize(
    ("since", "until", "span"),
    [
        ("10:00", "10:02", (0, 2)),
        ("10:01", "10:02", (1, 2)),
        ("10:01", "12:00", (1, 3)),
        ("09:00", "09:30", (0, 0)),
        ("11:00", "12:00", (3, 3)),
    ],
)
def test_window(since: str, until: str, span: tuple[int, int]) -> None:
    def at(text: str) -> float:
        return datetime.fromisoformat(f"2026-11-20T{text}:00Z").timestamp()

    log = log_of(("10:00", "started"), ("10:01", "calm"), ("10:02", "stopped"))
    assert window(log, at(since), at(until)) == span


def test_records_without_a_time_follow_the_one_before() -> None:
    log: list[EventRecord] = [
        {"event": "old", "time": "2020-01-01T00:00:00Z"},
        {"event": "timeless"},
        {"event": "new", "time": "2026-01-01T00:00:00Z"},
        {},
    ]
    since = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    assert window(log, since, None) == (1, 4)
    assert window(log, None, since) == (0, 1)
    assert window([], since, since) == (0, 0)


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[datetime]:
    """A Friday afternoon in Berlin, where the summer time ends on 25 October 2026."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield datetime(2026, 11, 20, 15, 0).astimezone()
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("30m", "2026-11-20T14:30+01:00", None),
        ("2d", "2026-11-18T15:00+01:00", None),
        ("now", "2026-11-20T15:00+01:00", None),
        ("today", "2026-11-20T00:00+01:00", "2026-11-21T00:00+01:00"),
        ("Yesterday", "2026-11-19T00:00+01:00", "2026-11-20T00:00+01:00"),
        ("yesterday 18:30", "2026-11-19T18:30+01:00", None),
        ("14:30", "2026-11-20T14:30+01:00", None),
        ("9:05", "2026-11-20T09:05+01:00", None),
        ("14:30:15.5", "2026-11-20T14:30:15.5+01:00", None),
        ("2026-11-02", "2026-11-02T00:00+01:00", "2026-11-03T00:00+01:00"),
        ("2026-10-25", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),
        (" 2026-07-01 08:00 ", "2026-07-01T08:00+02:00", None),
        ("2026-07-01T08:00", "2026-07-01T08:00+02:00", None),
        ("2026-11-20T10:00:03.120Z", "2026-11-20T10:00:03.120+00:00", None),
        ("2026-11-20 10:00-05:00", "2026-11-20T10:00-05:00", None),
    ],
)
def test_parse_moment(berlin: datetime, text: str, begin: str, end: str | None) -> None:
    assert parse_moment(text, berlin) == datetime.fromisoformat(begin).timestamp()
    assert parse_moment(text, berlin, is_end=True) == datetime.fromisoformat(end or begin).timestamp()


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "1 week", "20.11.2026", "11/20/2026", "2026-11", "14", "14h30", "today+1", "nan", "-1h", "1h30m"],
)
def test_other_words_are_refused(berlin: datetime, text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"'{text}' is not a time")) as caught:
        parse_moment(text, berlin)
    assert all(word in caught.value.hint for word in ("30m", "today", "2026-11-20", "14:30"))


@pytest.mark.parametrize("text", ["2026-02-30", "25:00", "2026-13-01 10:00", "0000-00-00", "9999-12-31"])
def test_times_that_do_not_exist_are_refused(berlin: datetime, text: str) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        parse_moment(text, berlin, is_end=True)
