"""What a line of the log contains, and that any data survives a round trip."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.events.reader import read
from edge.events.record import timestamp
from edge.events.text import describe
from edge.events.writer import EventLog
from edge.records import Event
from support.event_log import NO_ROTATION, records


def test_fields_of_a_line_and_their_order(path: Path) -> None:
    wall = datetime(2026, 11, 20, 10, 0, 3, 120_000, UTC).timestamp()
    with EventLog(path, NO_ROTATION, 4, clock=lambda: wall) as log:
        log.write(Event("signal", 3.1204, {"signal": "STOP", "faces": 1}))
    assert path.read_text() == (
        '{"seq": 1, "time": "2026-11-20T10:00:03.120Z", "t": 3.12, "event": "signal", "signal": "STOP", "faces": 1}\n'
    )


def test_data_cannot_replace_the_logs_own_fields(path: Path) -> None:
    with EventLog(path, NO_ROTATION, 4) as log:
        log.write(Event("calm", 1.0, {"seq": 99, "event": "signal", "time": "never", "t": -1, "person": 4}))
    (record,) = records(path)
    assert (record["seq"], record["event"], record["t"], record["person"]) == (1, "calm", 1.0, 4)
    assert timestamp(record) is not None


def test_values_that_json_does_not_have_are_converted(path: Path) -> None:
    odd = {"nan": float("nan"), "inf": [float("inf"), 1.5], "path": Path("/x"), "set": {1: None}, "bytes": "\udcff"}
    with EventLog(path, NO_ROTATION, 4) as log:
        log.write(Event("started", float("nan"), odd))
    (record,) = records(path)
    assert "NaN" not in path.read_text()
    assert record["t"] is None
    del record["seq"], record["time"], record["t"], record["event"]
    assert record == {"nan": None, "inf": [None, 1.5], "path": "/x", "set": {"1": None}, "bytes": "?"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.dictionaries(st.text(), json_values, max_size=4)), max_size=8))
def test_any_data_is_one_line_and_is_read_back(written: list[tuple[str, dict[str, object]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        with EventLog(path, NO_ROTATION, 4) as log:
            for kind, data in written:
                log.write(Event(kind, 0.5, data))
        reading = read(path)
        back = list(reading)
    assert reading.damaged == 0
    assert [record["seq"] for record in back] == list(range(1, len(written) + 1))
    for record, (kind, data) in zip(back, written, strict=True):
        assert record["event"] == kind
        expected = {key: value for key, value in data.items() if key not in ("seq", "time", "t", "event")}
        assert {key: record[key] for key in expected} == expected
        describe(record)
