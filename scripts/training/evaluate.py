"""Judge the shipped 8-bit models through the door's own code. The last line of stdout is one JSON object.

detector, mask and expression read folders in the data format (index.jsonl with images.zip or the pictures beside it);
passages plays a video of people walking up. A figure that cannot be computed from what is there is null.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from edge import config
from edge.config import Config
from edge.errors import DoorlightError, InputError, OutputError, UsageError
from edge.imaging import boxes
from edge.inference import manifest
from edge.inference.interpreter import RUNTIMES, Model
from edge.inference.manifest import Manifest
from edge.inference.perception import ExpressionClassifier, FaceDetector, MaskClassifier, Perception
from edge.records import Box, Detection, Signal
from training import arrays, contact_sheet, metrics, plots
from training.contact_sheet import Mistake
from training.dataset import EXPRESSIONS, SPLITS, DataError, Dataset, Face, Record, require
from training.metrics import (
    Matched,
    ap_interval,
    asked_for,
    average_precision,
    detection_curve,
    match_detections,
    wilson,
)
from training.passages import KINDS, Passage, judge, passage_figures, read_truth

#: IoU from which a detection is a face; the annotators' boxes are loose.
FOUND = 0.35
#: Faces of at least this share of the picture's height are judged.
MIN_HEIGHT = 0.10
#: (IoU, least height) of the detector's average precisions.
CUTS = tuple((iou, height) for iou in (FOUND, 0.5) for height in (MIN_HEIGHT, 0.20))
#: Curves go down to this score; below it nothing would ever be used.
MIN_SCORE = 0.05
#: Scores of the curves that `new_score` is chosen by.
SCORES = np.linspace(MIN_SCORE, 1, 192)
AGITATED = ("angry", "disgust")
WORST = 64


class Stages(NamedTuple):
    """The stages of the cascade that a task needs; those it does not need are not opened and may be missing."""

    detector: FaceDetector
    mask: MaskClassifier | None = None
    expression: ExpressionClassifier | None = None
    new_score: float | None = None  # from which the door takes a face for somebody new


class Thresholds(NamedTuple):
    """Least score of a face, and of a face that the door takes for somebody new (None: not judged)."""

    face: float
    new: float | None


class Result(NamedTuple):
    """Figures for the JSON line, and what draws pictures of them into a folder."""

    figures: dict[str, Any]
    draw: Callable[[Path], None]


# ---------------------------------------------------------------- detector


def evaluate_detector(data: Dataset, records: Sequence[Record], stages: Stages) -> Result:
    """Faces in whole pictures with human boxes, faces that a teacher boxed, and boxes where there is no face at all."""
    detector = stages.detector
    thresholds = Thresholds(detector.threshold, stages.new_score)
    least = min(MIN_SCORE, detector.threshold)
    judged: list[tuple[str, dict[tuple[float, float], Matched]]] = []
    taught: list[tuple[str, Matched]] = []
    empty: list[tuple[str, float]] = []
    false: list[tuple[float, Mistake]] = []
    missed: list[tuple[float, Mistake]] = []
    heights: list[float] = []
    hit: list[bool] = []
    for record in _progress(records, "face_detector"):
        if record.crop or not (record.faces or record.face_free):
            continue
        picture = data.picture(record)
        if record.face_free:
            found = detector.detect(picture, least)
            empty.append((record.source, max((d.score for d in found), default=0.0)))
            false += [
                (d.score, Mistake(record.file, d.box, (record.file, f"no face {d.score:.2f}")))
                for d in found
                if d.score >= detector.threshold
            ]
            continue
        found = detector.detect(picture, least)
        at, scores = _arrays(found)
        if not record.human:
            # A teacher misses faces, so that a box of ours beside its boxes says nothing: only finding them counts.
            taught.append((record.source, match_detections(record, at, scores, FOUND, MIN_HEIGHT)))
            continue
        judged.append((record.source, {cut: match_detections(record, at, scores, *cut) for cut in CUTS}))
        # The sheet shows what the figures count: the same matching, from the shipped score up.
        main = judged[-1][1][FOUND, MIN_HEIGHT]
        sure = main.scores >= detector.threshold
        for k in np.flatnonzero(asked_for(record, MIN_HEIGHT)):
            face = record.faces[k]
            heights.append(face.height / record.height)
            hit.append(bool(k in main.face[sure]))
            if not hit[-1]:
                line = f"missed {face.label} {heights[-1]:.0%}"
                missed.append((heights[-1], Mistake(record.file, face.box, (record.file, line))))
        for d in (found[k] for k in main.found[sure & ~main.right]):
            false.append((d.score, Mistake(record.file, d.box, (record.file, f"false {d.score:.2f}"))))

    def of(source: str | None) -> dict[str, Any]:
        """The figures of one source, or of all."""
        own = (_of_source(group, source) for group in (judged, taught, empty))
        return detector_figures(*own, thresholds)

    sources = {source for group in (judged, taught, empty) for source, _ in group}
    figures = of(None) | {"per_source": {source: of(source) for source in sorted(sources)}}

    def draw(out: Path) -> None:
        curves = {}
        for iou, height in CUTS:
            matches = [m[iou, height] for _, m in judged]
            if any(m.asked for m in matches):
                precision, recall, _ = detection_curve(matches)
                curves[f"IoU {iou}, faces of {height:.0%} and more"] = recall, precision
        plots.draw_curves(out / "precision_recall.png", curves, "recall", "precision")
        main = [m[FOUND, MIN_HEIGHT] for _, m in judged]
        scores = np.concatenate([m.scores for m in main]) if main else np.zeros(0)
        rights = np.concatenate([m.right for m in main]) if main else np.zeros(0, bool)
        groups = {"a face": scores[rights], "not a face": scores[~rights]}
        plots.draw_histograms(out / "scores.png", groups, "score", detector.threshold)
        plots.draw_reliability(out / "reliability.png", scores, rights, "score")
        found_in_groups = {
            "faces found": [m[FOUND, MIN_HEIGHT] for _, m in judged],
            "faces of 20 % and more found": [m[FOUND, 0.20] for _, m in judged],
            "faces of a teacher found": [m for _, m in taught],
        }
        by_score = {
            name: _found_by_score(matches) for name, matches in found_in_groups.items() if any(m.asked for m in matches)
        }
        if empty:
            best = np.array([score for _, score in empty])
            by_score["pictures without a face with a box"] = SCORES, (best >= SCORES[:, None]).mean(1)
        mark = ("threshold", thresholds.face) if thresholds.new is None else ("new_score", thresholds.new)
        plots.draw_choice(out / "by_score.png", by_score, "score", "share", mark)
        steps = (0.10, 0.15, 0.20, 0.30, 0.40, 0.60, 9.0)
        spans = list(itertools.pairwise(steps))
        found_in = [[h for x, h in zip(heights, hit, strict=True) if low <= x < high] for low, high in spans]
        names = [f"{low:.0%}+ ({len(h)})" for (low, _), h in zip(spans, found_in, strict=True)]
        plots.draw_bars(out / "recall_by_height.png", names, [metrics.share(h) for h in found_in], "recall")
        _sheet(data, records, [_worst_first(false), _worst_first(missed)], out)

    return Result(figures, draw)


def _found_by_score(matches: Sequence[Matched]) -> tuple[np.ndarray, np.ndarray]:
    """SCORES, and the share of the faces asked for that is found at each of them and above."""
    right = np.concatenate([m.scores[m.right] for m in matches])
    return SCORES, (right >= SCORES[:, None]).sum(1) / sum(m.asked for m in matches)


def _of_source(group: Sequence[tuple[str, Any]], source: str | None) -> list[Any]:
    return [value for s, value in group if source is None or s == source]


def detector_figures(
    judged: Sequence[dict[tuple[float, float], Matched]],
    taught: Sequence[Matched],
    empty: Sequence[float],
    thresholds: Thresholds,
) -> dict[str, Any]:
    """The figures of pictures with human boxes, matched at every one of CUTS, of pictures with a teacher's boxes, and of
    pictures without a face (the best score in each; 0: no box). `_95` are 95 % intervals.
    """
    figures: dict[str, Any] = {}
    for cut in CUTS:
        matches = [m[cut] for m in judged]
        name = f"ap{cut[0] * 100:.0f}_h{cut[1] * 100:.0f}"
        asked = any(m.asked for m in matches)
        figures[name] = average_precision(matches) if asked else None
        figures[f"{name}_95"] = ap_interval(matches) if asked else None
    main = [m[FOUND, MIN_HEIGHT] for m in judged]
    right = np.concatenate([m.right[m.scores >= thresholds.face] for m in main]) if main else np.zeros(0, bool)
    faces = sum(m.asked for m in main)
    taught_right = [bool(r) for m in taught for r in m.right[m.scores >= thresholds.face]]
    taught_faces = sum(m.asked for m in taught)
    best = np.array(empty)
    return figures | {
        "recall": float(right.sum()) / faces if faces else None,
        "recall_95": wilson(int(right.sum()), faces),
        "precision": metrics.share(right),
        "taught_recall": sum(taught_right) / taught_faces if taught_faces else None,
        "taught_recall_95": wilson(sum(taught_right), taught_faces),
        "empty_fp": metrics.share(best >= thresholds.face),
        "empty_fp_95": wilson(int((best >= thresholds.face).sum()), len(best)),
        **_empty_new(best, thresholds.new),
        "images": len(main),
        "faces": faces,
        "taught_images": len(taught),
        "taught_faces": taught_faces,
        "empty_images": len(best),
    }


def _empty_new(best: np.ndarray, new_score: float | None) -> dict[str, Any]:
    """How many pictures without a face show somebody new, given the best score in each (n,)."""
    if new_score is None:
        return {}
    called = best >= new_score
    return {"empty_new": metrics.share(called), "empty_new_95": wilson(int(called.sum()), len(best))}


# ---------------------------------------------------------------- mask


@dataclass
class Looked:
    """One face that was judged: what it is, and the classifier's probability (None: the detector did not find it)."""

    record: Record
    label: str
    score: float | None
    box: tuple[float, float, float, float] | None


