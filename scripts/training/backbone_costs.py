"""Count what the networks of `training.backbones` cost. This needs no data and no training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from . import expression, mask
from .backbone_nets import NETWORKS
from .boards import BOARDS, cpu_ms
from .records import EXPRESSIONS

#: Colours, side, classes and stride of the stem by task.
INPUTS = {"mask": (3, mask.SIZE, len(mask.LABELS), 2), "expression": (1, expression.SIZE, len(EXPRESSIONS), 1)}


def count_macs(net: nn.Module, picture: Tensor) -> int:
    """Return the multiplications of one inference in convolutions and dense layers, as `modelfile.macs` counts them."""
    total = 0

    def add(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Conv2d | nn.Linear):
            total += output[0].numel() * layer.weight[0].numel()

    hooks = [layer.register_forward_hook(add) for layer in net.modules()]
    with torch.no_grad():
        net.eval()(picture)
    for hook in hooks:
        hook.remove()
    return total


def table(tasks: Sequence[str], networks: Sequence[str]) -> str:
    """Return parameters, multiplications and estimated times as Markdown."""
    head = ["network", "parameters, thousands", "million multiplications"]
    head += [f"ms on a {board.name}, estimated" for board in BOARDS]
    lines = []
    for task in tasks:
        colours, side, classes, stride = INPUTS[task]
        picture = torch.zeros(1, colours, side, side)
        lines += [f"| {' | '.join([f'{task}, {side}x{side}', *head[1:]])} |", "|---|" + "---:|" * (len(head) - 1)]
        for name in networks:
            if NETWORKS[name].from_imagenet:
                continue  # the same network
            net = NETWORKS[name].build(colours, classes, stride)
            mmacs = count_macs(net, picture) / 1e6
            times = [f"{cpu_ms(board, mmacs, one_thread=True):.1f}" for board in BOARDS]
            parameters = sum(p.numel() for p in net.parameters()) / 1e3
            lines.append(f"| {' | '.join([NETWORKS[name].title, f'{parameters:,.0f}', f'{mmacs:.1f}', *times])} |")
        lines.append("")
    return "\n".join(lines).rstrip()
