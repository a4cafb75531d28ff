"""Export the best weights of a training run as a shipped model: convert, check, calibrate, evaluate, replace files."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from edge.inference import manifest
from edge.inference.interpreter import load_runtime

from . import cards, comparison, convert, embedder, expression, landmarker, landmarks, mask, modelfile
from .calibration import Task, choose
from .checkpoints import load_best
from .command_line import log
from .dataset import Dataset
from .detector import DetectorTask
from .figures import flat
from .manifest_rows import tensor_of
from .manifest_rows import write as write_rows
from .nets import STRIDES, ExpressionClassifier
from .records import EXPRESSIONS, Record

#: The seed of the pictures that calibrate the ranges of activations.
CALIBRATION_SEED = 7
Splits = dict[str, list[Record]]
#: The models that read expressions.
EXPRESSION_KINDS = ("expression", "masked_expression")


@dataclass(frozen=True)
class Kind:
    """What the manifest and the card say of each export of a model.

    The outputs of a detector have `strides`; all others have one `output`.
    """

    name: str
    task: Callable[[Dataset, Splits], Task]
    architecture: str
    labels: tuple[str, ...]
    margin: float = 1.0
    colour: str = "RGB"
    strides: tuple[int, ...] = ()
    output: str = "probabilities"


def masked_expression_task(data: Dataset, splits: Splits) -> Task:
    """Return the task of the model for expressions above a mask."""
    from .masked_expression import MaskedExpressionTask

    return MaskedExpressionTask(data, splits)


KINDS = {
    "detector": Kind(
        "face_detector",
        DetectorTask,
        "MobileNetV2 1.0 to stride 32, pruned, top-down sum of strides 8/16/32, anchor-free head",
        ("face",),
        strides=STRIDES,
    ),
    "mask": Kind("mask_classifier", mask.MaskTask, "MobileNetV2 1.0, pruned", mask.LABELS, mask.MARGIN),
    "expression": Kind(
        "expression_classifier",
        expression.ExpressionTask,
        "VGG-like, 8 convolutions of 3x3",
        EXPRESSIONS,
        expression.MARGIN,
        colour="grey",
    ),
    "masked_expression": Kind(
        "masked_expression_classifier",
        masked_expression_task,
        "VGG-like, 8 convolutions of 3x3",
        EXPRESSIONS,
        expression.MARGIN,
        colour="grey",
    ),
    "landmarks": Kind(
        "face_landmarks",
        landmarker.LandmarkTask,
        "plain convolutions of 3x3, a heat map of 8x8 cells for each point, soft argmax",
        landmarker.LABELS,
        landmarker.MARGIN,
        colour="grey",
        output="points",
    ),
    "embedding": Kind(
        "face_embedding",
        embedder.EmbedderTask,
        "ResNet of 29 convolutions (dlib's), most of low rank, mean over places, dense layer",
        ("embedding",),
        output="embedding",
    ),
}


def export(kind_name: str, folders: Sequence[Path], run: Path, models: Path, samples: int) -> dict[str, Any]:
    """Export the model of `run` into `models`; return the figures that manifest and card get.

    `kind_name` is a key of KINDS; `samples` pictures give the ranges of activations. Raises ExportError,
    ModelFileError, DataError or TrainingError if a check fails; then `models` stays as it was.
    """
    network = _Network(kind_name, folders, run)
    content = network.convert(samples)
    ops = modelfile.check(content)
    name = network.kind.name
    log(f"{name}: {len(content):,} bytes; ops {', '.join(f'{k} v{v}' for k, v in ops.items())}")
    models.mkdir(parents=True, exist_ok=True)
    # Next to the models, not among them: a wheel that is built at the same time must not contain half a model.
    with tempfile.TemporaryDirectory(prefix=".export-", dir=models.resolve().parent) as folder:
        staging = Path(folder)
        rows = dict(manifest.load(models)) if (models / manifest.MANIFEST_NAME).is_file() else {}
        for row in rows.values():
            shutil.copy(models / row.file, staging / row.file)
        network.write(staging, rows, content)
        rows[name] = manifest.load(staging)[name]  # raises ModelError if the door could not read it
        has_curve = (staging / f"{name}.png").is_file()
        (staging / f"{name}.md").write_text(cards.card(name, rows[name], ops, has_curve), encoding="utf-8")
        _replace(staging, models, name)
    if (models / comparison.README).is_file():
        comparison.write_comparison(models / comparison.README, rows)
    return {"float_val": {k: round(v, 4) for k, v in network.figures.items()}, **rows[name].metrics}


class _Network:
    """The network of a run, with the data that it was trained on. `figures` are those of validation in float."""

    def __init__(self, kind_name: str, folders: Sequence[Path], run: Path) -> None:
        self.kind = KINDS[kind_name]
        self._kind_name, self._folders = kind_name, folders
        data = Dataset(*folders)
        self._splits = data.splits()
        self._task: Task = self.kind.task(data, self._splits)
        best = run / "best.pt"
        if not best.is_file():
            command = f"python -m training.train {kind_name} --data … --out {run}"
            raise convert.ExportError(f"{best}: no such file; train first: {command}")
        net = self._task.build().eval()
        self.figures = load_best(net, best)
        log(f"{self.kind.name}: {best} with {', '.join(f'{k} {v:.4f}' for k, v in self.figures.items())}")
        self._net: torch.nn.Module = net.folded(expression.VOTES) if isinstance(net, ExpressionClassifier) else net

    def convert(self, samples: int) -> bytes:
        """Return the network as full-integer TFLite."""

        def finish(outputs: list[Any]) -> Any:
            """Return distances and scores of the detector, probabilities of a classifier, or the output as it is."""
            import tensorflow as tf

            if self.kind.strides:
                return [outputs[0], tf.keras.layers.Activation("sigmoid")(outputs[1])]
            return tf.keras.layers.Softmax()(outputs[0]) if self.kind.output == "probabilities" else outputs[0]

        return convert.quantise(self._net, self._task.calibration(samples, CALIBRATION_SEED), finish)

    def write(self, folder: Path, rows: Mapping[str, manifest.ModelEntry], content: bytes) -> None:
        """Write the model, its curve, and a manifest with its row and the other `rows` into `folder`."""
        (folder / f"{self.kind.name}.tflite").write_bytes(content)
        row = _row(self.kind, content, sum(p.numel() for p in self._net.parameters()))
        write_rows(folder, {**rows, self.kind.name: row})
        choice = choose(folder, self._task, self._net)
        row = msgspec.structs.replace(
            row,
            threshold=choice.threshold,
            slope=choice.slope,
            offset=choice.offset,
            metrics={"bytes": len(content), **choice.metrics},
            data=_count_data(self._splits, self._kind_name),
        )
        write_rows(folder, {**rows, self.kind.name: row})
        held_back = _evaluate(self._kind_name, self._folders, folder, self._splits)
        row = msgspec.structs.replace(row, metrics=row.metrics | held_back)
        write_rows(folder, {**rows, self.kind.name: row})


def _replace(staging: Path, models: Path, name: str) -> None:
    """Move the files of a model from `staging` to `models`."""
    # The model comes before the manifest: after a kill in between, the old manifest rejects the new file by its hash,
    # and another export repairs it.
    for file in (f"{name}.png", f"{name}.md", f"{name}.tflite", manifest.MANIFEST_NAME):
        if (staging / file).is_file():
            os.replace(staging / file, models / file)
    # Compiled from the previous model; the new row has none.
    (models / f"{name}_edgetpu.tflite").unlink(missing_ok=True)


def _row(kind: Kind, content: bytes, parameters: int) -> manifest.ModelEntry:
    """Return the manifest's row of a model, not yet calibrated or evaluated."""
    interpreter = load_runtime()[1].Interpreter(model_content=content)
    outputs = {}
    for detail in interpreter.get_output_details():
        key = kind.output
        if kind.strides:
            key = {4: "distances", 1: "scores"}[int(detail["shape"][-1])]
        outputs[key] = tensor_of(detail)
    row: dict[str, Any] = {
        "file": f"{kind.name}.tflite",
        "sha256": hashlib.sha256(content).hexdigest(),
        "date": datetime.date.today().isoformat(),
        "architecture": f"{kind.architecture}; {parameters:,} parameters",
        "colour": kind.colour,
        "input": tensor_of(interpreter.get_input_details()[0]),
        "outputs": outputs,
        "labels": kind.labels,
        "threshold": 0.5,
        "metrics": {},
        "data": {},
        "strides": kind.strides,
        "margin": kind.margin,
    }
    return manifest.ModelEntry(**row)


