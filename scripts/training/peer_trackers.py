"""ByteTrack and OC-SORT, as small as they can be, to compare the door's tracker with them.

Both have the door's thresholds and its memory in seconds instead of frames. Neither uses appearance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from edge.config import TrackerSettings
from edge.imaging import boxes
from edge.records import Box, Detection

Vector = npt.NDArray[np.float64]


class Kalman:
    """A Kalman filter with constant velocity per frame. The state is position and velocity of each of `n` values."""

    def __init__(self, first: Vector, position_noise: Vector, velocity_noise: Vector, measured_noise: Vector) -> None:
        n = len(first)
        self.n = n
        self.x = np.concatenate([first, np.zeros(n)])
        self.p = np.diag(np.concatenate([2 * position_noise, 10 * velocity_noise]) ** 2)
        self.q = np.diag(np.concatenate([position_noise, velocity_noise]) ** 2)
        self.r = np.diag(measured_noise**2)
        self.f = np.eye(2 * n)
        self.f[:n, n:] = np.eye(n)

    def predict(self) -> None:
        """Move on by one frame."""
        self.x = self.f @ self.x
        self.p = self.f @ self.p @ self.f.T + self.q

    def update(self, z: Vector) -> None:
        """Use a measurement."""
        n = self.n
        gain = self.p[:, :n] @ np.linalg.inv(self.p[:n, :n] + self.r)
        self.x = self.x + gain @ (z - self.x[:n])
        self.p = self.p - gain @ self.p[:n]


class _Track:
    def __init__(self, number: int, detection: Detection, t: float) -> None:
        self.number = number
        z = _state(detection.box)
        h = z[3]
        scale = np.array([h, h, 0.2, h])
        self.kalman = Kalman(z, scale / 20, scale / 160, scale / 20)
        self.last_seen = t
        self.hits = 1
        #: Frame number and box of each sighting, for OC-SORT.
        self.seen: list[tuple[int, Box]] = []
        self.saved: tuple[Vector, Vector] | None = None

    @property
    def box(self) -> Box:
        x, y, aspect, h = self.kalman.x[:4]
        w, h = max(aspect, 0.1) * max(h, 1.0), max(h, 1.0)
        return Box(x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def _state(box: Box) -> Vector:
    return np.array([(box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2, box.width / box.height, box.height])


def _iou(detections: Sequence[Detection], found: Sequence[Box]) -> Vector:
    a = np.array([d.box for d in detections], np.float32).reshape(-1, 4)
    return boxes.iou(a, np.array(found, np.float32).reshape(-1, 4)).astype(np.float64)


def _assign(score: Vector, allowed: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the pairs of rows and columns with the highest total score, without those that are not allowed."""
    if not score.size:
        return []
    rows, columns = linear_sum_assignment(np.where(allowed, score, -10.0), maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if allowed[r, c]]


class ByteTrack:
    """ByteTrack (Zhang et al. 2022): faces with a high score are matched first, the others to what is left."""

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._tracks: list[_Track] = []
        self._last_number = 0

    def update(self, detections: Sequence[Detection], t: float, _: int) -> list[int]:
        """Return the number of each detection's track, 0 for none."""
        self._tracks = [k for k in self._tracks if t - k.last_seen <= self._settings.forget_after_s]
        for track in self._tracks:
            track.kalman.predict()
        numbers = [0] * len(detections)
        high = [k for k, d in enumerate(detections) if d.score >= self._settings.new_score]
        low = [k for k, d in enumerate(detections) if d.score < self._settings.new_score]
        seen_before = max((k.last_seen for k in self._tracks), default=0.0)
        left = self._match(detections, high, self._tracks, numbers, t, 0.2, is_fused=True)
        recent = [k for k in left if k.last_seen == seen_before]
        self._match(detections, low, recent, numbers, t, 0.5)
        for k in high:
            if not numbers[k]:
                self._last_number += 1
                numbers[k] = self._last_number
                self._tracks.append(_Track(self._last_number, detections[k], t))
        return numbers

    @staticmethod
    def _match(
        detections: Sequence[Detection],
        chosen: list[int],
        tracks: list[_Track],
        numbers: list[int],
        t: float,
        min_iou: float,
        is_fused: bool = False,
    ) -> list[_Track]:
        """Match the `chosen` detections to tracks; return the tracks that are left."""
        iou = _iou([detections[k] for k in chosen], [k.box for k in tracks])
        if is_fused and iou.size:
            iou = iou * np.array([detections[k].score for k in chosen])[:, None]
        used = set()
        for row, column in _assign(iou, iou >= min_iou):
            track = tracks[column]
            track.kalman.update(_state(detections[chosen[row]].box))
            track.last_seen, track.hits = t, track.hits + 1
            numbers[chosen[row]] = track.number
            used.add(column)
        return [track for k, track in enumerate(tracks) if k not in used]


