"""Who is who from frame to frame, and what has been seen of each: evidence per person, averaged over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from . import boxes
from .config import TrackerSettings
from .records import Detection, Track


class Tracker:
    """Matches detections to persons by overlap (greedy, best first) and averages what is seen of them.

    Person numbers count from 1 and never come back. Times are seconds on the source's clock and never decrease.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._tracks: dict[int, Track] = {}
        self._last = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Everyone present, oldest first."""
        return tuple(self._tracks.values())

    def update(self, found: Sequence[Detection], t: float, frame_height: int) -> list[int]:
        """Take the detections of the frame at `t`; returns the person of each, 0 for nobody.

        An unsure detection goes on with somebody known but begins nobody new (two thresholds, as in ByteTrack, Zhang et
        al. 2022). People gone too long are forgotten.
        """
        gone_s = self._settings.gone_s
        self._tracks = {k: v for k, v in self._tracks.items() if t - v.seen <= gone_s}
        people = list(self._tracks)
        owners = [0] * len(found)
        if people and found:
            overlap = boxes.iou(
                np.array([d.box for d in found], np.float32),
                np.array([self._tracks[k].box for k in people], np.float32),
            )
            # Somebody walking through the place where another was last seen keeps being who they were.
            unseen_s = np.array([t - self._tracks[k].seen for k in people], np.float32)
            likeness = overlap * (1 - 0.6 * unseen_s / gone_s)
            for flat in np.argsort(-likeness, axis=None, kind="stable"):
                row, column = divmod(int(flat), len(people))
                person = people[column]
                if overlap[row, column] >= self._settings.overlap and not owners[row] and person not in owners:
                    owners[row] = person
        for k, detection in enumerate(found):
            height = detection.box.height / frame_height
            if owners[k]:
                old = self._tracks[owners[k]]
                self._tracks[owners[k]] = replace(old, box=detection.box, height=height, seen=t)
            elif detection.score >= self._settings.new_score:
                self._last += 1
                owners[k] = self._last
                self._tracks[self._last] = Track(self._last, detection.box, height, t, t)
        return owners

    def near(self, person: int) -> bool:
        """Whether this person's face is large enough to be judged."""
        return self._tracks[person].height >= self._settings.least_height

    def saw_mask(self, person: int, log_odds: float, t: float) -> None:
        """A fresh look at `person`: `log_odds` of a mask. One look counts for at most the settings' `look_limit`."""
        track = self._tracks[person]
        limit = self._settings.look_limit
        evidence = self._average(track.evidence, min(max(log_odds, -limit), limit), track.looks, track.last_look, t)
        first = t if track.first_look is None else track.first_look
        self._tracks[person] = replace(
            track,
            evidence=evidence,
            latest=log_odds,
            looks=track.looks + 1,
            first_look=first,
            last_look=t,
            looked_box=track.box,
        )

    def saw_expression(self, person: int, agitation: float, t: float) -> None:
        """A fresh look at an unmasked face: the summed probability of the agitated expressions."""
        track = self._tracks[person]
        average = self._average(track.agitation, agitation, track.expression_looks, track.last_expression, t)
        self._tracks[person] = replace(
            track, agitation=average, expression_looks=track.expression_looks + 1, last_expression=t
        )

    def forget_all(self) -> None:
        """The camera was gone: whoever is there now is somebody new."""
        self._tracks = {}

    def _average(self, old: float, new: float, looks: int, last: float | None, t: float) -> float:
        """Exponential average in time; the plain mean while there are few looks, so that the first does not rule."""
        if last is None:
            return new
        weight = max(1 - math.exp(-(t - last) / self._settings.memory_s), 1 / (looks + 1))
        return old + (new - old) * weight
