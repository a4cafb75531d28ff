"""The loop: a lost camera, a blind door, lights and log at every kind of end, the Edge TPU, systemd."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

import edge
from edge import annotate, door
from edge.camera.factory import open_source
from edge.camera.source import CameraLostError
from edge.config import DoorSettings
from edge.errors import OutputError
from edge.events.writer import EventLog
from edge.imaging.blindness import find_blindness
from edge.imaging.cells import cells
from edge.imaging.images import Picture
from edge.imaging.noise import looks_like_noise
from edge.inference import manifest
from edge.inference.edgetpu import Accelerator
from edge.inference.perception import Perception, required_models
from edge.pipeline import Decision, Pipeline, decide_image
from edge.records import Detection, Frame, Signal
from edge.zone import Zone
from support.clip import EMPTY_S, MASKED_S, UNMASKED_S, frame_at
from support.door import CONFIG, Door, Script, Step
from support.textures import TEXTURES, frames_of, snow


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


@pytest.fixture
def whole(tmp_path: Path, perception: Perception) -> Door:
    return Door(tmp_path, perception)


def play(perception: Perception, steps: Sequence[Step]) -> list[Decision]:
    with Script(steps) as source:
        return [decision for _, decision in door.decisions(Pipeline(CONFIG, perception), source)]


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


def covered(seed: int = 1) -> Picture:
    """A hand on the lens: one colour that gets darker to one side, with the noise of the sensor."""
    light = np.linspace(0.4, 1.0, 640)[None, :, None] * np.array([170, 110, 90])
    return np.clip(light + np.random.default_rng(seed).normal(0, 5, (480, 640, 3)), 0, 255).astype(np.uint8)


def cut_off(picture: Picture) -> Picture:
    """The lower half is missing."""
    return np.vstack([picture[:240], np.full((240, 640, 3), 128, np.uint8)])


@pytest.mark.parametrize(
    ("empty", "reason"),
    [
        (np.zeros((480, 640, 3), np.uint8), "the picture is black: is the camera covered"),
        (np.full((480, 640, 3), 255, np.uint8), "the picture is white"),
        (np.full((480, 640, 3), (0, 135, 0), np.uint8), "the picture is one colour (green): is the lens covered?"),
        (covered(), "the picture is without any detail: is the lens covered"),
        (cut_off(frame_at(MASKED_S)), "the picture is incomplete"),
    ],
    ids=["black", "white", "green", "hand", "half"],
)
def test_picture_without_content_makes_the_door_blind(perception: Perception, empty: Picture, reason: str) -> None:
    masked = frame_at(MASKED_S)
    decisions = play(perception, [masked] * 20 + [empty] * 20 + [masked] * 25)
    assert decisions[19].signal is Signal.PASS
    assert Signal.PASS not in {d.signal for d in decisions[26:40]}, "green ends with the person"
    assert {d.signal for d in decisions[30:40]} == {Signal.FAULT}, "blind after a second"
    assert decisions[-1].signal is Signal.PASS
    events = [e for d in decisions for e in d.events if e.kind.startswith("camera_")]
    assert [e.kind for e in events] == ["camera_lost", "camera_back"]
    assert reason in str(events[0].data["reason"])


#: Corners of the parts of the picture to the left of the visitor and around them.
LEFT_HALF = ((0.0, 0.0), (0.45, 0.0), (0.45, 1.0), (0.0, 1.0))
RIGHT_HALF = ((0.45, 0.0), (1.0, 0.0), (1.0, 1.0), (0.45, 1.0))


def before_a_plain_wall(perception: Perception, settings: DoorSettings) -> list[Decision]:
    """Return the decisions for a wall as plain as a covered lens, before which a visitor arrives after 20 frames."""
    camera = msgspec.structs.replace(CONFIG.camera, min_detail=20.0)
    pipeline = Pipeline(msgspec.structs.replace(CONFIG, camera=camera, door=settings), perception)
    visitor = cv2.cvtColor(cv2.imread(str(Path(edge.__file__).parent / "bench/visitor.jpg")), cv2.COLOR_BGR2RGB)
    visitor = cv2.resize(visitor, (100, round(100 * visitor.shape[0] / visitor.shape[1])))
    arrived = covered(3)
    arrived[200 : 200 + len(visitor), 300:400] = visitor
    assert find_blindness(cells(arrived), 20.0) is not None, "only a small part is not plain"
    pictures = [covered(k) for k in range(20)] + [arrived] * 20
    return [pipeline.step(Frame(k, k / 10, picture)) for k, picture in enumerate(pictures)]


def test_covered_lens_is_searched_until_a_face_shows(perception: Perception) -> None:
    """A person in front of a plain wall proves that the door sees."""
    decisions = before_a_plain_wall(perception, CONFIG.door)
    assert {d.signal for d in decisions[11:20]} == {Signal.FAULT}
    assert decisions[-1].signal is Signal.STOP


@pytest.mark.parametrize(
    "settings", [DoorSettings(LEFT_HALF, (), 0.0), DoorSettings((), (RIGHT_HALF,), 0.0)], ids=["zone", "ignore"]
)
def test_a_face_outside_the_zone_proves_that_the_lens_is_not_covered(
    perception: Perception, settings: DoorSettings
) -> None:
    decisions = before_a_plain_wall(perception, settings)
    assert {d.signal for d in decisions[11:20]} == {Signal.FAULT}
    assert {d.signal for d in decisions[20:]} == {Signal.IDLE}
    assert not any(d.tracks for d in decisions)


@pytest.mark.parametrize("level", [0, 255])
def test_a_picture_in_which_nothing_can_be_seen_is_not_searched(
    perception: Perception, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    searched: list[float] = []

    def detect(frame: Frame) -> list[Detection]:
        searched.append(frame.t)
        return []

    monkeypatch.setattr(perception, "detect", detect)
    empty, blind = frame_at(EMPTY_S), np.full((480, 640, 3), level, np.uint8)
    play(perception, [empty, *[blind] * 2, empty, *[blind] * 15])
    assert searched == [0.0, 0.3], "the first picture after a flash is"


def test_snow_makes_the_door_blind_within_two_seconds(perception: Perception) -> None:
    decisions = play(perception, [frame_at(EMPTY_S), *snow(20), frame_at(EMPTY_S)])
    assert {d.signal for d in decisions[:11]} == {Signal.IDLE}
    assert {d.signal for d in decisions[14:21]} == {Signal.FAULT}
    assert decisions[-1].signal is Signal.IDLE
    events = [e for d in decisions for e in d.events if e.kind.startswith("camera_")]
    assert [e.kind for e in events] == ["camera_lost", "camera_back"]
    assert str(events[0].data["reason"]).startswith("the picture is only noise: is the lens covered?")


def test_a_gravel_wall_is_no_fault(perception: Perception) -> None:
    """Snow and gravel look alike in a single picture; the sensor's noise differs from frame to frame."""
    wall = frames_of(TEXTURES["gravel"](480, 640), 6)
    assert looks_like_noise(cells(wall[0]).brightness)
    assert {d.signal for d in play(perception, wall * 4)} == {Signal.IDLE}


