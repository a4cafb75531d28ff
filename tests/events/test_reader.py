"""Read and follow a log: rotated files, damaged lines, and a log that is being written."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from edge.errors import InputError
from edge.events import reader
from edge.events.reader import follow, read
from edge.events.record import EventRecord
from edge.events.writer import EventLog
from edge.records import Event
from support.event_log import is_written, write
from support.wait import wait_until


def test_read_goes_through_all_files_in_order(path: Path) -> None:
    write(path, *["calm"] * 300, rotate_bytes=4096, keep=100)
    assert len(list(path.parent.iterdir())) >= 5
    assert [record["seq"] for record in read(path)] == list(range(1, 301))


def test_read_without_a_current_file(path: Path) -> None:
    write(path, "started")
    path.rename(f"{path}.3")
    assert [record["event"] for record in read(path)] == ["started"]


def test_read_counts_damaged_lines(path: Path) -> None:
    path.write_bytes(b'{"seq": 1}\nrubbish\n\xff\n\n[]\n{"seq": 2}\n{"seq": 3, "torn')
    reading = read(path)
    assert [record["seq"] for record in reading] == [1, 2]
    assert reading.damaged == 5


def test_read_refuses_a_missing_log_and_a_folder(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.jsonl", tmp_path / "no folder" / "none.jsonl"):
        with pytest.raises(InputError, match="no event log") as caught:
            read(missing)
        assert caught.value.exit_code == 66
    with pytest.raises(InputError, match="is a folder"):
        next(read(tmp_path))


def test_read_while_files_rotate(path: Path) -> None:
    write(path, "started")

    def write_many() -> None:
        # About 50 files: enough for many rotations during a read, few enough to read all of them repeatedly.
        with EventLog(path, 4096, 1000) as log:
            for n in range(2, 2501):
                log.write(Event("calm", 0.0))
                if n % 500 == 0:
                    wait_until(partial(is_written, path, n))

    thread = threading.Thread(target=write_many)
    thread.start()
    rounds = 0
    while thread.is_alive() or not rounds:
        seqs = [record["seq"] for record in read(path)]
        assert seqs == list(range(1, len(seqs) + 1))
        rounds += 1
    thread.join()
    assert [record["seq"] for record in read(path)] == list(range(1, 2501))


def test_read_ends_before_a_line_that_is_being_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rest arrives while it is read, and so does the next one: without it, that would be a gap."""
    write(path, "started", "masked", "cleared")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:40])
    parse = reader.parse

    def parse_slowly(line: bytes) -> EventRecord | None:
        if not line.endswith(b"\n"):
            path.write_bytes(b"".join(lines))
        return parse(line)

    monkeypatch.setattr(reader, "parse", parse_slowly)
    assert [record["seq"] for record in read(path)] == [1]
    assert [record["seq"] for record in read(path)] == [1, 2, 3]


class Follower:
    """Runs `follow` in a thread, so that a test can write meanwhile."""

    def __init__(self, path: Path, after: int | None = None) -> None:
        self.seen: list[EventRecord] = []
        self._stop = threading.Event()
        self._begun = threading.Event()

        def stop() -> bool:
            self._begun.set()  # follow() has chosen its position when it first asks
            return self._stop.is_set()

        def collect() -> None:
            for record in follow(path, 0.002, stop, after):
                self.seen.append(record)

        self._thread = threading.Thread(target=collect)
        self._thread.start()
        assert self._begun.wait(60)

    def stop(self) -> list[EventRecord]:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.seen

    @property
    def seqs(self) -> list[int]:
        return [record["seq"] for record in self.seen]


#: Starts a Follower.
Follow = Callable[..., Follower]


@pytest.fixture
def following() -> Iterator[Follow]:
    """Start followers; the test's end stops them."""
    started: list[Follower] = []

    def start(path: Path, after: int | None = None) -> Follower:
        started.append(Follower(path, after))
        return started[-1]

    yield start
    for follower in started:
        follower.stop()


def test_follow_begins_with_the_next_event(path: Path, following: Follow) -> None:
    write(path, "started", "stopped")
    follower = following(path)
    write(path, "started")
    follower.stop()
    assert follower.seqs == [3]


def test_follow_continues_after_a_number(path: Path, following: Follow) -> None:
    write(path, *["calm"] * 300, rotate_bytes=4096, keep=100)
    follower = following(path, 250)
    write(path, "stopped", rotate_bytes=4096, keep=100)
    follower.stop()
    assert follower.seqs == list(range(251, 302))


def test_follow_waits_for_a_log(path: Path, following: Follow) -> None:
    follower = following(path)
    write(path, "started")
    wait_until(lambda: follower.seqs == [1])


def test_follow_waits_for_the_end_of_a_line(path: Path, following: Follow) -> None:
    path.write_bytes(b'{"seq": 1}\n{"se')
    follower = following(path)
    with path.open("ab", buffering=0) as file:
        for part in (b'q": 2', b'}\n{"seq": 3}\nrub', b"bish\n", b'{"seq": 4}'):
            file.write(part)
            time.sleep(0.01)
    wait_until(lambda: follower.seqs == [2, 3])
    follower.stop()
    assert follower.seqs == [2, 3]


def test_follow_continues_after_a_repair(path: Path, following: Follow) -> None:
    write(path, "started")
    with path.open("ab") as file:
        file.write(b'{"seq": 2, "time": "2026-11-20T10:00:03.120Z", "t": 3.12, "event": "cal')
    follower = following(path, 0)
    wait_until(lambda: follower.seqs == [1])
    write(path, "started")
    wait_until(lambda: follower.seqs == [1, 2, 3])
    assert [record["event"] for record in follower.seen] == ["started", "log_repaired", "started"]


def test_follow_loses_nothing_in_many_rotations(path: Path, following: Follow) -> None:
    follower = following(path)
    with EventLog(path, 4096, 1000) as log:
        for n in range(1, 3001):
            log.write(Event("calm", 0.0, {"n": n}))
            if n % 500 == 0:
                wait_until(partial(is_written, path, n))
    wait_until(lambda: len(follower.seen) == 3000)
    assert follower.seqs == list(range(1, 3001))


def test_follow_skips_a_large_hole(tmp_path: Path) -> None:
    """A damaged file system may leave a hole of gigabytes, which is not read."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"seq": 1, "event": "a"}\n')
    os.truncate(path, 1 << 40)
    assert [record["seq"] for record in follow(path, 0.01, lambda: True, 0)] == [1]
    with path.open("ab") as file:
        file.write(b'\n{"seq": 2, "event": "b"}\n')
    assert list(follow(path, 0.01, lambda: True)) == []
