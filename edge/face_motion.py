"""Where a face is expected next, and how well a detection fits: constant velocity, measured between sightings.

The velocity is observation-centric as in OC-SORT (Cao et al. 2023): it comes from two sightings and not from the state
of a filter, which drifts while a face is hidden. The uncertainty grows with the time since the last sighting, so that
one rule serves 2 and 15 frames a second. Positions are in pixels; the unit of the uncertainty is the size of the face.
The constants were chosen on simulated crossings: `python -m training.evaluate_tracker`.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from .records import Box

#: Standard deviations of a sighting: position in face sizes, size as a logarithm.
PLACE_SPREAD, SIZE_SPREAD = 0.12, 0.10
#: How much they grow per second: for a face whose velocity is known, and for a new one, which may walk at any speed.
KNOWN_GROWTH, NEW_GROWTH, SIZE_GROWTH = 2.0, 4.0, 0.4
#: The velocity is measured over at least this time (seconds), if the face has been seen that long.
VELOCITY_S = 0.3
#: Sightings that are kept.
MAX_SIGHTINGS = 8
#: Nobody walks in the same direction for longer than this time (seconds) unseen: the uncertainty stops growing.
MAX_AHEAD_S = 0.4
#: The smallest time step (seconds): over a shorter one, the velocity would be mostly noise.
MIN_STEP_S = 0.05
#: A detection fits if its squared distance, in standard deviations, is at most this: 99 % for three values.
MAX_DISTANCE = 11.0


class Sighting(NamedTuple):
    """A detection's time, centre (x, y) and size (the root of the area), in seconds and pixels."""

    t: float
    x: float
    y: float
    size: float


class Expected(NamedTuple):
    """Where a face is expected: centre, size, and the variances of position (square pixels) and of the size's logarithm.

    `log_determinant` is the logarithm of the determinant of the covariance, 0 for the narrowest one. Distance plus this is
    twice the negative logarithm of the likelihood, so that a wide expectation does not win by its width alone.
    """

    x: float
    y: float
    size: float
    place_variance: float
    size_variance: float
    log_determinant: float

    def distance(self, seen: Sighting) -> float:
        """Return the squared distance of a sighting in standard deviations (Mahalanobis)."""
        place = ((seen.x - self.x) ** 2 + (seen.y - self.y) ** 2) / self.place_variance
        return float(place + math.log(seen.size / self.size) ** 2 / self.size_variance)


def sighting(box: Box, t: float) -> Sighting:
    """Return the sighting of a face at `box`. An empty box counts as one pixel."""
    size = math.sqrt(max(box.width, 1.0) * max(box.height, 1.0))
    return Sighting(t, (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, size)


class FaceMotion:
    """The last sightings of one face."""

    def __init__(self, first: Sighting) -> None:
        self._seen = deque([first], maxlen=MAX_SIGHTINGS)

    def add(self, seen: Sighting) -> None:
        """Add a sighting. It replaces the last one if no time has passed."""
        if seen.t <= self._seen[-1].t:
            self._seen.pop()
        self._seen.append(seen)

    def expected(self, t: float, still_s: float = 0.0) -> Expected:
        """Return where the face is expected at `t`. During the last `still_s` seconds nothing moved."""
        last = self._seen[-1]
        step_s = min(max(t - last.t - still_s, MIN_STEP_S), MAX_AHEAD_S)
        x, y, growth = last.x, last.y, NEW_GROWTH
        before = self._reference()
        if before is not None:
            span_s = last.t - before.t
            x += (last.x - before.x) / span_s * step_s
            y += (last.y - before.y) / span_s * step_s
            growth = min(math.hypot(KNOWN_GROWTH, PLACE_SPREAD / span_s), NEW_GROWTH)
        place = PLACE_SPREAD**2 + (growth * step_s) ** 2
        size = SIZE_SPREAD**2 + (SIZE_GROWTH * step_s) ** 2
        log_determinant = 2 * math.log(place / PLACE_SPREAD**2) + math.log(size / SIZE_SPREAD**2)
        return Expected(x, y, last.size, place * last.size**2, size, log_determinant)

    def _reference(self) -> Sighting | None:
        """Return the sighting from which the velocity is measured, or None if none is long enough ago."""
        last_t = self._seen[-1].t
        old = [seen for seen in self._seen if last_t - seen.t >= VELOCITY_S]
        first = old[-1] if old else self._seen[0]
        return first if last_t - first.t >= MIN_STEP_S else None
