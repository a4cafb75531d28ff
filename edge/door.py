"""The only wiring: frames in, light and events out; start, stop, and a camera that comes and goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from . import glance
from .camera import CameraLost, Source
from .config import Config
from .errors import OutputError
from .events import EventLog
from .health import Health
from .keeper import Keeper
from .lights import Lights
from .notify import Notifier
from .perception import Perception, log_odds
from .policy import Person, State, Verdict, step
from .records import Box, Detection, Event, Face, Frame, Signal, Track
from .stages import UNTIMED, Stage
from .tracker import Tracker

#: Pictures in which nothing can be seen for so long, and the door counts as blind.
UNSEEING_S = 1.0


@dataclass(frozen=True, slots=True)
class Decision:
    """What the door made of one moment.

    `faces` are the looks taken in this frame by person; `verdicts` and `agitated` cover everyone present. `fault` says why
    the door is blind, None that it sees.
    """

    t: float
    signal: Signal
    tracks: tuple[Track, ...]
    faces: dict[int, Face]
    verdicts: dict[int, Verdict]
    agitated: frozenset[int]
    events: list[Event]
    fault: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """When faces were last sought, what the picture looked like, and which were found."""

    t: float
    cells: glance.Cells
    found: list[Detection]


class Loop:
    """Perception, tracker and policy in a row; knows nothing of cameras, pins and files.

    What it spends on a frame is bounded: faces are not sought where nothing has changed, settled ones are looked at now
    and then, and at most `most_looks` in one frame.
    """

    def __init__(self, config: Config, perception: Perception) -> None:
        self._config = config
        self._perception = perception
        self._tracker = Tracker(config.tracker)
        self._state = State()
        self._search: _Search | None = None
        self._unseeing_since: float | None = None

    def step(self, frame: Frame) -> Decision:
        """Decide about one frame; frames come in the order of their times."""
        lap = self._perception.stages.lap
        cells = glance.cells(frame.picture if frame.small is None else frame.small)
        reason = glance.unseeing(cells)
        lap("motion")
        if reason is None:
            self._unseeing_since = None
        else:
            if self._unseeing_since is None:
                self._unseeing_since = frame.t
            if frame.t - self._unseeing_since >= UNSEEING_S - 1e-6:
                return self.blind(frame.t, f"{reason}: is the camera covered, is there light?")
            # Not blind yet, it may be a flash; but nobody is seen in such a picture, and none may stay green for it.
            self._tracker.forget_all()
        found, current = self._find(frame, cells)
        lap("decode")
        owners = self._tracker.update(found, frame.t, frame.picture.shape[0])
        lap("track")
        faces: dict[int, Face] = {}
        for person, detection in self._due(zip(owners, found, strict=True), frame.t) if current else ():
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
        self._search = None
        return self._decide(t, {}, reason)

    def _find(self, frame: Frame, cells: glance.Cells) -> tuple[list[Detection], bool]:
        """Faces in `frame`, and whether their boxes are where they are now.

        While nobody is being judged, faces found a moment ago do, and for longer if nothing has changed since.
        """
        last = self._search
        if last is not None and self._at_rest():
            settings = self._config.detector
            since_s = frame.t - last.t + 1e-6
            unchanged = since_s < settings.rest_s and not glance.changed(cells, last.cells)
            self._perception.stages.lap("motion")
            if unchanged:
                return last.found, True
            if last.found and since_s < settings.settled_s:
                return last.found, False
        found = self._perception.find(frame)
        self._search = _Search(frame.t, cells, found)
        return found, True

    def _at_rest(self) -> bool:
        """Whether nobody is being judged: one picture's boxes must not count again and again as if they were many."""
        people = self._state.people
        return all(person.settled for person in people.values()) and not any(
            self._wavers(people[track.person], track)
            or (track.agitation >= self._config.policy.calm_below and track.last_expression is not None)
            for track in self._tracker.tracks
        )

    @staticmethod
    def _wavers(person: Person, track: Track) -> bool:
        """Whether the last look speaks against what was decided."""
        return (track.latest > 0) is not (person.verdict is Verdict.MASKED)

    def _due(self, found: Iterable[tuple[int, Detection]], t: float) -> list[tuple[int, Detection]]:
        """Of the faces found with their persons, those to be looked at now, the longest overdue first."""
        tracks = {track.person: track for track in self._tracker.tracks}
        waiting = []
        for person, detection in found:
            if person and self._tracker.near(person):
                since = self._due_since(tracks[person])
                if t >= since - 1e-6:
                    waiting.append((since, tracks[person].looks, person, detection))
        waiting.sort(key=lambda item: item[:3])
        return [(person, detection) for *_, person, detection in waiting[: self._config.tracker.most_looks]]

    def _due_since(self, track: Track) -> float:
        """From when on this face needs a fresh look; a settled one that stands still costs nothing in between."""
        if track.last_look is None or track.looked_box is None:
            return track.since
        person = self._state.people.get(track.person)
        if person is None or not person.settled:
            return track.last_look
        if self._wavers(person, track) or _moved(track.looked_box, track.box):
            return track.last_look
        pause_s = self._config.tracker.look_again_s
        masked = person.verdict is Verdict.MASKED
        if not masked and self._perception.expression is not None and track.agitation >= self._config.policy.calm_below:
            pause_s = min(pause_s, self._config.expression.look_again_s)
        return track.last_look + pause_s

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
            fault,
        )


