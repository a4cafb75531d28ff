"""From the best weights of a run to a shipped model: convert, check, choose thresholds, measure, write, atomically."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from edge.imaging import images
from edge.inference import manifest
from edge.inference.interpreter import RUNTIMES, Model, load_runtime
from edge.inference.perception import FaceDetector, log_odds
from edge.records import Detection

from . import cards, convert, modelfile
from . import mask as mask_task
from .dataset import EXPRESSIONS, Dataset, Record
from .detector import DetectorTask
from .expression import MARGIN as EXPRESSION_MARGIN
from .expression import VOTES, ExpressionTask
from .loop import load_best
from .manifest_rows import write as write_rows
from .mask import MaskTask
from .metrics import Matched, average_precision, detection_curve, match_detections
from .nets import STRIDES, ExpressionClassifier, normalise
from .plots import CalibrationCurve, draw_choice

#: Share of validation decisions on which the two runtimes must agree.
AGREEMENT = 0.97
#: Share of the face-free validation pictures that may get a box. The door asks for a higher score of a new person.
EMPTY_SHARE = 0.005
NAMES = {"detector": "face_detector", "mask": "mask_classifier", "expression": "expression_classifier"}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The converter's native chatter goes nowhere; Python errors still come through."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Chosen:
    """What validation data decided, and the figures it was decided by."""

    threshold: float
    slope: float
    offset: float
    metrics: dict[str, Any]


def ship(kind: str, folders: Sequence[Path], run: Path, models: Path, samples: int) -> dict[str, Any]:
    """Export the model of `run` into `models`; returns the report that also goes into manifest and card.

    Raises ExportError or ModelFileError, leaving `models` as it was, where any check fails.
    """
    name = NAMES[kind]
    data = Dataset(*folders)
    splits = data.splits()
    task: DetectorTask | MaskTask | ExpressionTask
    task = {"detector": DetectorTask, "mask": MaskTask, "expression": ExpressionTask}[kind](data, splits)
    net = task.build().eval()
    best = run / "best.pt"
    if not best.is_file():
        raise convert.ExportError(
            f"{best}: no such file; train first: python -m training.train {kind} --data … --out {run}"
        )
    figures = load_best(net, best)
    if isinstance(net, ExpressionClassifier):
        net = net.folded(VOTES)
    _say(f"{name}: {best} with {', '.join(f'{k} {v:.4f}' for k, v in figures.items())}")

    pixels = task.calibration(samples, 7)
    inputs = normalise(pixels).permute(0, 2, 3, 1).numpy()
    # The extremes come along, so that the input's range is that of uint8 pixels exactly: scale 1/127.5, zero point 127.
    edges = [np.full((1, *inputs.shape[1:]), v, np.float32) for v in (-127 / 127.5, 128 / 127.5)]
    with _quiet():
        import tensorflow as tf

        finish: Callable[[Any], Any]
        if kind == "detector":
            finish = lambda o: [o[0], tf.keras.layers.Activation("sigmoid")(o[1])]  # noqa: E731
        else:
            finish = lambda o: tf.keras.layers.Softmax()(o[0])  # noqa: E731
        keras = convert.to_keras(net, tuple(inputs.shape[1:]), finish)
        content = convert.to_tflite(keras, [*edges, *(inputs[k : k + 1] for k in range(len(inputs)))])
    used = modelfile.check(content)
    _say(f"{name}: {len(content):,} bytes; ops {', '.join(f'{k} v{v}' for k, v in used.items())}")

    models.mkdir(parents=True, exist_ok=True)
    # Beside the models, not among them: a wheel built meanwhile would carry what is half made.
    with tempfile.TemporaryDirectory(prefix=".export-", dir=models.resolve().parent) as staging_name:
        staging = Path(staging_name)
        rows = dict(manifest.load(models)) if (models / manifest.MANIFEST_NAME).is_file() else {}
        for row in rows.values():
            shutil.copy(models / row.file, staging / row.file)
        (staging / f"{name}.tflite").write_bytes(content)
        row = _row(kind, name, content, sum(p.numel() for p in net.parameters()))
        rows[name] = row
        write_rows(staging, rows)

        chosen = {"detector": _detector, "mask": _mask, "expression": _expression}[kind](staging, task, net)
        metrics: dict[str, Any] = {"bytes": len(content), **chosen.metrics}
        report = {"float_val": {k: round(v, 4) for k, v in figures.items()}, **metrics}

        rows[name] = msgspec.structs.replace(
            row,
            threshold=chosen.threshold,
            slope=chosen.slope,
            offset=chosen.offset,
            metrics=metrics,
            data=_data_row(splits, kind),
        )
        write_rows(staging, rows)
        held_back = _evaluate(kind, folders, staging, splits)
        metrics |= held_back
        report |= held_back
        write_rows(staging, rows)
        drawn = (staging / f"{name}.png").is_file()
        (staging / f"{name}.md").write_text(cards.card(name, rows[name], used, drawn), encoding="utf-8")
        manifest.load(staging)  # what cannot be read again is not shipped
        # Model before manifest: killed in between, the old manifest refuses the new file by its hash instead of
        # trusting it; exporting again mends that.
        for file in (f"{name}.png", f"{name}.md", f"{name}.tflite", manifest.MANIFEST_NAME):
            if (staging / file).is_file():
                os.replace(staging / file, models / file)
        # Compiled from the former model; the new row names none.
        (models / f"{name}_edgetpu.tflite").unlink(missing_ok=True)
    if (models / cards.README).is_file():
        cards.write_comparison(models / cards.README, rows)
    return report


def _row(kind: str, name: str, content: bytes, parameters: int) -> manifest.ModelEntry:
    interpreter = load_runtime()[1].Interpreter(model_content=content)

    def tensor(detail: dict[str, Any]) -> manifest.Tensor:
        scale, zero_point = detail["quantization"]
        shape = tuple(int(v) for v in detail["shape"])
        return manifest.Tensor(shape, np.dtype(detail["dtype"]).name, float(scale), int(zero_point))  # type: ignore[arg-type]

    outputs = {}
    for detail in interpreter.get_output_details():
        key = {4: "distances", 1: "scores"}[int(detail["shape"][-1])] if kind == "detector" else "probabilities"
        outputs[key] = tensor(detail)
    labels = {"detector": ("face",), "mask": mask_task.LABELS, "expression": EXPRESSIONS}[kind]
    architecture = {
        "detector": "MobileNetV2 1.0 to stride 32, pruned, top-down sum of strides 8/16/32, anchor-free head",
        "mask": "MobileNetV2 1.0",
        "expression": "VGG-like, 8 convolutions of 3x3",
    }[kind]
    return manifest.ModelEntry(
        file=f"{name}.tflite",
        sha256=hashlib.sha256(content).hexdigest(),
        date=datetime.date.today().isoformat(),
        architecture=f"{architecture}; {parameters:,} parameters",
        colour="grey" if kind == "expression" else "RGB",
        input=tensor(interpreter.get_input_details()[0]),
        outputs=outputs,
        labels=labels,
        threshold=0.5,
        metrics={},
        data={},
        strides=STRIDES if kind == "detector" else (),
        margin={"detector": 1.0, "mask": mask_task.MARGIN, "expression": EXPRESSION_MARGIN}[kind],
    )


def _data_row(splits: dict[str, list[Record]], kind: str) -> dict[str, Any]:
    def used(r: Record) -> bool:
        if kind == "expression":
            return r.expression is not None
        return kind == "mask" or (not r.crop and r.faces is not None)

    out: dict[str, Any] = {}
    for split, records in splits.items():
        counts: dict[str, int] = {}
        for r in records:
            if used(r):
                counts[r.source] = counts.get(r.source, 0) + 1
        out[split] = dict(sorted(counts.items()))
    return out


def _runtimes() -> list[str]:
    found = []
    for name in RUNTIMES:
        with contextlib.suppress(Exception):
            found.append(load_runtime(name)[0])
    return found


def _agree(what: str, share: float) -> None:
    _say(f"runtimes agree on {share:.2%} of {what}")
    if share < AGREEMENT:
        raise convert.ExportError(
            f"LiteRT and tflite-runtime agree on only {share:.1%} of {what} (least: {AGREEMENT:.0%})"
        )


def _detector(folder: Path, task: Any, net: torch.nn.Module) -> Chosen:
    found = manifest.load(folder)
    records = [*task.val, *task.val_empty_records]

    def detect(runtime_name: str, chosen: Sequence[Record]) -> list[list[Detection]]:
        detector = FaceDetector(Model(found, "face_detector", runtime_name=runtime_name), 0.05, max_faces=10_000)
        return [detector.detect(task.data.picture(r)) for r in chosen]

    names = _runtimes()
    detected = detect(names[0], records)

    def matched(iou: float, count: int) -> list[Matched]:
        """The first `count` records held against what was detected there; those with faces come first."""
        return [match_detections(r, *_arrays(ds), iou, 0.10) for r, ds in zip(records[:count], detected, strict=False)]

    boxed = len(task.val)
    empty = np.array([max((d.score for d in ds), default=0.0) for ds in detected[boxed:]])
    precision, recall, scores = detection_curve(matched(0.35, len(records)))
    if not len(scores):
        _say("face_detector: finds nothing at all on the validation pictures: train for longer")
        return Chosen(0.5, 1.0, 0.0, {"val_ap35_h10": 0.0, "val_ap50_h10": 0.0})
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    least = _least_score(empty, scores, f1)
    at = int((scores >= least).sum()) - 1
    threshold = float(np.floor(least * 256) / 256)
    metrics = {
        "val_ap35_h10": round(average_precision(matched(0.35, boxed)), 4),
        "val_ap50_h10": round(average_precision(matched(0.5, boxed)), 4),
        "val_precision": round(float(precision[at]), 4),
        "val_recall": round(float(recall[at]), 4),
    }
    curves = {"precision": (scores, precision), "recall": (scores, recall), "F1 of both": (scores, f1)}
    if len(empty):
        metrics["val_empty_fp"] = round(float((empty >= threshold).mean()), 4)
        steps = np.linspace(0.05, 1, 192)
        curves["face-free pictures with a box"] = steps, (empty >= steps[:, None]).mean(1)
    if len(names) > 1:
        # tflite-runtime is slow at 8-bit models: a sample of pictures is enough to compare decisions.
        counts = [
            [sum(d.score >= threshold for d in ds) for ds in each]
            for each in (detected[:60], detect(names[1], records[:60]))
        ]
        # Counts of boxes right at the threshold may differ by one on a few pictures.
        share = float(np.mean([a == b for a, b in zip(*counts, strict=True)]))
        _say(f"runtimes find the same number of faces on {share:.1%} of {len(counts[0])} validation pictures")
        metrics["runtimes_same_count"] = round(share, 4)
        if share < 0.9:
            raise convert.ExportError(f"LiteRT and tflite-runtime find the same number of faces on only {share:.1%}")
    draw_choice(folder / "face_detector.png", curves, "least score of a face", "share", ("threshold", threshold))
    return Chosen(max(threshold, 0.05), 1.0, 0.0, metrics)


def _least_score(empty: np.ndarray, scores: np.ndarray, f1: np.ndarray) -> float:
    """The least score of a face: the lowest that at most EMPTY_SHARE of the face-free pictures reach.

    `empty` (n,) is the best score in each of them. Where there are too few to tell, the highest of `scores` (m,), best
    first, whose `f1` (m,) is within 0.003 of the best.
    """
    allowed = int(EMPTY_SHARE * len(empty))
    if allowed:
        above = np.sort(empty)[::-1][allowed]
        reached = scores[scores > above]
        if len(reached):
            return float(reached[-1])
    return float(scores[np.flatnonzero(f1 >= f1.max() - 0.003)[0]])


def _arrays(found: Sequence[Detection]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) and scores (n,), float32."""
    return np.array([d.box for d in found], np.float32).reshape(-1, 4), np.array([d.score for d in found], np.float32)