def evaluate_mask(data: Dataset, records: Sequence[Record], stages: Stages) -> Result:
    """Mask or no mask as the door sees it: a face that our detector does not find is wrong."""
    assert stages.mask is not None
    threshold = stages.mask.threshold
    looked: list[Looked] = []
    for record in _progress(records, "mask_classifier"):
        if not (record.human or record.label):
            continue
        picture = data.picture(record)
        if record.crop:
            if record.label:
                looked.append(Looked(record, record.label, stages.mask.probability_of_crop(picture), None))
        elif record.human:
            found = stages.detector.detect(picture)
            faces = record.faces or ()
            for face, owner in zip(faces, pair(faces, found), strict=True):
                if face.by != "human" or face.label == "ignore" or face.height < MIN_HEIGHT * record.height:
                    continue
                score = None if owner is None else stages.mask.probability(picture, found[owner].box)
                looked.append(Looked(record, face.label, score, face.box))
        elif record.label:
            prominent = largest(stages.detector.detect(picture))
            score = None if prominent is None else stages.mask.probability(picture, prominent)
            looked.append(Looked(record, record.label, score, prominent))

    def called(face: Looked) -> str | None:
        return None if face.score is None else "mask" if face.score >= threshold else "no_mask"

    def refused(faces: Iterable[Looked]) -> float | None:
        return metrics.share([called(f) == "no_mask" for f in faces if f.label == "incorrect" and f.score is not None])

    judged = [f for f in looked if f.label != "incorrect"]
    right = [called(f) == f.label for f in judged]
    seen = [(f.score, f.label == "mask") for f in judged if f.score is not None]
    scores, positive = [s for s, _ in seen], [p for _, p in seen]
    per_source = {}
    for source in sorted({f.record.source for f in looked}):
        own = [f for f in judged if f.record.source == source]
        per_source[source] = {
            "accuracy": metrics.share([called(f) == f.label for f in own]),
            "n": len(own),
            "no_face": sum(f.score is None for f in own),
            "incorrect_refused": refused(f for f in looked if f.record.source == source),
        }
    figures = {
        "accuracy": metrics.share(right),
        "balanced_accuracy": metrics.balanced_accuracy([f.label for f in judged], right, ("mask", "no_mask")),
        "auc": metrics.auc(scores, positive),
        "n": len(judged),
        "no_face": sum(f.score is None for f in judged),
        "per_source": per_source,
        "incorrect_refused": refused(looked),
    }

    def draw(out: Path) -> None:
        rows, columns = ("mask", "no_mask", "incorrect"), ("mask", "no_mask", "not found")
        counts = metrics.confusion([f.label for f in looked], [called(f) or "not found" for f in looked], rows, columns)
        plots.draw_confusion(out / "confusion.png", counts, rows, columns)
        _draw_binary(out, {"mask": (scores, positive)}, "P(mask)")
        groups = {label: [f.score for f in looked if f.label == label and f.score is not None] for label in rows}
        plots.draw_histograms(out / "scores.png", groups, "P(mask)", threshold)
        wrong: dict[str, list[tuple[float, Mistake]]] = {"mask": [], "no_mask": [], "incorrect": [], "unseen": []}
        for f in looked:
            if f.score is None:
                wrong["unseen"].append((0.0, Mistake(f.record.file, f.box, (f.record.file, f"{f.label}: not found"))))
            elif called(f) != ("mask" if f.label == "mask" else "no_mask"):
                line = f"{f.label}: P(mask) {f.score:.2f}"
                wrong[f.label].append((abs(f.score - threshold), Mistake(f.record.file, f.box, (f.record.file, line))))
        _sheet(data, records, [_worst_first(group) for group in wrong.values()], out)

    return Result(figures, draw)


