"""The totals from one run to the next: across rotation, damage, another log, a damaged file of totals."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.errors import InputError, OutputError
from edge.events.record import encode
from edge.events.writer import EventLog
from edge.metrics import new_records
from edge.metrics.keeper import TotalsKeeper, replace
from edge.metrics.new_records import records_after
from edge.metrics.totals import Totals
from edge.records import Event
from edge.statistics import figures
from support.played_day import LogWriter, play_day, write_log

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def update(path: Path) -> Totals:
    """Return the totals of a run that ends."""
    keeper = TotalsKeeper(path, path.with_name("totals"))
    totals = keeper.update().totals
    keeper.store()
    return totals


def test_counters_grow_when_the_log_rotates(path: Path) -> None:
    """The log keeps about 60 events, and 150 are written."""
    found: list[int] = []
    with EventLog(path, 4000, 1) as log:
        for k in range(15):
            for _ in range(10):
                log.write(Event("camera_lost", float(k), {"reason": "x" * 20}))
            deadline = time.monotonic() + 60
            while not (found and found[-1] == 10 * (k + 1)):
                found.append(update(path).camera_lost)
                assert time.monotonic() < deadline
    assert found == sorted(found)
    assert update(path).missing == 0
    assert len(path.read_bytes().splitlines()) < 100


def test_what_a_run_reads_is_what_the_whole_log_has(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From each number on, the end of the file gives the same records and damaged lines as the whole log."""
    log = LogWriter(NOON)
    log.start()
    for _ in range(20):
        log.passage()
    lines = [encode(record) for record in log.records]
    lines.insert(7, b"\x00\xff damaged\n")
    lines.insert(30, b"[]\n")
    lines.insert(30, b'{"torn": \n')
    path.with_name("events.jsonl.1").write_bytes(b"".join(lines[:15]))
    path.write_bytes(b"".join(lines[15:]) + b'{"seq": 9')
    fast = [list(records_after(path, seq)) for seq in range(1, log.seq + 1)]
    monkeypatch.setattr(new_records, "MAX_LINES_FROM_END", -1)
    assert fast == [list(records_after(path, seq)) for seq in range(1, log.seq + 1)]
    assert [each.record["seq"] for each in fast[20]] == list(range(22, log.seq + 1))
    assert sum(each.damaged_before for each in records_after(path, 0)) == 3
    assert fast[-1] == []


def test_damaged_lines_count_once(path: Path) -> None:
    log = LogWriter(NOON)
    log.start()
    write_log(path, log.records)
    with path.open("ab") as file:
        file.write(b"damaged\n")
    assert [update(path).damaged for _ in range(3)] == [0, 0, 0], "it counts with the next event"
    log.passage()
    with path.open("ab") as file:
        file.write(b"".join(map(encode, log.records[1:])))
    assert [update(path).damaged for _ in range(3)] == [1, 1, 1]


def test_another_log_is_counted_from_its_beginning(path: Path) -> None:
    log = LogWriter(NOON, seq=5000)
    log.start()
    log.passage()
    write_log(path, log.records)
    assert sum(update(path).people.values()) == 1
    other = LogWriter(NOON)
    other.start()
    other.passage()
    write_log(path, other.records)
    totals = update(path)
    assert sum(totals.people.values()) == 2
    assert totals.last_seq == other.seq


@pytest.mark.parametrize("is_live", [True, False])
@pytest.mark.parametrize("damaged", [4000, 9007199254740000])
def test_a_damaged_number_loses_nothing(damaged: int, is_live: bool, path: Path) -> None:
    for seq in (1, 2, damaged, 4, 5, 6):
        with path.open("ab") as file:
            file.write(encode({"seq": seq, "time": "2026-11-20T12:00:00Z", "event": "camera_lost"}))
        if is_live:
            update(path)
    totals = update(path)
    assert (totals.camera_lost, totals.missing, totals.last_seq) == (6, 0, 6)


def test_a_jump_that_the_next_record_confirms_is_a_loss(path: Path) -> None:
    found = []
    for seq in (1, 2, 5000, 5001, 5002):
        with path.open("ab") as file:
            file.write(encode({"seq": seq, "time": "2026-11-20T12:00:00Z", "event": "camera_lost"}))
        totals = update(path)
        found.append((totals.camera_lost, totals.missing))
    assert found == [(1, 0), (2, 0), (2, 0), (4, 4997), (5, 4997)]


def test_records_without_numbers_after_a_jump_count(path: Path) -> None:
    lines = [encode({"seq": seq, "event": "camera_lost"}) for seq in (1, 9000)]
    path.write_bytes(b"".join(lines) + encode({"event": "camera_lost"}) * 2500)
    assert update(path).camera_lost == 2502


