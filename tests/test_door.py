"""The wiring: a camera that comes and goes, lights off at every end, the same decisions for the same frames."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory
from test_perception import frame_at

from edge import config, door, manifest
from edge.accelerator import Accelerator
from edge.camera import CameraLost, Source
from edge.events import EventLog
from edge.lights import Lights
from edge.perception import Perception, models
from edge.records import Event, Frame, Signal

CONFIG = config.load()


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


class Script(Source):
    """A live camera that follows a script: a picture, or None for a time without one; 10 steps a second."""

    name = "scripted camera"
    live = True

    def __init__(self, steps: list[np.ndarray | type[Exception] | None]) -> None:
        self.steps = steps
        self.closed = False

    def open(self) -> None:
        self._rest = iter(enumerate(self.steps))

    def read(self) -> Frame | None:
        item = next(self._rest, None)
        if item is None:
            return None
        number, step = item
        if isinstance(step, type):
            raise step("broken")
        if step is None:
            raise CameraLost("scripted camera: no picture for 2 s", t=number / 10)
        return Frame(number, number / 10, step)

    def close(self) -> None:
        self.closed = True


def play(perception: Perception, steps: list[np.ndarray | type[Exception] | None]) -> list[door.Decision]:
    source = Script(steps)
    with source:
        return [decision for _, decision in door.play(door.Loop(CONFIG, perception), source)]


def test_a_lost_camera_is_a_fault_and_never_green(perception: Perception) -> None:
    masked = frame_at(4.0)
    decisions = play(perception, [masked] * 20 + [None] * 5 + [masked] * 25)
    assert decisions[19].signal is Signal.PASS
    assert {d.signal for d in decisions[20:25]} == {Signal.FAULT}
    assert decisions[-1].signal is Signal.PASS, "recovers without a restart"
    kinds = [e.kind for d in decisions for e in d.events]
    assert kinds.count("camera_lost") == 1
    assert kinds.count("camera_back") == 1
    lost = next(e for d in decisions for e in d.events if e.kind == "camera_lost")
    assert "no picture" in str(lost.data["reason"])
    people = [e.data["person"] for d in decisions for e in d.events if e.kind == "masked"]
    assert people == [1, 2], "whoever is there after a blind time is somebody new"


def test_settled_faces_are_left_alone_in_between(perception: Perception) -> None:
    decisions = play(perception, [frame_at(4.0)] * 40)
    looked = [bool(d.faces) for d in decisions]
    assert all(looked[:4]), "an undecided face is looked at in every frame"
    assert sum(looked[20:]) <= 20 // 3 + 1, "a settled one every 0.3 s"


def test_one_still_picture(perception: Perception) -> None:
    assert door.still(CONFIG, perception, frame_at(4.0)).signal is Signal.PASS
    assert door.still(CONFIG, perception, frame_at(6.8)).signal is Signal.IDLE
    both = np.hstack([frame_at(4.0), frame_at(11.0)])
    decision = door.still(CONFIG, perception, both)
    assert decision.signal is Signal.STOP, "one without a mask is enough"
    assert len(decision.verdicts) == 2


class Door:
    """A whole door on mock pins, its events in a file."""

    def __init__(self, folder: Path, perception: Perception) -> None:
        self.path = folder / "events.jsonl"
        self.factory = MockFactory()
        self.perception = perception
        self.told: list[Event] = []
        self.stop = threading.Event()

    def run(self, source: Source) -> door.Summary:
        with (
            EventLog(self.path, 10**6, 2) as log,
            Lights(CONFIG.lights, factory=self.factory) as lights,
            source,
        ):
            return door.run(CONFIG, self.perception, source, lights, log, self.stop, time.monotonic(), self.told.append)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def lit(self) -> list[int]:
        pins = (CONFIG.lights.green, CONFIG.lights.red, CONFIG.lights.buzzer)
        return [pin for pin in pins if self.factory.pin(pin).state]


@pytest.fixture
def whole(tmp_path: Path, perception: Perception) -> Door:
    return Door(tmp_path, perception)


def test_from_picture_to_line_in_the_log(whole: Door) -> None:
    summary = whole.run(Script([frame_at(11.0)] * 20))
    lines = whole.lines()
    assert lines[0]["event"] == "started"
    assert lines[-1]["event"] == "stopped"
    assert {"STOP"} == {line["signal"] for line in lines if line["event"] == "signal"} - {"IDLE", "ALARM"}
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert summary.frames == 20
    assert summary.first_decision_s is not None
    assert [line["event"] for line in lines] == [event.kind for event in whole.told]
    assert not whole.lit()


def test_the_lights_are_off_after_a_crash_too(whole: Door) -> None:
    with pytest.raises(ZeroDivisionError):
        whole.run(Script([*[frame_at(11.0)] * 15, ZeroDivisionError]))
    assert not whole.lit()
    fault, last = whole.lines()[-2:]
    assert (fault["event"], fault["reason"]) == ("fault", "ZeroDivisionError: broken")
    assert (last["event"], last["reason"]) == ("stopped", "error")


def test_stop_ends_a_live_door(whole: Door) -> None:
    whole.stop.set()
    summary = whole.run(Script([frame_at(6.8)] * 50))
    assert summary.frames == 1
    assert whole.lines()[-1]["reason"] == "signal"


class Spare(Accelerator):
    """An Edge TPU that comes and goes when told; it answers nothing, so that the CPU does all the work."""

    settled = 0

    def __init__(self) -> None:
        super().__init__("cpu", manifest.load(), models(CONFIG))

    def settle(self) -> None:
        self.settled += 1

    def comes(self) -> None:
        self.serving, self.problem = "tflite_runtime", None
        self._news.append(("accelerator_back", {"device": "USB 1-1.2", "runtime": "tflite_runtime"}))

    def goes(self) -> None:
        self._lost("mask_classifier hangs")


class Timed(Script):
    """A scripted camera that does something of its own at a step."""

    def __init__(self, steps: list[np.ndarray | type[Exception] | None], at: dict[int, Callable[[], None]]) -> None:
        super().__init__(steps)
        self.at = at

    def read(self) -> Frame | None:
        frame = super().read()
        if frame is not None and frame.number in self.at:
            self.at[frame.number]()
        return frame


def test_an_edge_tpu_that_comes_and_goes_is_in_the_log(tmp_path: Path) -> None:
    spare = Spare()
    whole = Door(tmp_path, Perception(CONFIG, manifest.load(), accelerator=spare))
    whole.run(Timed([frame_at(6.8)] * 10, {2: spare.comes, 5: spare.goes, 6: spare.goes, 8: spare.comes}))
    lines = [line for line in whole.lines() if str(line["event"]).startswith("accelerator")]
    assert [(line["t"], line["event"]) for line in lines] == [
        (0.2, "accelerator_back"),
        (0.5, "accelerator_lost"),
        (0.8, "accelerator_back"),
    ]
    assert lines[0]["device"] == "USB 1-1.2"
    assert lines[1]["reason"] == "mask_classifier hangs"
    assert spare.settled == 0, "a camera waits for nothing"


def test_a_file_begins_when_it_is_known_what_runs_where(tmp_path: Path) -> None:
    spare = Spare()
    source = Script([frame_at(6.8)])
    source.live = False
    Door(tmp_path, Perception(CONFIG, manifest.load(), accelerator=spare)).run(source)
    assert spare.settled == 1


@pytest.mark.parametrize(
    ("happens", "status"),
    [
        (lambda spare: None, "CPU (ai_edge_litert), all well"),
        (Spare.comes, "Edge TPU (tflite_runtime), all well"),
        (Spare.goes, "CPU (ai_edge_litert), Edge TPU: mask_classifier hangs"),
    ],
)
def test_the_status_says_what_runs_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Spare], None], status: str
) -> None:
    spare = Spare()
    perception = Perception(CONFIG, manifest.load(), accelerator=spare)
    happens(spare)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        Door(tmp_path, perception).run(Script([frame_at(6.8)]))
        messages = [systemd.recv(4096).decode() for _ in range(3)]
    (told,) = [message for message in messages if message.startswith("STATUS=")]
    assert told.endswith(status.replace("ai_edge_litert", perception.runtime))
