"""Simulate the detections of people who walk in front of the door and cross each other, with the truth.

People are faces of 22 cm in front of a camera that shows a face at 3 m with 9 % of the picture's height. The nearer of
two people hides the other. Everything is drawn from a seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from edge.records import Box, Detection

from .arrays import Rng

WIDTH, HEIGHT = 640, 480
FACE_M = 0.22
#: Height in pixels of an object of 1 m at 1 m.
FOCAL_PX = 0.09 * HEIGHT * 3 / FACE_M
#: Width of a face as a share of its height.
ASPECT = 0.78
#: A face is not found if more than this share of it is hidden.
MAX_HIDDEN = 0.45
#: Standard deviations of the detector's boxes: centre, and height, as shares of the height.
CENTRE_JITTER, SIZE_JITTER = 0.03, 0.04
#: Share of visible faces that are missed, and false detections in a frame.
MISSED, FALSE_PER_FRAME = 0.06, 0.02


class Scene(NamedTuple):
    """The frames of a scene: times, detections, and the number of the person of each detection (-1: nobody)."""

    times: list[float]
    detections: list[list[Detection]]
    owners: list[list[int]]


@dataclass(frozen=True)
class Path:
    """A walk in metres: from `start` to `end` (x, to the right; z, distance) with a pause of `pause_s` at `end`.

    After the pause the person walks on to `leave`.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    leave: tuple[float, float]
    speed: float
    begins_s: float
    pause_s: float
    bob: float
    step_hz: float
    eye_m: float

    def at(self, t: float) -> tuple[float, float, float] | None:
        """Return (x, y, z) in metres at time `t`, y down; None while the person is not there."""
        left = t - self.begins_s
        if left < 0:
            return None
        swing = math.sin(2 * math.pi * self.step_hz * t)
        for a, b, pause_s in ((self.start, self.end, self.pause_s), (self.end, self.leave, 0.0)):
            seconds = math.dist(a, b) / self.speed
            if left < seconds:
                share = left / seconds
                x, z = a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share
                return x + self.bob * math.sin(math.pi * self.step_hz * t), self.eye_m + self.bob * swing, z
            left -= seconds
            if left < pause_s:
                return b[0] + 0.1 * self.bob * swing, self.eye_m, b[1]
            left -= pause_s
        return None


def _walk(rng: Rng, kind: str, side: int, depth: float, begins_s: float) -> Path:
    """Return a walk of a kind: "cross" passes from one side to the other, "visit" comes to the door and leaves."""
    speed = rng.uniform(0.7, 1.5)
    common = (rng.uniform(0.01, 0.03), rng.uniform(1.5, 2.1), rng.uniform(-0.08, 0.08))
    if kind == "cross":
        half = 0.62 * WIDTH / FOCAL_PX * depth
        middle = rng.uniform(-0.3, 0.3)
        pause_s = rng.uniform(0.3, 1.5) if rng.random() < 0.25 else 0.0
        return Path((-side * half, depth), (middle, depth), (side * half, depth), speed, begins_s, pause_s, *common)
    near = rng.uniform(0.7, 1.1)
    half = 0.7 * WIDTH / FOCAL_PX * near
    start = (rng.uniform(-0.8, 0.8), rng.uniform(2.8, 3.6))
    return Path(
        start, (rng.uniform(-0.2, 0.2), near), (side * half, near), speed, begins_s, rng.uniform(1, 2.5), *common
    )


