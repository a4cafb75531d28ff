"""Write small TFLite models for tests, part by part: what contains a part is written after it, as FlatBuffers ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import tflite


class TfliteWriter:
    """One model file. Each method but `model` returns the offset of what it has written."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)

    def tensor(self, shape: list[int], kind: int, scale: float, zero_point: int, buffer: int = 0) -> int:
        """Write a quantised tensor of a `tflite.TensorType`; `buffer` is the number of its content, 0 for none."""
        b = self._builder
        scales = self._vector([scale], tflite.QuantizationParametersStartScaleVector, b.PrependFloat32)
        zeros = self._vector([zero_point], tflite.QuantizationParametersStartZeroPointVector, b.PrependInt64)
        tflite.QuantizationParametersStart(b)
        tflite.QuantizationParametersAddScale(b, scales)
        tflite.QuantizationParametersAddZeroPoint(b, zeros)
        quantization = tflite.QuantizationParametersEnd(b)
        at = self._ints(shape)
        tflite.TensorStart(b)
        tflite.TensorAddShape(b, at)
        tflite.TensorAddType(b, kind)
        tflite.TensorAddBuffer(b, buffer)
        tflite.TensorAddQuantization(b, quantization)
        return int(tflite.TensorEnd(b))

    def operator(self, code: int, inputs: list[int], output: int, kind: int = 0, options: int = 0) -> int:
        """Write an operator: the numbers of its code and tensors, and its options of a `tflite.BuiltinOptions`."""
        b = self._builder
        inputs_at, outputs_at = self._ints(inputs), self._ints([output])
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, code)
        tflite.OperatorAddInputs(b, inputs_at)
        tflite.OperatorAddOutputs(b, outputs_at)
        if kind:
            tflite.OperatorAddBuiltinOptionsType(b, kind)
            tflite.OperatorAddBuiltinOptions(b, options)
        return int(tflite.OperatorEnd(b))

    def pool_options(self, cell: int) -> int:
        """Write the options of a pool over squares of `cell` pixels that do not overlap."""
        b = self._builder
        tflite.Pool2DOptionsStart(b)
        tflite.Pool2DOptionsAddPadding(b, tflite.Padding.VALID)
        tflite.Pool2DOptionsAddStrideW(b, cell)
        tflite.Pool2DOptionsAddStrideH(b, cell)
        tflite.Pool2DOptionsAddFilterWidth(b, cell)
        tflite.Pool2DOptionsAddFilterHeight(b, cell)
        return int(tflite.Pool2DOptionsEnd(b))

    def dense_options(self) -> int:
        """Write the options of a fully connected layer without activation."""
        tflite.FullyConnectedOptionsStart(self._builder)
        return int(tflite.FullyConnectedOptionsEnd(self._builder))

    def graph(self, tensors: list[int], operators: list[int], inputs: list[int], outputs: list[int]) -> int:
        """Write a graph of these parts; `inputs` and `outputs` are numbers of tensors."""
        b = self._builder
        tensors_at = self._vector(tensors, tflite.SubGraphStartTensorsVector, b.PrependUOffsetTRelative)
        operators_at = self._vector(operators, tflite.SubGraphStartOperatorsVector, b.PrependUOffsetTRelative)
        inputs_at, outputs_at = self._ints(inputs), self._ints(outputs)
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, tensors_at)
        tflite.SubGraphAddInputs(b, inputs_at)
        tflite.SubGraphAddOutputs(b, outputs_at)
        tflite.SubGraphAddOperators(b, operators_at)
        return int(tflite.SubGraphEnd(b))

    def model(self, graph: int, codes: list[tuple[int, int]], contents: list[bytes]) -> bytes:
        """Return the file of a model with one graph, the codes (`tflite.BuiltinOperator`, version) and buffers."""
        b = self._builder
        graphs_at = self._vector([graph], tflite.ModelStartSubgraphsVector, b.PrependUOffsetTRelative)
        codes_at = self._vector(
            [self._code(*code) for code in codes], tflite.ModelStartOperatorCodesVector, b.PrependUOffsetTRelative
        )
        buffers_at = self._vector(
            [self._buffer(content) for content in contents], tflite.ModelStartBuffersVector, b.PrependUOffsetTRelative
        )
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, codes_at)
        tflite.ModelAddSubgraphs(b, graphs_at)
        tflite.ModelAddBuffers(b, buffers_at)
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())

    def _code(self, code: int, version: int) -> int:
        b = self._builder
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, code)
        tflite.OperatorCodeAddBuiltinCode(b, code)
        tflite.OperatorCodeAddVersion(b, version)
        return int(tflite.OperatorCodeEnd(b))

    def _buffer(self, content: bytes) -> int:
        b = self._builder
        data = b.CreateByteVector(content)
        tflite.BufferStart(b)
        if content:
            tflite.BufferAddData(b, data)
        return int(tflite.BufferEnd(b))

    def _ints(self, values: list[int]) -> int:
        return self._vector(values, tflite.TensorStartShapeVector, self._builder.PrependInt32)

    def _vector(self, values: list[Any], start: Callable[..., object], add: Callable[[Any], object]) -> int:
        start(self._builder, len(values))
        for value in reversed(values):
            add(value)
        return int(self._builder.EndVector())
