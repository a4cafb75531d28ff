"""Inspect a .tflite file and check that the Edge TPU compiler accepts it. Needs no TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import tflite

#: Ops and highest op versions in Coral's published models. The Edge TPU compiler accepts these.
EDGE_TPU_OPS = {
    "ADD": 2, "AVERAGE_POOL_2D": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "DEQUANTIZE": 2,
    "FULLY_CONNECTED": 4, "LOGISTIC": 2, "MAX_POOL_2D": 2, "MEAN": 2, "MUL": 2, "PAD": 2, "QUANTIZE": 1, "RELU6": 1,
    "RESHAPE": 1, "RESIZE_BILINEAR": 3, "RESIZE_NEAREST_NEIGHBOR": 1, "SOFTMAX": 2, "SPLIT": 3, "SUB": 2,
}  # fmt: skip

_OP_NAMES = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
_TYPE_NAMES = {v: k for k, v in vars(tflite.TensorType).items() if isinstance(v, int)}


class ModelFileError(Exception):
    """The model is not full-integer or not static, or has an op that the Edge TPU compiler rejects.

    Names every violation.
    """


def ops(content: bytes) -> dict[str, int]:
    """Return the names of the ops in a model, with the highest version of each."""
    model = tflite.Model.GetRootAsModel(content, 0)
    found: dict[str, int] = {}
    for k in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(k)
        name = _op_name(code)
        found[name] = max(found.get(name, 0), code.Version())
    return dict(sorted(found.items()))


def macs(content: bytes) -> int:
    """Return the multiply-accumulate operations of one inference, in convolutions and dense layers."""
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    total = 0
    for name, operator in _operators(model):
        if name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        weights = [int(v) for v in graph.Tensors(operator.Inputs(1)).ShapeAsNumpy()]
        out = [int(v) for v in graph.Tensors(operator.Outputs(0)).ShapeAsNumpy()]
        # Weights are (out, height, width, in), for the depthwise convolution (1, height, width, out), and (out, in).
        each = math.prod(weights[1:3]) if name == "DEPTHWISE_CONV_2D" else math.prod(weights[1:])
        total += math.prod(out) * each
    return total


def rejected_ops(used: Mapping[str, int]) -> list[str]:
    """Return the names of those ops, with their versions as `ops` returns them, that EDGE_TPU_OPS does not have."""
    return [op for op, version in used.items() if version > EDGE_TPU_OPS.get(op, 0)]


def check(content: bytes) -> dict[str, int]:
    """Check a model and return its ops as `ops` does. Raises ModelFileError.

    The model must have one uint8 input, uint8 outputs, int8 tensors (int32 for biases) in between, static shapes, and
    only ops and op versions in EDGE_TPU_OPS. Dense layers must be quantised per tensor.
    """
    model = tflite.Model.GetRootAsModel(content, 0)
    used = ops(content)
    wrong = [*_wrong_ops(used), *_wrong_tensors(model), *_wrong_ends(model), *_wrong_dense_layers(model)]
    if wrong:
        raise ModelFileError("; ".join(wrong))
    return used


def _op_name(code: Any) -> str:
    return _OP_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]


def _operators(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield (name of its op, operator) of the model's graph."""
    graph = model.Subgraphs(0)
    for k in range(graph.OperatorsLength()):
        operator = graph.Operators(k)
        yield _op_name(model.OperatorCodes(operator.OpcodeIndex())), operator


def _wrong_ops(used: dict[str, int]) -> Iterator[str]:
    for op in rejected_ops(used):
        yield f"op {op} version {used[op]} is not in the Edge TPU's table ({EDGE_TPU_OPS.get(op, 'no such op')})"


def _wrong_tensors(model: Any) -> Iterator[str]:
    graph = model.Subgraphs(0)
    ends = {graph.Inputs(k) for k in range(graph.InputsLength())}
    ends |= {graph.Outputs(k) for k in range(graph.OutputsLength())}
    for k in range(graph.TensorsLength()):
        tensor = graph.Tensors(k)
        dtype = _TYPE_NAMES[tensor.Type()]
        name = tensor.Name().decode()
        if dtype not in ("INT8", "INT32") and (dtype != "UINT8" or k not in ends):
            yield f"tensor '{name}' is {dtype}"
        signature = tensor.ShapeSignatureAsNumpy() if tensor.ShapeSignatureLength() else []
        if any(int(v) < 0 for v in signature):
            yield f"tensor '{name}' has no static shape"


def _wrong_ends(model: Any) -> Iterator[str]:
    graph = model.Subgraphs(0)
    inputs = [_TYPE_NAMES[graph.Tensors(graph.Inputs(k)).Type()] for k in range(graph.InputsLength())]
    outputs = [_TYPE_NAMES[graph.Tensors(graph.Outputs(k)).Type()] for k in range(graph.OutputsLength())]
    if inputs != ["UINT8"]:
        yield f"inputs are {', '.join(inputs)}; expected UINT8 (one)"
    if set(outputs) != {"UINT8"}:
        yield f"outputs are {', '.join(outputs)}; expected UINT8"


def _wrong_dense_layers(model: Any) -> Iterator[str]:
    graph = model.Subgraphs(0)
    for name, operator in _operators(model):
        if name == "FULLY_CONNECTED":
            weights = graph.Tensors(operator.Inputs(1))
            # The op version does not show whether a layer is quantised per tensor or per channel.
            scales = weights.Quantization().ScaleLength()
            if scales != 1:
                yield f"dense weights '{weights.Name().decode()}' have {scales} scales, expected one per tensor"