def _count_data(splits: Splits, kind_name: str) -> dict[str, dict[str, int]]:
    """Return the number of pictures that a model uses, by split and source."""

    def is_used(r: Record) -> bool:
        if kind_name in EXPRESSION_KINDS:
            return r.expression is not None
        if kind_name in ("landmarks", "embedding"):
            return bool(landmarks.examples([r]))
        return kind_name == "mask" or (not r.crop and r.faces is not None)

    counts: dict[str, dict[str, int]] = {}
    for split, records in splits.items():
        sources = sorted(r.source for r in records if is_used(r))
        counts[split] = {source: sources.count(source) for source in dict.fromkeys(sources)}
    return counts


def _evaluate(kind_name: str, folders: Sequence[Path], models: Path, splits: Splits) -> dict[str, dict[str, Any]]:
    """Return figures from held-back pictures through the door's own code, as `figures.flat` names them.

    "test" is the test split. For expressions, "test" is FER2013's PublicTest, which also chose the checkpoint, and
    "wild" is the test split.
    """
    choices = {"test": ["--split", "test"]}
    if kind_name in EXPRESSION_KINDS:
        choices = {}
        if sources := sorted({r.source for r in splits["val"] if r.split and r.expression}):
            choices["test"] = ["--split", "val", "--sources", ",".join(sources)]
        if any(r.expression for r in splits["test"]):
            choices["wild"] = ["--split", "test"]
    figures: dict[str, dict[str, Any]] = {}
    for key, choice in choices.items():
        # A process of its own, because PyTorch and TensorFlow are loaded in this one.
        command = [sys.executable, "-m", "training.evaluate", kind_name, "--data", *map(str, folders)]
        command += ["--models", str(models), *choice]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode == 0:
            figures |= flat(json.loads(done.stdout.splitlines()[-1]), key)
        else:
            log(f"{kind_name}: not evaluated with {' '.join(choice)}: training.evaluate exited with {done.returncode}")
    return figures
