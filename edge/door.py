"""The loop: frames from a source through the pipeline to lights, event log, systemd.

`Pipeline` decides about one frame and knows no camera, pin or file. `decisions` adds the source and its failures, `run`
adds everything else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from .attention import Attention, Search
from .camera.picture_files import HELD_FPS
from .camera.source import CameraLostError, Scene, Source
from .config import Config
from .errors import OutputError
from .events.writer import EventLog
from .frame_rate import FrameInterval, decision_times, describe_slow
from .health import Health
from .imaging.blindness import Blindness, BlindnessDetector, confirmed
from .imaging.cells import BrightnessGrid, cells
from .inference.perception import Perception, log_odds
from .lights.lights import Lights
from .lights.pin_process import PinProcess
from .policy import Person, State, Verdict, step
from .records import TIME_EPSILON_S, Box, Event, Face, Frame, Signal, Track
from .still_things import Found, StillThings
from .system.systemd import SystemdNotifier
from .timing import NO_TIMER, Stage
from .tracker import Tracker
from .zone import Zone

#: The door counts as blind after this many seconds of pictures that show nothing. A flash is shorter.
BLIND_AFTER_S = 1.0
#: How long the people of a picture are looked at if nothing else says so.
PICTURE_S = 2.0
#: Interval between status messages to systemd.
STATUS_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of the pipeline for one frame, or for a moment without one.

    `faces` are the looks at this frame, `people` is the policy's state for everyone present; both are by the number of
    the track. `fault` is the reason why the door is blind, or None. `interval_s` is the interval between the frames of
    a slow source, 0 for others. `outside` are the boxes of the faces that do not count, because they are outside the
    zone. `still` are the boxes of the faces that do not count, because they never move. `found` are the boxes of
    all faces of the last search, which may be of an earlier picture, also of those that do not count and of those too
    uncertain to be a person; None if nothing has been searched, or nothing can be seen.
    """

    t: float
    signal: Signal
    tracks: tuple[Track, ...]
    faces: dict[int, Face]
    people: Mapping[int, Person]
    events: list[Event]
    fault: str | None = None
    interval_s: float = 0.0
    outside: tuple[Box, ...] = ()
    still: tuple[Box, ...] = ()
    found: tuple[Box, ...] | None = None

    def verdict(self, number: int) -> Verdict:
        """Return the verdict about the person of the track with this number; UNKNOWN if nobody has it."""
        person = self.people.get(number)
        return Verdict.UNKNOWN if person is None else person.verdict


