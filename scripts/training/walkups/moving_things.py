"""Things that move and are no people: wheels, cyclists seen from behind, swinging doors, balloons, animals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from ..arrays import Layer, Picture, Rng, as_pixels
from ..rendering.people import ellipse
from .paths import Knot, Path

#: Sides of a painted thing in pixels.
SIDE_PX = 240
KINDS = ("wheel", "cyclist", "door", "balloon", "animal")


class Thing(Protocol):
    """Something that is drawn into each frame."""

    def draw(self, frame: Picture, t: float, exposure_s: float) -> None:
        """Draw it into `frame` (H, W, 3) uint8 RGB as it looks at time `t`."""
        ...


@dataclass(frozen=True)
class Part:
    """A picture (H, W, 3) uint8 RGB with its matte (H, W) uint8. `at` is its middle, `size` its height, both in heights
    of the thing; `spin` is in degrees per thing height travelled."""

    picture: Picture
    matte: Layer
    at: tuple[float, float] = (0.0, 0.0)
    size: float = 1.0
    spin: float = 0.0


@dataclass(frozen=True)
class Moving:
    """Parts that move together along a path, whose `face` is the height of the thing."""

    parts: Sequence[Part]
    path: Path
    bob: float = 0.0

    def draw(self, frame: Picture, t: float, exposure_s: float) -> None:
        height, width = frame.shape[:2]
        place = self.path.at(t, width, height)
        if place is None:
            return
        size = place.face
        y = place.y + self.bob * size * np.sin(2.2 * t)
        for part in self.parts:
            turn = part.spin * (place.x / max(size, 1.0))
            at = (place.x + part.at[0] * size, y + part.at[1] * size)
            blur = exposure_s * abs(place.speed[0])
            _lay(frame, part, at, part.size * size, turn, blur)


def _lay(frame: Picture, part: Part, at: tuple[float, float], height: float, turn: float, blur: float) -> None:
    """Draw a part with its middle `at` in pixels; `blur` is the length of a horizontal motion blur in pixels."""
    h, w = part.matte.shape
    scale = height / h
    reach = int(0.75 * max(h, w) * scale + blur) + 2
    x1, y1 = max(0, int(at[0]) - reach), max(0, int(at[1]) - reach)
    x2, y2 = min(frame.shape[1], int(at[0]) + reach), min(frame.shape[0], int(at[1]) + reach)
    if x2 - x1 < 2 or y2 - y1 < 2:
        return
    m = np.asarray(cv2.getRotationMatrix2D((w / 2, h / 2), turn, scale), np.float64)
    m[:, 2] += (at[0] - w / 2 - x1, at[1] - h / 2 - y1)
    size = (x2 - x1, y2 - y1)
    method = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    front = cv2.warpAffine(part.picture, m, size, flags=method, borderMode=cv2.BORDER_REPLICATE)
    matte = cv2.warpAffine(part.matte, m, size, flags=method)
    if blur >= 2:
        n = min(int(blur), 41) | 1
        front, matte = cv2.blur(front, (n, 1)), cv2.blur(matte, (n, 1))
    a = matte.astype(np.float32) * np.float32(1 / 255)
    behind = np.ascontiguousarray(frame[y1:y2, x1:x2])
    frame[y1:y2, x1:x2] = cv2.blendLinear(front, behind, a, np.float32(1) - a)


@dataclass(frozen=True)
class SwingingDoor:
    """A door leaf that opens towards the camera and closes. `corners` are left, top, right, bottom in pixels, `swings`
    the times (start, end) in seconds; it is open halfway between."""

    picture: Picture
    corners: tuple[float, float, float, float]
    swings: tuple[float, float]
    hinge_left: bool = True
    open_degrees: float = 75.0

    def draw(self, frame: Picture, t: float, exposure_s: float) -> None:
        left, top, right, bottom = self.corners
        start, end = self.swings
        p = min(max((t - start) / (end - start), 0.0), 1.0)
        angle = np.radians(self.open_degrees) * np.sin(np.pi * p)
        wide, nearer = (right - left) * np.cos(angle), 0.22 * (bottom - top) * np.sin(angle)
        hinge, edge = (left, left + wide) if self.hinge_left else (right, right - wide)
        target = np.array([(hinge, top), (edge, top - nearer), (edge, bottom + nearer), (hinge, bottom)], np.float32)
        h, w = self.picture.shape[:2]
        source = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)
        m = cv2.getPerspectiveTransform(source, target)
        size = (frame.shape[1], frame.shape[0])
        hole = np.zeros(frame.shape[:2], np.uint8)
        cv2.rectangle(hole, (round(left), round(top)), (round(right), round(bottom)), (255,), -1)
        frame[hole > 0] = (22, 22, 26)
        leaf = cv2.warpPerspective(self.picture, m, size)
        matte = cv2.warpPerspective(np.full((h, w), 255, np.uint8), m, size)
        a = matte.astype(np.float32) * np.float32(1 / 255)
        frame[:] = cv2.blendLinear(leaf, frame, a, np.float32(1) - a)


def wheel(rng: Rng) -> Part:
    """Return a spoked wheel, or a car's with a rim."""
    picture = np.full((SIDE_PX, SIDE_PX, 3), 40, np.uint8)
    matte = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    c, r = (SIDE_PX // 2, SIDE_PX // 2), SIDE_PX // 2 - 4
    if rng.random() < 0.6:
        cv2.circle(matte, c, r - 3, (255,), 8, cv2.LINE_AA)
        cv2.circle(matte, c, 14, (255,), -1, cv2.LINE_AA)
        spokes = int(rng.integers(8, 24))
        metal = int(rng.integers(110, 220))
        picture[:] = metal
        cv2.circle(picture, c, r, (25, 25, 25), 12, cv2.LINE_AA)
        for k in range(spokes):
            a = 2 * np.pi * k / spokes
            end = (round(c[0] + r * np.cos(a)), round(c[1] + r * np.sin(a)))
            cv2.line(matte, c, end, (255,), 2, cv2.LINE_AA)
    else:
        cv2.circle(matte, c, r, (255,), -1, cv2.LINE_AA)
        shine = int(rng.integers(120, 230))
        cv2.circle(picture, c, round(0.62 * r), (shine, shine, shine), -1, cv2.LINE_AA)
        spokes = int(rng.integers(4, 8))
        for k in range(spokes):
            a = 2 * np.pi * k / spokes
            at = (round(c[0] + 0.4 * r * np.cos(a)), round(c[1] + 0.4 * r * np.sin(a)))
            cv2.circle(picture, at, round(0.13 * r), (45, 45, 48), -1, cv2.LINE_AA)
    return Part(picture, matte, spin=float(360 / np.pi))


def cyclist(rng: Rng) -> list[Part]:
    """Return a cyclist seen from behind or from the side: two wheels, body, and a helmet over a head without a face."""
    picture = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    matte = np.zeros((SIDE_PX, SIDE_PX), np.uint8)

    def shape(points: Sequence[tuple[float, float]], colour: np.ndarray) -> None:
        corners = (np.array(points) * SIDE_PX).round().astype(np.int32)
        cv2.fillPoly(matte, [corners], (255,), cv2.LINE_AA)
        cv2.fillPoly(picture, [corners], [int(v) for v in colour], cv2.LINE_AA)

    def oval(x: float, y: float, rx: float, ry: float, colour: np.ndarray) -> None:
        at, axes = (round(x * SIDE_PX), round(y * SIDE_PX)), (round(rx * SIDE_PX), round(ry * SIDE_PX))
        cv2.ellipse(matte, at, axes, 0, 0, 360, (255,), -1, cv2.LINE_AA)
        cv2.ellipse(picture, at, axes, 0, 0, 360, [int(v) for v in colour], -1, cv2.LINE_AA)

    coat, legs, helmet = (rng.uniform(20, 230, 3) for _ in range(3))
    skin = np.array([210, 165, 140]) * rng.uniform(0.35, 1.05)
    shape([(0.38, 0.56), (0.50, 0.56), (0.62, 0.86), (0.54, 0.88)], legs)
    shape([(0.34, 0.30), (0.52, 0.24), (0.56, 0.32), (0.50, 0.58), (0.36, 0.60)], coat)
    shape([(0.50, 0.28), (0.70, 0.46), (0.68, 0.50), (0.48, 0.38)], coat * 0.85)
    oval(0.50, 0.17, 0.062, 0.085, skin if rng.random() < 0.6 else np.array([45, 35, 30]))
    oval(0.50, 0.135, 0.080, 0.062, helmet)
    blurred = as_pixels(cv2.GaussianBlur(picture, (0, 0), rng.uniform(1.5, 4.0)))
    one = wheel(rng)
    wheels = [Part(one.picture, one.matte, (x, 0.32), 0.36, one.spin) for x in (-0.26, 0.26)]
    return [*wheels, Part(blurred, matte)]


def balloon(rng: Rng) -> Part:
    """Return a balloon with a highlight and its string."""
    height, width = round(1.6 * SIDE_PX), SIDE_PX
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:] = rng.uniform(40, 240, 3)
    shade = np.clip(1.1 - (np.hypot(*np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]) * 0.5), 0.4, 1.1)
    picture = as_pixels(np.clip(picture * shade[:, :, None], 0, 255).astype(np.uint8))
    matte = ellipse((height, width), (width / 2, 0.5 * SIDE_PX), (0.40 * SIDE_PX, 0.48 * SIDE_PX))
    cv2.ellipse(picture, (round(0.36 * width), round(0.3 * SIDE_PX)), (18, 30), 25, 0, 360, (250, 250, 250), -1)
    cv2.line(matte, (width // 2, round(0.98 * SIDE_PX)), (width // 2 + 12, height - 2), (200,), 3, cv2.LINE_AA)
    return Part(picture, matte)


def cut_from(picture: Picture) -> Part:
    """Return what a picture of one animal or thing shows in its middle, with soft edges."""
    side = min(picture.shape[:2])
    y, x = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    small = cv2.resize(picture[y : y + side, x : x + side], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    half = SIDE_PX / 2
    matte = cv2.GaussianBlur(ellipse((SIDE_PX, SIDE_PX), (half, half), (0.44 * SIDE_PX, 0.42 * SIDE_PX)), (0, 0), 4)
    return Part(as_pixels(small), as_pixels(matte))


def random_thing(kind: str, seconds: float, size: tuple[int, int], pictures: Sequence[Picture], rng: Rng) -> Thing:
    """Return a thing of one of KINDS that moves through a scene of `seconds` in a frame of `size` (width, height).

    `pictures` are what animals are cut from; without one, a wheel comes instead of an animal.
    """
    if kind == "door":
        return _swinging_door(seconds, size, rng)
    if kind == "animal" and not pictures:
        kind = "wheel"
    low = {"wheel": (0.15, 0.45), "cyclist": (0.45, 0.95), "balloon": (0.12, 0.28), "animal": (0.2, 0.5)}[kind]
    height = float(rng.uniform(*low))
    y = float(rng.uniform(0.15, 0.45)) if kind == "balloon" else 0.94 - height / 2 - float(rng.uniform(0, 0.2))
    start_s = float(rng.uniform(0, 0.35) * seconds)
    takes_s = float(rng.uniform(1.2, 4.0)) * (2.2 if kind in ("balloon", "animal") else 1.0)
    a, b = (
        (-0.5 * height - 0.1, 1.1 + 0.5 * height) if rng.random() < 0.5 else (1.1 + 0.5 * height, -0.5 * height - 0.1)
    )
    there = Path((Knot(start_s, a, y, height), Knot(min(start_s + takes_s, seconds), b, y, height)))
    if kind == "wheel":
        return Moving([wheel(rng)], there)
    if kind == "cyclist":
        return Moving(cyclist(rng), there)
    if kind == "balloon":
        return Moving([balloon(rng)], there, bob=0.15)
    return Moving([cut_from(pictures[int(rng.integers(len(pictures)))])], there, bob=0.03)


def _swinging_door(seconds: float, size: tuple[int, int], rng: Rng) -> SwingingDoor:
    width, height = size
    wide, tall = float(rng.uniform(0.12, 0.26)) * width, float(rng.uniform(0.45, 0.75)) * height
    left, top = float(rng.uniform(0.02, 0.72)) * width, float(rng.uniform(0.08, 0.2)) * height
    leaf = np.empty((SIDE_PX, SIDE_PX // 2, 3), np.uint8)
    leaf[:] = rng.uniform(60, 220, 3)
    for y in (0.08, 0.55):
        corner, opposite = (12, round(y * SIDE_PX)), (SIDE_PX // 2 - 12, round((y + 0.38) * SIDE_PX))
        cv2.rectangle(leaf, corner, opposite, [int(v) for v in leaf[0, 0] * 0.7], 3)
    if rng.random() < 0.5:
        cv2.rectangle(leaf, (26, 26), (SIDE_PX // 2 - 26, 96), (205, 215, 220), -1)
    cv2.circle(leaf, (SIDE_PX // 2 - 9, round(0.52 * SIDE_PX)), 5, (230, 220, 150), -1)
    start_s = float(rng.uniform(0.1, 0.4) * seconds)
    return SwingingDoor(
        as_pixels(leaf),
        (left, top, left + wide, top + tall),
        (start_s, min(start_s + float(rng.uniform(1.2, 3.0)), seconds)),
        bool(rng.random() < 0.5),
    )
