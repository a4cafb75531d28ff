"""Choose threshold and calibration of an 8-bit model on validation data, and compare the two runtimes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.imaging import images
from edge.imaging.head_turn import head_turn
from edge.inference import manifest
from edge.inference.interpreter import Model
from edge.inference.perception import MIN_PROBABILITY, FaceDetector, log_odds
from edge.records import Detection

from . import mask
from .arrays import Floats, Picture
from .command_line import log
from .convert import ExportError
from .detector import DetectorTask
from .embedder import EmbedderTask, embed_by
from .evaluation.common import FOUND_IOU, MIN_FACE_HEIGHT, as_arrays
from .evaluation.detector import MIN_SCORE, SCORES
from .evaluation.stages import ALL_FACES
from .expression import ExpressionTask
from .landmarker import LandmarkTask, points_in_picture
from .landmarks import error
from .mask import Example, MaskTask
from .metrics import Curve, Matched, average_precision, detection_curve, match_detections
from .nets import normalise
from .plots import CalibrationCurve, draw_choice, draw_means
from .records import EXPRESSIONS, Record
from .runtimes import answers, check_agreement, installed_runtimes

Task = DetectorTask | MaskTask | ExpressionTask | LandmarkTask | EmbedderTask
Values = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

#: The minimum share of validation pictures in which the two runtimes find the same number of faces.
MIN_SAME_COUNT = 0.9
#: The second runtime sees a sample only, because tflite-runtime is slow with 8-bit models.
COMPARED_PICTURES, COMPARED_MASKS, COMPARED_EXPRESSIONS, COMPARED_LANDMARKS = 60, 200, 400, 300
#: The maximum share of validation pictures without a face that get a box. The door needs a higher score for a new
#: person.
MAX_EMPTY_SHARE = 0.005
#: Without enough of these pictures: the maximum distance from the best F1.
F1_TOLERANCE = 0.003
#: A group of validation faces with fewer members has less weight than the others.
FULL_WEIGHT_FACES = 40
#: The runtimes agree about a face if no coordinate of a point differs by more, in units of the crop.
SAME_POINT = 0.03
#: The maximum share of strangers whose cosine reaches the threshold of an embedder.
MAX_MISTAKEN = 0.001
#: The runtimes agree about a face if the cosine of their embeddings is at least this; this many faces are compared.
SAME_FACE, COMPARED_FACES = 0.995, 60
#: Limits of the turns (degrees) between which the error of landmarks is averaged for the plot.
TURNS = (0, 10, 20, 30, 40, 50, 65, 90)
#: A mask classifier with a lower slope has learned nothing.
MIN_SLOPE = 0.05
#: Slopes (1 / temperature) to choose from.
SLOPES = np.linspace(0.5, 2.0, 61)


@dataclass(frozen=True)
class Choice:
    """What validation data decided, and the figures on it."""

    threshold: float
    slope: float
    offset: float
    metrics: dict[str, float]


def choose(folder: Path, task: Task, net: torch.nn.Module) -> Choice:
    """Choose threshold and calibration of the task's model in `folder`, and draw MODEL.png there.

    `net` is the float network. Raises ExportError if the runtimes do not agree.
    """
    if isinstance(task, DetectorTask):
        return choose_detector(folder, task)
    if isinstance(task, MaskTask):
        return choose_mask(folder, task, net)
    if isinstance(task, LandmarkTask):
        return choose_landmarks(folder, task, net)
    if isinstance(task, EmbedderTask):
        return choose_embedding(folder, task, net)
    return choose_expression(folder, task, net)


def _share(flags: Flags) -> float:
    return round(float(flags.mean()), 4)


# ---- Detector --------------------------------------------------------------------------------------------------------


def choose_detector(folder: Path, task: DetectorTask) -> Choice:
    """Choose the threshold by the pictures without a face: see `min_score_of_a_face`."""
    records = [*task.val, *task.val_empty_records]
    names = installed_runtimes()
    detected = _detect(folder, task, names[0], records)
    boxed = len(task.val)

    def matches(iou: float, count: int) -> list[Matched]:
        """Return the matches of the first `count` pictures; pictures with faces come first."""
        pairs = zip(records[:count], detected[:count], strict=True)
        return [match_detections(r, *as_arrays(found), iou, MIN_FACE_HEIGHT) for r, found in pairs]

    empty = np.array([max((d.score for d in found), default=0.0) for found in detected[boxed:]])
    precision, recall, scores = detection_curve(matches(FOUND_IOU, len(records)))
    if not len(scores):
        log("face_detector: finds no face in the validation pictures: train for longer")
        return Choice(0.5, 1.0, 0.0, {"val_ap35_h10": 0.0, "val_ap50_h10": 0.0})
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    min_score = min_score_of_a_face(empty, scores, f1)
    at = int((scores >= min_score).sum()) - 1
    threshold = float(np.floor(min_score * 256) / 256)
    figures = {
        "val_ap35_h10": round(average_precision(matches(FOUND_IOU, boxed)), 4),
        "val_ap50_h10": round(average_precision(matches(0.5, boxed)), 4),
        "val_precision": round(float(precision[at]), 4),
        "val_recall": round(float(recall[at]), 4),
    }
    curves: dict[str, Curve] = {"precision": (scores, precision), "recall": (scores, recall), "F1": (scores, f1)}
    if len(empty):
        figures["val_empty_fp"] = _share(empty >= threshold)
        curves["pictures without a face with a box"] = SCORES, (empty >= SCORES[:, None]).mean(1)
    if len(names) > 1:
        sample = records[:COMPARED_PICTURES]
        other = _detect(folder, task, names[1], sample)
        figures["runtimes_same_count"] = _compare_counts(detected[: len(sample)], other, threshold)
    draw_choice(folder / "face_detector.png", curves, "minimum score of a face", "share", ("threshold", threshold))
    return Choice(max(threshold, MIN_SCORE), 1.0, 0.0, figures)


def _detect(folder: Path, task: DetectorTask, runtime: str, records: Sequence[Record]) -> list[list[Detection]]:
    model = Model(manifest.load(folder), "face_detector", runtime_name=runtime)
    detector = FaceDetector(model, MIN_SCORE, max_faces=ALL_FACES)
    return [detector.detect(task.data.picture(r)) for r in records]


def _compare_counts(first: list[list[Detection]], second: list[list[Detection]], threshold: float) -> float:
    """Return the share of pictures in which both runtimes find the same number of faces.

    Scores at the threshold may differ on a few pictures. Raises ExportError if there are more.
    """
    counts = [[sum(d.score >= threshold for d in found) for found in each] for each in (first, second)]
    share = float(np.mean([a == b for a, b in zip(*counts, strict=True)]))
    log(f"the runtimes find the same number of faces in {share:.1%} of {len(first)} validation pictures")
    if share < MIN_SAME_COUNT:
        raise ExportError(
            f"LiteRT and tflite-runtime find the same number of faces in only {share:.1%} of the pictures"
        )
    return round(share, 4)


def min_score_of_a_face(empty: Values, scores: Values, f1: Values) -> float:
    """Return the lowest score that at most MAX_EMPTY_SHARE of the pictures without a face reach.

    `empty` (n,) is the best score in each of these pictures. If there are too few, return the highest of `scores` (m,),
    best first, whose `f1` (m,) is within F1_TOLERANCE of the best.
    """
    allowed = int(MAX_EMPTY_SHARE * len(empty))
    if allowed:
        above = np.sort(empty)[::-1][allowed]
        reached = scores[scores > above]
        if len(reached):
            return float(reached[-1])
    return float(scores[np.flatnonzero(f1 >= f1.max() - F1_TOLERANCE)[0]])


# ---- Mask ------------------------------------------------------------------------------------------------------------


def choose_mask(folder: Path, task: MaskTask, net: torch.nn.Module) -> Choice:
    """Calibrate by a logistic regression of the log-odds.

    Its offset makes 0.5 the threshold, as the tracker expects.
    """
    examples = [e for pool in task.val.values() for e in pool]
    crops = [images.crop_square(task.data.picture(e.record), e.box, mask.SIZE, mask.MARGIN) for e in examples]
    truth = np.array([e.masked for e in examples])
    names = installed_runtimes()
    p = answers(folder, task.name, "probabilities", crops, names[0])[:, 1]
    weights = _weights(examples)
    odds = np.array([log_odds(float(v)) for v in p])
    slope, offset = _fit(odds, truth, weights)
    calibrated = 1 / (1 + np.exp(-(slope * odds + offset)))
    threshold = 0.5
    called = calibrated >= threshold
    figures = {
        "val_float_accuracy": _share((task.probabilities(net, examples) >= 0.5) == truth),
        "val_int8_accuracy": _share((p >= 0.5) == truth),
        "val_calibrated_accuracy": _share(called == truth),
    }
    wrongly = np.array([e.worn_wrongly for e in examples])
    if wrongly.any():
        figures["val_worn_wrongly_refused"] = _share(~called[wrongly])
    if len(names) > 1:
        sample = np.random.default_rng(0).permutation(len(crops))[:COMPARED_MASKS]
        other = answers(folder, task.name, "probabilities", [crops[k] for k in sample], names[1])[:, 1]
        share = float(((other >= 0.5) == (p[sample] >= 0.5)).mean())
        figures["runtimes_agree"] = check_agreement("mask decisions", share)
    calibration = CalibrationCurve("P(mask)", {"before": (p, truth), "after": (calibrated, truth)}, weights)
    curves = _error_curves(calibrated, truth, wrongly, weights)
    axes = "threshold on the calibrated P(mask)", "share of wrong answers"
    path = folder / f"{task.name}.png"
    draw_choice(path, curves, *axes, ("threshold", threshold), top=0.3, calibration=calibration)
    return Choice(threshold, round(slope, 4), round(offset, 4), figures)


def _weights(examples: Sequence[Example]) -> Values:
    """Return a weight for each face, (n,). Each source has the same weight in each answer.

    Masks worn wrongly are an answer of their own, so that no collection's habits set the threshold. Small groups have
    less weight.
    """
    groups = [f"{e.record.source} {e.masked} {e.worn_wrongly}" for e in examples]
    return np.array([1 / max(groups.count(g), FULL_WEIGHT_FACES) for g in groups])


def _fit(odds: Values, truth: Flags, weights: Values) -> tuple[float, float]:
    """Return slope and offset of the logistic regression of `truth` on `odds`, all (n,)."""
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(C=1.0).fit(odds[:, None], truth, sample_weight=weights * len(weights) / weights.sum())
    slope, offset = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if slope < MIN_SLOPE:
        log(
            "mask_classifier: its probabilities do not fit the validation data, so they stay uncalibrated: train for longer"
        )
        return 1.0, 0.0
    return slope, offset


def _error_curves(calibrated: Values, truth: Flags, wrongly: Flags, weights: Values) -> dict[str, Curve]:
    """Return the share of wrong answers by threshold, for each kind of face and for all."""
    steps = np.linspace(0, 1, 201)
    called = calibrated >= steps[:, None]
    groups = {
        "masks refused": (truth, False),
        "bare faces let through": (~truth & ~wrongly, True),
        "masks worn wrongly let through": (wrongly, True),
    }
    curves: dict[str, Curve] = {
        name: (steps, (called[:, members] == wrong).mean(1))
        for name, (members, wrong) in groups.items()
        if members.any()
    }
    curves["all, each source and answer alike"] = steps, np.average(called != truth, axis=1, weights=weights)
    return curves


# ---- Expression ------------------------------------------------------------------------------------------------------


def choose_expression(folder: Path, task: ExpressionTask, net: torch.nn.Module) -> Choice:
    """Calibrate by a temperature (Guo et al. 2017): the slope that minimises the log loss of the labels."""
    pictures = [picture[:, :, None] for picture, _ in task.val]
    label = np.array([EXPRESSIONS.index(r.expression or "") for _, r in task.val])
    crop = np.array([r.crop for _, r in task.val])
    names = installed_runtimes()
    p = _expression_answers(folder, task, pictures, names[0])
    losses = np.array([-np.log(_sharpen(p, s)[np.arange(len(p)), label]).mean() for s in SLOPES])
    slope = float(SLOPES[losses.argmin()])
    right = p.argmax(1) == label
    by = {"before": (p.max(1), right), "after": (_sharpen(p, slope).max(1), right)}
    axes = "slope (1 / temperature)", "log loss of the labels, nats"
    path = folder / f"{task.name}.png"
    draw_choice(
        path, {"validation": (SLOPES, losses)}, *axes, ("slope", slope), calibration=CalibrationCurve("P(answer)", by)
    )
    sides = {"val_float": (_float_answers(net, pictures), crop), "val_int8": (p, crop), "val_wild": (p, ~crop)}
    figures = {
        f"{name}_accuracy": _share((given.argmax(1) == label)[chosen])
        for name, (given, chosen) in sides.items()
        if chosen.any()
    }
    if len(names) > 1:
        sample = np.random.default_rng(0).permutation(len(pictures))[:COMPARED_EXPRESSIONS]
        other = _expression_answers(folder, task, [pictures[k] for k in sample], names[1])
        share = float((other.argmax(1) == p[sample].argmax(1)).mean())
        figures["runtimes_agree"] = check_agreement("expressions", share)
    return Choice(0.5, round(slope, 4), 0.0, figures)


def _expression_answers(folder: Path, task: ExpressionTask, pictures: Sequence[Picture], runtime: str) -> Values:
    """Return the probabilities (n, 7) of the 8-bit model as the door makes them, before calibration."""
    p: Values = np.maximum(answers(folder, task.name, "probabilities", pictures, runtime), MIN_PROBABILITY)
    if not task.is_mirrored:
        return p
    mirrored = [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures]
    p = np.sqrt(p * np.maximum(answers(folder, task.name, "probabilities", mirrored, runtime), MIN_PROBABILITY))
    return p / p.sum(1, keepdims=True)


def _sharpen(p: Values, slope: float) -> Values:
    """Return probabilities (n, 7) with this slope."""
    q: Values = np.maximum(p, MIN_PROBABILITY) ** slope
    return q / q.sum(1, keepdims=True)


def _float_answers(net: torch.nn.Module, pictures: Sequence[Picture]) -> npt.NDArray[Any]:
    """Return the probabilities of the float network, (n, 7)."""
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    with torch.no_grad():
        parts = [net(normalise(batch[k : k + 256])).softmax(1) for k in range(0, len(batch), 256)]
    return torch.cat(parts).numpy()


# ---- Landmarks -------------------------------------------------------------------------------------------------------


def choose_landmarks(folder: Path, task: LandmarkTask, net: torch.nn.Module) -> Choice:
    """Compare the 8-bit model with the float network; there is nothing to choose. Draw the error by the head's turn."""
    crops = task.crops(task.val)
    names = installed_runtimes()
    points = answers(folder, task.name, "points", crops, names[0]).reshape(-1, 5, 2)
    pairs = list(zip(points, task.val, strict=True))
    errors = np.array([error(points_in_picture(p, e), e.points) for p, e in pairs])
    turns = np.array([abs(head_turn(e.points)) for e in task.val])
    masked = np.array([e.masked for e in task.val])
    groups = {
        name: (turns[chosen], errors[chosen])
        for name, chosen in (("bare", ~masked), ("masked", masked))
        if chosen.any()
    }
    across = "turn of the head by the teacher's points, degrees"
    draw_means(folder / f"{task.name}.png", groups, TURNS, across, "mean error / distance of the eyes")
    in_float = task.validate(net)
    figures = {f"val_float_{k.removeprefix('val ')}": round(v, 4) for k, v in in_float.items() if k != task.metric}
    figures |= {f"val_int8_{name}": round(float(own.mean()), 4) for name, (_, own) in groups.items()}
    if len(names) > 1:
        sample = np.random.default_rng(0).permutation(len(crops))[:COMPARED_LANDMARKS]
        other = answers(folder, task.name, "points", crops[sample], names[1]).reshape(-1, 5, 2)
        share = float((np.abs(other - points[sample]).max((1, 2)) <= SAME_POINT).mean())
        figures["runtimes_agree"] = check_agreement("landmarks", share)
    return Choice(0.5, 1.0, 0.0, {k: v for k, v in figures.items() if np.isfinite(v)})


