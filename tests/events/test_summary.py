"""Selection by kind, and counts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import edge
from edge.errors import UsageError
from edge.events.record import EventRecord
from edge.events.summary import check_kinds, is_of_kind, summarise
from edge.events.text import KINDS
from edge.policy import Verdict
from edge.records import Signal


def test_is_of_kind() -> None:
    alarm: EventRecord = {"event": "signal", "signal": "ALARM"}
    assert is_of_kind(alarm, ())
    assert is_of_kind(alarm, ("alarm", "x"))
    assert is_of_kind(alarm, {"signal"})
    assert not is_of_kind(alarm, ("stop",))
    assert not is_of_kind({}, ("stop",))


@pytest.mark.parametrize(
    ("kind", "nearest"),
    [
        ("unmaskd", "unmasked"),
        ("alarms", "ALARM"),
        ("camera", "camera_lost, camera_back"),
        ("lost", "camera_lost, accelerator_lost, log_lost"),
        ("agitatet", "agitated"),
    ],
)
def test_an_unknown_kind_is_refused_with_the_nearest_names(kind: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=f"--kind {kind}: there is no such kind") as caught:
        check_kinds([kind], [])
    assert caught.value.hint.startswith(f"did you mean {nearest}")


def test_an_unknown_kind_without_similar_ones_lists_all() -> None:
    with pytest.raises(UsageError) as caught:
        check_kinds(["xyzzy"], [])
    assert "choose from: signal, IDLE, PASS" in caught.value.hint


def test_a_kind_of_another_version_is_known_from_the_log() -> None:
    check_kinds(["door_opened", "dance", "stop"], [{"event": "door_opened"}, {"event": "signal", "signal": "DANCE"}])


def test_every_kind_that_the_door_logs_is_known() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(edge.__file__).parent.rglob("*.py"))
    kinds = set(re.findall(r"""(?:Event|\.record)\(\s*"(\w+)",""", source)) | {verdict.value for verdict in Verdict}
    assert len(kinds) > 12
    assert kinds - {"unknown"} <= set(KINDS)
    assert {signal.value for signal in Signal} <= set(KINDS)


def test_summarise() -> None:
    some: list[EventRecord] = [
        {"event": "started", "time": "2026-11-20T10:00:00.000Z"},
        {"event": "signal", "signal": "STOP", "time": "2026-11-20T10:00:03.120Z"},
        {"event": "unmasked", "time": "rubbish"},
        {"event": "signal", "signal": "IDLE", "time": "2026-11-20T10:00:05.000Z"},
        {"event": "signal", "signal": "STOP"},
    ]
    summary = summarise(iter(some))
    assert summary.records == 5
    assert summary.events == {"started": 1, "signal": 3, "unmasked": 1}
    assert summary.signals == {"STOP": 2, "IDLE": 1}
    assert summary.first == datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
    assert summary.last == datetime(2026, 11, 20, 10, 0, 5, tzinfo=UTC)


def test_summarise_an_empty_log() -> None:
    summary = summarise([])
    assert (summary.records, summary.events, summary.signals, summary.first, summary.last) == (0, {}, {}, None, None)