class Pipeline:
    """Decide frame by frame: motion, perception, tracker, policy."""

    def __init__(self, config: Config, perception: Perception) -> None:
        self._config = config
        self._perception = perception
        self._zone = Zone(config.door.zone, config.door.ignore)
        self._outside: tuple[Box, ...] = ()
        self._things = StillThings(config.door.ignore_still_s)
        self._found: tuple[Box, ...] | None = None
        self._attention = Attention(config, perception.expression is not None)
        self._tracker = Tracker(config.tracker)
        self._state = State()
        self._blindness = BlindnessDetector(config.camera.min_detail)
        self._blind_since: float | None = None
        self._interval = FrameInterval()
        self._interval_s = 0.0
        self._policy = config.policy

    def step(self, frame: Frame) -> Decision:
        """Return the decision for `frame`. The times of the frames must not decrease."""
        mark = self._perception.timer.mark
        self._adapt_times(self._interval.add(frame.t, frame.still_s))
        grid = cells(frame.picture if frame.lores is None else frame.lores)
        blindness = self._blindness.find(grid, frame.t)
        if blindness is not None and blindness.is_certain:
            return self._decide_unseen(frame.t, blindness)
        search = self._search(frame, grid.brightness)
        blindness = confirmed(blindness, search.best_score >= self._config.tracker.new_score)
        fault = self._blind_reason(frame.t, blindness)
        if fault is not None:
            self._tracker.clear()  # the search stays valid: the next one is due when the picture changes
            self._things.interrupt()
            return self._decide(frame.t, {}, fault)
        mark("decode")
        found_things = self._look_for_things(frame, search)
        # A face that has just become a thing is matched once more, to know its track.
        counting = [
            (detection, is_new)
            for detection, is_thing, is_new in zip(search.detections, *found_things, strict=True)
            if is_new or not is_thing
        ]
        detections = [detection for detection, _ in counting]
        numbers = self._tracker.update(detections, frame.t, frame.picture.shape[0], frame.still_s)
        ignored = {number for number, (_, is_new) in zip(numbers, counting, strict=True) if is_new and number}
        for number in ignored:
            self._tracker.drop(number)
        still = tuple(d.box for d, is_thing in zip(search.detections, found_things.things, strict=True) if is_thing)
        mark("track")
        faces: dict[int, Face] = {}
        if search.is_current:
            found = ((n, d) for n, d in zip(numbers, detections, strict=True) if n not in ignored)
            for number, detection in self._attention.faces_due(
                found, frame.t, self._state.people, self._tracker.tracks
            ):
                face = faces[number] = self._perception.classify(frame.picture, detection)
                self._add_evidence(number, face, frame.t)
                mark("evidence")
        decision = replace(self._decide(frame.t, faces, None, ignored), still=still)
        mark("decide")
        return decision

    def blind(self, t: float, reason: str) -> Decision:
        """Return the decision for time `t` at which there is no usable picture, for example from a lost camera."""
        self._tracker.clear()
        self._things.interrupt()
        self._attention.clear()
        self._interval.clear()
        self._blindness.clear()
        return self._decide(t, {}, reason)

    def _decide_unseen(self, t: float, blindness: Blindness) -> Decision:
        """Return the decision for a picture in which nothing can be seen for certain. It is not searched for faces."""
        self._perception.timer.mark("motion")
        fault = self._blind_reason(t, blindness)
        if fault is not None:
            return self.blind(t, fault)
        # It may be a flash, which is no fault. But nobody is visible, so nobody may keep the light green.
        self._tracker.clear()
        self._attention.clear()
        self._found = None
        return self._decide(t, {}, None)

    def _adapt_times(self, interval_s: float) -> None:
        """Adapt the decision times to the interval between frames. A normal camera always has the interval 0."""
        if interval_s == self._interval_s:
            return
        self._interval_s = interval_s
        times = decision_times(self._config.tracker, self._config.policy, interval_s)
        self._tracker.bridge_s, self._tracker.max_weight = times.bridge_s, times.max_weight
        self._policy = msgspec.structs.replace(self._config.policy, undecided_max_s=times.undecided_max_s)

    def _blind_reason(self, t: float, blindness: Blindness | None) -> str | None:
        """Return why the door is blind, if the pictures have shown nothing for BLIND_AFTER_S; None otherwise."""
        if blindness is None:
            self._blind_since = None
            return None
        if self._blind_since is None:
            self._blind_since = t
        if t - self._blind_since < BLIND_AFTER_S - TIME_EPSILON_S:
            return None
        return f"{blindness.sentence}: {blindness.fix}"

    def _search(self, frame: Frame, grid: BrightnessGrid) -> Search:
        """Return the faces in `frame`, from an earlier search if that still serves."""
        if frame.is_repeat:
            earlier = self._attention.repeated_search()
        else:
            earlier = self._attention.reusable_search(frame.t, grid, self._state.people, self._tracker.tracks)
        self._perception.timer.mark("motion")
        if earlier is not None:
            return earlier
        detections = self._perception.detect(frame)
        self._found = tuple(d.box for d in detections)
        # A face outside the zone does not count, but it proves that the lens is not covered.
        best_score = max((detection.score for detection in detections), default=0.0)
        if self._zone.is_limited:
            height, width = frame.picture.shape[:2]
            new_score = self._config.tracker.new_score
            counting = [self._zone.counts(d.box, width, height) for d in detections]
            found = list(zip(detections, counting, strict=True))
            self._outside = tuple(d.box for d, counts in found if not counts and d.score >= new_score)
            detections = [d for d, counts in found if counts]
        search = Search(detections, best_score)
        self._attention.record_search(frame.t, grid, search)
        return search

    def _look_for_things(self, frame: Frame, search: Search) -> Found:
        """Return which faces of `search` never move."""
        boxes = [detection.box for detection in search.detections]
        if search.is_current and not frame.is_repeat:
            return self._things.look(boxes, frame.picture, frame.t)
        return Found(self._things.known(boxes), [False] * len(boxes))

    def _add_evidence(self, number: int, face: Face, t: float) -> None:
        self._tracker.add_mask_score(number, log_odds(face.mask_probability), t)
        classifier = self._perception.expression
        if face.expression is not None and classifier is not None:
            agitation = classifier.agitation(face.expression, self._config.expression.agitated)
            self._tracker.add_expression_score(number, agitation, t)

    def _decide(self, t: float, faces: dict[int, Face], fault: str | None, ignored: Collection[int] = ()) -> Decision:
        tracks = self._tracker.tracks
        self._state, signal, events = step(self._state, tracks, t, self._policy, fault, ignored)
        outside, found = (self._outside, self._found) if fault is None else ((), None)
        return Decision(
            t, signal, tracks, faces, self._state.people, events, fault, self._interval_s, outside, found=found
        )


