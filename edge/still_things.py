"""Recognise faces that never move: posters, statues, mannequins. They stop counting after a set time.

A face is a thing if its box stays in place and its pixels do not change beyond noise. A grey patch of the face and its
surroundings is compared with the patch at the beginning: a shift of a fraction of a cell, or a change in a few cells,
such as a blink, shows that it is alive. Overall brightness and contrast do not matter (clouds, auto-exposure). A wrong
ignore is worse than a poster: in doubt a face counts.

 - Only looks at new pixels count. A paused video, a repeated picture and a picture of a folder prove nothing.
 - A long time between two looks counts as MAX_STEP_S.
 - A thing that changes counts in the same frame. If it was only hidden, it is ignored again after a tenth of the time.
 - A screen whose picture changes is never a thing: it cannot be told from a person who holds still.

The class keeps its own state; the functions are pure. No clock, file or camera is used. The thresholds were measured:
`python -m training.evaluate_stillness`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from .imaging.images import Picture
from .records import Box

#: (16, 16) float32, mean 0 and standard deviation 1 of grey levels.
Patch = npt.NDArray[np.float32]

#: Cells of a patch in each direction, and the side of its area as a multiple of the face's box.
CELLS, AREA = 16, 1.5
#: A patch with less contrast (standard deviation, grey levels) shows too little to decide.
MIN_CONTRAST = 6.0
#: A face has moved if it shifts by more than MAX_SHIFT (cells), or if a cell changes by more than both MAX_CHANGE (standard
#: deviations of the patch) and MAX_NOISE_RATIO times the noise.
MAX_SHIFT, MAX_CHANGE, MAX_NOISE_RATIO = 0.03, 0.25, 6.0
#: Looks that are averaged for the patch with which the others are compared.
REFERENCE_LOOKS = 8
#: The box is in place if it overlaps by at least this (intersection over union).
MIN_OVERLAP = 0.6
#: The time (seconds) that one look can add.
MAX_STEP_S = 1.0
#: Looks in a row at which a thing must have changed to be none. One may be a damaged picture.
MOVED_LOOKS = 2
#: The patch of a face is kept after SETTLED_LOOKS looks without motion, the last SETTLED_PATCHES of each place: a hanging
#: picture returns to one of them after a shadow has crossed it.
SETTLED_LOOKS, SETTLED_PATCHES = 4, 4
#: Something crosses a face if a cell changes by more than CROSSED_CHANGE (standard deviations), and little of it is explained by
#: a shift (cells): a shadow has 0.1 cells for each standard deviation, a hand less, and a head that moves more than 0.25.
CROSSED_CHANGE, CROSSED_SHIFT = 0.5, 0.15
#: The share of the time after which a thing that was hidden is ignored again.
AGAIN_SHARE = 0.1
#: A thing follows slow changes, such as shadows, within about this time (seconds).
FOLLOW_S = 600.0
#: A place where no face is seen is forgotten after this time (seconds), and after as long as it was still; a thing after a day.
FORGET_S, FORGET_THING_S = 3.0, 86400.0
MAX_PLACES = 40


class Found(NamedTuple):
    """For each detection: whether it is a thing, and whether it has just become one."""

    things: list[bool]
    new: list[bool]


@dataclass(slots=True)
class _Place:
    """A place in the picture where a face is seen. Times are in seconds.

    `raw` is the last patch, (16, 16) uint8 grey; `reference` is the patch that others are compared with. `still_for_s` is
    the time for which the face has been still. `was_thing` stays True while a known thing is hidden or moves.
    `moved_looks` and `moved_for_s` count since the last unchanged look. `noise` is the mean of the median change between
    two looks (standard deviations of the patch). `changed_at` is the time of the last change; a new place has none.
    `settled` has box and patch of the face for the last times at which it was without motion. `is_crossed` says that something
    has crossed it since, and `is_back` that it is exactly as it was before that.
    """

    box: Box
    raw: npt.NDArray[np.uint8]
    last_look: float
    last_seen: float
    changed_at: float = -math.inf
    looks: int = 1
    still_for_s: float = 0.0
    is_thing: bool = False
    was_thing: bool = False
    moved_looks: int = 0
    moved_for_s: float = 0.0
    noise: float = 0.0
    settled: deque[tuple[Box, Patch]] = field(default_factory=lambda: deque(maxlen=SETTLED_PATCHES))
    is_crossed: bool = False
    is_back: bool = False
    reference: Patch = field(default_factory=lambda: np.zeros((CELLS, CELLS), np.float32))


class Motion(NamedTuple):
    """When a face moved or changed last (-inf: never), and whether it has come back to exactly where it was before."""

    at: float
    is_back: bool


class StillThings:
    """The places where faces are seen, and which of them are things. Times are seconds on the source's clock."""

    def __init__(self, still_s: float, *, sees_return: bool = False) -> None:
        """A face is a thing after `still_s` seconds without motion; 0 turns everything off.

        `sees_return`: look for pictures that something crosses and that hang as before, see `motion`. It costs a second
        patch of a face that moves.
        """
        self._still_s = still_s
        self._sees_return = sees_return
        self._places: list[_Place] = []

    @property
    def is_on(self) -> bool:
        return self._still_s > 0

    def look(self, boxes: Sequence[Box], picture: Picture, t: float) -> Found:
        """Look at the faces at `boxes` in the frame at `t`, (H, W, 3) uint8 RGB, and say which are things."""
        found = Found([False] * len(boxes), [False] * len(boxes))
        if not self.is_on:
            return found
        self._forget(t)
        for k, box in enumerate(boxes):
            place = self._place_of(box)
            if place is None:
                raw = grey_patch(picture, box)
                if len(self._places) < MAX_PLACES:
                    self._places.append(_Place(box, raw, t, t, reference=normalized(raw)))
                continue
            before = place.is_thing
            looks = place.looks
            is_same = self._compare(place, box, grey_patch(picture, place.box), t)
            if self._sees_return and looks < place.looks == SETTLED_LOOKS:
                self._settle(place, picture)
            elif self._sees_return and not is_same:
                self._notice_crossing(place, picture)
            found.things[k] = place.is_thing and is_same
            found.new[k] = found.things[k] and not before
        return found

    def known(self, boxes: Sequence[Box]) -> list[bool]:
        """Return which boxes are things, without another look: for a frame that shows nothing new."""
        places = [self._place_of(box) for box in boxes]
        return [place is not None and place.is_thing and not place.moved_looks for place in places]

    def motion(self, box: Box) -> Motion:
        """Return when the face at `box` moved last. -inf before its first motion, and for an unknown face."""
        place = self._place_of(box)
        return Motion(-math.inf, False) if place is None else Motion(place.changed_at, place.is_back)

    def interrupt(self) -> None:
        """Forget the faces that are not yet things: nobody knows what happened while the door was blind."""
        self._places = [place for place in self._places if place.was_thing]

    def _compare(self, place: _Place, box: Box, raw: npt.NDArray[np.uint8], t: float) -> bool:
        """Update a place with its pixels at `t`; return whether they are as before."""
        place.last_seen = t
        if np.array_equal(raw, place.raw):
            return not place.moved_looks
        step_s = min(max(t - place.last_look, 0.0), MAX_STEP_S)
        place.last_look = t
        patch = normalized(raw)
        if not place.was_thing:
            # The noise between two looks; a person moves little from one to the next.
            change = float(np.median(np.abs(patch - normalized(place.raw))))
            place.noise += (change - place.noise) / min(place.looks, REFERENCE_LOOKS)
        place.raw = raw
        if has_moved(place.reference, patch, place.noise) or float(raw.std()) < MIN_CONTRAST:
            place.changed_at, place.is_back = t, False
            self._moved(place, box, raw, step_s)
            return False
        place.looks += 1
        place.moved_looks, place.moved_for_s = 0, 0.0
        weight = 1 / place.looks if place.looks <= REFERENCE_LOOKS else 0.0
        if place.was_thing:
            place.is_back = True  # it is compared with what it was as a thing
        if place.is_thing:
            weight = step_s / FOLLOW_S
        place.reference += (patch - place.reference) * np.float32(weight)
        place.still_for_s += step_s
        if place.still_for_s >= self._still_s:
            place.is_thing = place.was_thing = True
        return True

    def _moved(self, place: _Place, box: Box, raw: npt.NDArray[np.uint8], step_s: float) -> None:
        """Update a place whose pixels have changed."""
        place.moved_looks += 1
        place.moved_for_s += step_s
        if not place.was_thing or place.moved_for_s >= self._still_s:
            # The first look at somebody or something else, which may be at a slightly different place.
            place.box, place.raw, place.reference = box, raw, normalized(raw)
            place.looks, place.still_for_s, place.noise = 1, 0.0, 0.0
            place.is_thing = place.was_thing = False
            place.moved_looks, place.moved_for_s = 0, 0.0
        elif place.moved_looks >= MOVED_LOOKS:
            place.is_thing = False
            place.still_for_s = (1 - AGAIN_SHARE) * self._still_s

    @staticmethod
    def _settle(place: _Place, picture: Picture) -> None:
        """Keep the patch of a face that has stopped moving, and set `is_back` if it is as it was before something crossed it.

        A person never comes back to a fraction of a cell and stays there; a picture does.
        """
        is_crossed, place.is_crossed = place.is_crossed, False
        for box, before in place.settled if is_crossed else ():
            raw = grey_patch(picture, box)
            if not has_moved(before, normalized(raw), place.noise):
                place.box, place.raw, place.reference, place.is_back = box, raw, before.copy(), True
                return
        place.settled.append((place.box, place.reference.copy()))

    @staticmethod
    def _notice_crossing(place: _Place, picture: Picture) -> None:
        """Set `is_crossed` if the face has changed since it was last without motion, and a shift does not explain it."""
        if place.settled and not place.is_crossed:
            box, before = place.settled[-1]
            change, shift = change_and_shift(before, normalized(grey_patch(picture, box)))
            place.is_crossed = change > CROSSED_CHANGE and shift < CROSSED_SHIFT * change

    def _place_of(self, box: Box) -> _Place | None:
        """Return the place that `box` overlaps most; None if there is none."""
        overlaps = [(_overlap(box, place.box), k) for k, place in enumerate(self._places)]
        best, k = max(overlaps, default=(0.0, 0))
        return self._places[k] if best >= MIN_OVERLAP else None

    def _forget(self, t: float) -> None:
        self._places = [p for p in self._places if t - p.last_seen <= self._memory_s(p)]

    @staticmethod
    def _memory_s(place: _Place) -> float:
        return FORGET_THING_S if place.was_thing else FORGET_S + place.still_for_s