def _moved(before: Box, now: Box) -> bool:
    """Whether a face has moved, come nearer or gone back by a third of its height."""
    return max(abs(b - n) for b, n in zip(before, now, strict=True)) > before.height / 3


def play(
    loop: Loop, source: Source, lap: Callable[[Stage], None] = UNTIMED.lap
) -> Iterator[tuple[Frame | None, Decision]]:
    """Decide frame by frame until a file ends; a live source never does.

    While a live camera is lost, yields (None, decision) about as often as it times out. When the door becomes blind, for
    want of pictures or of anything to see in them, and when it sees again, the decision's events begin with camera_lost
    and camera_back.
    """
    blind = False
    t = 0.0
    while True:
        frame = None
        try:
            frame = source.read()
        except CameraLost as error:
            t = max(t, error.t)
            decision = loop.blind(t, str(error))
        else:
            if frame is None:
                return
            t = frame.t
            lap("capture")
            decision = loop.step(frame)
        if blind and decision.fault is None:
            decision.events.insert(0, Event("camera_back", t, {"source": source.name}))
        elif not blind and decision.fault is not None:
            decision.events.insert(0, Event("camera_lost", t, {"source": source.name, "reason": decision.fault}))
        blind = decision.fault is not None
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
    lights: Lights | Keeper,
    log: EventLog,
    stop: threading.Event,
    started_at: float,
    tell: Callable[[Event], None] | None = None,
    watch: Callable[[Frame | None, Decision], None] | None = None,
) -> Summary:
    """Keep the door until `stop` is set or a file source ends. `source`, `lights` and `log` are open.

    `started_at` is the monotonic time at which the program began; `tell` is called with every event as it happens, `watch`
    with every frame (None: no picture) and its decision, once that is shown and logged.
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
            health.set("camera", None if decision.fault is None else "no picture" if frame is None else decision.fault)
            health.set("event log", log.problem)
            if log.locked_out:
                raise OutputError(f"{log.problem}, though the disk is not", "the service starts anew by itself")
            notifier.watchdog()
            if now - status_at >= 1.0:
                status_at = now
                rate = summary.frames / max(now - began, 1e-3)
                notifier.status(
                    f"{decision.signal.value}, {rate:.1f} frames/s, {perception.runs_on}, {health.summary()}"
                )
            if watch is not None:
                watch(frame, decision)
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
        try:
            lights.show(Signal.IDLE)
        finally:
            notifier.stopping()
            summary.seconds = time.monotonic() - began
            record(Event("stopped", last_t, {"reason": reason, "frames": summary.frames}))
    return summary
