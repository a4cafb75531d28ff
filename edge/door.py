"""The loop: frames from a source through the pipeline to lights, event log, systemd.

`decisions` plays a source through a pipeline, and knows how a source fails; `run` adds everything else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from .camera.source import CameraLostError, Scene, Source
from .errors import OutputError
from .events.writer import EventLog
from .frame_rate import describe_slow
from .health import Health
from .inference.perception import Perception
from .pipeline import Decision, Pipeline
from .records import Event, Frame, Signal
from .system.systemd import SystemdNotifier
from .timing import NO_TIMER, Stage

#: Interval between status messages to systemd.
STATUS_EVERY_S = 1.0


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


class SignalLights(Protocol):
    """What shows the signals: `Lights`, `PinProcess` or `RemoteControl`."""

    @property
    def simulated(self) -> bool: ...

    def show(self, signal: Signal, known: bool = False, /) -> None: ...


@dataclass
class Summary:
    """Totals for one run. `first_decision_s` counts from the start of the program to the first decided frame."""

    frames: int = 0
    first_decision_s: float | None = None
    seconds: float = 0.0


def run(
    pipeline: Pipeline,
    perception: Perception,
    source: Source,
    lights: SignalLights,
    log: EventLog,
    stop: threading.Event,
    started_at: float,
    on_event: Callable[[Event], None] | None = None,
    on_decision: Callable[[Frame | None, Decision], None] | None = None,
) -> Summary:
    """Run the door until `stop` is set or a file source ends. `source`, `lights` and `log` must be open.

    `perception` is that of `pipeline`. `started_at` is the monotonic time at which the program started. `on_event` is called with every event,
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
        for frame, decision in decisions(pipeline, source, perception.timer.mark):
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
        lights: SignalLights,
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
        self._lights.show(decision.signal, decision.everyone_known)
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