def _probabilities(folder: Path, name: str, crops: Sequence[np.ndarray], runtime_name: str) -> np.ndarray:
    model = Model(manifest.load(folder), name, runtime_name=runtime_name)
    out = []
    for crop in crops:
        model.invoke(crop)
        out.append(model.dequantized("probabilities"))
    return np.stack(out)


def _mask(folder: Path, task: Any, net: torch.nn.Module) -> Chosen:
    from sklearn.linear_model import LogisticRegression

    examples = [e for pool in task.val.values() for e in pool]
    crops = [images.crop_square(task.data.picture(e.record), e.box, mask_task.SIZE, mask_task.MARGIN) for e in examples]
    truth = np.array([e.masked for e in examples])
    names = _runtimes()
    p = _probabilities(folder, "mask_classifier", crops, names[0])[:, 1]
    in_float = task.probabilities(net, examples)
    odds = np.array([log_odds(float(v)) for v in p])[:, None]
    # Every source counts alike in each answer, masks worn wrongly as an answer of their own, so that no data set's habits
    # set the threshold; a handful of pictures counts as a handful.
    strata = [f"{e.record.source} {e.masked} {e.worn_wrongly}" for e in examples]
    weights = np.array([1 / max(strata.count(s), 40) for s in strata])
    fit = LogisticRegression(C=1.0).fit(odds, truth, sample_weight=weights * len(weights) / weights.sum())
    slope, offset = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if slope < 0.05:
        _say("mask_classifier: its probabilities say nothing on validation data: left uncalibrated; train for longer")
        slope, offset = 1.0, 0.0
    calibrated = 1 / (1 + np.exp(-(slope * odds[:, 0] + offset)))
    # The calibration carries the choice: with it, 0.5 is where the door's own evidence changes sides.
    threshold = 0.5
    decided = calibrated >= threshold
    metrics = {
        "val_float_accuracy": round(float(((in_float >= 0.5) == truth).mean()), 4),
        "val_int8_accuracy": round(float(((p >= 0.5) == truth).mean()), 4),
        "val_calibrated_accuracy": round(float((decided == truth).mean()), 4),
    }
    wrongly = np.array([e.worn_wrongly for e in examples])
    if wrongly.any():
        metrics["val_worn_wrongly_refused"] = round(float((~decided)[wrongly].mean()), 4)
    if len(names) > 1:
        subset = np.random.default_rng(0).permutation(len(crops))[:200]
        other = _probabilities(folder, "mask_classifier", [crops[k] for k in subset], names[1])[:, 1]
        share = float(((other >= 0.5) == (p[subset] >= 0.5)).mean())
        _agree("mask decisions", share)
        metrics["runtimes_agree"] = round(share, 4)
    steps = np.linspace(0, 1, 201)
    called = calibrated >= steps[:, None]
    groups = {
        "masks refused": (truth, False),
        "bare faces let through": (~truth & ~wrongly, True),
        "masks worn wrongly let through": (wrongly, True),
    }
    curves = {n: (steps, (called[:, who] == wrong).mean(1)) for n, (who, wrong) in groups.items() if who.any()}
    curves["all, each source and answer alike"] = steps, np.average(called != truth, axis=1, weights=weights)
    calibration = CalibrationCurve("P(mask)", {"before": (p, truth), "after": (calibrated, truth)}, weights)
    axes = "threshold on the calibrated P(mask)", "share of wrong answers"
    draw_choice(
        folder / "mask_classifier.png", curves, *axes, ("threshold", threshold), top=0.3, calibration=calibration
    )
    return Chosen(threshold, round(slope, 4), round(offset, 4), metrics)