def simulate(seed: int, fps: float, people: int = 3, seconds: float = 7.0, is_clean: bool = False) -> Scene:
    """Return a scene of `people`, of whom about half cross and half come to the door.

    `is_clean` leaves out missed and false detections and jitter; hidden faces stay hidden.
    """
    rng = np.random.default_rng((seed, people))
    depths = rng.permutation(np.linspace(1.1, 2.6, people)) + rng.uniform(-0.15, 0.15, people)
    paths = [
        _walk(
            rng,
            "cross" if k == 0 or rng.random() < 0.5 else "visit",
            1 if k % 2 else -1,
            depths[k],
            rng.uniform(0, 1.5),
        )
        for k in range(people)
    ]
    scene = Scene([], [], [])
    t = 0.0
    while t < seconds:
        faces = {}
        for k, path in enumerate(paths):
            place = path.at(t)
            if place is not None:
                x, y, z = place
                h = FOCAL_PX * FACE_M / z
                faces[k] = (WIDTH / 2 + FOCAL_PX * x / z, HEIGHT * 0.42 + FOCAL_PX * y / z, h, z)
        found = _detections(faces, rng, is_clean)
        order = rng.permutation(len(found))
        scene.times.append(round(t, 4))
        scene.detections.append([found[int(k)][1] for k in order])
        scene.owners.append([found[int(k)][0] for k in order])
        t += (1 if is_clean else rng.uniform(0.8, 1.2)) / fps
    return scene


def _detections(
    faces: dict[int, tuple[float, float, float, float]], rng: Rng, is_clean: bool
) -> list[tuple[int, Detection]]:
    """Return (person, detection) of the faces (centre x and y, height in pixels, distance in metres) of one moment."""
    out = []
    for k, (x, y, h, z) in faces.items():
        box = _box(x, y, h)
        if not 0 <= x <= WIDTH:
            continue
        hidden = max((_hidden(box, _head(faces[j])) for j in faces if faces[j][3] < z), default=0.0)
        if hidden > MAX_HIDDEN:
            continue
        score = min(0.99, rng.normal(0.9, 0.05) - 0.5 * hidden)
        if is_clean:
            out.append((k, Detection(box, 0.9)))
        elif rng.random() > MISSED:
            dx, dy, ds = rng.normal(0, CENTRE_JITTER), rng.normal(0, CENTRE_JITTER), rng.normal(0, SIZE_JITTER)
            out.append((k, Detection(_box(x + dx * h, y + dy * h, h * math.exp(ds)), score)))
    if not is_clean and rng.random() < FALSE_PER_FRAME:
        wrong = _box(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(30, 150))
        out.append((-1, Detection(wrong, rng.uniform(0.5, 0.9))))
    return out


def _box(x: float, y: float, h: float) -> Box:
    w = ASPECT * h
    return Box(x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def _head(face: tuple[float, float, float, float]) -> Box:
    """Return the box of the whole head and the shoulders of a face."""
    x, y, h, _ = face
    return Box(x - 0.55 * h, y - 0.7 * h, x + 0.55 * h, y + 0.9 * h)


def _hidden(face: Box, head: Box) -> float:
    """Return the share of `face` that `head` covers."""
    w = min(face.x2, head.x2) - max(face.x1, head.x1)
    h = min(face.y2, head.y2) - max(face.y1, head.y1)
    return max(w, 0) * max(h, 0) / (face.width * face.height)


class Mistakes(NamedTuple):
    """How a tracker numbered the people of scenes.

    `swaps`: a person got a number that was another person's before; their evidence is mixed. `breaks`: a person got a
    new number. `people` and `frames` are what was tracked.
    """

    swaps: int
    breaks: int
    people: int
    frames: int


def judge(owners: Sequence[Sequence[int]], numbers: Sequence[Sequence[int]]) -> Mistakes:
    """Compare the numbers that a tracker gave to the detections of each frame with their owners.

    Number 0 is no track. A change after a person was not seen counts, too.
    """
    last: dict[int, int] = {}
    owner_of: dict[int, int] = {}
    swaps = breaks = 0
    for truth, given in zip(owners, numbers, strict=True):
        for person, number in zip(truth, given, strict=True):
            if person < 0 or not number:
                continue
            if last.get(person, number) != number:
                if owner_of.get(number, person) != person:
                    swaps += 1
                else:
                    breaks += 1
            elif person not in last and owner_of.get(number, person) != person:
                swaps += 1
            last[person] = number
            owner_of[number] = person
    return Mistakes(swaps, breaks, len(last), len(owners))
