"""Events in words."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from edge.events.text import _EVENTS, describe
from edge.policy import Verdict
from support.paths import ROOT


@pytest.fixture
def central_european_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One hour ahead of UTC."""
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("central_european_time")
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"event": "signal", "signal": "STOP", "faces": 1}, "STOP   someone wears no mask (faces 1)"),
        ({"event": "signal", "signal": "IDLE"}, "IDLE   nobody is there"),
        ({"event": "signal", "signal": "IDLE", "people": 0}, "IDLE   nobody is there"),
        ({"event": "signal", "signal": "IDLE", "people": 1}, "IDLE   nobody is decided yet (1 person)"),
        (
            {"event": "signal", "signal": "FAULT", "before": "IDLE", "people": 0, "reason": "unplugged"},
            "FAULT  the door is blind (was IDLE)",
        ),
        ({"event": "unmasked", "person": 3, "evidence": -1.8349}, "       person 3 wears no mask (86 % sure)"),
        ({"event": "masked", "person": 3}, "       person 3 wears a mask"),
        ({"event": "agitated", "person": 3, "agitation": 0.7}, "       person 3 looks agitated (agitation 70 %)"),
        (
            {"event": "agitated", "person": 3, "agitation": 0.7, "above_mask": True},
            "       person 3 looks agitated (agitation 70 %, judged above the mask, uncertain)",
        ),
        (
            {"event": "maybe_agitated", "person": 3, "agitation": 0.64, "above_mask": True},
            "       person 3 may look agitated (agitation 64 %, judged above the mask, uncertain)",
        ),
        ({"event": "calm", "person": 3}, "       person 3 is calm again"),
        ({"event": "cleared", "person": 3, "dwell_s": 4.2}, "       person 3 has gone, after 4.20 s"),
        ({"event": "cleared"}, "       person ? has gone, after ? s"),
        (
            {"event": "ignored", "person": 3, "verdict": "unmasked", "dwell_s": 60.1},
            "       person 3 never moves and is ignored, after 60.10 s (without a mask)",
        ),
        ({"event": "camera_lost", "reason": "unplugged"}, "       the camera is lost (unplugged)"),
        ({"event": "log_lost", "count": 7}, "       7 events are missing here: the log could not be written"),
        ({"event": "log_lost", "count": 1}, "       1 event is missing here: the log could not be written"),
        ({"event": "log_repaired", "bytes": 1}, "       1 byte of a torn line was removed from the log"),
        (
            {"event": "buzzer_silenced", "minutes": 1, "until": "x"},
            "       the buzzer is silenced for 1 minute, until x",
        ),
        ({"event": "log_repaired", "bytes": 33}, "       33 bytes of a torn line were removed from the log"),
        (
            {"event": "accelerator_lost", "reason": "gone"},
            "       the Edge TPU is not in use; the models run on the CPU (gone)",
        ),
        ({"event": "yet_unknown", "device": "usb:0"}, 'yet_unknown {"device": "usb:0"}'),
        ({"event": "started", "source": "a\x1b[2Jb\nc"}, "       the door has started (a�[2Jb�c)"),
        ({}, "? {}"),
        (
            {"event": "started", "source": "a.mp4", "live": False, "runtime": "tflite", "simulated": True},
            "       the door has started (a.mp4, models run by tflite, lights simulated)",
        ),
        (
            {"event": "started", "source": "picamera", "live": True, "runtime": "tflite", "simulated": False},
            "       the door has started (picamera, models run by tflite)",
        ),
        (
            {"event": "stopped", "reason": "end of source", "frames": 309},
            "       the door has stopped (the source has ended, 309 frames)",
        ),
        (
            {"event": "stopped", "reason": "terminated", "frames": 1},
            "       the door has stopped (on request, 1 frame)",
        ),
        ({"event": "stopped", "reason": "error", "frames": 0}, "       the door has stopped (after an error)"),
        (
            {"event": "signal", "signal": "PASS", "before": "STOP", "people": 2},
            "PASS   everyone wears a mask (was STOP, 2 people)",
        ),
        (
            {"event": "cleared", "person": 1, "verdict": "unmasked", "dwell_s": 4.0},
            "       person 1 has gone, after 4.00 s (without a mask)",
        ),
        ({"event": "scene", "file": "a.png"}, "       the file a.png begins"),
        # A log may come from another version, or be damaged.
        ({"event": "masked", "person": 1, "evidence": 10**400}, "       person 1 wears a mask (100 % sure)"),
        ({"event": "masked", "person": 1, "evidence": "x"}, "       person 1 wears a mask (evidence x)"),
        ({"event": "calm", "person": 1, "agitation": 7}, "       person 1 is calm again (agitation 7)"),
        ({"event": "stopped", "reason": None, "frames": "x"}, "       the door has stopped (reason None, frames x)"),
    ],
)
def test_describe(data: dict[str, Any], text: str) -> None:
    record = {"seq": 1, "time": "2026-11-20T10:00:03.120Z", "t": 3.12, **data}
    assert describe(record) == f"11:00:03  {text}"


@pytest.mark.parametrize("moment", [None, "yesterday", 12, "2026-11-20T10:00:03"])
def test_describe_without_a_time(moment: object) -> None:
    assert describe({"time": moment, "event": "stopped"}) == "--:--:--         the door has stopped"


def kinds_in(tree: ast.AST) -> set[str]:
    """Return the kinds of the events that a module makes, in any of the forms that the code uses."""
    found: set[ast.expr] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="Event") | ast.Attribute(attr="record"), args=[kind, *_]):
                found.add(kind)
            case ast.Call(args=[ast.Tuple(elts=[kind, ast.Dict()])]):  # the Edge TPU's, which the door records
                found.add(kind)
            case ast.Dict(keys=keys, values=values):
                found |= {
                    v for k, v in zip(keys, values, strict=True) if isinstance(k, ast.Constant) and k.value == "event"
                }
    kinds = {kind.value for kind in found if isinstance(kind, ast.Constant) and isinstance(kind.value, str)}
    if any(ast.unparse(kind) == "verdict.value" for kind in found):
        kinds |= {verdict.value for verdict in Verdict} - {Verdict.UNKNOWN.value}
    return kinds


def made_kinds() -> set[str]:
    modules = [path for path in (ROOT / "edge").rglob("*.py") if "bench" not in path.parts]
    return set[str]().union(*(kinds_in(ast.parse(path.read_text(encoding="utf-8"))) for path in modules))


def test_the_search_finds_every_form_of_event() -> None:
    code = """
Event("a", t, {})
self._queue(Event("b", t, {}), wall_s)
current.record("c", {})
self._events.append(("d", {"reason": reason}))
lost = {"seq": 1, "event": "e"}
Event(verdict.value, now, {})
Event(kind, t, data)
"""
    assert kinds_in(ast.parse(code)) == {"a", "b", "c", "d", "e", "masked", "unmasked"}


def test_every_event_has_words_and_every_sentence_has_an_event() -> None:
    assert made_kinds() == {"signal", *_EVENTS}
    for kind in made_kinds():
        assert "{" not in describe({"event": kind, "signal": "PASS"})


def test_operations_readme_names_every_event() -> None:
    page = (ROOT / "systemd/README.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `event` \|(.*)$", page, re.MULTILINE)
    assert made_kinds() <= set(re.findall(r"`(\w+)`", row))
