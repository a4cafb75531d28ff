"""Evaluate the face detector on faces boxed by humans, faces boxed by a teacher model, and pictures without a face."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from edge.records import Detection

from .. import metrics, plots
from ..contact_sheet import Mistake
from ..dataset import Dataset
from ..metrics import (
    Curve,
    Matched,
    ap_interval,
    asked_for,
    average_precision,
    detection_curve,
    match_detections,
    wilson,
)
from ..records import Record
from .common import FOUND_IOU, MIN_FACE_HEIGHT, RankedMistake, Result, as_arrays, draw_sheet, progress
from .stages import Stages

_T = TypeVar("_T")

#: (minimum IoU, minimum height of a face) of an average precision.
Cut = tuple[float, float]
MAIN_CUT: Cut = (FOUND_IOU, MIN_FACE_HEIGHT)
LARGE_HEIGHT = 0.20
CUTS: tuple[Cut, ...] = tuple((iou, height) for iou in (FOUND_IOU, 0.5) for height in (MIN_FACE_HEIGHT, LARGE_HEIGHT))
#: Curves go down to this score; no threshold is lower.
MIN_SCORE = 0.05
#: The scores of the curves by which `new_score` is chosen.
SCORES = np.linspace(MIN_SCORE, 1, 192)
#: Limits of the bars of recall by height.
HEIGHT_STEPS = (0.10, 0.15, 0.20, 0.30, 0.40, 0.60, 9.0)


class Thresholds(NamedTuple):
    """The minimum score of a face, and of a new person (None: not evaluated)."""

    face: float
    new: float | None


@dataclass
class Findings:
    """What the detector found. Each list has one item for each picture of its kind, with the picture's source.

    `boxed` has the matches with human boxes, by cut; `taught` the matches with a teacher's boxes at MAIN_CUT; `empty`
    the best score in a picture without a face (0: no box). `missed` and `false` are the mistakes at the threshold in
    pictures of humans and without a face. `faces` has (share of the picture's height, found) for each face with a human
    box.
    """

    threshold: float
    boxed: list[tuple[str, dict[Cut, Matched]]] = field(default_factory=list)
    taught: list[tuple[str, Matched]] = field(default_factory=list)
    empty: list[tuple[str, float]] = field(default_factory=list)
    missed: list[RankedMistake] = field(default_factory=list)
    false: list[RankedMistake] = field(default_factory=list)
    faces: list[tuple[float, bool]] = field(default_factory=list)

    def add(self, record: Record, found: Sequence[Detection]) -> None:
        """Add the detections in a picture, from MIN_SCORE up, best first."""
        if record.face_free:
            self._add_empty(record, found)
        elif record.human:
            self._add_boxed(record, found)
        else:
            # A teacher misses faces, so that a detection without a teacher's box is not counted as false.
            self.taught.append((record.source, match_detections(record, *as_arrays(found), *MAIN_CUT)))

    def _add_empty(self, record: Record, found: Sequence[Detection]) -> None:
        self.empty.append((record.source, max((d.score for d in found), default=0.0)))
        self.false += [_false(record, d, "no face") for d in found if d.score >= self.threshold]

    def _add_boxed(self, record: Record, found: Sequence[Detection]) -> None:
        faces = record.faces or ()
        at, scores = as_arrays(found)
        by_cut = {cut: match_detections(record, at, scores, *cut) for cut in CUTS}
        self.boxed.append((record.source, by_cut))
        # The sheet shows what the figures count: the same matches, from the threshold up.
        main = by_cut[MAIN_CUT]
        above = main.scores >= self.threshold
        for k in np.flatnonzero(asked_for(record, MIN_FACE_HEIGHT)):
            face = faces[k]
            height, is_found = face.height / record.height, bool(k in main.face[above])
            self.faces.append((height, is_found))
            if not is_found:
                lines = (record.file, f"missed {face.label} {height:.0%}")
                self.missed.append(RankedMistake(height, Mistake(record.file, face.box, lines, has_answer=False)))
        self.false += [_false(record, found[k], "false") for k in main.found[above & ~main.right]]

    def sources(self) -> list[str]:
        """Return the names of the sources, sorted."""
        return sorted({source for group in (self.boxed, self.taught, self.empty) for source, _ in group})

    def figures(self, thresholds: Thresholds, source: str | None = None) -> dict[str, Any]:
        """Return the figures of one source, or of all."""
        return detector_figures(
            _of_source(self.boxed, source), _of_source(self.taught, source), _of_source(self.empty, source), thresholds
        )


def evaluate_detector(data: Dataset, records: Sequence[Record], stages: Stages) -> Result:
    """Evaluate on whole pictures: those with boxes, and those without a face."""
    detector = stages.detector
    findings = Findings(detector.threshold)
    for record in progress(records, "face_detector"):
        if not record.crop and (record.faces or record.face_free):
            findings.add(record, detector.detect(data.picture(record), min(MIN_SCORE, detector.threshold)))
    thresholds = Thresholds(detector.threshold, stages.new_score)
    per_source = {source: findings.figures(thresholds, source) for source in findings.sources()}

    def draw(out: Path) -> None:
        _draw_precision_recall(out, findings)
        _draw_scores(out, findings)
        _draw_by_score(out, findings, thresholds)
        _draw_recall_by_height(out, findings)
        draw_sheet(data, records, [findings.false, findings.missed], out, stages.explain)

    return Result(findings.figures(thresholds) | {"per_source": per_source}, draw)


def detector_figures(
    boxed: Sequence[dict[Cut, Matched]], taught: Sequence[Matched], empty: Sequence[float], thresholds: Thresholds
) -> dict[str, Any]:
    """Return the figures of the three kinds of pictures, as in `Findings`. `_95` are 95 % intervals."""
    figures: dict[str, Any] = {}
    for cut in CUTS:
        matches = [m[cut] for m in boxed]
        name = f"ap{cut[0] * 100:.0f}_h{cut[1] * 100:.0f}"
        asked = any(m.asked for m in matches)
        figures[name] = average_precision(matches) if asked else None
        figures[f"{name}_95"] = ap_interval(matches) if asked else None
    main = [m[MAIN_CUT] for m in boxed]
    right = _above(main, thresholds.face)
    faces = sum(m.asked for m in main)
    taught_right = _above(taught, thresholds.face)
    taught_faces = sum(m.asked for m in taught)
    best = np.array(empty)
    return figures | {
        "recall": float(right.sum()) / faces if faces else None,
        "recall_95": wilson(int(right.sum()), faces),
        "precision": metrics.share(right),
        "taught_recall": float(taught_right.sum()) / taught_faces if taught_faces else None,
        "taught_recall_95": wilson(int(taught_right.sum()), taught_faces),
        **_empty_figures("empty_fp", best, thresholds.face),
        **_empty_figures("empty_new", best, thresholds.new),
        "images": len(main),
        "faces": faces,
        "taught_images": len(taught),
        "taught_faces": taught_faces,
        "empty_images": len(best),
    }


def _above(matches: Sequence[Matched], threshold: float) -> npt.NDArray[np.bool_]:
    """Return for each detection from `threshold` up whether it is a face to find, (n,)."""
    return np.concatenate([np.zeros(0, bool), *(m.right[m.scores >= threshold] for m in matches)])


def _empty_figures(name: str, best: npt.NDArray[np.float64], threshold: float | None) -> dict[str, Any]:
    """Return the share of pictures without a face whose best score, (n,), reaches `threshold`; nothing for None."""
    if threshold is None:
        return {}
    reached = best >= threshold
    return {name: metrics.share(reached), f"{name}_95": wilson(int(reached.sum()), len(best))}


def _of_source(group: Sequence[tuple[str, _T]], source: str | None) -> list[_T]:
    return [value for s, value in group if source is None or s == source]


def _false(record: Record, found: Detection, what: str) -> RankedMistake:
    return RankedMistake(found.score, Mistake(record.file, found.box, (record.file, f"{what} {found.score:.2f}")))


# ---- Drawings --------------------------------------------------------------------------------------------------------


def _draw_precision_recall(out: Path, findings: Findings) -> None:
    curves: dict[str, Curve] = {}
    for iou, height in CUTS:
        matches = [m[iou, height] for _, m in findings.boxed]
        if any(m.asked for m in matches):
            precision, recall, _ = detection_curve(matches)
            curves[f"IoU {iou}, faces of {height:.0%} and more"] = recall, precision
    plots.draw_curves(out / "precision_recall.png", curves, "recall", "precision")


def _draw_scores(out: Path, findings: Findings) -> None:
    main = [m[MAIN_CUT] for _, m in findings.boxed]
    scores = np.concatenate([np.zeros(0), *(m.scores for m in main)])
    right = _above(main, 0.0)
    groups = {"a face": scores[right], "not a face": scores[~right]}
    plots.draw_histograms(out / "scores.png", groups, "score", findings.threshold)
    plots.draw_reliability(out / "reliability.png", scores, right, "score")


def _draw_by_score(out: Path, findings: Findings, thresholds: Thresholds) -> None:
    """Draw the curves by which the threshold and `new_score` are chosen."""
    groups = {
        "faces found": [m[MAIN_CUT] for _, m in findings.boxed],
        "faces of 20 % and more found": [m[FOUND_IOU, LARGE_HEIGHT] for _, m in findings.boxed],
        "faces of a teacher found": [m for _, m in findings.taught],
    }
    curves = {name: _recall_by_score(matches) for name, matches in groups.items() if any(m.asked for m in matches)}
    if findings.empty:
        best = np.array([score for _, score in findings.empty])
        curves["pictures without a face with a box"] = SCORES, (best >= SCORES[:, None]).mean(1)
    mark = ("threshold", thresholds.face) if thresholds.new is None else ("new_score", thresholds.new)
    plots.draw_choice(out / "by_score.png", curves, "score", "share", mark)


def _recall_by_score(matches: Sequence[Matched]) -> Curve:
    """Return SCORES, and the share of the faces to find that have at least each score."""
    right = np.concatenate([m.scores[m.right] for m in matches])
    return SCORES, (right >= SCORES[:, None]).sum(1) / sum(m.asked for m in matches)


def _draw_recall_by_height(out: Path, findings: Findings) -> None:
    names, shares = [], []
    for low, high in itertools.pairwise(HEIGHT_STEPS):
        found = [is_found for height, is_found in findings.faces if low <= height < high]
        names.append(f"{low:.0%}+ ({len(found)})")
        shares.append(metrics.share(found))
    plots.draw_bars(out / "recall_by_height.png", names, shares, "recall")
