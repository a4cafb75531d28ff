"""No number is used twice, whatever happens to the files of a log: compressed, moved, deleted, emptied, or put back."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from edge.events import numbering, writer
from edge.events.counter import SLOT_BYTES, Counter, counter_path
from edge.events.numbering import last_used_number
from edge.events.record import EventRecord
from edge.events.writer import EventLog
from edge.records import Event
from support.event_log import NO_ROTATION, kinds, records, write
from support.wait import wait_until


@pytest.fixture(autouse=True)
def events_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GATHER_S", 0.0)


def compress(path: Path, suffix: str = ".gz") -> Path:
    """Compress a file as logrotate does with `compress`, and return the new file."""
    module = {".gz": gzip, ".bz2": bz2, ".xz": lzma}[suffix]
    compressed = path.with_name(path.name + suffix)
    compressed.write_bytes(module.compress(path.read_bytes()))
    path.unlink()
    return compressed


def move(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


def copy_and_truncate(path: Path) -> Path:
    copy = Path(shutil.copy(path, f"{path}.1"))
    os.truncate(path, 0)
    return copy


def rotate_and_create(path: Path) -> None:
    compress(move(path, f"{path.name}.1"))
    path.touch()


def rotate_with_delay(path: Path) -> None:
    """Leave the newest file uncompressed; here is no older event in the compressed one."""
    move(path, f"{path.name}.1")
    Path(f"{path}.2.gz").write_bytes(b"")


def move_away(path: Path) -> None:
    (path.parent / "away").mkdir()
    path.rename(path.parent / "away" / path.name)


#: What other programs and people do to a log; the argument is its path.
ROTATIONS: dict[str, Callable[[Path], object]] = {
    "logrotate": lambda path: move(path, f"{path.name}.1"),
    "compress": lambda path: compress(move(path, f"{path.name}.1")),
    "compress with bzip2": lambda path: compress(move(path, f"{path.name}.1"), ".bz2"),
    "compress with xz": lambda path: compress(move(path, f"{path.name}.1"), ".xz"),
    "dateext": lambda path: move(path, f"{path.name}-20261120"),
    "dateext and compress": lambda path: compress(move(path, f"{path.name}-20261120")),
    "dateformat": lambda path: move(path, f"{path.name}.2026-11-20_10:00"),
    "seconds as date": lambda path: move(path, f"{path.name}-1795000000"),
    "extension": lambda path: compress(move(path, f"{path.stem}-20261120{path.suffix}")),
    "compressed by hand": compress,
    "copytruncate": copy_and_truncate,
    "copytruncate and compress": lambda path: compress(copy_and_truncate(path)),
    "create": rotate_and_create,
    "delaycompress": rotate_with_delay,
    "deleted": lambda path: path.unlink(),
    "moved away": move_away,
    "emptied": lambda path: os.truncate(path, 0),
}


@pytest.mark.parametrize("rotate", ROTATIONS.values(), ids=ROTATIONS.keys())
def test_between_two_runs(path: Path, rotate: Callable[[Path], object]) -> None:
    write(path, "started", "calm", "stopped")
    rotate(path)
    write(path, "started", "stopped")
    assert [record["seq"] for record in records(path)] == [4, 5]


@pytest.mark.parametrize("rotate", ROTATIONS.values(), ids=ROTATIONS.keys())
def test_during_a_run(path: Path, rotate: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SKIPPED_AFTER_CRASH", 1000)
    with EventLog(path, NO_ROTATION, 4) as log:
        log.write(Event("started", 0.0))
        wait_until(lambda: path.exists() and kinds(path) == ["started"])
        rotate(path)
        log.write(Event("calm", 0.0))
        wait_until(lambda: path.exists() and path.stat().st_size > 0)
        log.write(Event("stopped", 0.0))
    assert [record["seq"] for record in records(path)] == [2, 3], "no gap either: the numbers are those of this process"
    write(path, "started")
    assert records(path)[-1]["seq"] == 4


@pytest.mark.parametrize("name", [name for name in ROTATIONS if name not in ("deleted", "moved away", "emptied")])
def test_without_a_counter_rotated_files_are_searched(path: Path, name: str) -> None:
    """A version without counters has written the log, or its hidden file was deleted."""
    write(path, *["calm"] * 30, "stopped")
    ROTATIONS[name](path)
    counter_path(path).unlink()
    write(path, "started")
    assert records(path)[-1]["seq"] == 32


def test_without_a_counter_the_highest_number_counts(path: Path) -> None:
    """A version without counters has started with 1 again after each packing."""
    for name, count in (("a", 40), ("b", 90), ("c", 20)):
        log = path.with_name(f"{name}.jsonl")
        write(log, *["calm"] * count, "stopped")
    compress(path.with_name("a.jsonl").rename(f"{path}.2"))
    compress(path.with_name("b.jsonl").rename(f"{path}.1"))
    path.with_name("c.jsonl").rename(path)
    assert last_used_number(path, None, 0) == 91
    assert last_used_number(path, 21, 0) == 21, "with a counter, compressed files are not read"


def test_a_torn_compressed_file_is_read_as_far_as_possible(path: Path) -> None:
    write(path, *["calm"] * 2000, "stopped")
    counter_path(path).unlink()
    compressed = compress(move(path, f"{path.name}.1"))
    compressed.write_bytes(compressed.read_bytes()[:-500])
    Path(f"{path}.2.gz").write_bytes(b"not compressed at all")
    Path(f"{path}.3.gz").write_bytes(b"\x1f\x8b\x08rubbish")
    Path(f"{path}.4.xz").write_bytes(b"\xfd7zXZ\0rubbish")
    Path(f"{path}.5.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    assert 1000 < last_used_number(path, None, 0) < 2000


def test_the_search_of_compressed_files_is_limited(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "MAX_SEARCHED_BYTES", 100_000)
    searched: list[str] = []
    real = numbering._last_record_of_compressed

    def search(file: BinaryIO, max_bytes: int) -> tuple[EventRecord, int]:
        searched.append(file.name)
        return real(file, max_bytes)

    monkeypatch.setattr(numbering, "_last_record_of_compressed", search)
    Path(f"{path}.1.gz").write_bytes(gzip.compress(b'{"seq": 5, "event": "stopped"}\n' + b"\n" * 10_000_000))
    Path(f"{path}.2.gz").write_bytes(gzip.compress(b'{"seq": 4, "event": "stopped"}\n'))
    assert last_used_number(path, None, 0) == 5
    assert searched == [f"{path}.1.gz"]


def test_a_killed_door_whose_log_is_gone(path: Path) -> None:
    """Numbers are reserved before a line can be seen, so that a log without any file continues above them."""
    log = EventLog(path, NO_ROTATION, 4)
    log.write(Event("started", 0.0))
    wait_until(lambda: path.exists() and kinds(path) == ["started"])
    stored = counter_path(path).read_bytes()
    log.close()
    path.unlink()
    counter_path(path).write_bytes(stored)  # as it was when the power was cut
    write(path, "started")
    assert records(path)[0]["seq"] == 2 + writer.RESERVED_AHEAD


def test_an_older_log_is_put_back(path: Path) -> None:
    write(path, "started", "stopped")
    old = path.read_bytes()
    write(path, "started", "calm", "stopped")
    path.write_bytes(old)
    write(path, "started")
    assert [record["seq"] for record in records(path)] == [1, 2, 6]


def test_another_card_is_inserted_during_a_run(tmp_path: Path) -> None:
    """The log of the other card has higher numbers: events continue above them, in both directions."""
    low, high, place = tmp_path / "low", tmp_path / "high", tmp_path / "place"
    for folder, count in ((low, 3), (high, 50)):
        folder.mkdir()
        write(folder / "log.jsonl", *["calm"] * (count - 1), "stopped")
    low.rename(place)
    path = place / "log.jsonl"
    with EventLog(path, NO_ROTATION, 4) as log:
        log.write(Event("started", 0.0))
        wait_until(lambda: records(path)[-1]["seq"] == 4)
        place.rename(low)
        high.rename(place)
        for n in range(2):
            log.write(Event("calm", 0.0, {"n": n}))
        wait_until(lambda: len(records(path)) == 52)
        place.rename(high)
        low.rename(place)
        log.write(Event("stopped", 0.0))
    assert [record["seq"] for record in records(high / "log.jsonl")][-3:] == [50, 51, 52]
    assert records(path)[-2]["seq"] == 4
    assert records(path)[-1]["seq"] > 52


def test_a_new_card_and_a_new_name_with_the_counter_of_the_machine(tmp_path: Path) -> None:
    seen: list[int] = []
    for name in ("a/log.jsonl", "b/log.jsonl", "a/log.jsonl", "a/other.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with EventLog(path, NO_ROTATION, 4, machine_counter=tmp_path / "sequence") as log:
            log.write(Event("started", 0.0))
            log.write(Event("stopped", 0.0))
        seen += [record["seq"] for record in records(path)][-2:]
    assert seen == list(range(1, 9))


def test_a_second_door_does_not_use_the_counter_of_the_machine(tmp_path: Path) -> None:
    shared = tmp_path / "sequence"
    with EventLog(tmp_path / "a.jsonl", NO_ROTATION, 4, machine_counter=shared) as first:
        first.write(Event("started", 0.0))
        wait_until(lambda: Counter(shared).read() == 1 + writer.RESERVED_AHEAD)
        with EventLog(tmp_path / "b.jsonl", NO_ROTATION, 4, machine_counter=shared) as second:
            second.write(Event("started", 0.0))
    assert records(tmp_path / "b.jsonl")[0]["seq"] == 2 + writer.RESERVED_AHEAD
    assert Counter(shared).read() == 1
    assert second.problem is None


@pytest.mark.parametrize("obstacle", ["folder", "pipe", "no folder", "long name"])
def test_a_log_without_counters_is_better_than_none(tmp_path: Path, obstacle: str) -> None:
    path = tmp_path / ("x" * 250 if obstacle == "long name" else "log.jsonl")
    machine = tmp_path / "sequence"
    if obstacle == "folder":
        counter_path(path).mkdir()
    elif obstacle == "pipe":
        os.mkfifo(counter_path(path))
    elif obstacle == "no folder":
        machine = tmp_path / "none" / "sequence"
    for _ in range(2):
        with EventLog(path, NO_ROTATION, 4, machine_counter=machine) as log:
            log.write(Event("started", 0.0))
        assert log.problem is None
    assert [record["seq"] for record in records(path)] == [1, 2]


def test_the_counter_is_written_once_for_many_numbers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[int] = []
    real = Counter.store

    def store(counter: Counter, number: int) -> None:
        stored.append(number)
        real(counter, number)

    monkeypatch.setattr(Counter, "store", store)
    with EventLog(path, NO_ROTATION, 4) as log:
        for _ in range(10):
            for _ in range(210):
                log.write(Event("calm", 0.0))
            wait_until(lambda: log._written == log._seq)
    assert len(stored) in (3, 4)
    assert stored[-1] == 2100


class TestCounter:
    def test_round_trip(self, path: Path) -> None:
        counter = Counter(path)
        assert counter.read() is None
        for number in (5, 1005, 17):
            counter.store(number)
            assert counter.read() == Counter(path).read() == number
        counter.close()
        assert path.stat().st_size == 2 * SLOT_BYTES

    def test_a_higher_number_of_another_process_is_kept(self, path: Path) -> None:
        first = Counter(path)
        first.store(100)
        first.close()
        second = Counter(path)
        second.store(7)
        assert second.read() == 100

    def test_two_processes_cannot_share_it(self, path: Path) -> None:
        first, second = Counter(path), Counter(path)
        first.store(1)
        with pytest.raises(BlockingIOError):
            second.store(2)
        first.close()
        second.store(2)
        assert first.read() == 2

    def test_a_power_cut_while_it_is_written_leaves_the_number_before(self, path: Path) -> None:
        counter = Counter(path)
        for number in (100, 200):
            counter.store(number)
        before = path.read_bytes()
        counter.store(300)
        after = path.read_bytes()
        slot = 0 if before[:SLOT_BYTES] != after[:SLOT_BYTES] else SLOT_BYTES
        for cut in (*range(40), 512, SLOT_BYTES - 1):
            for rest in (
                before[slot + cut : slot + SLOT_BYTES],
                b"\0" * (SLOT_BYTES - cut),
                b"\xff" * (SLOT_BYTES - cut),
            ):
                torn = bytearray(before)
                torn[slot : slot + SLOT_BYTES] = after[slot : slot + cut] + rest
                path.write_bytes(torn)
                assert Counter(path).read() in (200, 300)

    @pytest.mark.parametrize(
        "data", [b"", b"\0" * 8192, b"x" * 8192, b"1 5 00000000\n", b"9" * 8192, b"1 -4 0\n", b"y" * 99999]
    )
    def test_a_damaged_one_counts_as_missing_and_is_replaced(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        counter = Counter(path)
        assert counter.read() is None
        if len(data) <= 2 * SLOT_BYTES:
            counter.store(8)
            assert counter.read() == 8

    def test_it_is_created_again_if_it_was_deleted(self, path: Path) -> None:
        counter = Counter(path)
        counter.store(3)
        path.unlink()
        counter.store(4)
        assert counter.read() == 4
