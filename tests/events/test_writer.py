"""EventLog: order, numbers, syncing, a slow disk, and a wall clock that is set."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from edge.events import writer
from edge.events.text import describe
from edge.events.write_ahead import write_ahead_path
from edge.events.writer import EventLog
from edge.records import Event
from support.event_log import NO_ROTATION, is_written, kinds, records, write
from support.wait import wait_until


def test_time_is_the_time_of_the_call(path: Path) -> None:
    wall = itertools.count(1_800_000_000)
    with EventLog(path, NO_ROTATION, 4, clock=lambda: next(wall)) as log:
        for _ in range(50):
            log.write(Event("calm", 0.0))
    seconds = [datetime.fromisoformat(record["time"]).timestamp() for record in records(path)]
    assert seconds == list(range(1_800_000_000, 1_800_000_050))


def test_events_reach_the_disk_before_the_log_is_closed(path: Path) -> None:
    with EventLog(path, NO_ROTATION, 4) as log:
        log.write(Event("started", 0.0))
        wait_until(lambda: kinds(path) == ["started"])
        log.write(Event("calm", 1.0))
        wait_until(lambda: kinds(path) == ["started", "calm"])
        assert log.problem is None


def test_every_block_is_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the last fsync the file has the size that it has after the log is closed."""
    synced: list[int] = []
    real = os.fsync

    def fsync(file: int) -> None:
        real(file)
        if os.path.samestat(os.fstat(file), path.stat()):
            synced.append(os.fstat(file).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    write(path, *["calm"] * 20)
    assert synced
    assert synced[-1] == path.stat().st_size


def test_events_of_one_moment_are_synced_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person is decided and the signal changes some milliseconds later: one write, because each costs a card a block."""
    synced: list[int] = []
    real = os.fdatasync

    def fdatasync(file: int) -> None:
        real(file)
        if os.path.samestat(os.fstat(file), write_ahead_path(path).stat()):
            synced.append(file)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with EventLog(path, NO_ROTATION, 4) as log:
        log.write(Event("started", 0.0))
        wait_until(lambda: kinds(path) == ["started"])
        log.write(Event("started", 0.0))
        wait_until(lambda: len(synced) == 1)  # with the second event, the write-ahead file is created
        limits_s: list[float] = []
        wait_for = log._wake.wait_for

        def wait_for_three(condition: Callable[[], bool], limit_s: float) -> bool:
            """On a busy machine, the three may not come within the time in which events are gathered."""
            limits_s.append(limit_s)
            return wait_for(lambda: condition() or len(log._pending) == 3, 60)

        monkeypatch.setattr(log._wake, "wait_for", wait_for_three)
        for kind in ("masked", "signal", "cleared"):
            log.write(Event(kind, 0.0))
        wait_until(lambda: len(synced) == 2)
        assert kinds(path) == ["started", "started", "masked", "signal", "cleared"]
        assert writer.GATHER_S in limits_s
        assert writer.GATHER_S < 1, "on the disk within a second"


def test_close_writes_everything_and_may_be_called_again(path: Path) -> None:
    log = EventLog(path, NO_ROTATION, 4)
    for _ in range(500):
        log.write(Event("calm", 0.0))
    log.close()
    assert len(records(path)) == 500
    log.close()
    with pytest.raises(ValueError, match="closed"):
        log.write(Event("calm", 0.0))


def test_seq_follows_the_order_of_writing_from_several_threads(path: Path) -> None:
    def write_many(log: EventLog, who: int) -> None:
        for n in range(200):
            log.write(Event("calm", 0.0, {"who": who, "n": n}))

    with EventLog(path, NO_ROTATION, 4) as log:
        threads = [threading.Thread(target=write_many, args=(log, who)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = records(path)
    assert [record["seq"] for record in found] == list(range(1, 801))
    for who in range(4):
        assert [record["n"] for record in found if record["who"] == who] == list(range(200))


def test_seq_continues_after_a_restart(path: Path) -> None:
    write(path, "started", "stopped")
    write(path, "started")
    write(path)
    write(path, "started")
    assert [record["seq"] for record in records(path)] == [1, 2, 3, 4]


def test_no_number_is_used_twice_after_a_power_cut(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SKIPPED_AFTER_CRASH", 1000)
    with EventLog(path, NO_ROTATION, 4) as log:
        log.write(Event("started", 0.0))
        wait_until(lambda: is_written(path, 1))
        synced = path.read_bytes()
        for _ in range(3):
            log.write(Event("calm", 0.0))
    seen = [record["seq"] for record in records(path)]
    path.write_bytes(synced)
    write(path, "started", "stopped")
    write(path, "started")
    numbers = [record["seq"] for record in records(path)]
    assert numbers[1] > max(seen)
    assert numbers[2:] == [numbers[1] + 1, numbers[1] + 2], "no number is skipped after a normal end"


@pytest.mark.parametrize("current", [None, b"", b"\0\0\0", b'{"seq": 9', b'{"other": 1}\n'])
def test_seq_continues_from_a_rotated_file_if_the_current_has_none(path: Path, current: bytes | None) -> None:
    write(path, "started", "calm", "stopped")
    path.rename(f"{path}.1")
    Path(f"{path}.2").write_text('{"seq": 1000, "event": "from an older file"}\n')
    if current is not None:
        path.write_bytes(current)
    write(path, "started")
    assert next(record["seq"] for record in records(path) if "seq" in record) == 4


def test_a_slow_disk_does_not_slow_the_door(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While fsync hangs, write() returns at once; afterwards every event is in the file once."""
    go = threading.Event()
    real = os.fsync

    def fsync(file: int) -> None:
        assert go.wait(60)
        real(file)

    with EventLog(path, NO_ROTATION, 4) as log:
        monkeypatch.setattr(os, "fsync", fsync)
        for _ in range(900):
            log.write(Event("calm", 0.0))
        go.set()
    assert [record["seq"] for record in records(path)] == list(range(1, 901))
    assert log.lost == 0


def test_a_disk_that_does_not_answer_is_a_problem(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    real = os.fsync

    def fsync(file: int) -> None:
        assert go.wait(60)
        real(file)

    monkeypatch.setattr(writer, "SLOW_S", 0.05)
    with EventLog(path, NO_ROTATION, 4) as log:
        assert log.problem is None
        monkeypatch.setattr(os, "fsync", fsync)
        log.write(Event("started", 0.0))
        wait_until(lambda: "the disk has not answered for" in str(log.problem))
        for _ in range(writer.MAX_PENDING + 5):
            log.write(Event("calm", 0.0))
        assert str(log.problem).endswith("; 5 events lost")
        go.set()
        wait_until(lambda: log.problem is None)


def test_memory_is_bounded_while_the_disk_hangs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, hanging = threading.Event(), threading.Event()
    real = os.fsync

    def fsync(file: int) -> None:
        hanging.set()
        assert go.wait(60)
        real(file)

    with EventLog(path, NO_ROTATION, 4) as log:
        monkeypatch.setattr(os, "fsync", fsync)
        log.write(Event("started", 0.0))
        assert hanging.wait(60)
        for _ in range(3000):
            log.write(Event("calm", 0.0))
        assert log.lost == 2000
        go.set()
    found = records(path)
    assert kinds(path)[:3] == ["started", "log_lost", "calm"]
    assert [record["seq"] for record in found] == [1, *range(2001, 3002)]
    assert found[1]["count"] == 2000


class Clocks:
    """A machine switched on at noon: its wall clock, which a test may set, and the seconds since power-on."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
        self.up = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.wall += seconds
        self.up += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(writer, "_uptime_s", lambda: clocks.up)
    return clocks


@pytest.mark.parametrize("years", [9, -9, 60 / 366 / 86400], ids=["years ahead", "years back", "a minute ahead"])
def test_a_clock_that_is_set_is_logged_before_the_next_event(path: Path, clocks: Clocks, years: float) -> None:
    with EventLog(path, NO_ROTATION, 4, clock=lambda: clocks.wall) as log:
        log.write(Event("started", 0.0))
        clocks.advance(40)
        clocks.wall += years * 366 * 86400
        log.write(Event("masked", 40.0, {"person": 1}))
        clocks.advance(3600)
        log.write(Event("stopped", 3640.0))
    found = records(path)
    assert [record["event"] for record in found] == ["started", "clock_set", "masked", "stopped"]
    assert [record["seq"] for record in found] == [1, 2, 3, 4]
    assert (found[1]["time"], found[1]["t"], found[1]["before"]) == (found[2]["time"], 40.0, "2026-11-20T12:00:40.000Z")
    assert describe(found[1]).endswith("the clock was set; it would show 2026-11-20T12:00:40.000Z")


def test_a_clock_that_is_set_is_logged_without_any_event(
    path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CLOCK_CHECK_S", 0.01)
    with EventLog(path, NO_ROTATION, 4, clock=lambda: clocks.wall) as log:
        log.write(Event("started", 0.0))
        wait_until(partial(is_written, path, 1))
        clocks.wall += 86400
        wait_until(partial(is_written, path, 2))
    assert kinds(path) == ["started", "clock_set"]


def test_sleep_and_leap_seconds_do_not_count_as_setting_the_clock(path: Path, clocks: Clocks) -> None:
    with EventLog(path, NO_ROTATION, 4, clock=lambda: clocks.wall) as log:
        log.write(Event("started", 0.0))
        clocks.advance(8 * 3600)  # the machine slept: `t` stands still, the time since power-on does not
        log.write(Event("calm", 1.0))
        clocks.wall -= 1
        log.write(Event("calm", 2.0))
    assert kinds(path) == ["started", "calm", "calm"]