def decisions(
    pipeline: Pipeline, source: Source, mark: Callable[[Stage], None] = NO_TIMER.mark
) -> Iterator[tuple[Frame | None, Decision]]:
    """Yield each frame of an open source with its decision, until a file ends. A live source has no end.

    While a live camera is lost, yield (None, decision) at each timeout of the source. The events of a decision begin
    with camera_lost if the door becomes blind (no frames, or frames that show nothing) and with camera_back if it sees
    again. camera_lost follows a second time if the reason turns out to be a slow camera. At the first frame of a file of a
    folder, the event scene separates what happened to the people of the file before from what happens in this one.
    """
    scene: Scene | None = None
    was_blind = was_too_slow = False
    t = 0.0
    while True:
        frame = None
        is_too_slow = False
        try:
            frame = source.read()
        except CameraLostError as error:
            t = max(t, error.t)
            is_too_slow = error.is_too_slow
            decision = pipeline.blind(t, str(error))
        else:
            if frame is None:
                return
            t = frame.t
            mark("capture")
            decision = pipeline.step(frame)
        is_blind = decision.fault is not None
        if was_blind and not is_blind:
            decision.events.insert(0, Event("camera_back", t, {"source": source.name}))
        elif is_blind and (not was_blind or (is_too_slow and not was_too_slow)):
            decision.events.insert(0, Event("camera_lost", t, {"source": source.name, "reason": decision.fault}))
        if source.scene != scene:
            scene = source.scene
            if scene is not None:
                _begin_scene(decision.events, t, scene.file)
        was_blind, was_too_slow = is_blind, is_blind and (was_too_slow or is_too_slow)
        yield frame, decision


def _begin_scene(events: list[Event], t: float, file: str) -> None:
    """Add the event scene to the events of the first frame of `file`.

    It follows the events about people of an earlier file.
    """
    gone = [event for event in events if event.kind == "cleared"]
    events[:] = [*gone, Event("scene", t, {"file": file}), *(event for event in events if event.kind != "cleared")]


def decide_image(
    config: Config, perception: Perception, picture: npt.NDArray[np.uint8], seconds: float = PICTURE_S
) -> Decision:
    """Return the decision for a picture, (H, W, 3) uint8 RGB, as if the door saw it for `seconds` at HELD_FPS.

    `faces` of the decision has the last look at each person.
    """
    pipeline = Pipeline(config, perception)
    looks: dict[int, Face] = {}
    for k in range(round(seconds * HELD_FPS) + 1):
        decision = pipeline.step(Frame(k, k / HELD_FPS, picture))
        looks.update(decision.faces)
    return replace(decision, faces=looks)


@dataclass
class Summary:
    """Totals for one run. `first_decision_s` counts from the start of the program to the first decided frame."""

    frames: int = 0
    first_decision_s: float | None = None
    seconds: float = 0.0


