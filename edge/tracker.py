"""Match faces to tracks from frame to frame, and average the evidence for each track over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from .config import TrackerSettings
from .face_motion import MAX_DISTANCE, FaceMotion, sighting
from .records import TIME_EPSILON_S, Detection, Track

#: Added to the squared distance of a detection that is no sure face.
UNSURE_DISTANCE = 2.0
#: Frames over which a track's score and misfit are averaged.
AVERAGED_FRAMES = 8


class Tracker:
    """Assign detections to tracks by where each face is expected, and average the scores of their looks.

    Track numbers count from 1 and are never reused. Times are seconds on the source's clock and never decrease.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        #: See frame_rate.decision_times.
        self.bridge_s = settings.forget_after_s
        self.max_weight = 1.0
        self._tracks: dict[int, Track] = {}
        self._motions: dict[int, FaceMotion] = {}
        self._last_number = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Return the tracks of everyone present, oldest first."""
        return tuple(self._tracks.values())

    def update(self, detections: Sequence[Detection], t: float, frame_height: int, still_s: float = 0.0) -> list[int]:
        """Match the detections of the frame at `t`; return the number of each one's track, 0 for none.

        `frame_height` is in pixels. A detection below `new_score` continues a track but does not start one, as in
        ByteTrack (Zhang et al. 2022). Tracks unseen for longer than `forget_after_s` are dropped. With a slow camera,
        tracks unseen for up to `bridge_s` may still be matched; those that are not are dropped at once: the light must
        not wait for another frame when this one shows that the person has left. `still_s` is Frame.still_s: while a
        video shows one frame, the people in it are in view, so that they may still be matched, too.
        """
        limit_s = max(self.bridge_s, still_s + TIME_EPSILON_S)
        self._drop_unseen(t, limit_s)
        numbers = self._match(detections, t, still_s)
        for k, detection in enumerate(detections):
            height = detection.box.height / frame_height
            if numbers[k]:
                self._see(numbers[k], detection, height, t, still_s)
            elif detection.score >= self._settings.new_score:
                self._last_number += 1
                numbers[k] = self._last_number
                self._tracks[self._last_number] = Track(
                    self._last_number, detection.box, height, t, t, score=detection.score
                )
                self._motions[self._last_number] = FaceMotion(sighting(detection.box, t))
        self._drop_unseen(t, self._settings.forget_after_s)
        for number, track in self._tracks.items():
            if track.last_seen < t:
                # A frame without the face lowers the average: a flickering false detection never gets a verdict.
                frames = track.frames + 1
                score = track.score * (1 - 1 / min(frames, AVERAGED_FRAMES))
                self._tracks[number] = replace(track, frames=frames, score=score)
        return numbers

    def _see(self, number: int, detection: Detection, height: float, t: float, still_s: float) -> None:
        """Add a sighting to track `number`."""
        track, motion = self._tracks[number], self._motions[number]
        seen = sighting(detection.box, t)
        distance = motion.expected(t, still_s).distance(seen)
        motion.add(seen)
        # The first sighting was not expected anywhere, so it is not in the average of the distances.
        frames = track.frames + 1
        self._tracks[number] = replace(
            track,
            box=detection.box,
            height=height,
            last_seen=t,
            frames=frames,
            score=track.score + (detection.score - track.score) / min(frames, AVERAGED_FRAMES),
            misfit=track.misfit + (distance - track.misfit) / min(frames - 1, AVERAGED_FRAMES),
        )

    def _drop_unseen(self, t: float, limit_s: float) -> None:
        self._tracks = {number: track for number, track in self._tracks.items() if t - track.last_seen <= limit_s}
        self._motions = {number: self._motions[number] for number in self._tracks}

    def _match(self, detections: Sequence[Detection], t: float, still_s: float) -> list[int]:
        """Return the number of each detection's known track, 0 for none: the best match first.

        A detection below `new_score` costs UNSURE_DISTANCE more. ByteTrack matches such detections in a second pass;
        here both compete in one.
        """
        matched = [0] * len(detections)
        seen = [sighting(detection.box, t) for detection in detections]
        pairs = []
        for number, motion in self._motions.items():
            expected = motion.expected(t, still_s)
            for k, detection in enumerate(detections):
                distance = expected.distance(seen[k])
                if distance <= MAX_DISTANCE:
                    unsure = 0.0 if detection.score >= self._settings.new_score else UNSURE_DISTANCE
                    pairs.append((distance + expected.log_determinant + unsure, k, number))
        taken: set[int] = set()
        for _, k, number in sorted(pairs):
            if not matched[k] and number not in taken:
                matched[k] = number
                taken.add(number)
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

    def add_masked_expression_score(self, number: int, agitation: float, t: float) -> None:
        """Add the expression of a masked face, as `add_expression_score`. It is averaged by itself: it is a guess."""
        track = self._tracks[number]
        looks, last = track.masked_expression_looks, track.last_masked_expression
        average = self._average(track.masked_agitation, agitation, looks, last, t)
        self._tracks[number] = replace(
            track, masked_agitation=average, masked_expression_looks=looks + 1, last_masked_expression=t
        )

    def drop(self, number: int) -> None:
        """Drop the track `number`: its face does not count any more."""
        del self._tracks[number], self._motions[number]

    def clear(self) -> None:
        """Drop all tracks. After a blind time everyone in view is a new person."""
        self._tracks = {}
        self._motions = {}

    def _average(self, old: float, new: float, looks: int, last: float | None, t: float) -> float:
        """Return the exponential average over time, or the plain mean if that gives `new` more weight.

        The plain mean of the first looks keeps the very first one from dominating.
        """
        if last is None:
            return new
        weight = min(1 - math.exp(-(t - last) / self._settings.averaging_s), self.max_weight)
        weight = max(weight, 1 / (looks + 1))
        return old + (new - old) * weight