# ---------------------------------------------------------------- expression


@dataclass
class Read:
    """One face whose expression was read; `probabilities` in the order of EXPRESSIONS, None where none was found."""

    record: Record
    probabilities: tuple[float, ...] | None
    box: tuple[float, float, float, float] | None

    @property
    def answer(self) -> str | None:
        return None if self.probabilities is None else EXPRESSIONS[int(np.argmax(self.probabilities))]

    @property
    def agitation(self) -> float:
        """The summed probability of the agitated expressions, 0..1."""
        return min(1.0, sum(self._of(e) for e in AGITATED))

    def _of(self, expression: str) -> float:
        return 0.0 if self.probabilities is None else self.probabilities[EXPRESSIONS.index(expression)]


def evaluate_expression(data: Dataset, records: Sequence[Record], stages: Stages) -> Result:
    """The seven expressions: crops as they are, other pictures through our own detector; a face not found is wrong."""
    stage = stages.expression
    assert stage is not None
    order = [stage.labels.index(e) for e in EXPRESSIONS]
    read: list[Read] = []
    for record in _progress(records, "expression_classifier"):
        if record.expression is None and not (record.crop and record.votes):
            continue
        picture = data.picture(record)
        if record.crop:
            box, p = None, stage.probabilities_of_crop(picture)
        elif (box := largest(stages.detector.detect(picture))) is not None:
            p = stage.probabilities(picture, box)
        else:
            p = ()
        read.append(Read(record, tuple(p[k] for k in order) if p else None, box))

    labelled = [r for r in read if r.record.expression is not None]
    truth = [r.record.expression or "" for r in labelled]
    answers = [r.answer for r in labelled]
    seen = [r for r in labelled if r.probabilities is not None]
    by_label = [r.agitation for r in seen], [r.record.expression in AGITATED for r in seen]
    agreed = [(majority(r.record.votes), r.answer) for r in read if r.record.votes and majority(r.record.votes)]
    voted = [r for r in read if r.record.votes and sum(r.record.votes) and r.probabilities is not None]
    by_votes = [r.agitation for r in voted], [mostly_agitated(r.record.votes or ()) for r in voted]
    counts = metrics.confusion(truth, answers, EXPRESSIONS, EXPRESSIONS)
    figures = {
        "accuracy": metrics.share([t == a for t, a in zip(truth, answers, strict=True)]),
        "macro_f1": metrics.macro_f1(truth, answers),
        "agitated_auc": metrics.auc(*by_label),
        "n": len(labelled),
        "no_face": len(labelled) - len(seen),
        "confusion": counts,
        "votes_accuracy": metrics.share([t == a for t, a in agreed]),
        "votes_n": len(agreed),
        "votes_agitated_auc": metrics.auc(*by_votes),
    }

    def draw(out: Path) -> None:
        plots.draw_confusion(out / "confusion.png", counts, EXPRESSIONS, EXPRESSIONS)
        chosen = metrics.confusion([str(t) for t, _ in agreed], [a for _, a in agreed], EXPRESSIONS, EXPRESSIONS)
        plots.draw_confusion(out / "confusion_votes.png", chosen, EXPRESSIONS, EXPRESSIONS)
        _draw_binary(out, {"by label": by_label, "by votes": by_votes}, "P(angry or disgust)")
        groups = {
            "agitated": [s for s, p in zip(*by_label, strict=True) if p],
            "calm": [s for s, p in zip(*by_label, strict=True) if not p],
        }
        plots.draw_histograms(out / "scores.png", groups, "P(angry or disgust)", None)
        best = [max(r.probabilities or ()) for r in seen]
        rights = [r.answer == r.record.expression for r in seen]
        plots.draw_reliability(out / "reliability_answer.png", best, rights, "P(answer)")
        wrong, unseen = [], []
        for r in labelled:
            name = r.record.expression or ""
            if r.probabilities is None:
                unseen.append((0.0, Mistake(r.record.file, None, (r.record.file, f"{name}: no face found"))))
            elif r.answer != name:
                surer = max(r.probabilities)
                votes = f"votes: {majority(r.record.votes) or 'divided'}" if r.record.votes else ""
                lines = (r.record.file, f"{name}, said {r.answer} {surer:.2f}", votes)
                wrong.append((surer - r._of(name), Mistake(r.record.file, r.box, lines)))
        _sheet(data, records, [_worst_first(wrong), _worst_first(unseen)], out)

    return Result(figures, draw)


