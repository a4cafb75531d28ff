"""A folder of models with a small embedder: a stand-in for tests, which tells pictures of faces apart by their pixels.

It averages the aligned crop over cells and mixes the cells by fixed random weights without a common part, so that
brightness does not matter. It knows a face again in the same light and pose, and nothing more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import tflite

from edge.inference import manifest
from edge.inference.embedder import DIMENSIONS, NAME

SIZE, CELL = 96, 12
CELLS = (SIZE // CELL) ** 2 * 3
THRESHOLD = 0.885
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
    b = flatbuffers.Builder(1024)
    kinds = tflite.TensorType

    def vector(values: list[Any], start: Callable[..., object], add: Callable[[Any], object]) -> int:
        start(b, len(values))
        for value in reversed(values):
            add(value)
        return int(b.EndVector())

    def ints(values: list[int]) -> int:
        return vector(values, tflite.TensorStartShapeVector, b.PrependInt32)

    def tensor(shape: list[int], kind: int, scale: float, zero_point: int, buffer: int = 0) -> int:
        scales = vector([scale], tflite.QuantizationParametersStartScaleVector, b.PrependFloat32)
        zeros = vector([zero_point], tflite.QuantizationParametersStartZeroPointVector, b.PrependInt64)
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, scales)
        tflite.QuantizationParametersAddZeroPoint(b, zeros)
        quantization = tflite.QuantizationParametersEnd(b)
        at = ints(shape)
        tflite.TensorStart(b)
        tflite.TensorAddShape(b, at)
        tflite.TensorAddType(b, kind)
        tflite.TensorAddBuffer(b, buffer)
        tflite.TensorAddQuantization(b, quantization)
        return int(tflite.TensorEnd(b))

    def operator(code: int, inputs: list[int], output: int, kind: int = 0, options: int = 0) -> int:
        inputs_at, outputs_at = ints(inputs), ints([output])
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, code)
        tflite.OperatorAddInputs(b, inputs_at)
        tflite.OperatorAddOutputs(b, outputs_at)
        if kind:
            tflite.OperatorAddBuiltinOptionsType(b, kind)
            tflite.OperatorAddBuiltinOptions(b, options)
        return int(tflite.OperatorEnd(b))

    side = SIZE // CELL
    tensors = [
        tensor([1, SIZE, SIZE, 3], kinds.UINT8, PIXEL_SCALE, 127),
        tensor([1, SIZE, SIZE, 3], kinds.INT8, PIXEL_SCALE, -1),
        tensor([1, side, side, 3], kinds.INT8, PIXEL_SCALE, -1),
        tensor([DIMENSIONS, CELLS], kinds.INT8, WEIGHT_SCALE, 0, 1),
        tensor([1, DIMENSIONS], kinds.INT8, OUTPUT_SCALE, 0),
    ]
    tflite.Pool2DOptionsStart(b)
    tflite.Pool2DOptionsAddPadding(b, tflite.Padding.VALID)
    tflite.Pool2DOptionsAddStrideW(b, CELL)
    tflite.Pool2DOptionsAddStrideH(b, CELL)
    tflite.Pool2DOptionsAddFilterWidth(b, CELL)
    tflite.Pool2DOptionsAddFilterHeight(b, CELL)
    pool = tflite.Pool2DOptionsEnd(b)
    tflite.FullyConnectedOptionsStart(b)
    dense = tflite.FullyConnectedOptionsEnd(b)
    operators = [
        operator(0, [0], 1),
        operator(1, [1], 2, tflite.BuiltinOptions.Pool2DOptions, pool),
        operator(2, [2, 3, -1], 4, tflite.BuiltinOptions.FullyConnectedOptions, dense),
    ]
    tensors_at = vector(tensors, tflite.SubGraphStartTensorsVector, b.PrependUOffsetTRelative)
    operators_at = vector(operators, tflite.SubGraphStartOperatorsVector, b.PrependUOffsetTRelative)
    inputs, outputs = ints([0]), ints([4])
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, tensors_at)
    tflite.SubGraphAddInputs(b, inputs)
    tflite.SubGraphAddOutputs(b, outputs)
    tflite.SubGraphAddOperators(b, operators_at)
    graphs = vector([tflite.SubGraphEnd(b)], tflite.ModelStartSubgraphsVector, b.PrependUOffsetTRelative)
    codes = []
    for code, version in (
        (tflite.BuiltinOperator.QUANTIZE, 1),
        (tflite.BuiltinOperator.AVERAGE_POOL_2D, 2),
        (tflite.BuiltinOperator.FULLY_CONNECTED, 4),
    ):
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, code)
        tflite.OperatorCodeAddBuiltinCode(b, code)
        tflite.OperatorCodeAddVersion(b, version)
        codes.append(tflite.OperatorCodeEnd(b))
    codes_at = vector(codes, tflite.ModelStartOperatorCodesVector, b.PrependUOffsetTRelative)
    buffers = []
    for content in (b"", weights().tobytes()):
        data = b.CreateByteVector(content)
        tflite.BufferStart(b)
        if content:
            tflite.BufferAddData(b, data)
        buffers.append(tflite.BufferEnd(b))
    buffers_at = vector(buffers, tflite.ModelStartBuffersVector, b.PrependUOffsetTRelative)
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddOperatorCodes(b, codes_at)
    tflite.ModelAddSubgraphs(b, graphs)
    tflite.ModelAddBuffers(b, buffers_at)
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    return bytes(b.Output())


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
