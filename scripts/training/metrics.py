"""Figures of detectors and classifiers.

AUC, ROC, precision-recall, F1 and confusion come from scikit-learn (extra `train`). The average precision of a
detector is our own code: it needs boxes matched by IoU, which scikit-learn does not do, and rules for faces that are
too small to count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn

from edge.imaging import boxes
from edge.statistics.figures import wilson_interval

from .records import Record

Floats = npt.NDArray[np.float32]
#: Two arrays (n,): across, up.
Curve = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
Scores = Sequence[float] | npt.NDArray[Any]
Flags = Sequence[bool] | npt.NDArray[Any]


@dataclass(frozen=True)
class Matched:
    """Detections of one picture matched with its faces, best first, without the detections that do not count.

    `scores` (n,) are the detections' scores, `found` (n,) their indices, and `face` (n,) the index of the face that
    each one is (-1: none, a false alarm). `asked` is the number of faces to find.
    """

    scores: npt.NDArray[np.float64]
    found: npt.NDArray[np.intp]
    face: npt.NDArray[np.intp]
    asked: int

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Return for each detection whether it is a face to find that no better detection has found, (n,)."""
        return self.face >= 0


def match_detections(record: Record, found: Floats, scores: Floats, iou: float, min_face_height: float) -> Matched:
    """Match detections with the record's faces greedily, best score first, each face once.

    `found` is (n, 4) boxes (x1, y1, x2, y2) in pixels, `scores` is (n,). Faces smaller than `min_face_height` (a share
    of the picture's height) or labelled `ignore` do not count. A detection that fits only such a face is left out, and
    so is one that fits no face and is smaller than that itself (as in COCO's figures by size).
    """
    faces = list(record.faces or ())
    truth = np.array([f.box for f in faces], np.float32).reshape(-1, 4)
    asked = asked_for(record, min_face_height)
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
        elif (fits & ~asked).any() or found[k, 3] - found[k, 1] < min_face_height * record.height:
            continue
        else:
            kept.append((int(k), -1))
    at, face_of = np.array(kept, np.intp).reshape(-1, 2).T
    return Matched(scores[at].astype(np.float64), at, face_of, int(asked.sum()))


def asked_for(record: Record, min_face_height: float) -> npt.NDArray[np.bool_]:
    """Return which of a record's faces are to be found, (faces,).

    In a picture that people boxed these are the faces that people boxed; a face that a teacher added does not count.
    """
    return np.array(
        [
            face.trusted
            and face.label != "ignore"
            and (face.by == "human" or not record.human)
            and face.height >= min_face_height * record.height
            for face in record.faces or ()
        ],
        bool,
    )