def test_a_camera_that_sends_snow_twice_is_blind_too(perception: Perception) -> None:
    """A capture device of 25 frames a second delivers 30, and repeats some."""
    frames = [frame for frame in snow(10) for _ in range(2)]
    pipeline = Pipeline(CONFIG, perception)
    repeats = [pipeline.step(Frame(k, k / 10, frame, is_repeat=k % 2 == 1)) for k, frame in enumerate(frames)]
    assert {d.signal for d in repeats[:14]} == {Signal.IDLE}
    assert {d.signal for d in repeats[14:]} == {Signal.FAULT}


def test_a_still_picture_of_noise_is_no_fault(perception: Perception) -> None:
    """It may be a photograph of gravel."""
    assert decide_image(CONFIG, perception, snow(1)[0]).fault is None


def test_pictures_of_a_folder_are_not_compared(perception: Perception, tmp_path: Path) -> None:
    for number, picture in enumerate(snow(4)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    with open_source(CONFIG.camera, str(tmp_path)) as source:
        decisions = [decision for _, decision in door.decisions(Pipeline(CONFIG, perception), source)]
    assert len(decisions) > 4
    assert {d.signal for d in decisions} == {Signal.IDLE}


def test_one_broken_picture_ends_no_track(perception: Perception) -> None:
    masked = frame_at(MASKED_S)
    decisions = play(perception, [masked] * 15 + [covered()] + [masked] * 10)
    assert {d.signal for d in decisions[14:]} == {Signal.PASS}


def test_min_detail_is_a_setting(perception: Perception) -> None:
    camera = msgspec.structs.replace(CONFIG.camera, min_detail=0.0)
    pipeline = Pipeline(msgspec.structs.replace(CONFIG, camera=camera), perception)
    assert {pipeline.step(Frame(k, k / 10, covered(k))).signal for k in range(20)} == {Signal.IDLE}


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


def test_flash_is_no_fault(perception: Perception) -> None:
    white = np.full((480, 640, 3), 255, np.uint8)
    decisions = play(perception, [frame_at(EMPTY_S)] * 10 + [white] * 3 + [frame_at(EMPTY_S)] * 10)
    assert {d.signal for d in decisions} == {Signal.IDLE}


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
