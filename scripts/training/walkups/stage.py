"""The frames of a scene, and where each face is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from ..arrays import Box, Floats, Picture, Rng, as_floats, as_pixels
from ..rendering.people import Person
from .actors import Actor, Looks, turned
from .camera import Sensor
from .moving_things import Thing
from .paths import Place
from .script import Role, Script

#: A person who appears in the distance becomes opaque within this time (seconds).
FADE_S = 0.3
#: The height of a person in face heights, from the top of the face.
BODY = 7.0


class Shown(NamedTuple):
    """A face in a frame: the number of the role, its box in pixels, and the share of it that is visible."""

    role: int
    box: Box
    visible: float


@dataclass(frozen=True)
class Cast:
    """What a script is played with: an actor for each of its roles, the place (H, W, 3) uint8 RGB, and the things."""

    actors: Sequence[Actor]
    place: Picture
    things: Sequence[Thing]


def frames(script: Script, cast: Cast, rng: Rng) -> Iterator[tuple[float, Picture, list[Shown]]]:
    """Yield (t, frame (H, W, 3) uint8 RGB, faces in it), one for each frame of the scene."""
    height, width = cast.place.shape[:2]
    sensor = Sensor(script.camera, rng, (width, height))
    place = sensor.background(cast.place)
    for k in range(round(script.seconds * script.fps)):
        t = k / script.fps
        light = place.copy()
        for thing in cast.things:
            thing.draw(light, t, script.camera.exposure_s)
        at = [(number, role.path.at(t, width, height)) for number, role in enumerate(script.roles)]
        # Who is nearer stands in front.
        order = sorted(((n, p) for n, p in at if p is not None), key=lambda item: item[1].face)
        shown: list[Shown] = []
        for number, there in order:
            role = script.roles[number]
            person = _person(cast.actors[number], role, t, there)
            alpha = _draw(light, person, there, role, t, script.camera.exposure_s)
            shown = [s._replace(visible=s.visible * (1 - _cover(alpha, s.box))) for s in shown]
            box = _face_box(person, there)
            shown.append(Shown(number, box, _inside(box, width, height)))
        yield t, sensor.frame(light), shown


def _person(actor: Actor, role: Role, t: float, there: Place) -> Person:
    """Return the person as they look at time `t`, in the smallest copy that is large enough."""
    levels = actor.sprites[Looks(role.has_mask(t), role.has_hand(t))].levels
    person = next((p for p in reversed(levels) if p.face_height >= there.face), levels[0])
    return turned(person, role.degrees(t))


class _Alpha(NamedTuple):
    """Coverage (h, w) 0..1 of a person, and its upper left corner in the frame."""

    coverage: Floats
    x: int
    y: int


def _draw(frame: Picture, person: Person, there: Place, role: Role, t: float, exposure_s: float) -> _Alpha | None:
    """Draw a person into `frame`; return where they are, or None if they are outside."""
    height, width = frame.shape[:2]
    scale = there.face / person.face_height
    cx, cy = (person.box[0] + person.box[2]) / 2, (person.box[1] + person.box[3]) / 2
    m = np.asarray(cv2.getRotationMatrix2D((cx, cy), there.roll, scale), np.float64)
    m[:, 2] += (there.x - cx, there.y - cy)
    h, w = person.matte.shape
    corners = np.array([(0, 0), (w, 0), (0, h), (w, h)]) @ m[:, :2].T + m[:, 2]
    blur = exposure_s * float(np.hypot(*there.speed))
    # The coat below is repeated without end.
    lean = abs(float(np.tan(np.radians(there.roll)))) * height
    x1 = max(0, int(corners[:, 0].min() - blur - lean))
    x2 = min(width, int(corners[:, 0].max() + blur + lean) + 2)
    y1 = max(0, int(corners[:, 1].min() - blur))
    if x2 - x1 < 2 or height - y1 < 2:
        return None
    m[:, 2] -= (x1, y1)
    size, method, border = (x2 - x1, height - y1), cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    front = cv2.warpAffine(person.picture, m, size, flags=method, borderMode=border)
    matte = cv2.warpAffine(person.matte, m, size, flags=method, borderMode=border)
    if blur >= 1.5:
        kernel = _streak(blur, there.speed)
        front, matte = cv2.filter2D(front, -1, kernel), cv2.filter2D(matte, -1, kernel)
    feet = round(there.y + (BODY - 0.5) * there.face - y1)
    if feet < matte.shape[0]:
        matte[max(0, feet) :] = 0
    begun = min(1.0, (t - role.path.start_s + 0.05) / FADE_S)
    a = as_floats(matte.astype(np.float32) * np.float32(begun / 255))
    behind = np.ascontiguousarray(frame[y1:, x1:x2])
    frame[y1:, x1:x2] = cv2.blendLinear(as_pixels(front), behind, a, np.float32(1) - a)
    return _Alpha(a, x1, y1)


def _streak(length: float, direction: tuple[float, float]) -> Floats:
    """Return a motion blur kernel (n, n) of `length` pixels along `direction`."""
    n = min(int(length), 61) | 1
    kernel = np.zeros((n, n), np.float32)
    step = np.array(direction) / max(float(np.hypot(*direction)), 1e-6) * (n // 2)
    c = n // 2
    a, b = (round(c - step[0]), round(c - step[1])), (round(c + step[0]), round(c + step[1]))
    cv2.line(kernel, a, b, (1.0,))
    return as_floats(kernel / kernel.sum())


def _face_box(person: Person, there: Place) -> Box:
    """Return the box of the face in the frame. Roll is small and does not change it."""
    scale = there.face / person.face_height
    half_w, half_h = (person.box[2] - person.box[0]) * scale / 2, there.face / 2
    return there.x - half_w, there.y - half_h, there.x + half_w, there.y + half_h


def _inside(box: Box, width: int, height: int) -> float:
    """Return the share of a box that is inside the frame."""
    w = max(0.0, min(box[2], width) - max(box[0], 0.0))
    h = max(0.0, min(box[3], height) - max(box[1], 0.0))
    return w * h / max((box[2] - box[0]) * (box[3] - box[1]), 1e-6)


def _cover(alpha: _Alpha | None, box: Box) -> float:
    """Return the share of a box that `alpha` covers."""
    if alpha is None:
        return 0.0
    h, w = alpha.coverage.shape
    x1, x2 = (min(max(round(v) - alpha.x, 0), w) for v in (box[0], box[2]))
    y1, y2 = (min(max(round(v) - alpha.y, 0), h) for v in (box[1], box[3]))
    area = max((box[2] - box[0]) * (box[3] - box[1]), 1.0)
    return min(1.0, float(alpha.coverage[y1:y2, x1:x2].sum()) / area)