# ---- Embedding -------------------------------------------------------------------------------------------------------


def choose_embedding(folder: Path, task: EmbedderTask, net: torch.nn.Module) -> Choice:
    """Choose the cosine from which two faces are one person's: at most MAX_MISTAKEN of the strangers reach it.

    All kinds of pairs with a bare face keep that limit, single looks and means, because nobody is enrolled with a mask. Faces
    with real masks have wrong names among them, and choose nothing. Means of the people of training keep it, too: in validation,
    few people have enough pictures for one. Training has pulled its people apart, so that others are rather more alike.
    """
    names = installed_runtimes()

    def embed(crops: Picture) -> Floats:
        return answers(folder, task.name, "embedding", crops, names[0])

    pairs, taught = task.judge.pairs(embed), task.judge_of_training().pairs(embed)
    strict = [of for name, of in pairs.items() if name != "masked"]
    strict += [of for name, of in taught.items() if name.endswith("_visit")]
    threshold = max(of.threshold(MAX_MISTAKEN) for of in strict)
    steps = np.linspace(min(float(of.same.min()) for of in pairs.values()), 1, 201)
    curves: dict[str, Curve] = {}
    for name in ("bare", "drawn"):
        curves[f"{name}: found"] = steps, np.array([pairs[name].found(s) for s in steps])
        curves[f"{name}: strangers"] = steps, np.array([pairs[name].mistaken(s) for s in steps])
    draw_choice(folder / f"{task.name}.png", curves, "least cosine", "share of pairs", ("threshold", threshold))
    in_float = task.judge.pairs(embed_by(net))
    figures = {f"val_float_{name}_auc": round(of.auc(), 4) for name, of in in_float.items()}
    for name, of in pairs.items():
        figures |= {f"val_int8_{name}_{key}": round(value, 4) for key, value in of.figures().items()}
    if len(names) > 1:
        sample = task.judge.bare[:COMPARED_FACES]
        a, b = (answers(folder, task.name, "embedding", sample, name) for name in names[:2])
        cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        figures["runtimes_agree"] = check_agreement("embeddings", float((cosines >= SAME_FACE).mean()))
    return Choice(round(threshold, 4), 1.0, 0.0, figures)
