"""A scripted camera, and a complete door on simulated pins."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gpiozero.pins.mock import MockFactory

from edge import config, door
from edge.camera.source import CameraLostError, Source
from edge.events.writer import EventLog
from edge.inference.perception import Perception
from edge.lights.lights import Lights
from edge.pipeline import Decision, Pipeline
from edge.records import Event, Frame

CONFIG = config.load()

#: One step of a script: a picture, None for a timeout of the camera, or an exception to raise.
Step = npt.NDArray[np.uint8] | type[Exception] | None


class Script(Source):
    """A live camera that follows a script of 10 steps a second; before a step it calls the function in `actions`."""

    name = "scripted camera"
    live = True

    def __init__(self, steps: Sequence[Step], actions: dict[int, Callable[[], None]] | None = None) -> None:
        self.steps = steps
        self.actions = actions or {}
        self.closed = False

    def open(self) -> None:
        self._rest = iter(enumerate(self.steps))

    def read(self) -> Frame | None:
        item = next(self._rest, None)
        if item is None:
            return None
        number, step = item
        if number in self.actions:
            self.actions[number]()
        if step is None:
            raise CameraLostError("scripted camera: no picture for 2 s", t=number / 10)
        if isinstance(step, type):
            raise step("broken")
        return Frame(number, number / 10, step)

    def close(self) -> None:
        self.closed = True


def play(perception: Perception, steps: Sequence[Step]) -> list[Decision]:
    """Return the decisions of a door before which these steps happen."""
    with Script(steps) as source:
        return [decision for _, decision in door.decisions(Pipeline(CONFIG, perception), source)]


class Door:
    """A complete door: `run` plays a source into simulated lights and a log file in `folder`."""

    def __init__(self, folder: Path, perception: Perception) -> None:
        self.path = folder / "events.jsonl"
        self.factory = MockFactory()
        self.perception = perception
        self.events: list[Event] = []
        self.stop = threading.Event()

    def run(self, source: Source, on_decision: Callable[[Frame | None, Decision], None] | None = None) -> door.Summary:
        with (
            EventLog(self.path, 10**6, 2) as log,
            Lights(CONFIG.lights, factory=self.factory) as lights,
            source,
        ):
            return door.run(
                Pipeline(CONFIG, self.perception),
                self.perception,
                source,
                lights,
                log,
                self.stop,
                time.monotonic(),
                on_event=self.events.append,
                on_decision=on_decision,
            )

    def records(self) -> list[dict[str, object]]:
        """Return the records of the event log."""
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def lit_pins(self) -> list[int]:
        """Return the pins of the lights and the buzzer that are on."""
        return [pin for pin in CONFIG.lights.pins.values() if self.factory.pin(pin).state]
