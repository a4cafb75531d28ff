"""Load the weights of quantised `.tflite` models into the networks of `nets`.

TFLite has batch norms folded into its convolutions. They are set to undo their own statistics, so that training goes on
from the same function.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .nets import SameConv2d


def tflite_layers(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights (convolutions OIHW, depthwise ones C1HW, dense layers OI) and biases, float32, of a quantised
    `.tflite`, in graph order. Raises ValueError if the runtime cannot load the file.
    """
    from edge.inference.interpreter import load_runtime

    with warnings.catch_warnings():
        # Without this the interpreter reuses the memory that the constants were unpacked to; it warns of the memory.
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors")
        interpreter = load_runtime()[1].Interpreter(model_path=str(path), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    by_index = {t["index"]: t for t in interpreter.get_tensor_details()}

    def dequantised(index: int) -> np.ndarray:
        detail, raw = by_index[index], interpreter.get_tensor(index)
        quant = detail["quantization_parameters"]
        scales, zeros = quant["scales"], quant["zero_points"]
        shape = [1] * raw.ndim
        shape[quant["quantized_dimension"]] = -1
        value: np.ndarray = (raw.astype(np.float32) - zeros.reshape(shape)) * scales.reshape(shape)
        return value

    orders = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2), "FULLY_CONNECTED": (0, 1)}
    found = []
    for op in interpreter._get_ops_details():
        if op["op_name"] in orders:
            weight, bias = dequantised(op["inputs"][1]), dequantised(op["inputs"][2])
            found.append((weight.transpose(orders[op["op_name"]]).copy(), bias))
    return found


def normed(net: nn.Module) -> list[tuple[Any, Any]]:
    """Return the convolutions that a batch norm follows, each with its norm."""
    return [
        (a, b)
        for a, b in itertools.pairwise(net.modules())
        if isinstance(a, SameConv2d) and isinstance(b, nn.BatchNorm2d)
    ]


def set_folded(layer: nn.Conv2d, norm: nn.BatchNorm2d, weight: Tensor, bias: Tensor) -> None:
    """Make `layer` and the batch norm behind it a convolution with this weight and bias."""
    layer.weight.data.copy_(weight)
    norm.reset_running_stats()
    norm.weight.data.fill_(float(np.sqrt(1 + norm.eps)))
    norm.bias.data.copy_(bias)


def calibrate_norms(net: nn.Module, pairs: Sequence[tuple[Any, Any]], pictures: Tensor) -> None:
    """Set the statistics of the batch norms of `pairs` (layer, norm) after `set_folded` to those of their own input.

    Mean and variance are those of the convolution's output over `pictures` (B, C, H, W, normalised), gamma and beta
    undo them: the function stays the same, and training starts from healthy statistics.
    """
    stats: dict[int, tuple[Tensor, Tensor]] = {}

    def remember(layer: nn.Module, _: Any, output: Tensor) -> None:
        stats[id(layer)] = (output.mean((0, 2, 3)), output.var((0, 2, 3)))

    hooks = [layer.register_forward_hook(remember) for layer, _ in pairs]
    net.eval()
    with torch.no_grad():
        net(pictures)
    for hook in hooks:
        hook.remove()
    for layer, norm in pairs:
        mean, var = stats[id(layer)]
        bias = norm.bias.data.clone()
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
        norm.weight.data.copy_(torch.sqrt(var + norm.eps))
        norm.bias.data.copy_(bias + mean)


def _unfold(net: nn.Module, folded: Sequence[tuple[Any, Any, np.ndarray, np.ndarray]], pictures: Tensor) -> None:
    """Set convolutions to weights that have the norm folded in, and calibrate the batch norms behind them."""
    for layer, norm, weight, bias in folded:
        set_folded(layer, norm, torch.from_numpy(weight), torch.from_numpy(bias))
    calibrate_norms(net, [(layer, norm) for layer, norm, *_ in folded], pictures)


def transplant(net: nn.Module, weights: Path, pictures: Tensor) -> int:
    """Copy ImageNet weights into the MobileNetV2 part of `net`; return the number of convolutions that were copied.

    `weights` is a quantised MobileNetV2 `.tflite`, `pictures` (B, C, H, W), normalised, calibrate the batch norms. For
    grey pictures, the first layer gets the sum over the colours: the same answers as for a grey picture in colour.
    """
    folded: list[tuple[Any, Any, np.ndarray, np.ndarray]] = []
    for (layer, norm), (weight, bias) in zip(normed(net), tflite_layers(weights), strict=False):
        if not folded and layer.in_channels == 1:
            weight = weight.sum(1, keepdims=True)
        if tuple(layer.weight.shape) != weight.shape:
            break
        folded.append((layer, norm, weight, bias))
    _unfold(net, folded, pictures)
    return len(folded)


def restore(net: nn.Module, model: Path, pictures: Tensor) -> None:
    """Load the weights of `model`, a `.tflite` exported from such a network, into `net`.

    Each weight has the rounding error of 8 bits. Both heads of an expression classifier become the shipped mix of them.
    `pictures` (B, C, H, W), normalised, calibrate the batch norms. Raises ValueError if `model` is of another kind or
    not quantised.
    """
    norms = {id(layer): norm for layer, norm in normed(net)}
    layers: list[Any] = []
    hooks = [
        m.register_forward_hook(lambda layer, *_: layers.append(layer))
        for m in net.modules()
        if isinstance(m, nn.Conv2d | nn.Linear)
    ]
    net.eval()
    with torch.no_grad():
        net(pictures[:1])
    for hook in hooks:
        hook.remove()
    source = tflite_layers(model)
    if len(source) != len(layers):
        raise ValueError(f"{len(source)} layers with weights instead of {len(layers)}")
    folded = []
    for k, (layer, (weight, bias)) in enumerate(zip(layers, source, strict=True)):
        if isinstance(layer, nn.Linear) and layer.out_features == 2 * len(weight):
            weight, bias = np.tile(weight, (2, 1)), np.tile(bias, 2)
        if tuple(layer.weight.shape) != weight.shape:
            raise ValueError(f"layer {k} is {weight.shape} instead of {tuple(layer.weight.shape)}")
        if id(layer) in norms:
            folded.append((layer, norms[id(layer)], weight, bias))
        else:
            layer.weight.data.copy_(torch.from_numpy(weight))
            layer.bias.data.copy_(torch.from_numpy(bias))
    _unfold(net, folded, pictures)
