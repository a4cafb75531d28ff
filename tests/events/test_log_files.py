"""Lines read from the end of a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.events.log_files import lines_from_end


@given(st.lists(st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")), max_size=20), st.booleans())
def test_lines_from_end_are_the_lines_in_reverse_order(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bool
) -> None:
    data = b"\n".join(lines) + b"\n" * end
    path = tmp_path_factory.mktemp("log") / "x"
    path.write_bytes(data)
    with path.open("rb") as file:
        found = list(lines_from_end(file.fileno(), len(data)))
    assert [line for _, line in reversed(found)] == data.splitlines(keepends=True) or b"\r" in data
    assert b"".join(line for _, line in reversed(found)) == data
    assert all(data[start : start + len(line)] == line for start, line in found)


def test_lines_from_end_joins_the_blocks_of_a_long_line(tmp_path: Path) -> None:
    lines = [b"a" * 70_000 + b"\n", b"\n", b"b" * (1 << 16) + b"\n", b"c" * 200_000]
    path = tmp_path / "x"
    path.write_bytes(b"".join(lines))
    with path.open("rb") as file:
        found = list(lines_from_end(file.fileno(), path.stat().st_size))
    assert [line for _, line in found] == lines[::-1]
