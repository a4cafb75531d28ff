"""Time pipelines in turn on the same frames.

The processor time counts. Other programs on the machine hardly change it, unlike the wall time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.imaging.images import Picture
from edge.inference.perception import Perception
from edge.pipeline import Decision
from edge.pipeline import Pipeline as DoorPipeline
from edge.records import Frame
from speed.scenes import Scene

#: The door's time that passes before frames count: people who can settle have settled.
SETTLING_S = 3.0


class Pipeline:
    """Software that finds faces in frames, (480, 640, 3) uint8 RGB.

    `every` is 1 for a pipeline with memory, which needs all frames. Another one may get every third frame only, which
    saves time and does not change its time per frame.
    """

    name: str
    every: int = 1

    def begin(self, scene: Scene) -> None:
        """Forget earlier frames and prepare for `scene`. This time does not count."""
        self.look(scene.frames[0])

    def look(self, picture: Picture) -> int:
        """Process the next frame; return the number of faces in it."""
        raise NotImplementedError


class DoorlightPipeline(Pipeline):
    """Doorlight's whole loop, from a frame to the signal. `looks` counts the looks since `begin`."""

    name = "Doorlight, frame to light"

    def __init__(self, perception: Perception, fps: float) -> None:
        self._perception, self._fps = perception, fps
        self.looks = 0
        self.decision: Decision | None = None

    def begin(self, scene: Scene) -> None:
        self._pipeline, self._number = DoorPipeline(scene.config, self._perception), 0
        for k in range(settling_frames(self._fps)):
            self.look(scene.frames[k % len(scene.frames)])
        self.looks = 0

    def look(self, picture: Picture) -> int:
        self.decision = self._pipeline.step(Frame(self._number, self._number / self._fps, picture))
        self._number += 1
        self.looks += len(self.decision.faces)
        return len(self.decision.tracks)


def settling_frames(fps: float) -> int:
    """Return the number of frames before frames count."""
    return round(SETTLING_S * fps)


@dataclass
class Timing:
    """Milliseconds per frame, one value for each round: processor time and wall time. `faces` is a mean per frame."""

    cpu_ms: list[float] = field(default_factory=list)
    wall_ms: list[float] = field(default_factory=list)
    faces: float = 0.0

    @property
    def ms(self) -> float:
        """The median of the processor time."""
        return statistics.median(self.cpu_ms)

    def figures(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {"cpu_ms": quartiles(self.cpu_ms), "wall_ms": quartiles(self.wall_ms), "faces": round(self.faces, 2)}


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Return median, quartiles, minimum and maximum, with four digits."""
    smallest, q1, median, q3, largest = np.percentile(values, [0, 25, 50, 75, 100])
    named = {"median": median, "q1": q1, "q3": q3, "min": smallest, "max": largest}
    return {name: float(f"{value:.4g}") for name, value in named.items()}


def time_in_turn(
    pipelines: Sequence[Pipeline],
    scene: Scene,
    rounds: int,
    block: int,
    start: int,
    clocks: tuple[Callable[[], float], Callable[[], float]] = (time.process_time, time.perf_counter),
) -> dict[str, Timing]:
    """Time all pipelines on the same `block` frames in each round, in turn; return the timings by name.

    Each round starts with another pipeline, so that a disturbance of the machine hits all of them alike. `start` is the
    number of the first frame that counts. `clocks` are processor time and wall time in seconds.
    """
    cpu, wall = clocks
    timings = {pipeline.name: Timing() for pipeline in pipelines}
    for pipeline in pipelines:
        pipeline.begin(scene)
    for number in range(rounds):
        first = start + number * block
        turn = number % len(pipelines)
        for pipeline in [*pipelines[turn:], *pipelines[:turn]]:
            frames = [scene.frames[(first + k) % len(scene.frames)] for k in range(0, block, pipeline.every)]
            wall_started_at, cpu_started_at = wall(), cpu()
            faces = 0
            for frame in frames:
                faces += pipeline.look(frame)
            cpu_s, wall_s = cpu() - cpu_started_at, wall() - wall_started_at
            timing = timings[pipeline.name]
            timing.cpu_ms.append(cpu_s / len(frames) * 1e3)
            timing.wall_ms.append(wall_s / len(frames) * 1e3)
            timing.faces += faces / len(frames) / rounds
    return timings