def majority(votes: Sequence[int] | None) -> str | None:
    """The one of the seven expressions with more than half of all votes, contempt and the like included, or None."""
    for expression, count in zip(EXPRESSIONS, votes or (), strict=False):
        if 2 * count > sum(votes or ()):
            return expression
    return None


def mostly_agitated(votes: Sequence[int]) -> bool:
    """Whether at least half of all votes say angry or disgust."""
    return 2 * sum(votes[EXPRESSIONS.index(e)] for e in AGITATED) >= sum(votes) > 0


# ---------------------------------------------------------------- passages


def evaluate_passages(video: Path, truth: Path, settings: Config, models: Manifest, runtime: str | None) -> Result:
    """Play a video through what `doorlight run` runs, and hold the lights against who was there."""
    from edge.camera.factory import open_source
    from edge.door import Pipeline, decisions

    passages = read_truth(truth)
    if not video.is_file():
        raise InputError(f"{video}: no such file", "--video takes a video file")
    loop = Pipeline(settings, Perception(settings, models, runtime))
    shown: list[tuple[float, Signal]] = []
    # What the camera saw, small and twice a second, for the sheet of what went wrong.
    notes: dict[int, arrays.Picture] = {}
    end = round(passages[-1].end_s)
    with (
        open_source(settings.camera, str(video)) as source,
        tqdm(total=end, unit="s", desc="passages", file=sys.stderr) as bar,
    ):
        if source.length and source.fps:
            _check_length(truth, passages, source.length / source.fps)
        for frame, decision in decisions(loop, source):
            shown.append((decision.t, decision.signal))
            if frame is not None and int(frame.t * 2) not in notes:
                notes[int(frame.t * 2)] = contact_sheet.tile(frame.picture, None, ())[: contact_sheet.TILE_PX]
            bar.update(min(int(decision.t), end) - bar.n)
    _check_length(truth, passages, shown[-1][0] if shown else 0.0)
    outcomes, light_while_empty = judge(passages, shown)

    def draw(out: Path) -> None:
        plots.draw_timeline(out / "timeline.png", [(t, s.value) for t, s in shown], passages)
        rows, columns = tuple(KINDS), tuple(s.value for s in Signal)
        counts = metrics.confusion([o.passage.kind for o in outcomes], [o.last.value for o in outcomes], rows, columns)
        plots.draw_confusion(out / "confusion.png", counts, rows, columns)
        blank = np.zeros((contact_sheet.TILE_PX, contact_sheet.TILE_PX, 3), np.uint8)
        tiles = []
        for o in outcomes:
            if o.wrong_t is not None or not o.right:
                t = o.passage.end_s if o.wrong_t is None else o.wrong_t
                what = "undecided" if o.wrong_t is None else "wrong light"
                lines = (o.passage.kind, f"{what} at {t:.2f} s", f"ends {o.last.value}")
                tiles.append(contact_sheet.tile(notes.get(int(t * 2), blank), None, lines))
        contact_sheet.write(out / "worst.png", tiles[:WORST])

    return Result(passage_figures(outcomes, light_while_empty), draw)


