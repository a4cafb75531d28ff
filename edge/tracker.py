"""Match faces to tracks from frame to frame, and average the evidence for each track over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .config import TrackerSettings
from .imaging import boxes
from .records import TIME_EPSILON_S, Detection, Track

#: The share by which a person's match score has dropped when they have been unseen for the maximum time.
UNSEEN_PENALTY = 0.6


class Tracker:
    """Assign detections to tracks by overlap (greedy, best match first) and average the scores of their looks.

    Track numbers count from 1 and are never reused. Times are seconds on the source's clock and never decrease.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        #: See frame_rate.decision_times.
        self.bridge_s = settings.forget_after_s
        self.max_weight = 1.0
        self._tracks: dict[int, Track] = {}
        self._last_number = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Return the tracks of everyone present, oldest first."""
        return tuple(self._tracks.values())

    def update(self, detections: Sequence[Detection], t: float, frame_height: int, still_s: float = 0.0) -> list[int]:
        """Match the detections of the frame at `t`; return the number of each one's track, 0 for none.

        `frame_height` is in pixels. A detection below `new_score` continues a track but does not start one: the two
        thresholds of ByteTrack (Zhang et al. 2022). Tracks unseen for longer than `forget_after_s` are dropped. With a
        slow camera, tracks unseen for up to `bridge_s` are matched first: the light must not wait for another frame
        when this one shows that the person has left. `still_s` is Frame.still_s: while a video shows one frame, the
        people in it are in view, so they are matched first, too.
        """
        limit_s = max(self.bridge_s, still_s + TIME_EPSILON_S)
        self._drop_unseen(t, limit_s)
        numbers = self._match(detections, t, limit_s)
        for k, detection in enumerate(detections):
            height = detection.box.height / frame_height
            if numbers[k]:
                track = self._tracks[numbers[k]]
                self._tracks[numbers[k]] = replace(track, box=detection.box, height=height, last_seen=t)
            elif detection.score >= self._settings.new_score:
                self._last_number += 1
                numbers[k] = self._last_number
                self._tracks[self._last_number] = Track(self._last_number, detection.box, height, t, t)
        self._drop_unseen(t, self._settings.forget_after_s)
        return numbers

    def _drop_unseen(self, t: float, limit_s: float) -> None:
        self._tracks = {number: track for number, track in self._tracks.items() if t - track.last_seen <= limit_s}

    def _match(self, detections: Sequence[Detection], t: float, limit_s: float) -> list[int]:
        """Return the number of each detection's known track, 0 for none.

        No track is unseen for longer than `limit_s`.
        """
        matched = [0] * len(detections)
        known = list(self._tracks)
        if not known or not detections:
            return matched
        overlap = boxes.iou(
            np.array([detection.box for detection in detections], np.float32),
            np.array([self._tracks[number].box for number in known], np.float32),
        )
        # A person who crosses another's last position keeps their own track: people in view match better.
        unseen_s = np.array([t - self._tracks[number].last_seen for number in known], np.float32)
        score = overlap * (1 - UNSEEN_PENALTY * unseen_s / limit_s)
        for flat in np.argsort(-score, axis=None, kind="stable"):
            row, column = divmod(int(flat), len(known))
            number = known[column]
            if overlap[row, column] >= self._settings.match_iou and not matched[row] and number not in matched:
                matched[row] = number
        return matched

    def add_mask_score(self, number: int, log_odds: float, t: float) -> None:
        """Add a look at track `number`: the log-odds of a mask, limited to ± `max_log_odds` for the average."""
        track = self._tracks[number]
        limit = self._settings.max_log_odds
        limited = min(max(log_odds, -limit), limit)
        self._tracks[number] = replace(
            track,
            evidence=self._average(track.evidence, limited, track.looks, track.last_look, t),
            last_log_odds=log_odds,
            looks=track.looks + 1,
            first_look=t if track.first_look is None else track.first_look,
            last_look=t,
            last_look_box=track.box,
        )

    def add_expression_score(self, number: int, agitation: float, t: float) -> None:
        """Add the expression of an unmasked face: the summed probability (0..1) of the agitated expressions."""
        track = self._tracks[number]
        average = self._average(track.agitation, agitation, track.expression_looks, track.last_expression, t)
        self._tracks[number] = replace(
            track, agitation=average, expression_looks=track.expression_looks + 1, last_expression=t
        )

    def clear(self) -> None:
        """Drop all tracks. After a blind time everyone in view is a new person."""
        self._tracks = {}

    def _average(self, old: float, new: float, looks: int, last: float | None, t: float) -> float:
        """Return the exponential average over time, or the plain mean if that gives `new` more weight.

        The plain mean of the first looks keeps the very first one from dominating.
        """
        if last is None:
            return new
        weight = min(1 - math.exp(-(t - last) / self._settings.averaging_s), self.max_weight)
        weight = max(weight, 1 / (looks + 1))
        return old + (new - old) * weight
