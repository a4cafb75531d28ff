"""People who walk up to a door: cut out of a picture, set into a scene, frame by frame (numpy and OpenCV only)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Matte = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]
Rng = np.random.Generator

WIDTH, HEIGHT = 640, 480
#: Faces are kept at most this high, in pixels: a bit more than the nearest anybody comes.
FACE_PX = 260.0


@dataclass(frozen=True)
class Person:
    """Somebody cut out: picture (H, W, 3) uint8 RGB, matte (H, W) uint8 (255 is the person), box of the face.

    The last row goes on downwards for ever: it is the coat that hangs below the picture.
    """

    picture: Picture
    matte: Matte
    box: Box

    @property
    def face_height(self) -> float:
        return self.box[3] - self.box[1]


@dataclass(frozen=True)
class Pose:
    """Where a person is in a frame: centre of the face and its height, in pixels; roll in degrees.

    `speed` is the way of the face in pixels per frame (for the motion blur), `shown` 0..1 how solid the person is.
    """

    x: float
    y: float
    face: float
    roll: float = 0.0
    speed: tuple[float, float] = (0.0, 0.0)
    shown: float = 1.0


def ellipse(shape: tuple[int, int], centre: tuple[float, float], axes: tuple[float, float]) -> Matte:
    """A filled ellipse, (H, W) uint8."""
    out = np.zeros(shape, np.uint8)
    cv2.ellipse(out, (round(centre[0]), round(centre[1])), (round(axes[0]), round(axes[1])), 0, 0, 360, 255, -1)
    return out


def _feather(matte: Matte, sigma: float) -> Matte:
    return cv2.GaussianBlur(matte, (0, 0), max(sigma, 0.5))  # type: ignore[return-value]


def _silhouette(shape: tuple[int, int], box: Box, grow: float = 1.0) -> Matte:
    """Head, neck and shoulders where a face box says they must be; `grow` widens the head."""
    x1, y1, x2, y2 = box
    cx, w, h = (x1 + x2) / 2, x2 - x1, y2 - y1
    w = max(w, 0.66 * h)
    out = ellipse(shape, (cx, y1 + 0.40 * h), (0.60 * w * grow, 0.66 * h * grow))
    half = [(0.36, 0.75), (0.38, 1.12), (0.85, 1.30), (1.20, 1.50), (1.32, 1.90), (1.34, 9.0)]
    points = [(cx + u * w, y1 + v * h) for u, v in half] + [(cx - u * w, y1 + v * h) for u, v in reversed(half)]
    cv2.fillPoly(out, [np.array(points, np.float32).round().astype(np.int32)], 255)
    return out


def _grabbed(picture: Picture, box: Box, inner: Matte, outer: Matte) -> Matte | None:
    """The person's outline as GrabCut sees it, at a small size; None where it makes nothing of it."""
    scale = 64.0 / max(box[3] - box[1], 1.0)
    size = (max(8, round(picture.shape[1] * scale)), max(8, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    sure = cv2.resize(inner, size, interpolation=cv2.INTER_AREA) > 127
    maybe = cv2.resize(outer, size, interpolation=cv2.INTER_AREA) > 127
    mask = np.where(sure, cv2.GC_FGD, np.where(maybe, cv2.GC_PR_FGD, cv2.GC_BGD)).astype(np.uint8)
    if (mask == cv2.GC_BGD).mean() < 0.05:
        return None
    cv2.setRNGSeed(7)
    try:
        cv2.grabCut(small, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    except cv2.error:
        return None
    found = np.where((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    found = cv2.morphologyEx(cv2.morphologyEx(found, cv2.MORPH_OPEN, kernel), cv2.MORPH_CLOSE, kernel)  # type: ignore[assignment]
    kept = (found > 0)[maybe].mean()
    if kept < 0.45:
        return None
    return cv2.resize(found, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


def cut_out(picture: Picture, box: Box, rng: Rng) -> Person:
    """Head and shoulders of the face in `box`; what the picture does not show (hair, shoulders) is made up softly."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    scale = min(1.0, FACE_PX / (y2 - y1))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        height, width = picture.shape[:2]
    x1, y1, x2, y2 = x1 * scale, y1 * scale, x2 * scale, y2 * scale
    w, h = x2 - x1, y2 - y1
    wide = max(w, 0.66 * h)
    # The part of the picture that is needed, and how much of it there is.
    left, right = round((x1 + x2) / 2 - 1.5 * wide), round((x1 + x2) / 2 + 1.5 * wide)
    top, bottom = round(y1 - 0.55 * h), round(y2 + 1.0 * h)
    has = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    part = picture[has[1] : has[3], has[0] : has[2]]
    pads = (has[1] - top, bottom - has[3], has[0] - left, right - has[2])  # above, below, left, right
    full = cv2.copyMakeBorder(part, *pads, cv2.BORDER_REPLICATE)
    known = cv2.copyMakeBorder(np.full(part.shape[:2], 255, np.uint8), *pads, cv2.BORDER_CONSTANT, value=0)
    # What was made up is out of focus, more so farther out: replicated borders show as streaks otherwise.
    soft = cv2.GaussianBlur(full, (0, 0), 0.10 * h)
    near = cv2.GaussianBlur(cv2.erode(known, np.ones((3, 3), np.uint8)), (0, 0), 0.02 * h).astype(np.float32) / 255
    full = cv2.blendLinear(full, soft, near, 1 - near)
    face: Box = (x1 - left, y1 - top, x2 - left, y2 - top)
    shape = full.shape[:2]

    below = (has[3] - y2) / h
    if below < 0.45:
        full = _dress(full, face, rng, max(below, 0.02))
    outer = _silhouette(shape, face, 1.18)
    inner = ellipse(shape, ((face[0] + face[2]) / 2, face[1] + 0.48 * h), (0.47 * wide, 0.52 * h))
    matte = None
    if below >= 0.45 and pads[0] <= 0 and pads[2] <= 0 and pads[3] <= 0:
        neck = inner.copy()
        cx = (face[0] + face[2]) / 2
        cv2.rectangle(neck, (round(cx - 0.2 * wide), round(face[3])), (round(cx + 0.2 * wide), shape[0]), 255, -1)
        matte = _grabbed(full, face, neck, cv2.dilate(outer, np.ones((9, 9), np.uint8)))
    if matte is None:
        matte = _feather(_silhouette(shape, face), 0.03 * h)
    else:
        matte = _feather(cv2.max(matte, inner), 0.018 * h)
    # Never a hard edge at the border of the cut-out, except below, where the coat goes on.
    fade = np.zeros(shape, np.uint8)
    rim = max(2, round(0.06 * h))
    cv2.rectangle(fade, (rim, rim), (shape[1] - rim - 1, shape[0] + rim), 255, -1)
    fade = cv2.blur(cv2.copyMakeBorder(fade, 0, rim, 0, 0, cv2.BORDER_REPLICATE), (rim, rim))[: shape[0]]
    matte = cv2.multiply(matte, fade, scale=1 / 255)
    full[-2:] = cv2.blur(full[-12:], (9, 12))[-2:]
    return Person(full, matte, face)  # type: ignore[arg-type]


def _dress(picture: Any, box: Box, rng: Rng, below: float) -> Any:
    """Neck and shoulders for a face that was cropped at the chin."""
    x1, y1, x2, y2 = box
    cx, w, h = (x1 + x2) / 2, max(x2 - x1, 0.66 * (y2 - y1)), y2 - y1
    shape = picture.shape[:2]
    cheek = picture[round(y1 + 0.35 * h) : round(y1 + 0.5 * h), round(cx - 0.3 * w) : round(cx + 0.3 * w)]
    skin = np.median(cheek.reshape(-1, 3), 0)
    grey = np.ptp(skin) < 6
    cloth = rng.uniform(25, 200) + (0 if grey else 1) * rng.uniform(-40, 40, 3)
    cloth = np.clip(np.broadcast_to(cloth, 3) * (0.4 + 0.6 * skin.mean() / 170), 8, 235)
    line = y2 + below * h * 0.6
    layer = np.empty((*shape, 3), np.uint8)
    layer[:] = np.clip(skin * 0.72, 0, 255)
    neck, coat = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    cv2.rectangle(neck, (round(cx - 0.34 * w), round(line)), (round(cx + 0.34 * w), shape[0]), 255, -1)
    points = [(cx - 0.02 * w, y2 + 0.42 * h), (cx + 0.40 * w, y2 + 0.08 * h), (cx + 0.9 * w, y2 + 0.26 * h),
              (cx + 1.6 * w, y2 + 0.6 * h), (cx + 1.7 * w, y2 + 9 * h), (cx - 1.7 * w, y2 + 9 * h),
              (cx - 1.6 * w, y2 + 0.6 * h), (cx - 0.9 * w, y2 + 0.26 * h), (cx - 0.40 * w, y2 + 0.08 * h)]  # fmt: skip
    cv2.fillPoly(coat, [np.array(points, np.float32).round().astype(np.int32)], 255)
    folds = rng.normal(1, 0.10, (4, 9)).astype(np.float32)
    shade = cv2.resize(folds, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    cloths = np.clip(cloth[None, None, :] * shade[:, :, None], 0, 255).astype(np.uint8)
    a = cv2.GaussianBlur(neck, (0, 0), 0.05 * h).astype(np.float32) / 255
    a[: round(y1 + 0.7 * h)] = 0
    out = cv2.blendLinear(layer, picture, a, 1 - a)
    b = cv2.GaussianBlur(coat, (0, 0), 0.015 * h).astype(np.float32) / 255
    return cv2.blendLinear(cloths, out, b, 1 - b)


class Stand:
    """A person, ready to be set into frames at any size."""

    def __init__(self, person: Person) -> None:
        self.levels = [person]
        while self.levels[-1].face_height > 48:
            p = self.levels[-1]
            size = (max(2, p.picture.shape[1] // 2), max(2, p.picture.shape[0] // 2))
            sx, sy = size[0] / p.picture.shape[1], size[1] / p.picture.shape[0]
            box = (p.box[0] * sx, p.box[1] * sy, p.box[2] * sx, p.box[3] * sy)
            self.levels.append(
                Person(
                    cv2.resize(p.picture, size, interpolation=cv2.INTER_AREA),  # type: ignore[arg-type]
                    cv2.resize(p.matte, size, interpolation=cv2.INTER_AREA),  # type: ignore[arg-type]
                    box,
                )
            )

    def into(self, scene: Picture, pose: Pose) -> Picture:
        """The scene (H, W, 3) uint8 RGB with the person in it, as a new picture."""
        # The smallest level that need not be shrunk by more than half.
        level = next((p for p in reversed(self.levels) if p.face_height >= pose.face), self.levels[0])
        height, width = scene.shape[:2]
        scale = pose.face / level.face_height
        cx, cy = (level.box[0] + level.box[2]) / 2, (level.box[1] + level.box[3]) / 2
        m = cv2.getRotationMatrix2D((cx, cy), pose.roll, scale)
        m[:, 2] += (pose.x - cx, pose.y - cy)
        # Replicated downwards: the coat; at the sides and above the matte is 0 anyway.
        how = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
        front = cv2.warpAffine(level.picture, m, (width, height), **how)
        matte = cv2.warpAffine(level.matte, m, (width, height), **how)
        length = 0.4 * float(np.hypot(*pose.speed))  # the shutter is open for 0.4 of a frame
        if length >= 1.5:
            kernel = _streak(length, pose.speed)
            front, matte = cv2.filter2D(front, -1, kernel), cv2.filter2D(matte, -1, kernel)
        a = matte.astype(np.float32) * np.float32(pose.shown / 255)
        return cv2.blendLinear(front, scene, a, np.float32(1) - a)  # type: ignore[return-value]


def _streak(length: float, way: tuple[float, float]) -> npt.NDArray[np.float32]:
    n = int(length) | 1
    kernel = np.zeros((n, n), np.float32)
    step = np.array(way) / max(float(np.hypot(*way)), 1e-6) * (n // 2)
    c = n // 2
    a, b = (round(c - step[0]), round(c - step[1])), (round(c + step[0]), round(c + step[1]))
    cv2.line(kernel, a, b, 1.0)  # type: ignore[call-overload]
    return kernel / kernel.sum()


@dataclass(frozen=True)
class Walk:
    """One approach: from far to near, a moment's standing, and off to one side. Lengths are shares of the frame."""

    seconds: float = 4.5
    far: float = 0.08
    near: float = 0.45
    start_x: float = 0.4
    end_x: float = 0.5
    start_y: float = 0.36
    end_y: float = 0.47
    arrive: float = 0.72  # share of the time after which they stand
    leave_s: float = 0.45
    leave_to: float = 1.45  # x where they are gone
    sway: float = 0.05
    step_hz: float = 1.7
    roll: float = 2.5
    jitter: float = 0.006
    phase: float = 0.0
    fade_s: float = 0.25  # comes into view within

    def poses(self, fps: float, rng: Rng, width: int = WIDTH, height: int = HEIGHT) -> Iterator[Pose]:
        """One pose a frame."""
        count = round(self.seconds * fps)
        before: Pose | None = None
        for k in range(count):
            t = k / fps
            p = min(1.0, t / (self.arrive * self.seconds))
            # Walking at an even pace makes size go as 1 / distance; the last steps are slower.
            gone = 1 - (1 - p) ** 1.5
            distance = 1 + (self.far / self.near - 1) * gone
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
    """Somebody's way to the door."""
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


def corridor(rng: Rng, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """A painted corridor: walls, floor, ceiling lamps, doors, a far end; slightly out of focus."""
    up = 2
    w, h = width * up, height * up
    vx, vy = w * rng.uniform(0.42, 0.58), h * rng.uniform(0.36, 0.44)
    wall = rng.uniform(120, 215) + rng.uniform(-16, 16, 3)
    floor = rng.uniform(60, 130) + rng.uniform(-14, 14, 3)
    ceiling = np.clip(wall + rng.uniform(5, 35), 0, 245)
    end = rng.uniform(0.10, 0.2)
    ex1, ex2, ey1, ey2 = vx - end * w * 0.55, vx + end * w * 0.55, vy - end * h * 0.62, vy + end * h * 0.75
    canvas = np.zeros((h, w, 3), np.float32)

    def fill(points: list[tuple[float, float]], colour: npt.NDArray[Any]) -> None:
        corners = np.array(points, np.float32).round().astype(np.int32)
        cv2.fillPoly(canvas, [corners], [float(c) for c in colour], cv2.LINE_AA)

    fill([(0, 0), (w, 0), (ex2, ey1), (ex1, ey1)], ceiling)
    fill([(0, h), (w, h), (ex2, ey2), (ex1, ey2)], floor)
    fill([(0, 0), (ex1, ey1), (ex1, ey2), (0, h)], wall * 0.92)
    fill([(w, 0), (ex2, ey1), (ex2, ey2), (w, h)], wall * 0.84)
    fill([(ex1, ey1), (ex2, ey1), (ex2, ey2), (ex1, ey2)], wall * rng.uniform(0.6, 1.1))
    door = rng.uniform(50, 190) * rng.uniform(0.7, 1.1, 3)
    mid, half = (ex1 + ex2) / 2, (ex2 - ex1) * 0.24
    lintel = ey1 + (ey2 - ey1) * 0.25
    fill([(mid - half, lintel), (mid + half, lintel), (mid + half, ey2), (mid - half, ey2)], door)

    def on_wall(side: int, depth: float, v: float) -> tuple[float, float]:
        """A point of a side wall: depth 0 here to 1 at the far end, v 0 ceiling to 1 floor."""
        x0, x1 = (0.0, ex1) if side < 0 else (float(w), ex2)
        near = 1 - (1 - depth) ** 2
        x = x0 + (x1 - x0) * near
        return x, (1 - near) * (v * h) + near * (ey1 + v * (ey2 - ey1))

    for side in (-1, 1):
        for depth in np.arange(rng.uniform(0.02, 0.2), 0.9, rng.uniform(0.26, 0.4)):
            d2 = min(depth + 0.13, 0.98)
            frame = [(depth - 0.01, 0.20), (d2 + 0.01, 0.20), (d2 + 0.01, 1.0), (depth - 0.01, 1.0)]
            leaf = [(depth, 0.22), (d2, 0.22), (d2, 1.0), (depth, 1.0)]
            fill([on_wall(side, d, v) for d, v in frame], wall * 0.62)
            fill([on_wall(side, d, v) for d, v in leaf], door * (1.0 if side < 0 else 0.88))
        fill([on_wall(side, d, v) for d, v in ((0, 0.955), (1, 0.955), (1, 1), (0, 1))], wall * 0.5)
    for near in np.linspace(0.08, 0.85, int(rng.integers(3, 6))):
        a, b = 1 - (1 - near) ** 1.5, 1 - (1 - min(near + 0.06, 1)) ** 1.5
        y1, y2 = a * ey1, b * ey1
        wide1, wide2 = (0.10 * w * (1 - t) + 0.10 * (ex2 - ex1) * t for t in (a, b))
        fill([(vx - wide1, y1), (vx + wide1, y1), (vx + wide2, y2), (vx - wide2, y2)], np.full(3, 252.0))
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    gleam = np.exp(-(((np.arange(w, dtype=np.float32) - vx) / (0.14 * w)) ** 2))[None, :, None]
    canvas += gleam * np.clip((y - ey2 / h) * 3, 0, 1) * 28
    x = (np.arange(w, dtype=np.float32)[None, :, None] / w - 0.5) ** 2
    canvas *= 1.06 - 0.35 * x - 0.10 * (y - 0.45) ** 2
    texture = rng.normal(0, 1, (h // 4, w // 4)).astype(np.float32)
    canvas += cv2.resize(cv2.GaussianBlur(texture, (0, 0), 1.5), (w, h), interpolation=cv2.INTER_LINEAR)[:, :, None] * 4
    small = cv2.resize(cv2.GaussianBlur(canvas, (0, 0), 2.4 * up / 2), (width, height), interpolation=cv2.INTER_AREA)
    return np.clip(small, 0, 255).astype(np.uint8)


class Video:
    """An .mp4 that is there whole or not at all. Frames are (H, W, 3) uint8 RGB."""

    def __init__(self, path: Path, fps: float, width: int = WIDTH, height: int = HEIGHT) -> None:
        self.path = path
        self.size = (width, height)
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = cv2.VideoWriter(str(self._part), cv2.VideoWriter_fourcc(*"mp4v"), fps, self.size)  # type: ignore[attr-defined]
        if not self._writer.isOpened():
            raise OSError(f"{self._part}: OpenCV cannot write this video (folder not writable, or no mp4v encoder)")

    def write(self, frame: Picture) -> None:
        if frame.shape != (self.size[1], self.size[0], 3):
            raise ValueError(f"frame is {frame.shape}, the video {self.size[0]}x{self.size[1]}")
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.release()
        if kind is None:
            os.replace(self._part, self.path)
        else:
            self._part.unlink(missing_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of `path` only when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
