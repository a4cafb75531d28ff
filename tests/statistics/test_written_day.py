"""The same day through the door's own log: written by its writer, rotated, with a clock that is set, in a night of 25 hours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.events import writer
from edge.events.writer import EventLog
from edge.records import Event
from edge.statistics import figures
from support.played_day import PEOPLE, Day, play_day
from support.wait import wait_until
from tests.statistics.test_day import check

#: About 12 files a day.
ROTATE_BYTES, KEEP_FILES = 100_000, 50


class Machine:
    """A machine whose time goes by as the events of a day say, and whose clock is `wrong_s` ahead."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, begin: datetime) -> None:
        self.now_s, self.wrong_s = begin.timestamp(), 0.0
        self._began = self.now_s
        monkeypatch.setattr(writer, "_uptime_s", lambda: self.now_s - self._began + 100)
        monkeypatch.setattr(writer, "GATHER_S", 0.0)

    def clock(self) -> float:
        return self.now_s + self.wrong_s

    def write(self, path: Path, day: Day, sets: dict[int, float], keep_every: int = 0) -> None:
        """Write a day. `sets` are the clock's new errors, by the number of the record before which it is set."""
        self.wrong_s = sets.pop(0, 0.0)
        self.now_s = datetime.fromisoformat(str(day.records[0]["time"])).timestamp()
        with EventLog(path, ROTATE_BYTES, KEEP_FILES, clock=self.clock) as log:
            for number, record in enumerate(day.records):
                data = {k: v for k, v in record.items() if k not in ("seq", "time", "t", "event")}
                self.now_s = datetime.fromisoformat(str(record["time"])).timestamp()
                self.wrong_s = sets.get(number, self.wrong_s)
                log.write(Event(str(record["event"]), float(str(record["t"])), data))
                if number % 50 == 0:
                    wait_until(lambda: not log._pending)
                if keep_every and number % keep_every == keep_every - 1:
                    wait_until(lambda: not log._pending and log._writing_since is None)
                    figures.keep(path)
        assert log.lost == 0


@pytest.mark.parametrize(
    ("zone", "begin"),
    [
        ("Europe/Berlin", datetime(2026, 10, 24, 20, tzinfo=UTC)),  # 25 hours
        ("America/St_Johns", datetime(2027, 3, 14, 0, 30, tzinfo=UTC)),  # 23 hours, not whole hours off
    ],
)
def test_rotated_and_with_a_clock_that_is_set_back(
    path: Path, zone: str, begin: datetime, monkeypatch: pytest.MonkeyPatch, set_zone: Callable[[str], None]
) -> None:
    """Until noon the clock is two hours ahead; then NTP sets it back. In the night the hour changes."""
    set_zone(zone)
    day = play_day(begin)
    Machine(monkeypatch, begin).write(path, day, {0: 7200.0, len(day.records) // 2: 0.0})
    assert len(list(path.parent.glob("events.jsonl*"))) > 5, "it is rotated"
    assert sum(b'"clock_set"' in file.read_bytes() for file in path.parent.glob("events.jsonl*")) == 1
    found = figures.collect(path)
    if begin.minute:  # a zone that is not whole hours off has other hours
        assert (found.total.people, found.total.masked) == (PEOPLE, sum(day.masked.values()))
        assert (found.total.up_ms, found.total.fault_ms) == (day.up_s * 1000, day.fault_s * 1000)
    else:
        check(found, day)
    assert (found.begin, found.end) == (begin, begin + timedelta(days=1))
    figures.keep(path)
    assert figures.collect(path).hours == found.hours, "and so are the hours that are kept"


def test_a_clock_that_is_set_three_times(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = datetime(2026, 11, 20, tzinfo=UTC)
    day = play_day(begin)
    third = len(day.records) // 3
    Machine(monkeypatch, begin).write(path, day, {0: -86400.0, third: 500.0, 2 * third: -30.0, 2 * third + 9: 0.0})
    check(figures.collect(path), day)


def test_hours_that_are_kept_while_the_log_grows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the nightly timer, but often: no passage is lost or counted twice."""
    begin = datetime(2026, 11, 20, tzinfo=UTC)
    day = play_day(begin)
    Machine(monkeypatch, begin).write(path, day, {}, keep_every=1500)
    found = figures.collect(path)
    assert (found.total.people, found.total.masked) == (PEOPLE, sum(day.masked.values()))
    for old in path.parent.glob("events.jsonl.*"):
        if old.name not in ("events.jsonl.1", "events.jsonl.2"):
            old.unlink()
    figures.keep(path)
    later = figures.collect(path)
    assert later.from_hours > 10, "most of the day is known from the hours alone"
    assert (later.total.people, later.total.masked) == (PEOPLE, sum(day.masked.values()))
    assert later.total.up_ms == day.up_s * 1000
    assert later.total.fault_ms == day.fault_s * 1000