def detection_curve(
    matches: Sequence[Matched],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return precision, recall and score along the ranking of all detections, best first, (n,) each."""
    scores = np.concatenate([m.scores for m in matches]) if matches else np.zeros(0)
    right = np.concatenate([m.right for m in matches]) if matches else np.zeros(0, bool)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    asked = max(sum(m.asked for m in matches), 1)
    return hits / np.arange(1, len(hits) + 1), hits / asked, scores[order]


def average_precision(matches: Sequence[Matched]) -> float:
    """Return the area under the interpolated precision-recall curve (at every point, as in PASCAL VOC 2010)."""
    precision, recall, _ = detection_curve(matches)
    if not len(precision):
        return 0.0
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0.0], recall]))
    return float((envelope * steps).sum())


def auc(scores: Scores, positive: Flags) -> float | None:
    """Return the area under the ROC curve, or None if there are only positives or only negatives."""
    if not any(positive) or all(positive):
        return None
    return float(sklearn.roc_auc_score(np.asarray(positive, bool), np.asarray(scores, float)))


def share(right: Flags) -> float | None:
    """Return the share that is true, 0..1, or None for an empty sequence."""
    return float(np.mean(np.asarray(right, float))) if len(right) else None


def balanced_accuracy(truth: Sequence[str], right: Sequence[bool], labels: Sequence[str]) -> float | None:
    """Return the mean over `labels` of the share that is right, or None if a label does not occur."""
    recalls = [share([r for t, r in zip(truth, right, strict=True) if t == label]) for label in labels]
    return None if any(r is None for r in recalls) else float(np.mean([r for r in recalls if r is not None]))


def macro_f1(truth: Sequence[str], answers: Sequence[str | None]) -> float | None:
    """Return the mean F1 of the labels that occur in truth or answers, or None without truth.

    An answer of None is wrong.
    """
    if not truth:
        return None
    labels = sorted({*truth, *(a for a in answers if a is not None)})
    given = [a or "" for a in answers]
    return float(sklearn.f1_score(truth, given, labels=labels, average="macro", zero_division=0))


def confusion(
    truth: Sequence[str], answers: Sequence[str | None], rows: Sequence[str], columns: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Return counts (rows, columns): the truth down, the answers across.

    Truth outside `rows` and answers outside `columns` are left out.
    """
    pairs = [(t, a) for t, a in zip(truth, answers, strict=True) if t in rows and a in columns]
    labels = list(dict.fromkeys([*rows, *columns]))
    if not pairs:  # scikit-learn refuses empty lists
        return np.zeros((len(rows), len(columns)), np.int64)
    counts = sklearn.confusion_matrix([t for t, _ in pairs], [a for _, a in pairs], labels=labels)
    chosen: npt.NDArray[np.int64] = counts[: len(rows)][:, [labels.index(c) for c in columns]]
    return chosen


def roc(scores: Scores, positive: Flags) -> Curve:
    """Return false and true positive rates as the threshold falls, from (0, 0) to (1, 1); one point a distinct score.

    There must be positives and negatives.
    """
    flags = np.asarray(positive, bool)
    false, true, _ = sklearn.roc_curve(flags, np.asarray(scores, float), drop_intermediate=False)
    return false, true


def precision_recall(scores: Scores, positive: Flags) -> Curve:
    """Return recall and precision as the threshold falls; one point a distinct score. There must be a positive."""
    precision, recall, _ = sklearn.precision_recall_curve(np.asarray(positive, bool), np.asarray(scores, float))
    # scikit-learn orders by rising threshold and adds a last point (0, 1) that belongs to no score.
    return recall[-2::-1], precision[-2::-1]


def reliability(
    scores: Scores, positive: Flags, bins: int = 10, weights: Scores | None = None
) -> list[tuple[float, float, float]]:
    """Return mean score, share of positives and count of every bin of the score that is not empty.

    `bins` is the number of equal bins over 0..1. With `weights` the count is the sum of the weights. This is our own
    code because scikit-learn's calibration_curve takes no weights.
    """
    s, p = np.asarray(scores, float), np.asarray(positive, float)
    w = np.ones(len(s)) if weights is None else np.asarray(weights, float)
    step = np.clip((s * bins).astype(int), 0, bins - 1)
    sums = (np.bincount(step, values, bins) for values in (w * s, w * p, w))
    return [(float(a / n), float(b / n), float(n)) for a, b, n in zip(*sums, strict=True) if n > 0]


def calibration_error(points: Sequence[tuple[float, float, float]]) -> float:
    """Return the expected calibration error of `reliability`'s points: the mean distance of score and truth."""
    x, y, n = np.array(points).reshape(-1, 3).T
    return float((np.abs(x - y) * n).sum() / max(n.sum(), 1e-9))


def plain(value: Any) -> Any:
    """Return `value` for JSON: NumPy numbers unwrapped, reals rounded to 5 digits, None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 5) if math.isfinite(value) else None
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    return value


def wilson(hits: int, of: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share (Wilson 1927); None if `of` is 0.

    >>> [round(v, 3) for v in wilson(0, 100)]
    [0.0, 0.037]
    """
    return wilson_interval(hits, of)


def mean_interval(values: Scores, rounds: int = 2000) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean by drawing the values again (bootstrap, Efron 1979); None without a value."""
    drawn_from = np.asarray(values, np.float64)
    if not len(drawn_from):
        return None
    rng = np.random.default_rng(0)
    means = [rng.choice(drawn_from, len(drawn_from)).mean() for _ in range(rounds)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def auc_interval(scores: Scores, positive: Flags, rounds: int = 500) -> tuple[float, float] | None:
    """Return the 95 % interval of `auc` by drawing the faces again (bootstrap); None where `auc` is None."""
    values, flags = np.asarray(scores, float), np.asarray(positive, bool)
    if not flags.any() or flags.all():
        return None
    rng = np.random.default_rng(0)
    found = []
    for _ in range(rounds):
        chosen = rng.integers(len(values), size=len(values))
        drawn = auc(values[chosen], flags[chosen])
        if drawn is not None:  # a draw may have no positive
            found.append(drawn)
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def ap_interval(matches: Sequence[Matched], rounds: int = 300) -> tuple[float, float]:
    """Return the 95 % interval of the average precision, by drawing the pictures again (bootstrap, Efron 1979)."""
    rng = np.random.default_rng(0)
    drawn = [
        average_precision([matches[k] for k in rng.integers(len(matches), size=len(matches))]) for _ in range(rounds)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
