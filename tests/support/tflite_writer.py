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
        quantization = self._table("QuantizationParameters", Scale=scales, ZeroPoint=zeros)
        at = self._ints(shape)
        return self._table("Tensor", Shape=at, Type=kind, Buffer=buffer, Quantization=quantization)

    def operator(self, code: int, inputs: list[int], output: int, kind: int = 0, options: int = 0) -> int:
        """Write an operator: the numbers of its code and tensors, and its options of a `tflite.BuiltinOptions`."""
        fields = {"OpcodeIndex": code, "Inputs": self._ints(inputs), "Outputs": self._ints([output])}
        if kind:
            fields |= {"BuiltinOptionsType": kind, "BuiltinOptions": options}
        return self._table("Operator", **fields)

    def pool_options(self, cell: int) -> int:
        """Write the options of a pool over squares of `cell` pixels that do not overlap."""
        return self._table(
            "Pool2DOptions",
            Padding=tflite.Padding.VALID,
            StrideW=cell,
            StrideH=cell,
            FilterWidth=cell,
            FilterHeight=cell,
        )

    def dense_options(self) -> int:
        """Write the options of a fully connected layer without activation."""
        return self._table("FullyConnectedOptions")

    def graph(self, tensors: list[int], operators: list[int], inputs: list[int], outputs: list[int]) -> int:
        """Write a graph of these parts; `inputs` and `outputs` are numbers of tensors."""
        b = self._builder
        tensors_at = self._vector(tensors, tflite.SubGraphStartTensorsVector, b.PrependUOffsetTRelative)
        operators_at = self._vector(operators, tflite.SubGraphStartOperatorsVector, b.PrependUOffsetTRelative)
        inputs_at, outputs_at = self._ints(inputs), self._ints(outputs)
        return self._table("SubGraph", Tensors=tensors_at, Inputs=inputs_at, Outputs=outputs_at, Operators=operators_at)

    def code(self, builtin: int, version: int) -> int:
        """Write the code of a `tflite.BuiltinOperator`."""
        return self._table("OperatorCode", DeprecatedBuiltinCode=builtin, BuiltinCode=builtin, Version=version)

    def custom_code(self, name: bytes) -> int:
        """Write the code of a custom operator."""
        at, custom = self._builder.CreateString(name), tflite.BuiltinOperator.CUSTOM
        return self._table("OperatorCode", DeprecatedBuiltinCode=custom, CustomCode=at, BuiltinCode=custom)

    def model(self, graph: int, codes: list[int], contents: list[bytes]) -> bytes:
        """Return the file of a model with one graph, the codes of its operators, and buffers."""
        b = self._builder
        graphs_at = self._vector([graph], tflite.ModelStartSubgraphsVector, b.PrependUOffsetTRelative)
        codes_at = self._vector(codes, tflite.ModelStartOperatorCodesVector, b.PrependUOffsetTRelative)
        buffers_at = self._vector(
            [self._buffer(content) for content in contents], tflite.ModelStartBuffersVector, b.PrependUOffsetTRelative
        )
        model = self._table("Model", Version=3, OperatorCodes=codes_at, Subgraphs=graphs_at, Buffers=buffers_at)
        b.Finish(model, b"TFL3")
        return bytes(b.Output())

    def _buffer(self, content: bytes) -> int:
        data = self._builder.CreateByteVector(content)
        return self._table("Buffer", **({"Data": data} if content else {}))

    def _table(self, kind: str, **fields: int) -> int:
        """Write a table of the schema with these fields; a part that it contains is given by its offset."""
        getattr(tflite, f"{kind}Start")(self._builder)
        for name, value in fields.items():
            getattr(tflite, f"{kind}Add{name}")(self._builder, value)
        return int(getattr(tflite, f"{kind}End")(self._builder))

    def _ints(self, values: list[int]) -> int:
        return self._vector(values, tflite.TensorStartShapeVector, self._builder.PrependInt32)

    def _vector(self, values: list[Any], start: Callable[..., object], add: Callable[[Any], object]) -> int:
        start(self._builder, len(values))
        for value in reversed(values):
            add(value)
        return int(self._builder.EndVector())
