"""The tail of a log: every line after the cursor once, in order, across rotation, compression and power cuts."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import InputError
from edge.events.record import EventRecord, parse
from edge.events.writer import EventLog
from edge.link.cursor import Cursor
from edge.link.log_tail import LogTail, Missing, end_of_log, events_behind
from edge.records import Event
from support.link import OpenTail, line, lines_after, numbers_after, read_all, write_log


def rotate(log: Path) -> None:
    for number in range(9, 0, -1):
        if (old := log.with_name(f"{log.name}.{number}")).exists():
            old.rename(log.with_name(f"{log.name}.{number + 1}"))
    log.rename(log.with_name(f"{log.name}.1"))


def test_a_log_that_does_not_exist_yet(open_tail: OpenTail, log: Path) -> None:
    tail = open_tail(log, Cursor())
    assert tail.next() is None
    write_log(log, [1, 2])
    assert [found.seq for found in read_all(tail)] == [1, 2]


def test_the_lines_are_those_of_the_log_byte_for_byte(log: Path) -> None:
    with EventLog(log, 1_000_000, 4) as writer:
        for k in range(50):
            writer.write(Event("cleared", k / 3, {"person": k, "text": "é\u2028\r\n", "score": 0.1 * k}))
    assert b"".join(found.text + b"\n" for found in lines_after(log)) == log.read_bytes()


def test_each_line_s_cursor_continues_behind_it(log: Path) -> None:
    write_log(log, range(1, 31))
    for found in lines_after(log):
        assert numbers_after(log, found.cursor) == list(range(found.seq + 1, 31))


def test_the_place_saves_the_search(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(log, range(1, 1001))
    cursor = lines_after(log)[-2].cursor
    parsed: list[bytes] = []

    def note(text: bytes) -> EventRecord | None:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr("edge.link.log_tail.parse", note)
    assert [found.seq for found in lines_after(log, cursor)] == [1000]
    assert len(parsed) == 2


def test_a_log_that_was_rotated_meanwhile(open_tail: OpenTail, log: Path) -> None:
    write_log(log, range(1, 11))
    tail = open_tail(log, Cursor())
    cursor = [tail.next() for _ in range(5)][-1]
    assert cursor is not None
    for first in (11, 21, 31):
        rotate(log)
        write_log(log, range(first, first + 10))
    assert numbers_after(log, cursor.cursor) == list(range(6, 41))
    assert [found.seq for found in read_all(tail)] == list(range(6, 41)), "also for a tail that was open"


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_a_log_that_was_compressed_meanwhile(open_tail: OpenTail, compress: object, log: Path) -> None:
    write_log(log, range(1, 11))
    tail = open_tail(log, Cursor())
    first = [tail.next() for _ in range(5)][-1]
    assert first is not None
    rotate(log)
    write_log(log, range(11, 21))
    rotate(log)
    suffix = {gzip.compress: "gz", lzma.compress: "xz"}[compress]  # type: ignore[index]
    for number in (1, 2):
        old = log.with_name(f"events.jsonl.{number}")
        log.with_name(f"events.jsonl.{number}.{suffix}").write_bytes(compress(old.read_bytes()))  # type: ignore[operator]
        old.unlink()
    write_log(log, range(21, 31))
    found = lines_after(log, first.cursor)
    assert [one.seq for one in found] == list(range(6, 31))
    assert not any(one.missing for one in found)
    assert numbers_after(log, found[3].cursor) == list(range(10, 31)), "the cursor of a compressed line"
    assert [one.seq for one in read_all(tail)] == list(range(6, 31))


def test_the_inode_of_a_deleted_file_is_given_to_another(log: Path) -> None:
    write_log(log, range(1, 11))
    place = lines_after(log)[4].cursor
    other = log.with_name("events.jsonl.1")
    write_log(other, range(1, 21))
    log.write_bytes(b"")
    write_log(log, range(21, 41))
    assert (log.stat().st_ino, place.seq) == (place.inode, 5)
    assert numbers_after(log, place) == list(range(6, 41))


def test_a_log_that_was_rotated_away_below_the_cursor(log: Path) -> None:
    write_log(log, range(1, 11))
    cursor = lines_after(log)[-1].cursor
    log.write_bytes(b"")
    write_log(log, range(501, 511))
    found = lines_after(log, cursor)
    assert [one.seq for one in found] == list(range(501, 511))
    assert [one.missing for one in found] == [Missing(11, 500), *[None] * 9]


@pytest.mark.parametrize("first", ["started", "log_repaired", "signal"])
def test_a_gap_is_also_told_if_the_next_file_begins_with_a_start(first: str, log: Path) -> None:
    write_log(log, range(51, 61), n51=first)
    assert lines_after(log, Cursor(10))[0].missing == Missing(11, 50)


def test_numbers_that_a_crash_has_skipped_are_no_gap(log: Path) -> None:
    write_log(log, [*range(1, 6), *range(1006, 1010), 3000, 3001], n1006="started", n3000="log_repaired")
    assert not any(found.missing for found in lines_after(log))
    assert not any(found.missing for found in lines_after(log, Cursor(3)))


def test_numbers_that_the_log_says_it_has_lost_are_no_gap_of_the_link(log: Path) -> None:
    write_log(log, [1, 2, 50, 51], n50="log_lost")
    assert not any(found.missing for found in lines_after(log))


def test_a_file_that_is_missing_in_the_middle_is_told(log: Path) -> None:
    write_log(log.with_name("events.jsonl.2"), range(1, 11))
    write_log(log, range(31, 41))
    found = lines_after(log)
    assert [one.missing for one in found if one.missing] == [Missing(11, 30)]


def test_a_file_that_cannot_be_read_is_named_and_its_numbers_are_told(open_tail: OpenTail, log: Path) -> None:
    write_log(log.with_name("events.jsonl.2"), range(1, 11))
    log.with_name("events.jsonl.1.zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"x" * 100)
    write_log(log, range(31, 41))
    tail = open_tail(log, Cursor(4))
    found = read_all(tail)
    assert [one.seq for one in found] == [*range(5, 11), *range(31, 41)]
    assert [one.missing for one in found if one.missing] == [Missing(11, 30)]


def test_nothing_is_missing_before_the_first_line_of_a_new_link(log: Path) -> None:
    write_log(log, range(5001, 5004))
    assert not any(found.missing for found in lines_after(log))


def test_an_incomplete_line_is_waited_for(open_tail: OpenTail, log: Path) -> None:
    whole = line(2)
    log.write_bytes(line(1) + whole[:20])
    tail = open_tail(log, Cursor())
    assert [found.seq for found in read_all(tail)] == [1]
    with log.open("ab") as file:
        file.write(whole[20:])
    assert [found.text for found in read_all(tail)] == [whole[:-1]]


def test_lines_that_the_door_removes_and_writes_again(open_tail: OpenTail, log: Path) -> None:
    write_log(log, range(1, 6))
    tail = open_tail(log, Cursor())
    assert len(read_all(tail)) == 5
    log.write_bytes(line(1) + line(2))
    assert read_all(tail) == []
    write_log(log, range(3, 9))
    assert [found.seq for found in read_all(tail)] == [6, 7, 8]


def test_a_torn_line_that_a_power_cut_removes_was_perhaps_sent(log: Path) -> None:
    write_log(log, range(1, 6))
    cursor = lines_after(log)[-1].cursor
    log.write_bytes(b"".join(map(line, range(1, 5))))
    write_log(log, range(1005, 1008), n1005="started")
    found = lines_after(log, cursor)
    assert [one.seq for one in found] == [1005, 1006, 1007]
    assert not any(one.missing for one in found)


def test_a_log_whose_numbers_begin_again_is_left_out(open_tail: OpenTail, log: Path) -> None:
    write_log(log, range(1, 11))
    tail = open_tail(log, Cursor())
    read_all(tail)
    write_log(log, [1, 2, 3, 11])
    assert [found.seq for found in read_all(tail)] == [11]


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("last", [300, 5000])
def test_a_log_that_was_replaced_is_sent_from_its_start(is_open: bool, last: int, log: Path) -> None:
    write_log(log, range(last - 9, last + 1))
    former: list[int] = []
    with contextlib.closing(LogTail(log, Cursor(last - 5), former.append)) as tail:
        cursor = read_all(tail)[-1].cursor
        log.rename(log.with_name("kept"))  # or the new file may get its inode
        assert tail.next() is None
        if is_open:
            write_log(log, [1, 2, 3])
            found = read_all(tail)
    if not is_open:
        write_log(log, [1, 2, 3])
        with contextlib.closing(LogTail(log, cursor, former.append)) as tail:
            found = read_all(tail)
    assert [one.seq for one in found] == [1, 2, 3]
    assert not any(one.missing for one in found)
    assert former == [last]
    assert numbers_after(log, found[1].cursor) == [3]


def test_a_log_that_was_replaced_in_the_same_file(log: Path) -> None:
    write_log(log, range(4001, 5001))
    cursor = lines_after(log)[-1].cursor
    log.write_bytes(b"")
    write_log(log, [1, 2, 3])
    assert numbers_after(log, cursor) == [1, 2, 3]


def test_a_log_whose_newest_lines_are_gone_is_not_a_new_one(open_tail: OpenTail, log: Path) -> None:
    write_log(log, range(1, 5001))
    tail = open_tail(log, Cursor())
    cursor = read_all(tail)[-1].cursor
    log.write_bytes(b"".join(map(line, range(1, 3501))))
    assert read_all(tail) == []
    assert numbers_after(log, cursor) == []


def test_old_lines_again_after_a_rotation_are_not_sent_again(open_tail: OpenTail, log: Path) -> None:
    write_log(log, range(1, 5001))
    tail = open_tail(log, Cursor())
    cursor = read_all(tail)[-1].cursor
    log.rename(log.with_name("events.jsonl.1"))
    write_log(log, range(1, 11))
    assert read_all(tail) == []
    assert numbers_after(log, cursor) == []
    write_log(log, [5001])
    assert [found.seq for found in read_all(tail)] == [5001]


def test_a_log_with_a_file_that_cannot_be_read_is_not_a_new_one(log: Path) -> None:
    write_log(log.with_name("events.jsonl.2"), range(1, 11))
    log.with_name("events.jsonl.1.zst").write_bytes(b"\x28\xb5\x2f\xfd" + b"x" * 100)
    assert numbers_after(log, Cursor(5000)) == []


def test_a_folder_or_a_file_without_permission_is_an_error(open_tail: OpenTail, log: Path) -> None:
    log.mkdir()
    with pytest.raises(InputError):
        open_tail(log, Cursor()).next()


@settings(max_examples=30)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=12), st.data())
def test_any_rotation_at_any_cursor(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    log = tmp_path_factory.mktemp("log") / "events.jsonl"
    seq = 0
    for size in sizes:
        if log.exists():
            rotate(log)
        write_log(log, range(seq + 1, seq + size + 1))
        seq += size
        if (gone := log.with_name("events.jsonl.10")).exists():
            gone.unlink()
    first = seq - sum(sizes[-10:]) + 1
    after = data.draw(st.integers(0, seq))
    found = lines_after(log, Cursor(after))
    expected = list(range(max(after + 1, first), seq + 1))
    assert [one.seq for one in found] == expected
    gaps = [one.missing for one in found if one.missing]
    assert gaps == ([Missing(after + 1, first - 1)] if 0 < after < first - 1 else [])


def test_memory_does_not_grow_with_the_backlog(open_tail: OpenTail, log: Path) -> None:
    with log.open("wb") as file:
        for seq in range(1, 5001):
            file.write(line(seq, text="x" * 1000))
    tracemalloc.start()
    try:
        tail = open_tail(log, Cursor())
        count = 0
        while tail.next() is not None:
            count += 1
        assert count == 5000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_how_far_a_target_is_behind(log: Path) -> None:
    assert events_behind(log, None) == 0
    write_log(log, range(1, 11))
    assert end_of_log(log).seq == 10
    assert (events_behind(log, Cursor(4)), events_behind(log, None), events_behind(log, Cursor(12))) == (6, 10, 0)
    log.write_bytes(b"x" * 9_000_000)
    assert events_behind(log, Cursor(4)) is None
