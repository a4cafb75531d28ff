"""The tail of a log with damaged numbers and damaged lines: nothing is hidden, and nothing is lost behind them."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.events.record import MAX_LINE_BYTES
from edge.link.cursor import Cursor
from edge.link.log_tail import Line, Missing
from support.link import OpenTail, line, lines_after, numbers_after, read_all, write_log


@pytest.mark.parametrize("is_live", [True, False])
@pytest.mark.parametrize("damaged", [3, 4, 5, 40, 3000, 9007199254737000])
@pytest.mark.parametrize("first", [1, 2, 3000])
def test_a_damaged_number_hides_nothing(
    open_tail: OpenTail, first: int, damaged: int, is_live: bool, log: Path
) -> None:
    """The second number is damaged. All lines are sent, nothing is called lost, and no cursor loses anything."""
    tail = open_tail(log, Cursor())
    numbers = [first, first - 1 + damaged, *range(first + 2, first + 60)]
    found: list[Line] = []
    for place, seq in enumerate(numbers):
        with log.open("ab") as file:
            file.write(line(seq, place=place))
        found += read_all(tail) if is_live else []
    found += read_all(tail)
    assert [one.record["place"] for one in found] == list(range(60))
    assert not any(one.missing for one in found)
    assert found[-1].cursor.seq == first + 59
    for place, one in enumerate(found):
        rest = {other.record["place"] for other in lines_after(log, one.cursor)}
        assert rest >= set(range(place + 1, 60))


def test_a_jump_that_the_next_line_confirms_is_a_loss(open_tail: OpenTail, log: Path) -> None:
    tail = open_tail(log, Cursor())
    found: list[Line] = []
    for seq in (1, 2, 5000, 5001, 5002):
        write_log(log, [seq])
        found += read_all(tail)
    assert [one.seq for one in found] == [1, 2, 5000, 5001, 5002], "none waits for the next"
    assert [one.missing for one in found] == [None, None, None, Missing(3, 4999), None]
    assert found[2].cursor.seq == 2, "the line comes again after a restart, and with it what is missing"
    assert [one.missing for one in lines_after(log, found[2].cursor)] == [Missing(3, 4999), None, None]


def test_a_cursor_of_a_damaged_number_is_corrected(log: Path) -> None:
    write_log(log, [1, 9007199254740000, 3, 4])
    assert numbers_after(log, Cursor(9007199254740000)) == [1, 9007199254740000, 3, 4]


@pytest.mark.parametrize(
    "damage", [b"\n", b"\0" * 3000 + b"\n", b"{]\n", b"x" * 70_000 + b"\n", b'{"seq": 0}\n', b"[1]\n" * 100]
)
def test_damaged_lines_are_left_out(damage: bytes, log: Path) -> None:
    log.write_bytes(line(1) + damage + line(2))
    found = lines_after(log)
    assert [one.seq for one in found] == [1, 2]
    assert numbers_after(log, found[0].cursor) == [2]


@pytest.mark.parametrize("size", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 5 * MAX_LINE_BYTES + 7])
@pytest.mark.parametrize("compress", [None, gzip.compress])
def test_a_damaged_line_of_a_mebibyte_hides_nothing(
    size: int, compress: Callable[[bytes], bytes] | None, log: Path
) -> None:
    data = line(1) + b"\0" * size + b"\n" + line(2, "signal", signal="ALARM") + line(3)
    if compress is None:
        log.write_bytes(data)
    else:
        log.with_name("events.jsonl.1.gz").write_bytes(compress(data))
        log.write_bytes(b"")
    found = lines_after(log)
    assert [one.seq for one in found] == [1, 2, 3]
    assert numbers_after(log, found[0].cursor) == [2, 3]
    assert numbers_after(log, found[1].cursor) == [3]


def test_a_long_damaged_line_that_is_still_being_written(open_tail: OpenTail, log: Path) -> None:
    log.write_bytes(line(1) + b"x" * 3 * MAX_LINE_BYTES)
    tail = open_tail(log, Cursor())
    assert [found.seq for found in read_all(tail)] == [1]
    tracemalloc.start()
    try:
        for _ in range(20):
            with log.open("ab") as file:
                file.write(b"x" * MAX_LINE_BYTES)
            assert read_all(tail) == []
        assert tracemalloc.get_traced_memory()[1] < 3 * MAX_LINE_BYTES
    finally:
        tracemalloc.stop()
    with log.open("ab") as file:
        file.write(b"x\n" + line(2))
    assert [found.seq for found in read_all(tail)] == [2]
