"""Explanations on request: one at a time, in a child that may die, hang or be left alone, without a clear face."""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import config
from edge.records import Box
from edge.view import explain_process, explainer
from edge.view.explainer import Explainer, Question
from edge.view.pixelate import hide_faces
from support.limits import no_more_files, no_more_threads
from support.paths import ROOT
from support.wait import wait_until

#: A child that echoes: the number of bytes of the picture; `MODE` makes it misbehave. It answers when `GATE` exists.
ECHO = """\
import json, os, struct, sys, time
sys.stdin.buffer.readline()
open(os.environ["PIDS"], "a").write(f"{os.getpid()}\\n")
mode = os.environ.get("MODE", "")
if mode == "dies":
    os._exit(9)
if mode == "deaf":
    time.sleep(600)
while header := sys.stdin.buffer.read(12):
    length, height, width = struct.unpack(">III", header)
    job = json.loads(sys.stdin.buffer.read(length))
    count = len(sys.stdin.buffer.read(height * width * 3))
    if mode == "hangs" or job["stage"] == "hangs":
        time.sleep(600)
    if mode == "huge":
        sys.stdout.buffer.write(struct.pack(">II", 1 << 30, 1 << 30))
    if mode == "nonsense":
        sys.stdout.buffer.write(struct.pack(">II", 3, 0) + b"xyz")
    while not os.path.exists(os.environ.get("GATE", "/")):
        time.sleep(0.01)
    data = json.dumps({"count": count}).encode()
    sys.stdout.buffer.write(struct.pack(">II", len(data), 2) + data + b"ok")
    sys.stdout.buffer.flush()
"""
PICTURE = np.zeros((480, 640, 3), np.uint8)


class Answers:
    """Collects answers by client."""

    def __init__(self) -> None:
        self.by_client: dict[str, list[tuple[dict[str, object], bytes]]] = {}

    def reply_to(self, client: str) -> Callable[[dict[str, object], bytes], None]:
        return lambda answer, body: self.by_client.setdefault(client, []).append((answer, body))

    def states(self, client: str) -> list[object]:
        return [answer["state"] for answer, _ in self.by_client.get(client, [])]


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the processes of the children, which are echoes."""
    monkeypatch.setattr(explainer.child_process, "command", lambda _: [sys.executable, "-c", ECHO])
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    (tmp_path / "pids").touch()
    return tmp_path / "pids"


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file without which the echo does not answer."""
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    return tmp_path / "gate"


@pytest.fixture
def why(pids: Path) -> Iterator[Explainer]:
    asked = Explainer(config.load(), None)
    yield asked
    asked.close()
    wait_until(lambda: not any(is_running(pid) for pid in children(pids)))


def children(pids: Path) -> list[int]:
    return [int(line) for line in pids.read_text().split()]


