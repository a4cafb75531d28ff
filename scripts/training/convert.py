"""PyTorch to full-integer TFLite: trace, rebuild in Keras with the same weights, quantise, check."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from torch import fx, nn

from .nets import SameConv2d


class ExportError(Exception):
    """A network that cannot become the model it should be."""


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SameConv2d) or super().is_leaf_module(m, module_qualified_name)


def to_keras(net: nn.Module, shape: tuple[int, int, int], finish: Callable[[Any], Any]) -> Any:
    """The same function as a Keras model over (height, width, channels); `finish` maps its outputs (a list) to the model's.

    The model's input is normalised as by `nets.normalise`; quantised to uint8 with scale 1/127.5 and zero point 127,
    plain pixels are that input.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    layers = tf.keras.layers
    net = net.eval()
    graph = _Tracer().trace(net)
    modules = dict(net.named_modules())
    inputs = tf.keras.Input(shape, batch_size=1)
    values: dict[str, Any] = {}
    waiting: list[tuple[Any, list[np.ndarray]]] = []

    def convolution(m: nn.Conv2d, x: Any) -> Any:
        if m.groups == 1:
            layer = layers.Conv2D(m.out_channels, m.kernel_size, m.stride, "same", use_bias=m.bias is not None)
            weight = m.weight.detach().numpy().transpose(2, 3, 1, 0)
        else:
            layer = layers.DepthwiseConv2D(m.kernel_size, m.stride, "same", use_bias=m.bias is not None)
            weight = m.weight.detach().numpy().transpose(2, 3, 0, 1)
        waiting.append((layer, [weight] + ([m.bias.detach().numpy()] if m.bias is not None else [])))
        return layer(x)

    def doubled(x: Any) -> Any:
        """Nearest-neighbour upsampling by two out of concatenations and reshapes: every pixel beside itself, every row
        below itself. 8-bit RESIZE_NEAREST_NEIGHBOR has an op version that the Edge TPU's compiler does not take.
        """
        _, h, w, c = x.shape
        x = layers.Reshape((h, 2 * w, c))(layers.Concatenate(axis=3)([x, x]))
        x = layers.Reshape((h, 1, 2 * w * c))(x)
        return layers.Reshape((2 * h, 2 * w, c))(layers.Concatenate(axis=2)([x, x]))

    def argument(a: Any) -> Any:
        return (
            values[a.name] if isinstance(a, fx.Node) else [argument(v) for v in a] if isinstance(a, list | tuple) else a
        )

    for node in graph.nodes:
        args = [argument(a) for a in node.args]
        if node.op == "placeholder":
            value = inputs
        elif node.op == "output":
            outputs = args[0] if isinstance(args[0], list) else [args[0]]
            break
        elif node.op == "call_module":
            m, x = modules[node.target], args[0]
            if isinstance(m, nn.Conv2d):
                value = convolution(m, x)
            elif isinstance(m, nn.BatchNorm2d):
                layer = layers.BatchNormalization(epsilon=m.eps)
                waiting.append(
                    (layer, [v.detach().numpy() for v in (m.weight, m.bias, m.running_mean, m.running_var)])  # type: ignore[union-attr]
                )
                value = layer(x)
            elif isinstance(m, nn.ReLU6):
                value = layers.ReLU(6.0)(x)
            elif isinstance(m, nn.MaxPool2d):
                value = layers.MaxPooling2D(int(m.kernel_size))(x)
            elif isinstance(m, nn.Linear):
                layer = layers.Dense(m.out_features)
                waiting.append((layer, [m.weight.detach().numpy().T, m.bias.detach().numpy()]))
                value = layer(x)
            elif isinstance(m, nn.Dropout | nn.Identity):
                value = x
            else:
                raise ExportError(f"no TFLite form known for module {node.target} ({type(m).__name__})")
        elif node.op == "call_function" and node.target.__name__ in ("add", "iadd"):
            value = layers.Add()(args)
        elif node.op == "call_function" and node.target.__name__ == "interpolate":
            value = doubled(args[0])
        elif node.op == "call_function" and node.target.__name__ == "cat":
            value = layers.Concatenate(axis=1)(args[0])
        elif node.op == "call_function" and node.target.__name__ == "getattr":
            value = args[0].shape  # of a permuted or unpermuted tensor: used for sizes alone, which reshape recomputes
        elif node.op == "call_function" and node.target.__name__ in ("getitem", "mul"):
            value = None
        elif node.op == "call_method" and node.target == "mean":
            value = layers.GlobalAveragePooling2D()(args[0])
        elif node.op == "call_method" and node.target == "permute":
            value = args[0]  # NCHW to NHWC: Keras is there already
        elif node.op == "call_method" and node.target == "reshape":
            value = layers.Reshape((-1, int(args[-1])))(args[0])
        else:
            raise ExportError(f"no TFLite form known for {node.op} {node.target}")
        values[node.name] = value
    model = tf.keras.Model(inputs, finish(outputs))
    for layer, weights in waiting:
        layer.set_weights(weights)
    return model


def to_tflite(model: Any, samples: Iterable[np.ndarray]) -> bytes:
    """Full-integer TFLite: uint8 in and out, int8 inside, dense layers per tensor.

    `samples` are model inputs (1, H, W, C) float32 from which the ranges of activations are taken.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([s] for s in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    content: bytes = converter.convert()
    return _slim(content)


def _slim(content: bytes) -> bytes:
    """The same model in less space: no names of inner tensors, and equal vectors (zero points above all) stored once."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    class Sharing(flatbuffers.Builder):  # type: ignore[misc]
        """Writes equal numeric vectors once, and weights where SIMD can read them."""

        def __init__(self) -> None:
            super().__init__(1 << 20)
            self.written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: Any) -> int:  # the base class's name
            key = (x.dtype.str, x.tobytes())
            if key not in self.written:
                self.written[key] = super().CreateNumpyVector(x)
            return self.written[key]

        def StartVector(self, size: int, count: int, alignment: int) -> Any:
            return super().StartVector(size, count, 16 if size == 1 and count >= 16 else alignment)

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    named = {*graph.inputs, *graph.outputs}
    for index, tensor in enumerate(graph.tensors):
        if index not in named:
            tensor.name = b""
    builder = Sharing()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