def test_a_log_that_rotated_away_before_it_was_counted(path: Path) -> None:
    log = LogWriter(NOON)
    log.start()
    write_log(path, log.records)
    update(path)
    for _ in range(10):
        log.passage()
    write_log(path, log.records[11:])
    totals = update(path)
    assert (totals.missing, sum(totals.people.values())) == (10, 5)


def test_the_hours_that_the_log_has_lost_count(path: Path) -> None:
    day = play_day(NOON)
    write_log(path, day.records)
    figures.keep(path)
    whole = TotalsKeeper(path, None).update().totals
    half = next(k for k, record in enumerate(day.records) if record["time"] >= "2026-11-21T01:00")
    write_log(path, day.records[half:])
    totals = TotalsKeeper(path, None).update().totals
    # A person who was in view at one o'clock counts in both parts.
    assert sum(totals.people.values()) == pytest.approx(sum(whole.people.values()), abs=2)
    assert totals.signals["ALARM"] == whole.signals["ALARM"]
    assert totals.fault_s == pytest.approx(whole.fault_s, abs=1)
    assert totals.dwell.sum_s == pytest.approx(whole.dwell.sum_s, rel=0.01)


def test_lost_hours_count_once_whatever_fails_in_between(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day = play_day(NOON)
    write_log(path, day.records)
    figures.keep(path)
    path.rename(path.with_name("whole"))
    state = path.with_name("totals")
    with pytest.raises(InputError):
        TotalsKeeper(path, state).update()
    TotalsKeeper(path, state).store()
    keeper = TotalsKeeper(path, state)
    half = next(k for k, record in enumerate(day.records) if record["time"] >= "2026-11-21T01:00")
    write_log(path, day.records[half:])
    with monkeypatch.context() as patch:
        patch.setattr(
            "edge.metrics.keeper.records_after", lambda *_: (_ for _ in ()).throw(InputError("the disk fails"))
        )
        with pytest.raises(InputError):
            keeper.update()
    assert keeper.update().totals.people == TotalsKeeper(path, None).update().totals.people


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 9, "reading": {}}', b"[1]", b"\xff" * 100])
def test_damaged_totals_are_counted_again(path: Path, content: bytes) -> None:
    log = LogWriter(NOON)
    log.start()
    log.passage()
    write_log(path, log.records)
    state = path.with_name("totals")
    state.write_bytes(content)
    keeper = TotalsKeeper(path, state)
    assert keeper.problem is not None
    assert str(state) in keeper.problem
    assert sum(keeper.update().totals.people.values()) == 1
    keeper.store()
    assert TotalsKeeper(path, state).problem is None


def test_totals_with_wrong_histograms_are_counted_again(path: Path) -> None:
    log = LogWriter(NOON)
    log.start()
    write_log(path, log.records)
    update(path)
    state = path.with_name("totals")
    content = json.loads(state.read_bytes())
    content["reading"]["totals"]["dwell"]["counts"].pop()
    state.write_text(json.dumps(content))
    assert TotalsKeeper(path, state).problem is not None


def test_times_go_on_while_the_door_is_blind(path: Path) -> None:
    """Between two events, too, and they do not go back when the next event says less."""
    with EventLog(path, 1 << 20, 1, clock=lambda: time.time() - 100) as log:
        log.write(Event("started", 0.0, {"live": True}))
        log.write(Event("signal", 0.0, {"signal": "FAULT"}))
        keeper = TotalsKeeper(path, path.with_name("totals"))
        while not keeper.update().is_running:
            time.sleep(0.01)
        first = keeper.update()
        assert 99 < first.fault_s < 200
        assert first.totals.fault_s == 0
        keeper.store()
        before = first.fault_s
        log.write(Event("signal", 50.0, {"signal": "IDLE"}))
    after = TotalsKeeper(path, path.with_name("totals")).update()
    assert (after.totals.fault_s, after.is_running) == (50, False)
    assert after.fault_s == before


def test_no_log(path: Path) -> None:
    with pytest.raises(InputError, match="no event log"):
        TotalsKeeper(path, None).update()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "x.prom"
    replace(target, b"old")
    (tmp_path / "x.prom.new").symlink_to(tmp_path / "elsewhere")
    replace(target, b"new")
    assert target.read_bytes() == b"new"
    assert not (tmp_path / "elsewhere").exists(), "a link that waits there is not followed"
    assert [file.name for file in tmp_path.iterdir()] == ["x.prom"]
    with pytest.raises(OutputError, match="cannot be written"):
        replace(tmp_path / "missing" / "x.prom", b"")
