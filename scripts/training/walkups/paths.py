"""Where a person or a thing is at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

#: The height of the horizon as a share of the frame: the camera is about as high as a head.
HORIZON = 0.34
#: How much of the pace changes at the ends of a leg: 0 is an even pace, 1 starts and ends at rest.
EASING = 0.5


class Knot(NamedTuple):
    """A point of a path: its time in seconds; x, y and the height of the face as shares of the frame's size."""

    t: float
    x: float
    y: float
    face: float


class Place(NamedTuple):
    """Centre of the face (x, y), its height `face`, in pixels; roll in degrees; speed in pixels a second."""

    x: float
    y: float
    face: float
    roll: float
    speed: tuple[float, float]


@dataclass(frozen=True)
class Path:
    """A walk along straight lines on the floor between knots, which are in the order of time.

    `sway` is the swing of the head in face heights, `roll` its tilt in degrees, `step_hz` the rate of the steps. They
    end where a person stands. `phase` is that of the steps, 0..1.
    """

    knots: tuple[Knot, ...]
    sway: float = 0.0
    roll: float = 0.0
    step_hz: float = 1.7
    phase: float = 0.0

    @property
    def start_s(self) -> float:
        return self.knots[0].t

    @property
    def end_s(self) -> float:
        return self.knots[-1].t

    def at(self, t: float, width: int, height: int) -> Place | None:
        """Return the place at time `t` in a frame of this size in pixels; None before the start and after the end."""
        if not self.start_s <= t <= self.end_s:
            return None
        x, y, face = self._smooth(t)
        later, earlier = (self._smooth(min(max(t + d, self.start_s), self.end_s)) for d in (0.04, -0.04))
        span_s = min(t + 0.04, self.end_s) - max(t - 0.04, self.start_s)
        speed = ((later[0] - earlier[0]) * width / span_s, (later[1] - earlier[1]) * height / span_s)
        # Steps move the head only as far as the person walks.
        walks = min(1.0, abs(later[2] / earlier[2] - 1) / span_s * 4 + abs(later[0] - earlier[0]) / span_s * 6)
        swing = 2 * np.pi * (self.step_hz * t + self.phase)
        size = face * height
        return Place(
            float(x * width + self.sway * size * walks * np.sin(swing / 2)),
            float(y * height + 0.5 * self.sway * size * walks * np.sin(swing)),
            float(size),
            float(self.roll * (0.3 + 0.7 * walks) * np.sin(swing / 2 + 0.7)),
            speed,
        )

    def _smooth(self, t: float) -> tuple[float, float, float]:
        """Return (x, y, face) at `t` as shares of the frame, along a straight line in space."""
        k = min(max(bisect_right([knot.t for knot in self.knots], t) - 1, 0), len(self.knots) - 2)
        a, b = self.knots[k], self.knots[k + 1]
        p = (t - a.t) / max(b.t - a.t, 1e-6)
        p = (1 - EASING) * p + EASING * p * p * (3 - 2 * p)
        # What moves evenly in space moves evenly in 1 / face and in (x, y) / face from the vanishing point.
        distance = (1 - p) / a.face + p / b.face
        across = (1 - p) * (a.x - 0.5) / a.face + p * (b.x - 0.5) / b.face
        up = (1 - p) * (a.y - HORIZON) / a.face + p * (b.y - HORIZON) / b.face
        return 0.5 + across / distance, HORIZON + up / distance, 1 / distance


def path(knots: Sequence[tuple[float, float, float, float]], rng: np.random.Generator) -> Path:
    """Return a path of a person with a random gait along knots (t, x, y, face)."""
    return Path(
        tuple(Knot(*knot) for knot in knots),
        sway=float(rng.uniform(0.02, 0.07)),
        roll=float(rng.uniform(0.5, 4.0)),
        step_hz=float(rng.uniform(1.4, 2.0)),
        phase=float(rng.uniform(0, 1)),
    )
