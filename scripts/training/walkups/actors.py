"""People with and without a mask, with a hand at the mouth, a printed shirt, and a turned head."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .. import landmarks
from ..arrays import Box, Layer, Picture, as_pixels
from ..drawing.canvas import Turn
from ..drawing.masks import draw_mask
from ..drawing.occluders import draw_hand
from ..records import Face
from ..rendering.people import Person, Sprite, cut_out

#: Half the width of a head that turns, in half widths of the face's box, and its half height in box heights.
HEAD_U, HEAD_V = 1.15, 0.80
#: Height of the head's middle in the face's box.
HEAD_MIDDLE = 0.42
#: Place of a print on the shirt in face heights: above, below (from the chin), half width.
PRINT = (0.42, 0.92, 0.48)


@dataclass(frozen=True)
class Looks:
    """What is drawn on a person: a mask, a hand in front of the mouth."""

    mask: bool = False
    hand: bool = False


@dataclass(frozen=True)
class Actor:
    """A person who can be shown with different looks. `is_grey`: the picture has no colour."""

    sprites: dict[Looks, Sprite]
    is_grey: bool

    @classmethod
    def of(cls, picture: Picture, face: Face, wanted: set[Looks], shirt: Picture | None, seed: int) -> Actor:
        """Return the person with this face in a picture (H, W, 3) uint8 RGB, with each of the looks `wanted`.

        `shirt` is a picture that is printed on the shirt, or None. The same seed gives the same coat and mask.
        """
        box, turn = face.box, None
        if face.points is not None:
            pose = landmarks.pose(face.points)
            box, turn = pose.box, (pose.roll, pose.yaw)
        plain = cut_out(picture, face.box, np.random.default_rng(seed))
        sprites = {}
        for looks in sorted(wanted | {Looks()}, key=lambda k: (k.mask, k.hand)):
            person = plain
            if looks != Looks():
                changed = _drawn(picture, box, turn, looks, seed)
                drawn = cut_out(changed, face.box, np.random.default_rng(seed))
                person = replace(drawn, matte=_matte_with(plain, drawn.picture))
            if shirt is not None:
                person = replace(person, picture=_print(person, shirt))
            sprites[looks] = Sprite(person)
        colours = picture[::5, ::5].astype(np.int16)
        return cls(sprites, bool(np.ptp(colours, axis=2).mean() < 5))


def _drawn(picture: Picture, box: Box, turn: Turn | None, looks: Looks, seed: int) -> Picture:
    if looks.mask:
        picture = draw_mask(picture, box, np.random.default_rng((seed, 1)), turn)
    return draw_hand(picture, box, np.random.default_rng((seed, 2)), turn) if looks.hand else picture


def _matte_with(plain: Person, changed: Picture) -> Layer:
    """Return the outline of `plain`, and of what `changed` adds to its picture: a hand reaches beyond the face."""
    added = cv2.absdiff(plain.picture, changed).max(axis=2)
    covered = np.where(added > 16, 255, 0).astype(np.uint8)
    covered = as_pixels(cv2.morphologyEx(covered, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)))
    # Only beside the face: below it the coat is drawn with another random state.
    x1, y1, x2, y2 = (round(v) for v in plain.box)
    near = np.zeros_like(plain.matte)
    w, h = x2 - x1, y2 - y1
    near[max(0, y1) : y2 + h // 5, max(0, x1 - w // 4) : x2 + w // 4] = 255
    soft = cv2.GaussianBlur(cv2.min(covered, near), (0, 0), 1.2)
    return as_pixels(cv2.max(plain.matte, soft))


def _print(person: Person, shirt: Picture) -> Picture:
    """Return the person's picture with `shirt` printed below the chin."""
    x1, _, x2, y2 = person.box
    h = person.face_height
    cx = (x1 + x2) / 2
    top, bottom = round(y2 + PRINT[0] * h), min(round(y2 + PRINT[1] * h), person.picture.shape[0] - 3)
    left, right = max(0, round(cx - PRINT[2] * h)), min(person.picture.shape[1], round(cx + PRINT[2] * h))
    if bottom - top < 8 or right - left < 8:
        return person.picture
    out = person.picture.copy()
    part = out[top:bottom, left:right]
    size = (right - left, bottom - top)
    image = cv2.resize(shirt, size, interpolation=cv2.INTER_AREA)
    cloth = part.astype(np.float32).mean() / 140
    image = np.clip(image.astype(np.float32) * min(max(cloth, 0.35), 1.1), 0, 255).astype(np.uint8)
    rim = np.zeros(size[::-1], np.float32)
    rim[3:-3, 3:-3] = 0.92
    rim = cv2.GaussianBlur(rim, (0, 0), 1.5)  # type: ignore[assignment]
    part[:] = cv2.blendLinear(image, np.ascontiguousarray(part), rim, 1 - rim)
    return out


def turned(person: Person, degrees: float) -> Person:
    """Return the person with the head turned, to the right in the picture if `degrees` is positive.

    The face is wrapped around a cylinder that turns: one side comes nearer, the other is squeezed. That is plausible up
    to about 35 degrees; beyond, the picture lacks the side of the head that comes into view.
    """
    if abs(degrees) < 1:
        return person
    x1, y1, x2, y2 = person.box
    h, half = y2 - y1, max((x2 - x1) / 2, 0.33 * (y2 - y1))
    cx, cy = (x1 + x2) / 2, y1 + HEAD_MIDDLE * h
    height, width = person.picture.shape[:2]
    left, right = max(0, round(cx - 1.3 * HEAD_U * half)), min(width, round(cx + 1.3 * HEAD_U * half))
    top, bottom = max(0, round(cy - HEAD_V * h)), min(height, round(cy + HEAD_V * h))
    u = (np.arange(left, right, dtype=np.float32)[None, :] - np.float32(cx)) / np.float32(HEAD_U * half)
    v = (np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(cy)) / np.float32(HEAD_V * h)
    round_u = np.clip(u, -1, 1)
    source = np.sin(np.clip(np.arcsin(round_u) - np.radians(degrees), -np.pi / 2, np.pi / 2))
    # The head moves as one piece; towards its outline nothing moves, and the neck follows a little.
    weight = np.sqrt(np.clip(1 - np.maximum(np.abs(u), np.abs(v) ** 2) ** 2, 0, 1))
    at_x = np.arange(left, right, dtype=np.float32)[None, :] + (source - round_u) * weight * np.float32(HEAD_U * half)
    at_y = np.broadcast_to(np.arange(top, bottom, dtype=np.float32)[:, None], at_x.shape)
    out = person.picture.copy()
    out[top:bottom, left:right] = cv2.remap(
        person.picture,
        at_x.astype(np.float32),
        np.ascontiguousarray(at_y),
        cv2.INTER_LINEAR,
        None,
        cv2.BORDER_REPLICATE,
    )
    return replace(person, picture=as_pixels(out))


def shaded(actor: Actor, gain: float) -> Actor:
    """Return the actor as a light behind shows them: `gain` times as bright."""
    levels = np.clip(np.arange(256) * gain, 0, 255).astype(np.uint8)
    sprites = {}
    for looks, sprite in actor.sprites.items():
        first = sprite.levels[0]
        sprites[looks] = Sprite(replace(first, picture=as_pixels(cv2.LUT(first.picture, levels))))
    return replace(actor, sprites=sprites)