def run(
    config: Config,
    perception: Perception,
    source: Source,
    lights: Lights | PinProcess,
    log: EventLog,
    stop: threading.Event,
    started_at: float,
    on_event: Callable[[Event], None] | None = None,
    on_decision: Callable[[Frame | None, Decision], None] | None = None,
) -> Summary:
    """Run the door until `stop` is set or a file source ends. `source`, `lights` and `log` must be open.

    `started_at` is the monotonic time at which the program started. `on_event` is called with every event,
    `on_decision` with every frame (None without a picture) and its decision, after lights and log have received it.
    Nothing here waits for the disk. The lights are off when this function returns or raises. Raises OutputError if
    only a new process can write the log.
    """
    current = _Run(perception, source, lights, log, started_at, on_event, on_decision)
    about = {"source": source.name, "live": source.live, "runtime": perception.runtime, "simulated": lights.simulated}
    current.record("started", about)
    if perception.accelerator is not None and not source.live:
        # The events of a file must be reproducible, so a file waits until it is known where the models run. A camera
        # does not wait: the CPU serves until the Edge TPU is ready.
        perception.accelerator.wait_for_first_attempt()
    reason = "error"
    try:
        for frame, decision in decisions(Pipeline(config, perception), source, perception.timer.mark):
            current.handle(frame, decision)
            if stop.is_set():
                reason = "terminated"
                break
        else:
            reason = "end of source"
            if source.damage is not None:
                current.record("source_damaged", {"reason": source.damage})
    except Exception as error:
        current.record("fault", {"reason": f"{type(error).__name__}: {error}"})
        raise
    finally:
        current.finish(reason)
    return current.summary


class _Run:
    """The state of one run of the door, and what happens to each decision."""

    def __init__(
        self,
        perception: Perception,
        source: Source,
        lights: Lights | PinProcess,
        log: EventLog,
        started_at: float,
        on_event: Callable[[Event], None] | None,
        on_decision: Callable[[Frame | None, Decision], None] | None,
    ) -> None:
        self.summary = Summary()
        self._perception = perception
        self._source = source
        self._lights = lights
        self._log = log
        self._started_at = started_at
        self._on_event = on_event
        self._on_decision = on_decision
        self._systemd = SystemdNotifier()
        self._health = Health()
        self._began = time.monotonic()
        self._last_t = 0.0
        self._status_at = 0.0
        self._is_ready = False

    def record(self, kind: str, data: dict[str, object]) -> None:
        """Record an event at the time of the last decision."""
        self._write(Event(kind, self._last_t, data))

    def handle(self, frame: Frame | None, decision: Decision) -> None:
        """Show and log a decision, then report to systemd and to `on_decision`."""
        mark = self._perception.timer.mark
        self._lights.show(decision.signal)
        mark("lights")
        for event in decision.events:
            self._write(event)
        mark("log")
        self._last_t = decision.t
        now = time.monotonic()
        if frame is not None:
            self.summary.frames += 1
            if self.summary.first_decision_s is None:
                self.summary.first_decision_s = now - self._started_at
        if not self._is_ready:
            # Ready at the first decision, even if that is FAULT: systemd must not kill a door that waits for its
            # camera.
            self._systemd.ready()
            self._is_ready = True
        self._check_health(decision)
        self._systemd.watchdog()
        if now - self._status_at >= STATUS_EVERY_S:
            self._status_at = now
            self._systemd.status(self._status(now, decision.signal))
        if self._on_decision is not None:
            self._on_decision(frame, decision)

    def finish(self, reason: str) -> None:
        """Turn the lights off and record the end of the run."""
        try:
            self._lights.show(Signal.IDLE)
        finally:
            self._systemd.stopping()
            self.summary.seconds = time.monotonic() - self._began
            self.record("stopped", {"reason": reason, "frames": self.summary.frames})

    def _write(self, event: Event) -> None:
        self._log.write(event)
        if self._on_event is not None:
            self._on_event(event)

    def _check_health(self, decision: Decision) -> None:
        """Update the health of accelerator, camera and log.

        Raises OutputError if only a new process can write the log.
        """
        accelerator = self._perception.accelerator
        if accelerator is not None:
            for kind, data in accelerator.take_events():
                self.record(kind, data)
            self._health.set("Edge TPU", accelerator.problem)
        if decision.fault is None:
            is_slow = self._source.live and decision.interval_s > 0
            self._health.set("camera", describe_slow(decision.interval_s) if is_slow else None)
        else:
            self._health.set("camera", decision.fault)
        self._health.set("event log", self._log.problem)
        if self._log.locked_out:
            raise OutputError(f"{self._log.problem}, but only for this process", "systemd restarts the service")

    def _status(self, now: float, signal: Signal) -> str:
        rate = self.summary.frames / max(now - self._began, 1e-3)
        return f"{signal.value}, {rate:.1f} frames/s, {self._perception.runs_on}, {self._health.summary()}"
