"""CSV for spreadsheets: columns, and values that a spreadsheet must not run."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.events.record import EventRecord
from edge.events.table import COLUMNS, TableWriter


def rows_of(*records: EventRecord, is_played: bool = False) -> list[dict[str, str]]:
    """Return the rows of a table with these records, as a program reads them."""
    file = io.StringIO()
    table = TableWriter(file)
    for record in records:
        table.write(record, is_played)
    return list(csv.DictReader(io.StringIO(file.getvalue())))


def test_a_row() -> None:
    record = {"seq": 3, "time": "2026-11-20T10:00:03.120Z", "t": 1.0, "event": "signal", "signal": "PASS", "people": 1}
    (row,) = rows_of(record)
    assert tuple(row) == COLUMNS
    assert (row["seq"], row["time"], row["t"], row["signal"]) == ("3", "2026-11-20T10:00:03.120Z", "1.0", "PASS")
    assert row["text"] == "everyone wears a mask (1 person)"
    assert json.loads(row["details"]) == {"people": 1}
    assert len(row["local_time"]) == len("2026-11-20 11:00:03")
    assert rows_of(record, is_played=True)[0]["local_time"] == ""


def test_negative_numbers_stay_numbers() -> None:
    assert rows_of({"t": -1.5})[0]["t"] == "-1.5"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", '"=1', "a;=1", "a; =1", "＝1", "a\n=1", "\x1b=1", "=1;=2"],
)
def test_formulas_and_control_characters(text: str) -> None:
    for key in ("seq", "time", "event", "signal", "person", "extra"):
        (row,) = rows_of({"event": "x", key: text})
        for cell in row.values():
            assert not cell.strip().strip("'\"").startswith(("=", "+", "-", "@", "＝")) or cell.lstrip(' "').startswith(
                "'"
            )
            assert cell.isprintable()
            for part in cell.split(";"):
                assert not part.lstrip(' "').startswith(("=", "+", "-", "@", "＝"))


@given(
    st.dictionaries(
        st.sampled_from(["seq", "time", "t", "event", "signal", "person", "x"]), st.text() | st.floats() | st.none()
    )
)
def test_any_record_is_one_row(record: EventRecord) -> None:
    (row,) = rows_of(record)
    assert all(cell.isprintable() for cell in row.values())
    assert None not in row
