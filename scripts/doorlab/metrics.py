"""Figures of merit, each with the definition that the issue of it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge import boxes

from .dataset import Record

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Matched:
    """Detections of one picture held against its faces, best first, without those that count neither way.

    `found` is which detection it was, `face` which of the record's faces it is (-1: none, a false alarm); `asked` is
    how many faces were asked for.
    """

    scores: npt.NDArray[np.float64]
    found: npt.NDArray[np.intp]
    face: npt.NDArray[np.intp]
    asked: int

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each is a face that was asked for and not found before."""
        return self.face >= 0


def match_detections(record: Record, found: Floats, scores: Floats, iou: float, least_height: float) -> Matched:
    """Greedy matching, best score first; each face once.

    Faces smaller than `least_height` (a share of the picture's height) or labelled `ignore` are neither asked for nor
    counted against: a detection that fits only such a one is left out, and so is one that fits none and is itself
    smaller than that (as in COCO's figures by size).
    """
    faces = list(record.faces or ())
    truth = np.array([f.box for f in faces], np.float32).reshape(-1, 4)
    asked = asked_for(record, least_height)
    order = np.argsort(-scores, kind="stable")
    overlap = boxes.iou(found[order], truth)
    free = np.ones(len(faces), bool)
    kept: list[tuple[int, int]] = []
    for row, k in zip(overlap, order, strict=True):
        fits = row >= iou
        wanted = np.flatnonzero(fits & asked & free)
        if len(wanted):
            face = int(wanted[np.argmax(row[wanted])])
            free[face] = False
            kept.append((int(k), face))
        elif (fits & ~asked).any() or found[k, 3] - found[k, 1] < least_height * record.height:
            continue
        else:
            kept.append((int(k), -1))
    at, face_of = np.array(kept, np.intp).reshape(-1, 2).T
    return Matched(scores[at].astype(np.float64), at, face_of, int(asked.sum()))


def asked_for(record: Record, least_height: float) -> npt.NDArray[np.bool_]:
    """Which of a record's faces are to be found, (faces,)."""
    return np.array(
        [f.label != "ignore" and f.height >= least_height * record.height for f in record.faces or ()], bool
    )


def precision_recall(matches: Sequence[Matched]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and score along the ranking of all detections, best first."""
    scores = np.concatenate([m.scores for m in matches]) if matches else np.zeros(0)
    right = np.concatenate([m.right for m in matches]) if matches else np.zeros(0, bool)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    asked = max(sum(m.asked for m in matches), 1)
    return hits / np.arange(1, len(hits) + 1), hits / asked, scores[order]


def average_precision(matches: Sequence[Matched]) -> float:
    """Area under the interpolated precision-recall curve (every point, PASCAL VOC 2010)."""
    precision, recall, _ = precision_recall(matches)
    if not len(precision):
        return 0.0
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0.0], recall]))
    return float((envelope * steps).sum())
