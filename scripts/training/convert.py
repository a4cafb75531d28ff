"""Convert a PyTorch network to full-integer TFLite: trace, rebuild in Keras with the same weights, quantise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, fx, nn

from edge.system import stderr

from .arrays import Floats
from .keras_converter import converter_of
from .nets import SameConv2d, normalise


class ExportError(Exception):
    """A network cannot become a shipped model."""


class _Tracer(fx.Tracer):
    """Keeps `SameConv2d` as one node: its padding becomes that of the Keras layer."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SameConv2d) or super().is_leaf_module(m, module_qualified_name)


def to_keras(net: nn.Module, shape: tuple[int, int, int], finish: Callable[[list[Any]], Any]) -> Any:
    """Return the same function as a Keras model over (height, width, channels).

    `finish` maps the outputs of the network to those of the model. The model's input is normalised as by
    `nets.normalise`: quantised to uint8 with scale 1/127.5 and zero point 127, it is plain pixels.
    Raises ExportError, naming it, if a part of the network has no TFLite form.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    net = net.eval()
    inputs = tf.keras.Input(shape, batch_size=1)
    builder = _KerasBuilder(tf, net)
    outputs = builder.build(_Tracer().trace(net), inputs)
    model = tf.keras.Model(inputs, finish(outputs))
    builder.set_weights()
    return model


class _KerasBuilder:
    """Builds Keras layers from the nodes of a traced network."""

    def __init__(self, tf: Any, net: nn.Module) -> None:
        self._tf, self._layers = tf, tf.keras.layers
        self._modules = dict(net.named_modules())
        self._values: dict[str, Any] = {}
        #: Keras takes the weights of a layer only once the model is complete.
        self._weights: list[tuple[Any, list[npt.NDArray[Any]]]] = []

    def build(self, graph: fx.Graph, inputs: Any) -> list[Any]:
        """Return the outputs of the network for `inputs`."""
        for node in graph.nodes:
            args = [self._value(a) for a in node.args]
            if node.op == "output":
                return list(args[0]) if isinstance(args[0], list) else [args[0]]
            self._values[node.name] = inputs if node.op == "placeholder" else self._node(node, args)
        raise ExportError("the network has no output")

    def set_weights(self) -> None:
        """Give all layers their weights."""
        for layer, weights in self._weights:
            layer.set_weights(weights)

    def _value(self, argument: Any) -> Any:
        """Return the argument with nodes replaced by their values."""
        if isinstance(argument, fx.Node):
            return self._values[argument.name]
        return [self._value(a) for a in argument] if isinstance(argument, list | tuple) else argument

    def _node(self, node: fx.Node, args: list[Any]) -> Any:
        if node.op == "call_module":
            return self._module(str(node.target), args[0])
        if node.op == "call_function":
            return self._function(node, args)
        if node.op == "call_method" and node.target == "mean":
            return self._layers.GlobalAveragePooling2D(keepdims=bool(node.kwargs.get("keepdim")))(args[0])
        if node.op == "call_method" and node.target == "permute":
            return args[0]  # NCHW to NHWC, which Keras has already
        if node.op == "call_method" and node.target == "reshape":
            return self._layers.Reshape((-1, int(args[-1])))(args[0])
        if node.op == "call_method" and node.target == "flatten":
            return self._layers.Flatten()(args[0])  # in the order of NHWC: permute before it
        if node.op == "call_method" and node.target == "softmax":
            return self._layers.Softmax()(args[0])
        raise ExportError(f"no TFLite form known for {node.op} {node.target}")

    def _module(self, name: str, x: Any) -> Any:
        m = self._modules[name]
        if isinstance(m, nn.Conv2d):
            return self._convolution(m, x)
        if isinstance(m, nn.BatchNorm2d):
            layer = self._layers.BatchNormalization(epsilon=m.eps)
            return self._with_weights(layer, [m.weight, m.bias, m.running_mean, m.running_var])(x)
        if isinstance(m, nn.ReLU6):
            return self._layers.ReLU(6.0)(x)
        if isinstance(m, nn.ReLU):
            return self._layers.ReLU()(x)
        if isinstance(m, nn.Hardswish):
            return self._layers.Multiply()([x, self._hard_sigmoid(x)])
        if isinstance(m, nn.Hardsigmoid):
            return self._hard_sigmoid(x)
        if isinstance(m, nn.MaxPool2d):
            return self._layers.MaxPooling2D(m.kernel_size, m.stride)(x)
        if isinstance(m, nn.Linear):
            return self._with_weights(self._layers.Dense(m.out_features), [m.weight.T, m.bias])(x)
        if isinstance(m, nn.Dropout | nn.Identity):
            return x
        raise ExportError(f"no TFLite form known for module {name} ({type(m).__name__})")

    def _convolution(self, m: nn.Conv2d, x: Any) -> Any:
        has_bias = m.bias is not None
        padding = "same" if isinstance(m, SameConv2d) or m.padding != (0, 0) else "valid"
        if m.groups == 1:
            layer = self._layers.Conv2D(m.out_channels, m.kernel_size, m.stride, padding, use_bias=has_bias)
            weight = m.weight.permute(2, 3, 1, 0)
        else:
            layer = self._layers.DepthwiseConv2D(m.kernel_size, m.stride, padding, use_bias=has_bias)
            weight = m.weight.permute(2, 3, 0, 1)
        return self._with_weights(layer, [weight, m.bias] if has_bias else [weight])(x)

    def _with_weights(self, layer: Any, weights: list[Tensor | None]) -> Any:
        self._weights.append((layer, [w.detach().numpy() for w in weights if w is not None]))
        return layer

    def _function(self, node: fx.Node, args: list[Any]) -> Any:
        name = getattr(node.target, "__name__", str(node.target))
        if name in ("add", "iadd"):
            return self._layers.Add()(args)
        if name == "mul" and all(a is not None for a in args):
            return self._layers.Multiply()(args)
        if name == "pad":
            return self._pad_channels(args[0], args[1])
        if name == "interpolate":
            return self._double(args[0])
        if name == "cat":
            return self._layers.Concatenate(axis=1)(args[0])
        if name == "getattr":
            return args[0].shape  # used for sizes only, which `reshape` computes itself
        if name in ("getitem", "mul"):
            return None  # a product of sizes
        raise ExportError(f"no TFLite form known for {node.op} {node.target}")

    def _hard_sigmoid(self, x: Any) -> Any:
        """Return ReLU6(x + 3) / 6; TensorFlow makes one HARD_SWISH of its product with `x`."""
        return self._layers.Rescaling(1 / 6)(self._layers.ReLU(6.0)(self._layers.Rescaling(1.0, 3.0)(x)))

    def _pad_channels(self, x: Any, pads: list[int]) -> Any:
        """Return `x` with more channels, which are zero; `pads` are PyTorch's: none but behind the channels."""
        *others, channels = pads
        if any(others):
            raise ExportError(f"no TFLite form known for padding by {pads}")
        return self._tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, channels]])

    def _double(self, x: Any) -> Any:
        """Return `x` with twice the height and width: each pixel beside itself, each row below itself.

        The Edge TPU compiler does not accept the op version of an 8-bit RESIZE_NEAREST_NEIGHBOR.
        """
        _, h, w, c = x.shape
        x = self._layers.Reshape((h, 2 * w, c))(self._layers.Concatenate(axis=3)([x, x]))
        x = self._layers.Reshape((h, 1, 2 * w * c))(x)
        return self._layers.Reshape((2 * h, 2 * w, c))(self._layers.Concatenate(axis=2)([x, x]))


