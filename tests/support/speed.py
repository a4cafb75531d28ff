"""Fakes for the speed commands: a pipeline with its own clock, and scenes without content."""

from __future__ import annotations

import numpy as np

from edge import config
from edge.imaging.images import Picture
from speed.measure import Pipeline
from speed.scenes import Scene

CONFIG = config.load()


class FakePipeline(Pipeline):
    """Takes `seconds` for each frame, on `clock`. Writes (name, first value of the frame) to `log`; -1 for `begin`."""

    def __init__(
        self, name: str, seconds: float, clock: list[float], log: list[tuple[str, int]], every: int = 1
    ) -> None:
        self.name, self.every = name, every
        self._seconds, self._clock, self._log = seconds, clock, log

    def begin(self, scene: Scene) -> None:
        self._log.append((self.name, -1))
        self._clock[0] += 100  # must not count

    def look(self, picture: Picture) -> int:
        self._log.append((self.name, int(picture[0, 0, 0])))
        self._clock[0] += self._seconds
        return 2


def scene_of(frames: int) -> Scene:
    """Return a scene of plain frames. The value of a frame is its number."""
    return Scene([np.full((480, 640, 3), k, np.uint8) for k in range(frames)], CONFIG)
