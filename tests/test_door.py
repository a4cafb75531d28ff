"""The loop: a lost camera, people and zones, lights and log at every kind of end, the Edge TPU, systemd."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge import annotate, door
from edge.camera.source import CameraLostError
from edge.config import DoorSettings
from edge.errors import OutputError
from edge.events.writer import EventLog
from edge.inference import manifest
from edge.inference.edgetpu import Accelerator
from edge.inference.perception import Perception, required_models
from edge.pipeline import Decision, Pipeline, decide_image
from edge.records import Frame, Signal
from edge.zone import Zone
from support.clip import EMPTY_S, MASKED_S, UNMASKED_S, frame_at
from support.door import CONFIG, Door, Script, play


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


@pytest.fixture
def whole(tmp_path: Path, perception: Perception) -> Door:
    return Door(tmp_path, perception)


def test_lost_camera_is_a_fault_and_never_green(perception: Perception) -> None:
    masked = frame_at(MASKED_S)
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
    assert people == [1, 2], "after a blind time everyone in view is a new person"


@pytest.mark.parametrize("seen_s", [MASKED_S, UNMASKED_S])
def test_repeated_picture_is_no_look_but_keeps_people_in_view(perception: Perception, seen_s: float) -> None:
    """A camera may keep up its rate by sending each picture several times."""
    pipeline = Pipeline(CONFIG, perception)
    picture = frame_at(seen_s)
    decisions = [pipeline.step(Frame(k, k / 10, picture, is_repeat=k > 0)) for k in range(20)]
    assert [len(d.faces) for d in decisions] == [1] + [0] * 19
    assert [[t.number for t in d.tracks] for d in decisions] == [[1]] * 20
    assert not any(person.number for d in decisions for person in d.people.values()), "nobody is decided"
    decisions = [pipeline.step(Frame(k, k / 10, picture)) for k in range(20, 40)]
    assert decisions[-1].signal in (Signal.PASS, Signal.STOP), "pictures that are not repeated decide"


def test_decide_image(perception: Perception) -> None:
    assert decide_image(CONFIG, perception, frame_at(MASKED_S)).signal is Signal.PASS
    assert decide_image(CONFIG, perception, frame_at(EMPTY_S)).signal is Signal.IDLE
    decision = decide_image(CONFIG, perception, np.hstack([frame_at(MASKED_S), frame_at(UNMASKED_S)]))
    assert decision.signal is Signal.STOP, "one person without a mask is enough"
    assert len(decision.people) == 2
    assert decision.faces.keys() == decision.people.keys(), "every person's last look"


def test_a_face_outside_the_zone_is_ignored(perception: Perception) -> None:
    steps = [frame_at(UNMASKED_S)] * 15
    face = play(perception, steps)[-1].tracks[0].box
    middle = (face.x1 + face.x2) / 2 / 640
    left = DoorSettings(((0.0, 0.0), (middle - 0.01, 0.0), (middle - 0.01, 1.0), (0.0, 1.0)), (), 0.0)
    with Script(steps) as source:
        pipeline = Pipeline(msgspec.structs.replace(CONFIG, door=left), perception)
        decisions = [decision for _, decision in door.decisions(pipeline, source)]
    assert {d.signal for d in decisions} == {Signal.IDLE}
    assert not any(d.tracks for d in decisions)
    # It is known for the drawing, also in frames that are not searched again.
    assert {d.outside for d in decisions} == {(face,)}
    assert annotate.describe(decisions[-1]) == "IDLE: no face in the zone, 1 outside the zone"
    assert pipeline.blind(9.0, "unplugged").outside == ()


def test_run_writes_every_event_to_the_log(whole: Door) -> None:
    summary = whole.run(Script([frame_at(UNMASKED_S)] * 20))
    records = whole.records()
    assert records[0]["event"] == "started"
    assert records[-1]["event"] == "stopped"
    assert {"STOP"} == {record["signal"] for record in records if record["event"] == "signal"} - {"IDLE", "ALARM"}
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert summary.frames == 20
    assert summary.first_decision_s is not None
    assert [record["event"] for record in records] == [event.kind for event in whole.events]
    assert not whole.lit_pins()


def test_run_reports_each_decision_after_it_is_logged(whole: Door) -> None:
    reported: list[tuple[Frame | None, int]] = []
    logged = [1]  # "started" comes before the first decision.

    def on_decision(frame: Frame | None, decision: Decision) -> None:
        logged.append(logged[-1] + len(decision.events))
        reported.append((frame, len(whole.events)))

    whole.run(Script([frame_at(EMPTY_S), None, frame_at(EMPTY_S)]), on_decision)
    assert [frame is None for frame, _ in reported] == [False, True, False]
    assert [events for _, events in reported] == logged[1:]
    assert logged[-1] > 1


def test_lights_are_off_after_a_crash(whole: Door) -> None:
    with pytest.raises(ZeroDivisionError):
        whole.run(Script([*[frame_at(UNMASKED_S)] * 15, ZeroDivisionError]))
    assert not whole.lit_pins()
    fault, last = whole.records()[-2:]
    assert (fault["event"], fault["reason"]) == ("fault", "ZeroDivisionError: broken")
    assert (last["event"], last["reason"]) == ("stopped", "error")


def test_log_that_only_a_new_process_can_write_ends_the_run(whole: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventLog, "locked_out", property(lambda _: len(whole.events) > 1))
    with pytest.raises(OutputError):
        whole.run(Script([frame_at(UNMASKED_S)] * 50))
    assert not whole.lit_pins()


def test_stop_ends_a_live_source(whole: Door) -> None:
    whole.stop.set()
    summary = whole.run(Script([frame_at(EMPTY_S)] * 50))
    assert summary.frames == 1
    assert whole.records()[-1]["reason"] == "terminated"


class FakeEdgeTpu(Accelerator):
    """An Edge TPU that appears and disappears on request. It runs no model, so the CPU does all the work."""

    settled = 0

    def __init__(self) -> None:
        super().__init__("cpu", manifest.load(), required_models(CONFIG))

    def wait_for_first_attempt(self) -> None:
        self.settled += 1

    def appear(self) -> None:
        self.active_runtime, self.problem = "tflite_runtime", None
        self._events.append(("accelerator_back", {"device": "USB 1-1.2", "runtime": "tflite_runtime"}))

    def disappear(self) -> None:
        self._fall_back("mask_classifier hangs")


def test_log_records_when_the_edge_tpu_appears_and_disappears(tmp_path: Path) -> None:
    tpu = FakeEdgeTpu()
    whole = Door(tmp_path, Perception(CONFIG, manifest.load(), accelerator=tpu))
    actions = {2: tpu.appear, 5: tpu.disappear, 6: tpu.disappear, 8: tpu.appear}
    whole.run(Script([frame_at(EMPTY_S)] * 10, actions))
    records = [record for record in whole.records() if str(record["event"]).startswith("accelerator")]
    assert [(record["t"], record["event"]) for record in records] == [
        (0.2, "accelerator_back"),
        (0.5, "accelerator_lost"),
        (0.8, "accelerator_back"),
    ]
    assert records[0]["device"] == "USB 1-1.2"
    assert records[1]["reason"] == "mask_classifier hangs"
    assert tpu.settled == 0, "a camera does not wait for the Edge TPU"


def test_file_waits_until_the_edge_tpu_is_ready_or_absent(tmp_path: Path) -> None:
    tpu = FakeEdgeTpu()
    source = Script([frame_at(EMPTY_S)])
    source.live = False
    Door(tmp_path, Perception(CONFIG, manifest.load(), accelerator=tpu)).run(source)
    assert tpu.settled == 1


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (lambda tpu: None, "CPU (ai_edge_litert), all well"),
        (FakeEdgeTpu.appear, "Edge TPU (tflite_runtime), all well"),
        (FakeEdgeTpu.disappear, "CPU (ai_edge_litert), Edge TPU: mask_classifier hangs"),
    ],
)
def test_status_names_what_runs_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: Callable[[FakeEdgeTpu], None], status: str
) -> None:
    tpu = FakeEdgeTpu()
    perception = Perception(CONFIG, manifest.load(), accelerator=tpu)
    action(tpu)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        Door(tmp_path, perception).run(Script([frame_at(EMPTY_S)]))
        messages = [systemd.recv(4096).decode() for _ in range(3)]
    assert messages[:2] == ["READY=1", "WATCHDOG=1"]
    assert messages[2].startswith("STATUS=IDLE, ")
    assert messages[2].endswith(status.replace("ai_edge_litert", perception.runtime))


class SlowScript(Script):
    """A camera that turns out to be too slow after two timeouts."""

    def read(self) -> Frame | None:
        try:
            return super().read()
        except CameraLostError as error:
            if error.t < 0.7:
                raise
            raise CameraLostError("scripted camera: too slow", t=error.t, is_too_slow=True) from None


def test_slow_camera_is_logged_as_the_reason_once(perception: Perception) -> None:
    picture = frame_at(EMPTY_S)
    with SlowScript([picture] * 5 + [None] * 6 + [picture] * 10 + [None] * 3) as source:
        decisions = [decision for _, decision in door.decisions(Pipeline(CONFIG, perception), source)]
    events = [event for decision in decisions for event in decision.events if event.kind.startswith("camera_")]
    assert [(event.kind, round(event.t, 1), event.data.get("reason")) for event in events] == [
        ("camera_lost", 0.5, "scripted camera: no picture for 2 s"),
        ("camera_lost", 0.7, "scripted camera: too slow"),
        ("camera_back", 1.1, None),
        ("camera_lost", 2.1, "scripted camera: too slow"),
    ]


@pytest.mark.parametrize(
    ("step_s", "status"), [(0.1, "all well"), (1.0, "camera: slow, one picture in 1.0 s")], ids=["normal", "slow"]
)
def test_status_names_a_slow_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, perception: Perception, step_s: float, status: str
) -> None:
    class Camera(Script):
        def read(self) -> Frame | None:
            frame = super().read()
            return frame and replace(frame, t=frame.number * step_s)

    monkeypatch.setattr(door, "STATUS_EVERY_S", 0.0)
    messages: list[str] = []
    monkeypatch.setattr(door.SystemdNotifier, "status", lambda _, message: messages.append(message))
    Door(tmp_path, perception).run(Camera([frame_at(EMPTY_S)] * 4))
    assert messages[0].endswith("all well")
    assert messages[-1].endswith(status)


def test_another_zone_loses_nobody_who_is_in_it(perception: Perception) -> None:
    pipeline = Pipeline(CONFIG, perception)
    picture = frame_at(MASKED_S)
    before = [pipeline.step(Frame(k, k / 10, picture)) for k in range(30)]
    (person,) = before[-1].people.values()
    (track,) = before[-1].tracks
    assert before[-1].signal is Signal.PASS
    height, width = picture.shape[:2]
    x, y = (track.box.x1 + track.box.x2) / 2 / width, (track.box.y1 + track.box.y2) / 2 / height
    around = ((x - 0.05, 0.0), (x + 0.05, 0.0), (x + 0.05, 1.0), (x - 0.05, 1.0))
    pipeline.zone = Zone(around)
    inside = [pipeline.step(Frame(k, k / 10, picture)) for k in range(30, 60)]
    assert {d.signal for d in inside} == {Signal.PASS}
    assert [event for d in inside for event in d.events] == [], "no decision is lost, and none is made again"
    assert [p.number for p in inside[-1].people.values()] == [person.number]
    pipeline.zone = Zone((), [around])
    outside = [pipeline.step(Frame(k, k / 10, picture)) for k in range(60, 120)]
    assert outside[-1].signal is Signal.IDLE
    assert [event.kind for d in outside for event in d.events if event.kind != "signal"] == ["cleared"]
    assert len(outside[-1].outside) == 1
    pipeline.zone = Zone()
    everywhere = [pipeline.step(Frame(k, k / 10, picture)) for k in range(120, 160)]
    assert everywhere[0].outside == ()
    assert everywhere[-1].signal is Signal.PASS
    assert y > 0
