"""The only wiring: frames in, light and events out; start, stop, and a camera that comes and goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .camera import CameraLost, Source
from .config import Config
from .events import EventLog
from .health import Health
from .lights import Lights
from .notify import Notifier
from .perception import Perception, log_odds
from .policy import State, Verdict, step
from .records import Event, Face, Frame, Signal, Track
from .stages import UNTIMED, Stage
from .tracker import Tracker


@dataclass(frozen=True, slots=True)
class Decision:
    """What the door made of one moment.

    `faces` are the looks taken in this frame by person; `verdicts` and `agitated` cover everyone present.
    """

    t: float
    signal: Signal
    tracks: tuple[Track, ...]
    faces: dict[int, Face]
    verdicts: dict[int, Verdict]
    agitated: frozenset[int]
    events: list[Event]


class Loop:
    """Perception, tracker and policy in a row; knows nothing of cameras, pins and files."""

    def __init__(self, config: Config, perception: Perception) -> None:
        self._config = config
        self._perception = perception
        self._tracker = Tracker(config.tracker)
        self._state = State()

    def step(self, frame: Frame) -> Decision:
        """Decide about one frame; frames come in the order of their times."""
        lap = self._perception.stages.lap
        found = self._perception.find(frame)
        lap("decode")
        owners = self._tracker.update(found, frame.t, frame.picture.shape[0])
        lap("track")
        known = {track.person: track for track in self._tracker.tracks}
        faces: dict[int, Face] = {}
        for detection, person in zip(found, owners, strict=True):
            if not person or not self._tracker.near(person) or not self._due(known[person], frame.t):
                continue
            face = faces[person] = self._perception.look(frame.picture, detection)
            self._tracker.saw_mask(person, log_odds(face.masked), frame.t)
            if face.expression is not None and self._perception.expression is not None:
                heat = self._perception.expression.agitation(face.expression, self._config.expression.agitated)
                self._tracker.saw_expression(person, heat, frame.t)
            lap("evidence")
        decision = self._decide(frame.t, faces, None)
        lap("decide")
        return decision

    def blind(self, t: float, reason: str) -> Decision:
        """Decide without a picture: the camera is gone."""
        self._tracker.forget_all()
        return self._decide(t, {}, reason)

    def _due(self, track: Track, t: float) -> bool:
        """Whether this face needs a fresh look; a settled one costs nothing in between."""
        person = self._state.people.get(track.person)
        if person is None or not person.settled or track.last_look is None:
            return True
        masked = person.verdict is Verdict.MASKED or self._perception.expression is None
        pause_s = self._config.tracker.look_again_s if masked else self._config.expression.look_again_s
        return t - track.last_look >= pause_s - 1e-6

    def _decide(self, t: float, faces: dict[int, Face], fault: str | None) -> Decision:
        tracks = self._tracker.tracks
        self._state, signal, events = step(self._state, tracks, t, self._config.policy, fault)
        people = self._state.people
        return Decision(
            t,
            signal,
            tracks,
            faces,
            {number: person.verdict for number, person in people.items()},
            frozenset(number for number, person in people.items() if person.agitated),
            events,
        )


def play(
    loop: Loop, source: Source, lap: Callable[[Stage], None] = UNTIMED.lap
) -> Iterator[tuple[Frame | None, Decision]]:
    """Decide frame by frame until a file ends; a live source never does.

    While a live camera is lost, yields (None, decision) about as often as it times out, and tells of camera_lost and
    camera_back in the decision's events.
    """
    lost = False
    t = 0.0
    while True:
        try:
            frame = source.read()
        except CameraLost as error:
            t = max(t, error.t)
            decision = loop.blind(t, str(error))
            if not lost:
                decision.events.insert(0, Event("camera_lost", t, {"source": source.name, "reason": str(error)}))
            lost = True
            yield None, decision
            continue
        if frame is None:
            return
        t = frame.t
        lap("capture")
        decision = loop.step(frame)
        if lost:
            decision.events.insert(0, Event("camera_back", t, {"source": source.name}))
            lost = False
        yield frame, decision


def still(config: Config, perception: Perception, picture: npt.NDArray[np.uint8], seconds: float = 2.0) -> Decision:
    """Decide about one picture, (H, W, 3) uint8 RGB, as if everyone on it stood before the door for some seconds."""
    loop = Loop(config, perception)
    looks: dict[int, Face] = {}
    for k in range(round(seconds * 10) + 1):
        decision = loop.step(Frame(k, k / 10, picture))
        looks.update(decision.faces)
    return replace(decision, faces=looks)


@dataclass
class Summary:
    """What a run came to."""

    frames: int = 0
    first_decision_s: float | None = None
    seconds: float = 0.0


def run(
    config: Config,
    perception: Perception,
    source: Source,
    lights: Lights,
    log: EventLog,
    stop: threading.Event,
    started_at: float,
    tell: Callable[[Event], None] | None = None,
) -> Summary:
    """Keep the door until `stop` is set or a file source ends. `source`, `lights` and `log` are open.

    `started_at` is the monotonic time at which the program began; `tell` is called with every event as it happens.
    Nothing here waits for the disk. The lights are off when this returns or raises.
    """
    notifier = Notifier()
    health = Health()
    summary = Summary()
    began = time.monotonic()
    last_t = 0.0
    status_at = 0.0

    def record(event: Event) -> None:
        log.write(event)
        if tell is not None:
            tell(event)

    record(Event("started", 0.0, {"source": source.name, "runtime": perception.runtime, "simulated": lights.simulated}))
    reason, ready = "error", False
    accelerator = perception.accelerator
    if accelerator is not None and not source.live:
        # The same file gives the same events, so it does not begin on one device and end on another. A camera waits for
        # nothing: the CPU serves until the Edge TPU is ready.
        accelerator.settle()
    try:
        lap = perception.stages.lap
        for frame, decision in play(Loop(config, perception), source, lap):
            lights.show(decision.signal)
            lap("lights")
            for event in decision.events:
                record(event)
            lap("log")
            last_t = decision.t
            if accelerator is not None:
                for kind, data in accelerator.news():
                    record(Event(kind, last_t, data))
                health.set("Edge TPU", accelerator.problem)
            now = time.monotonic()
            if not ready:
                # At the first decision, be it FAULT: a door that waits for its camera must not be killed for not starting.
                notifier.ready()
                ready = True
            if frame is not None:
                summary.frames += 1
                if summary.first_decision_s is None:
                    summary.first_decision_s = now - started_at
            health.set("camera", None if frame is not None else "no picture")
            health.set("event log", log.problem)
            notifier.watchdog()
            if now - status_at >= 1.0:
                status_at = now
                rate = summary.frames / max(now - began, 1e-3)
                notifier.status(
                    f"{decision.signal.value}, {rate:.1f} frames/s, {perception.runs_on}, {health.summary()}"
                )
            if stop.is_set():
                reason = "signal"
                break
        else:
            reason = "end of source"
            if source.damage is not None:
                record(Event("source_damaged", last_t, {"reason": source.damage}))
    except Exception as error:
        record(Event("fault", last_t, {"reason": f"{type(error).__name__}: {error}"}))
        raise
    finally:
        lights.show(Signal.IDLE)
        notifier.stopping()
        summary.seconds = time.monotonic() - began
        record(Event("stopped", last_t, {"reason": reason, "frames": summary.frames}))
    return summary