class OcSort:
    """OC-SORT (Cao et al. 2023): SORT with the direction of motion (OCM), recovery at the last sighting (OCR), and a
    filter that is corrected along the way after a gap (ORU).
    """

    #: Frames over which the direction is measured, weight of the direction, minimum IoU: those of the paper.
    DELTA, WEIGHT, MIN_IOU = 3, 0.2, 0.3

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._tracks: list[_Track] = []
        self._last_number = 0
        self._frame = 0

    def update(self, detections: Sequence[Detection], t: float, _: int) -> list[int]:
        """Return the number of each detection's track, 0 for none."""
        self._frame += 1
        self._tracks = [k for k in self._tracks if t - k.last_seen <= self._settings.forget_after_s]
        for track in self._tracks:
            track.kalman.predict()
        numbers = [0] * len(detections)
        iou = _iou(detections, [k.box for k in self._tracks])
        pairs = _assign(iou + self.WEIGHT * self._directions(detections), iou >= self.MIN_IOU)
        for row, column in pairs:
            self._see(self._tracks[column], detections[row], t)
            numbers[row] = self._tracks[column].number
        rest = [k for k, number in enumerate(numbers) if not number]
        lost = [k for k in self._tracks if k.seen[-1][0] != self._frame]
        iou = _iou([detections[k] for k in rest], [k.seen[-1][1] for k in lost])
        for row, column in _assign(iou, iou >= self.MIN_IOU):
            self._see(lost[column], detections[rest[row]], t)
            numbers[rest[row]] = lost[column].number
        for k, detection in enumerate(detections):
            if not numbers[k] and detection.score >= self._settings.new_score:
                self._last_number += 1
                numbers[k] = self._last_number
                track = _Track(self._last_number, detection, t)
                track.seen.append((self._frame, detection.box))
                self._tracks.append(track)
        for track in self._tracks:
            if track.seen[-1][0] == self._frame:
                track.saved = (track.kalman.x.copy(), track.kalman.p.copy())
        return numbers

    def _directions(self, detections: Sequence[Detection]) -> Vector:
        """Return how well each detection fits the direction of each track, -0.5..0.5, times the score."""
        out = np.zeros((len(detections), len(self._tracks)))
        for column, track in enumerate(self._tracks):
            if len(track.seen) < 2:
                continue
            old = next((b for f, b in track.seen if f >= track.seen[-1][0] - self.DELTA), track.seen[-1][1])
            a, b = _state(old)[:2], _state(track.seen[-1][1])[:2]
            before = next((bx for f, bx in track.seen if f >= self._frame - self.DELTA), track.seen[-1][1])
            c = _state(before)[:2]
            for row, detection in enumerate(detections):
                u, v = b - a, _state(detection.box)[:2] - c
                size = float(np.hypot(*u) * np.hypot(*v))
                angle = math.acos(min(max(float(u @ v) / size, -1.0), 1.0)) if size else math.pi / 2
                out[row, column] = (math.pi / 2 - angle) / math.pi * detection.score
        return out

    def _see(self, track: _Track, detection: Detection, t: float) -> None:
        frame, last = track.seen[-1]
        gap = self._frame - frame
        if gap > 1 and track.saved is not None:
            track.kalman.x, track.kalman.p = track.saved[0].copy(), track.saved[1].copy()
            a, b = _state(last), _state(detection.box)
            for k in range(1, gap):
                track.kalman.predict()
                track.kalman.update(a + (b - a) * k / gap)
            track.kalman.predict()
        track.kalman.update(_state(detection.box))
        track.seen.append((self._frame, detection.box))
        track.last_seen, track.hits = t, track.hits + 1