def _expression(folder: Path, task: Any, net: torch.nn.Module) -> Chosen:
    pictures = [p for p, _ in task.val]
    records = [r for _, r in task.val]
    names = _runtimes()
    p = _probabilities(folder, "expression_classifier", [x[:, :, None] for x in pictures], names[0])
    with torch.no_grad():
        batch = torch.from_numpy(np.stack(pictures))[:, None]
        in_float = torch.cat([net(normalise(batch[k : k + 256])).softmax(1) for k in range(0, len(batch), 256)]).numpy()
    label = np.array([EXPRESSIONS.index(r.expression or "") for r in records])
    crop = np.array([r.crop for r in records])
    # Temperature (Guo et al. 2017) against the original labels: the slope that makes them least surprising.
    slopes = np.linspace(0.5, 2.0, 61)

    def calibrated(slope: float) -> np.ndarray:
        q = np.maximum(p, 1 / 512) ** slope
        return np.asarray(q / q.sum(1, keepdims=True))

    surprise = np.array([-np.log(calibrated(s)[np.arange(len(p)), label]).mean() for s in slopes])
    slope = float(slopes[surprise.argmin()])
    right = p.argmax(1) == label
    calibration = CalibrationCurve(
        "P(answer)", {"before": (p.max(1), right), "after": (calibrated(slope).max(1), right)}
    )
    axes = "slope (1 / temperature)", "mean surprise at the labels, nats"
    curves = {"validation": (slopes, surprise)}
    draw_choice(folder / "expression_classifier.png", curves, *axes, ("slope", slope), calibration=calibration)
    metrics = {
        f"{name}_accuracy": round(float((answers.argmax(1) == label)[chosen].mean()), 4)
        for name, answers, chosen in (("val_float", in_float, crop), ("val_int8", p, crop), ("val_wild", p, ~crop))
        if chosen.any()
    }
    if len(names) > 1:
        subset = np.random.default_rng(0).permutation(len(pictures))[:400]
        other = _probabilities(folder, "expression_classifier", [pictures[k][:, :, None] for k in subset], names[1])
        share = float((other.argmax(1) == p[subset].argmax(1)).mean())
        _agree("expressions", share)
        metrics["runtimes_agree"] = round(share, 4)
    return Chosen(0.5, round(slope, 4), 0.0, metrics)


def _evaluate(
    kind: str, folders: Sequence[Path], models: Path, splits: dict[str, list[Record]]
) -> dict[str, dict[str, Any]]:
    """Figures from held-back pictures through the door's own code, as `cards.flat` names them.

    Those of the test split; for expressions those are the wild faces, and "test" is PublicTest, which chose too.
    """
    judged = {"test": ["--split", "test"]}
    if kind == "expression":
        judged = {}
        if own := sorted({r.source for r in splits["val"] if r.split and r.expression}):
            judged["test"] = ["--split", "val", "--sources", ",".join(own)]
        if any(r.expression for r in splits["test"]):
            judged["wild"] = ["--split", "test"]
    found: dict[str, dict[str, Any]] = {}
    for key, choice in judged.items():
        command = [
            sys.executable,
            "-m",
            "training.evaluate",
            kind,
            "--data",
            *map(str, folders),
            "--models",
            str(models),
            *choice,
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode == 0:
            found |= cards.flat(json.loads(done.stdout.splitlines()[-1]), key)
        else:
            _say(f"{kind}: not evaluated with {' '.join(choice)} (evaluate.py ended with {done.returncode})")
    return found
