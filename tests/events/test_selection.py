"""Selection of a log's records by time span and kind, and the played files that they come from."""

from __future__ import annotations

import io
import json
from pathlib import Path

from edge.events.record import parse_time
from edge.events.selection import Playing, Selection

RECORDS: list[dict[str, object]] = [
    {"event": "started", "source": "/dev/video0", "live": True},
    {"event": "signal", "signal": "STOP"},
    {"event": "stopped"},
    {"event": "started", "source": "film.mp4", "live": False},
    {"event": "signal", "signal": "PASS"},
    {"event": "stopped"},
    {"event": "log_repaired"},
    {"event": "started", "source": "film.mp4", "live": False},
]
LINES = [
    json.dumps({"seq": k, "time": f"2026-11-20T10:00:{k:02}.000Z"} | record) + "\n"
    for k, record in enumerate(RECORDS, 1)
]
FIRST, SECOND = Playing("film.mp4", 2), Playing("film.mp4", 3)


def epoch_s(second: int) -> float:
    moment = parse_time(f"2026-11-20T10:00:{second:02}.000Z")
    assert moment is not None
    return moment.timestamp()


def found(selection: Selection) -> list[object]:
    return [entry.record["seq"] for entry in selection.entries()]


def test_each_playing_of_a_file_is_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(LINES))
    played = [entry.played for entry in Selection.of_log(path, None, None, ()).entries()]
    assert played == [None, None, None, FIRST, FIRST, FIRST, None, SECOND]


def test_log_and_stream_give_the_same_selection(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(LINES))
    span = epoch_s(3), epoch_s(7)
    for kinds, expected in (((), [3, 4, 5, 6]), (("pass", "started"), [4, 5])):
        for selection in (
            Selection.of_log(path, *span, kinds),
            Selection.of_stream(io.BytesIO(path.read_bytes()), "a pipe", *span, kinds),
        ):
            assert found(selection) == expected
            assert selection.log.records == len(RECORDS), "what is not selected is counted, too"
            assert selection.is_of_a_log


def test_follow_continues_behind_the_entries(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(LINES[:4]))
    selection = Selection.of_log(path, None, None, ("signal",))
    assert found(selection) == [2]
    path.write_text("".join(LINES))
    (entry,) = selection.follow(path, 0.0, lambda: True)
    assert (entry.record["seq"], entry.played) == (5, FIRST), "the playing began before"
    assert selection.log.records == len(RECORDS)


def test_an_empty_file_may_be_a_log_and_other_text_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for text, expected in (("", True), ("no log\n", False), ('{"a": 1}\n', False), (LINES[0], True)):
        path.write_text(text)
        selection = Selection.of_log(path, None, None, ())
        list(selection.entries())
        assert selection.is_of_a_log is expected, text
