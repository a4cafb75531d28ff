"""A folder of models with a small embedder: a stand-in for tests, which tells pictures of faces apart by their pixels.

It averages the aligned crop over cells and mixes the cells by fixed random weights without a common part, so that
brightness does not matter. It knows a face again in the same light and pose, and nothing more.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tflite

from edge.inference import manifest
from edge.inference.embedder import DIMENSIONS, NAME
from support.tflite_writer import TfliteWriter

SIZE, CELL = 96, 12
CELLS = (SIZE // CELL) ** 2 * 3
THRESHOLD = 0.825
PIXEL_SCALE, WEIGHT_SCALE, OUTPUT_SCALE = 0.007843137718737125, 0.01, 0.05
ROW = f"""
[{NAME}]
file = "{NAME}.tflite"
sha256 = "{{sha256}}"
date = "2026-11-27"
architecture = "a stand-in for tests"
colour = "RGB"
input = {{{{ shape = [1, {SIZE}, {SIZE}, 3], dtype = "uint8", scale = {PIXEL_SCALE}, zero_point = 127 }}}}
labels = ["embedding"]
threshold = {THRESHOLD}
[{NAME}.outputs]
embedding = {{{{ shape = [1, {DIMENSIONS}], dtype = "int8", scale = {OUTPUT_SCALE}, zero_point = 0 }}}}
[{NAME}.metrics]
[{NAME}.data]
"""


def darker_below(picture: npt.NDArray[np.uint8], top: int, bottom: int) -> npt.NDArray[np.uint8]:
    """Return a picture (H, W, 3) whose face, in the rows from `top` to `bottom`, is somebody else's for the stand-in."""
    shade = np.clip(1 - 0.8 * (np.arange(len(picture)) - top) / (bottom - top), 0.25, 1)
    return np.asarray(picture * shade[:, None, None], np.uint8)


def weights() -> npt.NDArray[np.int8]:
    """Return the weights (DIMENSIONS, CELLS) int8; the sum over each colour of a row is about 0."""
    found = np.random.default_rng(17).normal(0, 40, (DIMENSIONS, CELLS // 3, 3))
    found -= found.mean(1, keepdims=True)
    return np.clip(np.round(found.reshape(DIMENSIONS, CELLS)), -127, 127).astype(np.int8)


def model() -> bytes:
    """Return the model file: quantize to int8, average pool, fully connected."""
    file = TfliteWriter()
    side, kinds = SIZE // CELL, tflite.TensorType
    tensors = [
        file.tensor([1, SIZE, SIZE, 3], kinds.UINT8, PIXEL_SCALE, 127),
        file.tensor([1, SIZE, SIZE, 3], kinds.INT8, PIXEL_SCALE, -1),
        file.tensor([1, side, side, 3], kinds.INT8, PIXEL_SCALE, -1),
        file.tensor([DIMENSIONS, CELLS], kinds.INT8, WEIGHT_SCALE, 0, 1),
        file.tensor([1, DIMENSIONS], kinds.INT8, OUTPUT_SCALE, 0),
    ]
    operators = [
        file.operator(0, [0], 1),
        file.operator(1, [1], 2, tflite.BuiltinOptions.Pool2DOptions, file.pool_options(CELL)),
        file.operator(2, [2, 3, -1], 4, tflite.BuiltinOptions.FullyConnectedOptions, file.dense_options()),
    ]
    codes = [
        file.code(tflite.BuiltinOperator.QUANTIZE, 1),
        file.code(tflite.BuiltinOperator.AVERAGE_POOL_2D, 2),
        file.code(tflite.BuiltinOperator.FULLY_CONNECTED, 4),
    ]
    graph = file.graph(tensors, operators, [0], [4])
    return file.model(graph, codes, [b"", weights().tobytes()])


def make_models(folder: Path) -> Path:
    """Return a folder with the shipped models, by links, and the stand-in."""
    text = _link_shipped(folder)
    content = model()
    (folder / f"{NAME}.tflite").write_bytes(content)
    row = ROW.format(sha256=hashlib.sha256(content).hexdigest())
    (folder / manifest.MANIFEST_NAME).write_text(f"{text}\n{row}", encoding="utf-8")
    return folder


def make_models_without(folder: Path) -> Path:
    """Return a folder with the shipped models, by links, and no embedder."""
    text = _link_shipped(folder)
    (folder / manifest.MANIFEST_NAME).write_text(text, encoding="utf-8")
    return folder


def _link_shipped(folder: Path) -> str:
    """Link the shipped models but the embedder into a new folder, and return their part of the manifest."""
    shipped = manifest.find_shipped_models()
    folder.mkdir(parents=True, exist_ok=True)
    for name, entry in manifest.load(shipped).items():
        if name != NAME:
            (folder / entry.file).symlink_to(shipped / entry.file)
    text = (shipped / manifest.MANIFEST_NAME).read_text(encoding="utf-8")
    return text.partition(f"\n[{NAME}]")[0]  # it is the last one