def _check_length(truth: Path, passages: Sequence[Passage], video_s: float) -> None:
    for k, p in enumerate(passages):
        if p.start_s >= video_s:
            raise DataError(
                f"{truth}: passage {k}: field 'start_s': {p.start_s} lies beyond the video ({video_s:.2f} s)"
            )


# ---------------------------------------------------------------- shared


def pair(faces: Sequence[Face], found: Sequence[Detection]) -> list[int | None]:
    """For each face the detection that is it, or None: pairs of IoU >= FOUND, the closest fit first, each used once."""
    overlap = boxes.iou(_arrays(found)[0], np.array([f.box for f in faces], np.float32).reshape(-1, 4))
    owners: list[int | None] = [None] * len(faces)
    taken: set[int] = set()
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        d, f = (int(v) for v in np.unravel_index(flat, overlap.shape))
        if overlap[d, f] < FOUND:
            break
        if owners[f] is None and d not in taken:
            owners[f] = d
            taken.add(d)
    return owners


def largest(found: Sequence[Detection]) -> Box | None:
    """The most prominent face: the largest box, the surer one of equals."""
    return max(found, key=lambda d: (d.box.width * d.box.height, d.score)).box if found else None


def _arrays(found: Sequence[Detection]) -> tuple[boxes.Floats, boxes.Floats]:
    return np.array([d.box for d in found], np.float32).reshape(-1, 4), np.array([d.score for d in found], np.float32)


