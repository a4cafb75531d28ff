"""The wiring: a camera that comes and goes, lights off at every end, the same decisions for the same frames."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory
from test_perception import CLIP, frame_at

from edge import config, door, manifest
from edge.accelerator import Accelerator
from edge.camera import CameraLost, Source, open_source
from edge.config import Config
from edge.errors import OutputError
from edge.events import EventLog
from edge.lights import Lights
from edge.perception import Perception, models
from edge.records import Detection, Event, Frame, Signal

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
    pause = round(10 * CONFIG.tracker.look_again_s)
    assert 1 <= sum(looked[20:]) <= 20 // pause + 1, "a settled one now and then"


def count_searches(perception: Perception, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times of the frames in which faces are sought from now on."""
    times: list[float] = []
    find = perception.find

    def counted(frame: Frame) -> list[Detection]:
        times.append(frame.t)
        return find(frame)

    monkeypatch.setattr(perception, "find", counted)
    return times


def test_an_empty_door_is_searched_now_and_then(perception: Perception, monkeypatch: pytest.MonkeyPatch) -> None:
    times = count_searches(perception, monkeypatch)
    play(perception, [frame_at(6.8)] * 40)
    assert times == [0, 2], "every two seconds while nothing changes"


def test_whoever_comes_is_seen_at_once(perception: Perception, monkeypatch: pytest.MonkeyPatch) -> None:
    times = count_searches(perception, monkeypatch)
    decisions = play(perception, [frame_at(6.8)] * 15 + [frame_at(11.0)] * 10)
    assert times[:3] == [0, 1.5, 1.6], "in the first frame that differs, and in every one until decided"
    first = next(d.t for d in decisions if d.signal is Signal.STOP)
    assert first == 1.5 + CONFIG.policy.decide_s, "no later than without a pause"


def test_somebody_settled_who_stands_still_is_not_lost(perception: Perception, monkeypatch: pytest.MonkeyPatch) -> None:
    times = count_searches(perception, monkeypatch)
    decisions = play(perception, [frame_at(4.0)] * 60)
    assert len(times) < 15
    assert {d.signal for d in decisions[10:]} == {Signal.PASS}
    assert {t.person for d in decisions for t in d.tracks} == {1}


def test_a_crowd_is_looked_at_by_turns(perception: Perception) -> None:
    """Two in view and one look a frame: both are decided, each frame costs one look."""
    both = np.hstack([frame_at(4.0), frame_at(11.0)])
    settings = msgspec.structs.replace(CONFIG, tracker=msgspec.structs.replace(CONFIG.tracker, most_looks=1))
    loop = door.Loop(settings, perception)
    decisions = [loop.step(Frame(k, k / 10, both)) for k in range(20)]
    assert all(len(d.faces) <= 1 for d in decisions)
    assert [next(iter(d.faces)) for d in decisions[:6]] == [1, 2, 1, 2, 1, 2]
    assert {v.value for v in decisions[-1].verdicts.values()} == {"masked", "unmasked"}


def test_the_budget_changes_no_decision(perception: Perception) -> None:
    """The clip of the demo, with everything that saves work, and with every face sought and looked at in every frame."""
    lavish = msgspec.structs.replace(
        CONFIG,
        detector=msgspec.structs.replace(CONFIG.detector, rest_s=0.0, settled_s=0.0),
        tracker=msgspec.structs.replace(CONFIG.tracker, look_again_s=0.0, most_looks=100),
        expression=msgspec.structs.replace(CONFIG.expression, look_again_s=0.0),
    )

    def changes(settings: Config) -> tuple[list[float], list[str]]:
        with open_source(settings.camera, str(CLIP)) as source:
            decided = [d for _, d in door.play(door.Loop(settings, perception), source)]
        told = [e for d in decided for e in d.events if e.kind == "signal"]
        return [e.t for e in told], [str(e.data["signal"]) for e in told]

    times, frugal = changes(CONFIG)
    assert set(frugal) == {"IDLE", "PASS", "STOP", "ALARM"}
    lavish_times, same = changes(lavish)
    assert frugal == same
    # Somebody settled is sought every other frame at 15 a second, so that it is known a frame later that they have gone.
    assert max(abs(a - b) for a, b in zip(times, lavish_times, strict=True)) < 0.1


@pytest.mark.parametrize(("level", "why"), [(0, "black"), (255, "white")])
def test_a_picture_that_shows_nothing_is_a_blind_door(perception: Perception, level: int, why: str) -> None:
    masked, nothing = frame_at(4.0), np.full((480, 640, 3), level, np.uint8)
    decisions = play(perception, [masked] * 20 + [nothing] * 20 + [masked] * 25)
    assert decisions[19].signal is Signal.PASS
    assert Signal.PASS not in {d.signal for d in decisions[26:40]}, "green goes with the person"
    assert {d.signal for d in decisions[30:40]} == {Signal.FAULT}, "blind after a second"
    assert decisions[-1].signal is Signal.PASS
    told = [(e.kind, e.data.get("reason")) for d in decisions for e in d.events if e.kind.startswith("camera_")]
    assert [kind for kind, _ in told] == ["camera_lost", "camera_back"]
    assert why in str(told[0][1])


def test_a_flash_is_no_fault(perception: Perception) -> None:
    white = np.full((480, 640, 3), 255, np.uint8)
    decisions = play(perception, [frame_at(6.8)] * 10 + [white] * 3 + [frame_at(6.8)] * 10)
    assert {d.signal for d in decisions} == {Signal.IDLE}


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


def test_a_log_that_only_a_new_process_can_write_ends_the_door(whole: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventLog, "locked_out", property(lambda _: len(whole.told) > 1))
    with pytest.raises(OutputError):
        whole.run(Script([frame_at(11.0)] * 50))
    assert not whole.lit()


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