def to_tflite(model: Any, samples: Iterable[Floats]) -> bytes:
    """Return a Keras model as full-integer TFLite: uint8 in and out, int8 inside, dense layers per tensor.

    `samples` are model inputs (1, H, W, C) float32, which give the ranges of the activations.
    """
    import tensorflow as tf

    converter = converter_of(tf, model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([s] for s in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    content: bytes = converter.convert()
    return _slim(content)


def quantise(net: nn.Module, pictures: Tensor, finish: Callable[[list[Any]], Any]) -> bytes:
    """Return the network as full-integer TFLite.

    `pictures` (n, C, H, W) uint8 give the ranges of the activations; `finish` is as in `to_keras`.
    """
    inputs: Floats = normalise(pictures).permute(0, 2, 3, 1).numpy()
    height, width, channels = inputs.shape[1:]
    # With both extremes the input's range is exactly that of uint8 pixels: scale 1/127.5, zero point 127.
    edges = [np.full((1, height, width, channels), v, np.float32) for v in (-127 / 127.5, 128 / 127.5)]
    # The converter prints messages for its developers.
    with stderr.captured():
        keras = to_keras(net, (height, width, channels), finish)
        return to_tflite(keras, [*edges, *(inputs[k : k + 1] for k in range(len(inputs)))])


def _slim(content: bytes) -> bytes:
    """Return the model without names of inner tensors, and with equal vectors (mostly zero points) stored once."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    class Sharing(flatbuffers.Builder):  # type: ignore[misc]
        """Writes equal numeric vectors once, and aligns weights for SIMD."""

        def __init__(self) -> None:
            super().__init__(1 << 20)
            self.written: dict[tuple[str, bytes], int] = {}

        def CreateNumpyVector(self, x: Any) -> int:
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
