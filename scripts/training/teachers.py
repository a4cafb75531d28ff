"""Networks whose answers a smaller expression classifier learns (Hinton et al. 2015)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from edge.inference.interpreter import load_runtime

from .arrays import Floats, Picture
from .checkpoints import TrainingError, load_best
from .nets import ExpressionClassifier, ExpressionTeacher, TwoHeads, mixed_precision, normalise

#: Returns probabilities (n, 2, 7) for faces (n, 48, 48) uint8: of the labels, and of the votes.
Teacher = Callable[[Picture], Floats]
CHUNK = 256


def of_network(net: torch.nn.Module) -> Teacher:
    """Return the teacher that a network with two heads is."""
    net = net.eval()

    def answer(faces: Picture) -> Floats:
        x = normalise(torch.from_numpy(faces)[:, None]).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), mixed_precision(torch.device("cpu")):
            probabilities: Floats = net(x).float().unflatten(1, (2, 7)).softmax(2).numpy()
        return probabilities

    return answer


def of_file(path: Path) -> Teacher:
    """Return the teacher in best.pt of a run, of a teacher or a classifier, or in an exported `.tflite` of any architecture, whose
    only head answers for both. Raises TrainingError."""
    if path.suffix == ".tflite":
        return _of_exported(path)
    net: TwoHeads = ExpressionTeacher()
    try:
        load_best(net, path)
    except TrainingError:
        net = ExpressionClassifier()
        load_best(net, path)
    return of_network(net)


def _of_exported(path: Path) -> Teacher:
    try:
        interpreter = load_runtime()[1].Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise TrainingError(f"{path}: not a model that can be run: {error}") from None
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    if tuple(given["shape"]) != (1, 48, 48, 1) or tuple(wanted["shape"]) != (1, 7):
        raise TrainingError(f"{path}: not an expression classifier")
    scale, zero_point = wanted["quantization"]

    def answer(faces: Picture) -> Floats:
        out = np.zeros((len(faces), 7), np.float32)
        for k, face in enumerate(faces):
            interpreter.set_tensor(given["index"], face[None, :, :, None])
            interpreter.invoke()
            out[k] = (interpreter.get_tensor(wanted["index"])[0].astype(np.float32) - zero_point) * scale
        out /= out.sum(1, keepdims=True)
        return np.repeat(out[:, None], 2, axis=1)

    return answer


def answers(teachers: Sequence[Teacher], faces: Picture, side: int) -> Floats:
    """Return the mean answer (n, 2, 7) of `teachers` to the middle, `side` pixels wide, of faces (n, H, W) uint8 and to
    its mirror image."""
    edge = (faces.shape[1] - side) // 2
    middle = faces[:, edge : edge + side, edge : edge + side]
    out = np.zeros((len(faces), 2, 7), np.float32)
    for start in tqdm(range(0, len(faces), CHUNK), desc="teachers' answers", leave=False, disable=None):
        part = middle[start : start + CHUNK]
        views = [np.ascontiguousarray(v) for v in (part, part[:, :, ::-1])]
        out[start : start + CHUNK] = np.mean([teacher(v) for teacher in teachers for v in views], axis=0)
    return out