def grey_patch(picture: Picture, box: Box) -> npt.NDArray[np.uint8]:
    """Return the grey levels of a face and its surroundings, (16, 16) uint8.

    `picture` is (H, W, 3) uint8 RGB, `box` in its pixels. What is outside the picture is left out.
    """
    height, width = picture.shape[:2]
    x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
    half_w, half_h = AREA * box.width / 2, AREA * box.height / 2
    x1, x2 = _span(x - half_w, x + half_w, width)
    y1, y2 = _span(y - half_h, y + half_h, height)
    small = cv2.resize(picture[y1:y2, x1:x2], (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return cast(npt.NDArray[np.uint8], cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


def has_moved(before: Patch, now: Patch, noise: float) -> bool:
    """Return whether a face has moved or changed between two patches.

    `noise` is the median absolute difference of a cell between two looks (standard deviations of the patch).
    """
    change, shift = change_and_shift(before, now)
    return change > max(MAX_CHANGE, MAX_NOISE_RATIO * noise) or shift > MAX_SHIFT


def change_and_shift(before: Patch, now: Patch) -> tuple[float, float]:
    """Return the largest change of a cell (standard deviations), and the shift (cells) that explains all changes best.

    The shift (dx, dy) is the least-squares solution of change = -dx * gx - dy * gy (Lucas and Kanade 1981). It is
    infinite for a patch without contrast.
    """
    change = now - before
    gx, gy = np.zeros_like(before), np.zeros_like(before)
    gx[:, 1:-1] = (before[:, 2:] - before[:, :-2]) / 2
    gy[1:-1] = (before[2:] - before[:-2]) / 2
    xx, yy, xy = float(np.vdot(gx, gx)), float(np.vdot(gy, gy)), float(np.vdot(gx, gy))
    xd, yd = float(np.vdot(gx, change)), float(np.vdot(gy, change))
    determinant = xx * yy - xy * xy
    largest = float(np.abs(change).max())
    if determinant <= 0:
        return largest, math.inf
    return largest, math.hypot(yy * xd - xy * yd, xx * yd - xy * xd) / determinant


def normalized(raw: npt.NDArray[np.uint8]) -> Patch:
    """Return a patch with mean 0 and standard deviation 1; a plain one stays near 0."""
    patch = raw.astype(np.float32)
    patch -= patch.mean()
    patch /= max(float(patch.std()), 1.0)
    return patch


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Return the pixels from `low` to `high` that are inside 0..size, at least one."""
    first = min(max(round(low), 0), size - 1)
    return first, max(min(round(high), size), first + 1)


def _overlap(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes."""
    w, h = min(a.x2, b.x2) - max(a.x1, b.x1), min(a.y2, b.y2) - max(a.y1, b.y1)
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / (a.width * a.height + b.width * b.height - w * h)
