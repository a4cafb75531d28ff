"""Cut a person out of a picture and set them into a scene."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..arrays import Box, Floats, Layer, Picture, Rng, as_floats, as_pixels
from .walks import Pose

#: Cut-out faces are at most this high, in pixels: a bit more than the nearest pose shows.
MAX_FACE_PX = 260.0
#: Faces narrower than this, in face heights, are taken for turned heads with shoulders of normal width.
MIN_ASPECT = 0.66
#: Less body than this below the chin, in face heights, is painted over with a coat.
MIN_BODY = 0.45
#: The share of a frame's time during which the shutter is open, for the motion blur.
SHUTTER = 0.4


@dataclass(frozen=True)
class Person:
    """A cut-out person: picture (H, W, 3) uint8 RGB, matte (H, W) uint8 (255 is the person), box of the face.

    The last row of the picture is the coat; it is repeated downwards without end.
    """

    picture: Picture
    matte: Layer
    box: Box

    @property
    def face_height(self) -> float:
        return self.box[3] - self.box[1]


def ellipse(shape: tuple[int, int], centre: tuple[float, float], axes: tuple[float, float]) -> Layer:
    """Return a filled ellipse, (H, W) uint8."""
    out = np.zeros(shape, np.uint8)
    cv2.ellipse(out, (round(centre[0]), round(centre[1])), (round(axes[0]), round(axes[1])), 0, 0, 360, (255,), -1)
    return out


def _feather(matte: Layer, sigma: float) -> Layer:
    return as_pixels(cv2.GaussianBlur(matte, (0, 0), max(sigma, 0.5)))


def _silhouette(shape: tuple[int, int], box: Box, grow: float = 1.0) -> Layer:
    """Return the outline of head, neck and shoulders that a face box implies; `grow` widens the head."""
    x1, y1, x2, y2 = box
    cx, w, h = (x1 + x2) / 2, x2 - x1, y2 - y1
    w = max(w, MIN_ASPECT * h)
    out = ellipse(shape, (cx, y1 + 0.40 * h), (0.60 * w * grow, 0.66 * h * grow))
    half = [(0.36, 0.75), (0.38, 1.12), (0.85, 1.30), (1.20, 1.50), (1.32, 1.90), (1.34, 9.0)]
    points = [(cx + u * w, y1 + v * h) for u, v in half] + [(cx - u * w, y1 + v * h) for u, v in reversed(half)]
    cv2.fillPoly(out, [np.array(points, np.float32).round().astype(np.int32)], (255,))
    return out


def _grab_cut(picture: Picture, box: Box, inner: Layer, outer: Layer) -> Layer | None:
    """Return the person's outline as GrabCut finds it, or None if that is implausible.

    `inner` is certainly the person; nothing outside `outer` is.
    """
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
        # GC_INIT_WITH_MASK ignores the rectangle.
        cv2.grabCut(small, mask, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return None
    found = np.where((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    opened = cv2.morphologyEx(found, cv2.MORPH_OPEN, kernel)
    found = as_pixels(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel))
    kept = (found > 0)[maybe].mean()
    if kept < 0.45:
        return None
    return as_pixels(cv2.resize(found, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_CUBIC))


def cut_out(picture: Picture, box: Box, rng: Rng) -> Person:
    """Return head and shoulders of the face in `box`; what the picture does not show (hair, shoulders) is invented."""
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    scale = min(1.0, MAX_FACE_PX / (y2 - y1))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = as_pixels(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        height, width = picture.shape[:2]
    x1, y1, x2, y2 = x1 * scale, y1 * scale, x2 * scale, y2 * scale
    w, h = x2 - x1, y2 - y1
    wide = max(w, MIN_ASPECT * h)
    # The region that the cut-out needs, and the part of it that the picture has.
    left, right = round((x1 + x2) / 2 - 1.5 * wide), round((x1 + x2) / 2 + 1.5 * wide)
    top, bottom = round(y1 - 0.55 * h), round(y2 + 1.0 * h)
    has = (max(left, 0), max(top, 0), min(right, width), min(bottom, height))
    pads = (has[1] - top, bottom - has[3], has[0] - left, right - has[2])  # above, below, left, right
    full = _padded(picture[has[1] : has[3], has[0] : has[2]], pads, h)
    face: Box = (x1 - left, y1 - top, x2 - left, y2 - top)
    below = (has[3] - y2) / h
    if below < MIN_BODY:
        full = _dress(full, face, rng, max(below, 0.02))
    # GrabCut needs the real surroundings; above the head they may be missing.
    matte = _matte(full, face, use_grab_cut=below >= MIN_BODY and pads[0] <= 0 and pads[2] <= 0 and pads[3] <= 0)
    full[-2:] = cv2.blur(full[-12:], (9, 12))[-2:]
    return Person(full, matte, face)


def _padded(part: Picture, pads: tuple[int, int, int, int], face_height: float) -> Picture:
    """Return `part` with its border replicated; `pads` are pixels above, below, left and right.

    The replicated border is blurred, more so farther out, because it shows as streaks otherwise.
    """
    full = cv2.copyMakeBorder(part, *pads, cv2.BORDER_REPLICATE)
    known = cv2.copyMakeBorder(np.full(part.shape[:2], 255, np.uint8), *pads, cv2.BORDER_CONSTANT, value=(0,))
    soft = cv2.GaussianBlur(full, (0, 0), 0.10 * face_height)
    near = cv2.GaussianBlur(cv2.erode(known, np.ones((3, 3), np.uint8)), (0, 0), 0.02 * face_height)
    weight = near.astype(np.float32) / 255
    return as_pixels(cv2.blendLinear(full, soft, weight, 1 - weight))


def _matte(picture: Picture, face: Box, use_grab_cut: bool) -> Layer:
    """Return the person's outline with soft edges: from GrabCut where allowed and plausible, else drawn."""
    shape = (picture.shape[0], picture.shape[1])
    x1, y1, x2, y2 = face
    h, cx = y2 - y1, (x1 + x2) / 2
    wide = max(x2 - x1, MIN_ASPECT * h)
    inner = ellipse(shape, (cx, y1 + 0.48 * h), (0.47 * wide, 0.52 * h))
    matte = None
    if use_grab_cut:
        neck = inner.copy()
        cv2.rectangle(neck, (round(cx - 0.2 * wide), round(y2)), (round(cx + 0.2 * wide), shape[0]), (255,), -1)
        outer = as_pixels(cv2.dilate(_silhouette(shape, face, 1.18), np.ones((9, 9), np.uint8)))
        matte = _grab_cut(picture, face, neck, outer)
    if matte is None:
        matte = _feather(_silhouette(shape, face), 0.03 * h)
    else:
        matte = _feather(as_pixels(cv2.max(matte, inner)), 0.018 * h)
    # Fade out at the border of the cut-out, except below, where the coat continues.
    fade = np.zeros(shape, np.uint8)
    rim = max(2, round(0.06 * h))
    cv2.rectangle(fade, (rim, rim), (shape[1] - rim - 1, shape[0] + rim), (255,), -1)
    fade = as_pixels(cv2.blur(cv2.copyMakeBorder(fade, 0, rim, 0, 0, cv2.BORDER_REPLICATE), (rim, rim)))[: shape[0]]
    return as_pixels(cv2.multiply(matte, fade, scale=1 / 255))