def is_running(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def question(key: object = 1, stage: str = "mask") -> Question:
    return Question((key,), PICTURE, {"stage": stage, "faces": [], "hidden": None}, {"t": 1.5})


def test_the_picture_reaches_the_child_and_the_answer_has_what_is_known(why: Explainer, answers: Answers) -> None:
    why.ask(question(), "a", answers.reply_to("a"))
    wait_until(lambda: answers.states("a"))
    assert answers.by_client["a"] == [({"state": "done", "t": 1.5, "count": PICTURE.nbytes}, b"ok")]


def test_the_same_question_is_answered_from_memory(why: Explainer, answers: Answers, pids: Path) -> None:
    why.ask(question(), "a", answers.reply_to("a"))
    wait_until(lambda: answers.states("a"))
    for _ in range(100):
        why.ask(question(), "a", answers.reply_to("a"))
    assert len(answers.by_client["a"]) == 101, "at once"


def test_one_question_at_a_time_and_the_same_one_together(
    why: Explainer, answers: Answers, pids: Path, gate: Path
) -> None:
    why.ask(question(1), "a", answers.reply_to("a"))
    for k in range(100):
        why.ask(question(1 if k % 2 else 2), "b", answers.reply_to("b"))
    assert answers.states("b") == ["busy"] * 50
    gate.touch()
    wait_until(lambda: len(answers.states("b")) == 100)
    assert answers.states("a") == ["done"]
    assert answers.states("b")[50:] == ["done"] * 50
    assert len(children(pids)) == 1


@pytest.mark.parametrize("mode", ["dies", "huge", "nonsense"])
def test_a_child_that_fails_is_replaced(
    mode: str, why: Explainer, answers: Answers, pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODE", mode)
    why.ask(question(1), "a", answers.reply_to("a"))
    wait_until(lambda: answers.states("a") == ["failed"])
    monkeypatch.setenv("MODE", "")
    why.ask(question(2), "a", answers.reply_to("a"))
    wait_until(lambda: answers.states("a") == ["failed", "done"])
    assert len(children(pids)) == 2


def test_a_child_that_cannot_be_started(why: Explainer, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explainer.child_process, "command", lambda _: ["/nonexistent/python"])
    why.ask(question(), "a", answers.reply_to("a"))
    wait_until(lambda: answers.states("a") == ["failed"])


@pytest.mark.parametrize(("no_more", "error"), [(no_more_files, OSError), (no_more_threads, RuntimeError)])
def test_a_thread_that_cannot_be_started(
    no_more: Callable[[], AbstractContextManager[None]], error: type[Exception], why: Explainer, answers: Answers
) -> None:
    with no_more(), pytest.raises(error):
        why.ask(question(1), "a", answers.reply_to("a"))
    why.ask(question(2), "a", answers.reply_to("a"))
    wait_until(lambda: answers.states("a") == ["done"])


@pytest.mark.parametrize("mode", ["hangs", "deaf"])
def test_a_child_that_hangs_is_killed(
    mode: str, why: Explainer, answers: Answers, pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that does not read: the picture is larger than the pipe."""
    monkeypatch.setenv("MODE", mode)
    monkeypatch.setattr(explainer, "START_TIMEOUT_S", 0.2)
    monkeypatch.setattr(explainer, "JOB_TIMEOUT_S", 0.5)
    why.ask(question(), "a", answers.reply_to("a"))
    wait_until(lambda: answers.states("a") == ["slow"])
    wait_until(lambda: not any(is_running(pid) for pid in children(pids)))


def test_the_child_is_killed_when_nobody_waits_any_more(why: Explainer, answers: Answers, pids: Path) -> None:
    why.ask(question(1, "hangs"), "a", answers.reply_to("a"))
    why.ask(question(1, "hangs"), "b", answers.reply_to("b"))
    wait_until(lambda: children(pids))
    (child,) = children(pids)
    why.forget("a")
    why.forget("nobody")
    time.sleep(0.05)
    assert is_running(child), "b still waits"
    why.forget("b")
    wait_until(lambda: not is_running(child))
    wait_until(lambda: why._running is None)
    why.ask(question(2), "c", answers.reply_to("c"))
    wait_until(lambda: answers.states("c") == ["done"])
    assert answers.states("a") == answers.states("b") == []


def test_a_question_that_is_dropped_during_the_rest_is_not_asked(
    why: Explainer, answers: Answers, pids: Path, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later_s = 0.0
    monkeypatch.setattr(explainer, "_now", lambda: time.monotonic() + later_s)
    monkeypatch.setattr(explainer, "JOB_TIMEOUT_S", 2000.0)
    monkeypatch.setattr(explainer, "MAX_REST_S", 1000.0)
    why.ask(question(1), "a", answers.reply_to("a"))
    wait_until(lambda: children(pids))
    later_s = 1000.0  # so long does the answer take, and the rest
    gate.touch()
    wait_until(lambda: answers.states("a"))
    why.ask(question(2), "a", answers.reply_to("a"))
    assert answers.states("a") == ["done"], "it rests"
    why.forget("a")
    wait_until(lambda: why._running is None)
    later_s = 2001.0
    why.ask(question(3), "b", answers.reply_to("b"))
    wait_until(lambda: answers.states("b") == ["done"])
    assert answers.states("a") == ["done"]


def test_thread_and_child_end_when_nothing_is_asked(
    why: Explainer, answers: Answers, pids: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explainer, "IDLE_S", 0.1)
    why.ask(question(1), "a", answers.reply_to("a"))
    wait_until(lambda: answers.states("a"))
    wait_until(lambda: "explain" not in {thread.name for thread in threading.enumerate()})
    wait_until(lambda: not any(is_running(pid) for pid in children(pids)))
    why.ask(question(2), "a", answers.reply_to("a"))
    wait_until(lambda: answers.states("a") == ["done", "done"])


def test_closing_does_not_wait_for_the_child(pids: Path, answers: Answers) -> None:
    why = Explainer(config.load(), None)
    why.ask(question(1, "hangs"), "a", answers.reply_to("a"))
    wait_until(lambda: children(pids))
    why.close()
    wait_until(lambda: not any(is_running(pid) for pid in children(pids)))
    why.ask(question(2), "a", answers.reply_to("a"))
    assert answers.states("a")[-1] == "busy"


# ---- What the child does ---------------------------------------------------------------------------------------------

VISITOR: Any = cv2.imread(str(ROOT / "edge/bench/visitor.jpg"))[..., ::-1].copy()
FACE = Box(47, 53, 133, 161)


def test_the_real_child_explains_a_face_and_leaves_the_door_alone(answers: Answers) -> None:
    why = Explainer(config.load(), None)
    try:
        job = {"stage": "mask", "faces": [FACE], "hidden": [FACE]}
        why.ask(Question((1,), VISITOR, job), "a", answers.reply_to("a"))
        wait_until(lambda: answers.states("a") == ["done"])
        answer, body = answers.by_client["a"][0]
        (words,) = answer["faces"][0]["words"]  # type: ignore[index]
        assert (words["speaks"], set(words["regions"])) == ("against", {"nose", "mouth", "eyes"})
        assert sum(answer["parts"]) == len(body)  # type: ignore[call-overload]
        (child,) = [int(path.name) for path in Path("/proc").iterdir() if _comm(path) == "doorlight-why"]
        assert os.getpriority(os.PRIO_PROCESS, child) == 19
        assert Path(f"/proc/{child}/oom_score_adj").read_text().strip() == "1000"
        assert str(explain_process.MAX_MEMORY_BYTES) in Path(f"/proc/{child}/limits").read_text()
        os.kill(child, signal.SIGTERM)
        assert is_running(child), "only the door ends it"
    finally:
        why.close()


def _comm(process: Path) -> str:
    try:
        mine = process.name.isdigit() and f"PPid:\t{os.getpid()}\n" in (process / "status").read_text()
        return (process / "comm").read_text().strip() if mine else ""
    except OSError:
        return ""


def explained(show_faces: bool, stage: str = "mask", hidden: object = ((*FACE,),)) -> tuple[dict[str, Any], list[Any]]:
    """Return the result about VISITOR, and its decoded pictures. `hidden` are the faces that the searches have found."""
    from edge.inference import manifest
    from edge.inference.perception import Perception

    settings = config.load()
    start = explain_process.Start(settings, None, show_faces)
    job = explain_process.Job(stage, [tuple(FACE)], hidden)  # type: ignore[arg-type, list-item]
    found, body = explain_process.explain_faces(Perception(settings, manifest.load(None)), VISITOR, job, start)
    pictures, at = [], 0
    for length in found["parts"]:
        data = np.frombuffer(body[at : at + length], np.uint8)
        pictures.append(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
        at += length
    return found, pictures


def detail(picture: Any) -> float:
    """Return the mean difference of neighbouring pixels in the middle of a picture."""
    h, w = picture.shape[:2]
    return float(np.abs(np.diff(picture[h // 4 : 3 * h // 4, w // 4 : 3 * w // 4].astype(int), axis=1)).mean())


@pytest.mark.parametrize("stage", ["mask", "expression", "face"])
def test_no_picture_of_a_hidden_face_is_clear(stage: str) -> None:
    """The heat map, too: the segments of LIME would show the outlines of eyes and mouth."""
    found, (frame, face, heat) = explained(show_faces=False, stage=stage)
    _, (clear_frame, clear_face, clear_heat) = explained(show_faces=True, stage=stage)
    assert detail(face) < 0.5 * detail(clear_face)
    assert detail(heat) < 0.5 * detail(clear_heat)
    assert detail(frame) < detail(clear_frame)
    hidden = hide_faces(VISITOR, [FACE])[60:150, 60:120].astype(int)
    assert np.abs(frame[60:150, 60:120].astype(int) - hidden).mean() < 4, "as in the live picture"
    assert found["faces"][0]["words"], "the model has seen the face"


def test_the_heat_map_of_a_hidden_face_has_few_cells() -> None:
    from edge.explain.explanation import explain
    from edge.inference import manifest
    from edge.inference.perception import Perception

    found = explain(Perception(config.load(), manifest.load(None)), VISITOR, FACE)
    cells = explain_process.coarse(found).heat
    assert cells.shape[0] == cells.shape[1] <= 10
    assert abs(cells.mean() - found.heat.mean()) < 0.01


def test_a_face_is_hidden_even_if_no_search_has_found_it() -> None:
    """The box of a track may be where the last search has found nothing."""
    _, (_, clear_face, _) = explained(show_faces=True)
    for hidden in ((), None):
        _, (frame, face, _) = explained(show_faces=False, hidden=hidden)
        assert detail(face) < 0.5 * detail(clear_face)
    assert detail(frame[:, :40]) < 5, "None: nobody knows where the faces are"


def test_a_slow_box_leaves_faces_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_process, "BEGIN_WITHIN_S", -1.0)
    found, pictures = explained(show_faces=False)
    assert found["faces"] == [{"reason": "no_time"}]
    assert len(pictures) == 1


def test_formats_of_parent_and_child_agree() -> None:
    assert (explainer.JOB.format, explainer.RESULT.format) == (
        explain_process.JOB.format,
        explain_process.RESULT.format,
    )
    assert struct.calcsize(">III") == explainer.JOB.size
    assert json.loads(json.dumps({"faces": [FACE]})) == {"faces": [list(FACE)]}
