"""Where a walking person is in each frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..arrays import Rng
from . import HEIGHT, WIDTH


@dataclass(frozen=True)
class Pose:
    """Where a person is in a frame: centre of the face (x, y) and its height `face`, in pixels; roll in degrees.

    `speed` is the motion of the face in pixels per frame, for the motion blur. `shown` is the opacity, 0..1.
    """

    x: float
    y: float
    face: float
    roll: float = 0.0
    speed: tuple[float, float] = (0.0, 0.0)
    shown: float = 1.0


@dataclass(frozen=True)
class Walk:
    """One approach: a person comes from far to near, stands for a moment and leaves to one side.

    Lengths are shares of the frame; `far` and `near` are face heights. `sway` and `jitter` are in face heights.
    """

    seconds: float = 4.5
    far: float = 0.08
    near: float = 0.45
    start_x: float = 0.4
    end_x: float = 0.5
    start_y: float = 0.36
    end_y: float = 0.47
    arrive: float = 0.72  # share of the time after which the person stands
    leave_s: float = 0.45
    leave_to: float = 1.45  # x outside the frame
    sway: float = 0.05
    step_hz: float = 1.7
    roll: float = 2.5
    jitter: float = 0.006
    phase: float = 0.0
    fade_s: float = 0.25  # becomes opaque within this time

    def poses(self, fps: float, rng: Rng, width: int = WIDTH, height: int = HEIGHT) -> Iterator[Pose]:
        """Yield one pose a frame. `width` and `height` are those of the frame in pixels."""
        count = round(self.seconds * fps)
        before: Pose | None = None
        for k in range(count):
            t = k / fps
            p = min(1.0, t / (self.arrive * self.seconds))
            # At an even pace the size is proportional to 1 / distance; the last steps are slower.
            walked = 1 - (1 - p) ** 1.5
            distance = 1 + (self.far / self.near - 1) * walked
            face = self.far / distance * height
            moving = 1 - 0.85 * p**3
            swing = 2 * np.pi * (self.step_hz * t + self.phase)
            grown = (face / height - self.far) / max(self.near - self.far, 1e-6)
            x = (self.start_x + (self.end_x - self.start_x) * grown) * width
            y = (self.start_y + (self.end_y - self.start_y) * grown) * height
            x += self.sway * face * moving * np.sin(swing / 2) + rng.normal(0, self.jitter) * face
            y += 0.5 * self.sway * face * moving * np.sin(swing) + rng.normal(0, self.jitter) * face
            left = (t - (self.seconds - self.leave_s)) / self.leave_s
            if left > 0:
                x += (self.leave_to - self.end_x) * width * left**1.5
            roll = self.roll * moving * np.sin(swing / 2 + 0.7) + rng.normal(0, 0.3)
            shown = min(1.0, (t + 1 / fps) / self.fade_s) if self.fade_s > 0 else 1.0
            pose = Pose(float(x), float(y), float(face), float(roll), (0.0, 0.0), shown)
            if before is not None:
                pose = replace(pose, speed=(pose.x - before.x, pose.y - before.y))
            yield pose
            before = pose


def random_walk(rng: Rng, seconds: float) -> Walk:
    """Return a random walk to the door."""
    side = float(rng.choice([-0.5, 1.5]))
    return Walk(
        seconds=seconds,
        far=rng.uniform(0.075, 0.095),
        near=rng.uniform(0.33, 0.47),
        start_x=rng.uniform(0.22, 0.78),
        end_x=rng.uniform(0.38, 0.62),
        start_y=rng.uniform(0.30, 0.42),
        end_y=rng.uniform(0.44, 0.52),
        arrive=rng.uniform(0.62, 0.80),
        leave_to=side,
        sway=rng.uniform(0.02, 0.07),
        step_hz=rng.uniform(1.4, 2.0),
        roll=rng.uniform(0.5, 4.0),
        phase=rng.uniform(0, 1),
    )