def _worst_first(scored: Sequence[tuple[float, Mistake]]) -> list[Mistake]:
    return [mistake for _, mistake in sorted(scored, key=lambda pair: -pair[0])]


def _sheet(data: Dataset, records: Sequence[Record], groups: Sequence[Sequence[Mistake]], out: Path) -> None:
    by_file = {r.file: r for r in records}
    worst = contact_sheet.interleave(groups, WORST)
    contact_sheet.write(
        out / "worst.png", [contact_sheet.tile(data.picture(by_file[m.file]), m.box, m.lines) for m in worst]
    )


def _draw_binary(out: Path, judged: dict[str, tuple[list[float], list[bool]]], what: str) -> None:
    """ROC, precision-recall and reliability of a yes-or-no probability, by one or more truths."""
    both = {name: (s, p) for name, (s, p) in judged.items() if any(p) and not all(p)}
    rocs = {f"{name}, AUC {metrics.auc(s, p):.4f}": metrics.roc(s, p) for name, (s, p) in both.items()}
    plots.draw_curves(out / "roc.png", rocs, "false positives", "true positives", diagonal=True)
    curves = {name: metrics.precision_recall(s, p) for name, (s, p) in both.items()}
    plots.draw_curves(out / "precision_recall.png", curves, "recall", "precision")
    scores, positive = next(iter(judged.values()))
    plots.draw_reliability(out / "reliability.png", scores, positive, what)


def _progress(records: Sequence[Record], what: str) -> Iterator[Record]:
    yield from tqdm(records, desc=what, unit="picture", file=sys.stderr, mininterval=0.5)


def choose(folders: Sequence[Path], sources: Sequence[str] | None, split: str) -> tuple[Dataset, list[Record]]:
    """The data set and the records to judge; raises DataError where a record, or the choice, is not sound.

    Splits keep look-alikes of all folders and sources together, so they are made over everything before `sources` chooses.
    Sets that bring a split of their own in every record need no such comparison.
    """
    data = Dataset(*folders, sources=sources)
    records = data.records
    if split != "all":
        if any(r.split is None for r in records) and sources is not None:
            data = Dataset(*folders)
        records = [r for r in data.splits()[split] if sources is None or r.source in sources]
    require(records, split, "picture")
    return data, records


