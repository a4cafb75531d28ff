"""Judge a trained backbone: accuracy in float and 8-bit, size, multiplications, time, operations."""

from __future__ import annotations

import functools
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge.inference import manifest
from edge.inference.interpreter import create_interpreter, load_runtime

from . import convert, modelfile
from .backbone_nets import Network
from .backbone_table import FIGURES, SHIPPED
from .backbone_tasks import Faces, Source
from .boards import BOARDS, cpu_ms
from .checkpoints import load_last_average
from .dataset import require
from .files import replace_text, replacing
from .metrics import wilson

#: The seed of the pictures that calibrate the ranges of activations.
CALIBRATION_SEED = 7
#: Invocations whose median is the time of a face, after some that warm up.
TIMED, WARM_UP = 50, 5
MODEL_FILE = "model.tflite"
#: The splits that judge. FER2013 has no test split, and PublicTest chooses nothing here.
SPLITS = {"mask": {"test split": "test"}, "expression": {"PublicTest": "val", "test split": "test"}}


class TfliteClassifier:
    """An 8-bit classifier in LiteRT on one thread: pictures (H, W, C) uint8 in, probabilities out."""

    def __init__(self, content: bytes) -> None:
        runtime, module = load_runtime()
        self._interpreter = create_interpreter(runtime, module, model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]["index"]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(height, width, channels)."""
        return tuple(int(v) for v in self._input["shape"][1:])

    def answer(self, picture: Any) -> int:
        """Return the most probable class."""
        self._interpreter.set_tensor(self._input["index"], picture[None])
        self._interpreter.invoke()
        return int(self._interpreter.get_tensor(self._output)[0].argmax())

    def count_right(self, faces: Faces) -> int:
        """Return how many faces are judged rightly."""
        return sum(self.answer(p) == c for p, c in zip(faces.pictures, faces.classes, strict=True))

    def milliseconds(self) -> float:
        """Return the median processor time of an invocation; other programs do not count."""
        picture = np.random.default_rng(0).integers(0, 256, self.input_shape, np.uint8)
        times = []
        for _ in range(WARM_UP + TIMED):
            began = time.thread_time()
            self.answer(picture)
            times.append(1e3 * (time.thread_time() - began))
        return statistics.median(times[WARM_UP:])


def judge(source: Source, network: Network, run: Path, samples: int) -> None:
    """Write the 8-bit model and the figures of a network that was trained in `run`.

    Raises TrainingError if there is no checkpoint, and ExportError if a part has no TFLite form.
    """
    net = source.build(network)
    steps = load_last_average(net, run / "last.pt")
    classifier = source.classifier(net)
    content = convert.quantise(classifier, source.calibration(samples, CALIBRATION_SEED), _softmax)
    with replacing(run / MODEL_FILE) as part:
        part.write_bytes(content)
    history = [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    row = {"title": network.title, "steps": steps, "parameters": sum(p.numel() for p in classifier.parameters())}
    row |= _properties(content) | {"train_seconds": history[-1]["seconds"], "curve": _curve(history)}
    row["validation_faces"] = len(source.validation)
    in_float = {name: faces.count_right(classifier) for name, faces in _judged_by(source).items()}
    row["float"] = {name: _accuracy(right, len(_judged_by(source)[name])) for name, right in in_float.items()}
    row["int8"] = _int8(content, source)
    replace_text(run / FIGURES, json.dumps(row) + "\n")


def judge_shipped(source: Source) -> None:
    """Write the figures of the shipped model, which was trained for longer, from more, beside those of the networks."""
    row = manifest.load()
    name = f"{source.name}_classifier"
    content = row.read(name)
    kept = source.folder / SHIPPED / FIGURES
    if kept.is_file() and json.loads(kept.read_text(encoding="utf-8"))["sha256"] == row[name].sha256:
        return
    found = {"title": f"shipped: {row[name].architecture}", "sha256": row[name].sha256, **_properties(content)}
    found["int8"] = _int8(content, source)
    replace_text(kept, json.dumps(found) + "\n")


def _properties(content: bytes) -> dict[str, Any]:
    """Return what does not depend on the training."""
    mmacs = modelfile.macs(content) / 1e6
    return {
        "bytes": len(content),
        "mmacs": round(mmacs, 1),
        "ms_here": round(TfliteClassifier(content).milliseconds(), 3),
        "ms_estimated": {board.name: round(cpu_ms(board, mmacs, one_thread=True), 1) for board in BOARDS},
        "not_on_edge_tpu": modelfile.rejected_ops(modelfile.ops(content)),
    }


@functools.cache
def _judged_by(source: Source) -> dict[str, Faces]:
    """Return the faces that judge, by name. Raises DataError if there are none."""
    found = {name: source.faces(split) for name, split in SPLITS[source.name].items()}
    require([name for name, faces in found.items() if len(faces)], "test", "labelled face")
    return {name: faces for name, faces in found.items() if len(faces)}


def _int8(content: bytes, source: Source) -> dict[str, Any]:
    model = TfliteClassifier(content)
    return {name: _accuracy(model.count_right(faces), len(faces)) for name, faces in _judged_by(source).items()}


def _accuracy(right: int, of: int) -> dict[str, Any]:
    low, high = wilson(right, of) or (0.0, 1.0)
    return {"accuracy": round(right / max(of, 1), 4), "low": round(low, 4), "high": round(high, 4), "n": of}


def _curve(history: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Return (seconds of training, validation accuracy) of each validation."""
    return [(row["seconds"], round(row["val accuracy"], 4)) for row in history]


def _softmax(outputs: list[Any]) -> Any:
    import tensorflow as tf

    return tf.keras.layers.Softmax()(outputs[0])