def _dress(picture: Picture, box: Box, rng: Rng, below: float) -> Picture:
    """Return the picture with neck and shoulders painted below a face that was cropped at the chin.

    `below` is how much the picture shows below the chin, in face heights.
    """
    x1, y1, x2, y2 = box
    cx, w, h = (x1 + x2) / 2, max(x2 - x1, MIN_ASPECT * (y2 - y1)), y2 - y1
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
    cv2.rectangle(neck, (round(cx - 0.34 * w), round(line)), (round(cx + 0.34 * w), shape[0]), (255,), -1)
    points = [(cx - 0.02 * w, y2 + 0.42 * h), (cx + 0.40 * w, y2 + 0.08 * h), (cx + 0.9 * w, y2 + 0.26 * h),
              (cx + 1.6 * w, y2 + 0.6 * h), (cx + 1.7 * w, y2 + 9 * h), (cx - 1.7 * w, y2 + 9 * h),
              (cx - 1.6 * w, y2 + 0.6 * h), (cx - 0.9 * w, y2 + 0.26 * h), (cx - 0.40 * w, y2 + 0.08 * h)]  # fmt: skip
    cv2.fillPoly(coat, [np.array(points, np.float32).round().astype(np.int32)], (255,))
    folds = rng.normal(1, 0.10, (4, 9)).astype(np.float32)
    shade = cv2.resize(folds, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    cloths = np.clip(cloth[None, None, :] * shade[:, :, None], 0, 255).astype(np.uint8)
    a = cv2.GaussianBlur(neck, (0, 0), 0.05 * h).astype(np.float32) / 255
    a[: round(y1 + 0.7 * h)] = 0
    out = cv2.blendLinear(layer, picture, a, 1 - a)
    b = cv2.GaussianBlur(coat, (0, 0), 0.015 * h).astype(np.float32) / 255
    return as_pixels(cv2.blendLinear(cloths, out, b, 1 - b))


class Sprite:
    """A person who can be set into frames at any size; keeps smaller copies for the far end of a walk."""

    def __init__(self, person: Person) -> None:
        self.levels = [person]
        while self.levels[-1].face_height > 48:
            p = self.levels[-1]
            size = (max(2, p.picture.shape[1] // 2), max(2, p.picture.shape[0] // 2))
            sx, sy = size[0] / p.picture.shape[1], size[1] / p.picture.shape[0]
            box = (p.box[0] * sx, p.box[1] * sy, p.box[2] * sx, p.box[3] * sy)
            self.levels.append(
                Person(
                    as_pixels(cv2.resize(p.picture, size, interpolation=cv2.INTER_AREA)),
                    as_pixels(cv2.resize(p.matte, size, interpolation=cv2.INTER_AREA)),
                    box,
                )
            )

    def into(self, scene: Picture, pose: Pose) -> Picture:
        """Return a copy of the scene (H, W, 3) uint8 RGB with the person in it."""
        # The smallest copy that is at least as large as the pose: it is shrunk by half at most.
        level = next((p for p in reversed(self.levels) if p.face_height >= pose.face), self.levels[0])
        height, width = scene.shape[:2]
        scale = pose.face / level.face_height
        cx, cy = (level.box[0] + level.box[2]) / 2, (level.box[1] + level.box[3]) / 2
        m = np.asarray(cv2.getRotationMatrix2D((cx, cy), pose.roll, scale), np.float64)
        m[:, 2] += (pose.x - cx, pose.y - cy)
        # The border is replicated for the coat below; at the sides and above the matte is 0 anyway.
        size, method, border = (width, height), cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
        front = cv2.warpAffine(level.picture, m, size, flags=method, borderMode=border)
        matte = cv2.warpAffine(level.matte, m, size, flags=method, borderMode=border)
        length = SHUTTER * float(np.hypot(*pose.speed))
        if length >= 1.5:
            kernel = _motion_kernel(length, pose.speed)
            front, matte = cv2.filter2D(front, -1, kernel), cv2.filter2D(matte, -1, kernel)
        a = matte.astype(np.float32) * np.float32(pose.shown / 255)
        return as_pixels(cv2.blendLinear(front, scene, a, np.float32(1) - a))


def _motion_kernel(length: float, direction: tuple[float, float]) -> Floats:
    """Return a motion blur kernel (n, n) of `length` pixels along `direction`."""
    n = int(length) | 1
    kernel = np.zeros((n, n), np.float32)
    step = np.array(direction) / max(float(np.hypot(*direction)), 1e-6) * (n // 2)
    c = n // 2
    a, b = (round(c - step[0]), round(c - step[1])), (round(c + step[0]), round(c + step[1]))
    cv2.line(kernel, a, b, (1.0,))
    return as_floats(kernel / kernel.sum())