def check_pictures(data: Dataset, records: Sequence[Record]) -> None:
    """Read every picture once, so that a damaged one is named before any figure is made. Raises DataError."""
    for record in _progress(records, "checking"):
        try:
            data.picture(record)
        except (OSError, zipfile.BadZipFile, EOFError) as error:
            raise DataError(f"record '{record.file}': field 'file': cannot be read: {error}") from None


def open_stages(task: str, settings: Config, models: Manifest, runtime: str | None) -> Stages:
    """The stages that `task` needs, as the door opens them. Raises ModelError for one that is missing or damaged."""

    def model(name: str) -> Model:
        return Model(models, name, settings.models.threads, runtime)

    # The average precision is of the model; how many faces the door looks at is a setting.
    most = 10_000 if task == "detector" else settings.detector.max_faces
    detector = FaceDetector(model("face_detector"), settings.detector.threshold, settings.detector.nms_iou, most)
    return Stages(
        detector,
        MaskClassifier(model("mask_classifier")) if task == "mask" else None,
        ExpressionClassifier(model("expression_classifier")) if task == "expression" else None,
        settings.tracker.new_score,
    )


TASKS = {"detector": evaluate_detector, "mask": evaluate_mask, "expression": evaluate_expression}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=[*TASKS, "passages"])
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        help="folders with index.jsonl and the pictures, the main one first (all but passages)",
    )
    parser.add_argument("--sources", help="judge on these only, separated by commas (default: all)")
    parser.add_argument("--split", choices=[*SPLITS, "all"], default="all", help="default: all")
    parser.add_argument("--video", type=Path, help="passages: a video of people walking up")
    parser.add_argument("--truth", type=Path, help='passages: JSON list of {"kind", "start_s", "end_s"}')
    parser.add_argument("--models", type=Path, help="folder with manifest.toml (default: the shipped models)")
    parser.add_argument("--config", type=Path, help="settings of the door (default: as shipped)")
    parser.add_argument("--runtime", choices=RUNTIMES, help="TFLite runtime (default: the first installed)")
    parser.add_argument("--out", type=Path, help="folder for curves, the worst mistakes and metrics.json")
    args = parser.parse_args(argv)
    needed = ("video", "truth") if args.task == "passages" else ("data",)
    for name in needed:
        if getattr(args, name) is None:
            parser.error(f"{args.task} needs --{name}")
    return args


def _evaluate(args: argparse.Namespace) -> Result:
    settings = config.load(args.config)
    directory = args.models or (Path(settings.models.directory) if settings.models.directory else None)
    if args.task == "passages":
        read_truth(args.truth)  # a bad truth file is the reader's news before a missing model is
        return evaluate_passages(args.video, args.truth, settings, manifest.load(directory), args.runtime)
    data, records = choose(args.data, args.sources.split(",") if args.sources else None, args.split)
    stages = open_stages(args.task, settings, manifest.load(directory), args.runtime)
    check_pictures(data, records)
    return TASKS[args.task](data, records, stages)


def failed(command: str, error: Exception) -> int:
    """Say on stderr what went wrong; returns the exit code for it."""
    hint = f" ({error.hint})" if isinstance(error, DoorlightError) and error.hint else ""
    what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    print(f"{command}: {what}{hint}", file=sys.stderr)
    if isinstance(error, DataError):
        return 65
    return error.exit_code if isinstance(error, DoorlightError) else OutputError.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    try:
        if args.out is not None:
            try:
                import matplotlib  # asked for early: nobody should wait for figures that cannot be drawn  # noqa: F401
            except ImportError:
                raise UsageError("--out needs matplotlib", "pip install .[train]") from None
            args.out.mkdir(parents=True, exist_ok=True)
        result = _evaluate(args)
        figures = metrics.plain(result.figures)
        if args.out is not None:
            result.draw(args.out)
            text = json.dumps(figures, indent=2, allow_nan=False) + "\n"
            (args.out / "metrics.json").write_text(text, encoding="utf-8")
    except (DataError, DoorlightError, OSError) as error:
        return failed("evaluate", error)
    print(json.dumps(figures, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
