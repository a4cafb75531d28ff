"""Prune the hidden channels of the inverted residuals of a detector or mask classifier.

In each block the channels that the following projection needs least are removed, and the projection is fitted again so
that the block's output stays what it was (optimal brain surgeon on whole channels: Hassibi and Stork 1993; fitted on
activations as in He et al. 2017). The residual stream and everything after the backbone keep their width and weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .nets import FaceDetector, InvertedResidual, MaskClassifier
from .tflite_weights import calibrate_norms, normed, set_folded

#: Positions of the feature maps that a projection is fitted on, at most.
MAX_POSITIONS = 60_000
#: Ridge of the fit, as a share of the mean power of the activations.
RIDGE = 1e-4
CHUNK = 32
#: Children of the networks that hold the backbone.
BACKBONES = {"front", "to8", "to16", "to32", "blocks"}

Prunable = FaceDetector | MaskClassifier


def eliminate(inputs: Tensor, target: Tensor, keep: int) -> tuple[Tensor, Tensor, Tensor, float]:
    """Choose `keep` columns of `inputs` (n, h) that explain `target` (n, o) best by a linear map with a bias.

    Returns the columns (keep,) int64 in ascending order, weight (o, keep), bias (o,) and the share of the target's
    variance that is left unexplained. Columns are removed one by one, each time the one whose loss costs least.
    """
    a, y = inputs.double(), target.double()
    mean_a, mean_y = a.mean(0), y.mean(0)
    a, y = a - mean_a, y - mean_y
    gram = a.T @ a / len(a)
    gram += RIDGE * gram.diagonal().mean().clamp(min=1e-12) * torch.eye(len(gram), dtype=gram.dtype)
    inverse = torch.linalg.inv(gram)
    weight = inverse @ (a.T @ y / len(a))
    alive = torch.ones(len(gram), dtype=torch.bool)
    for _ in range(len(gram) - keep):
        cost = weight.square().sum(1) / inverse.diagonal()
        cost[~alive] = torch.inf
        worst = int(cost.argmin())
        column = inverse[:, worst] / inverse[worst, worst]
        weight = weight - column[:, None] * weight[worst]
        inverse = inverse - column[:, None] * inverse[worst]
        alive[worst] = False
        # What rounding leaves behind must not come back.
        weight[worst] = 0
        inverse[worst], inverse[:, worst] = 0, 0
        inverse[worst, worst] = 1
    kept = alive.nonzero()[:, 0]
    weight = weight[kept]
    left = (y - a[:, kept] @ weight).square().sum() / y.square().sum().clamp(min=1e-12)
    return kept, weight.T.float(), (mean_y - mean_a[kept] @ weight).float(), float(left)


def _folded(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with its batch norm folded in."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return layer.weight * factor[:, None, None, None], norm.bias - norm.running_mean * factor


def _run(module: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([module(part) for part in x.split(CHUNK)])


def _positions(x: Tensor, chosen: Tensor) -> Tensor:
    """Feature maps (B, C, H, W) as rows (n, C) of the chosen positions."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])[chosen]


@torch.no_grad()
def prune(full: Prunable, small: Prunable, pictures: Tensor) -> list[float]:
    """Make `small`, a network of the same kind with fewer hidden channels, compute nearly what `full` computes.

    `pictures` (B, 3, H, W), normalised. Returns what each block leaves unexplained, as a share of the variance.
    """
    full.eval()
    small.eval()
    old, new = full.backbone(), small.backbone()
    # The first block's hidden channels are the stem's: both together are one unit.
    units = [((old[0], old[1]), (new[0], new[1])), *(((a,), (b,)) for a, b in zip(old[2:], new[2:], strict=True))]
    wanted = given = pictures
    unexplained = []
    for before, after in units:
        before_layers = [pair for block in before for pair in normed(block)]
        after_layers = [pair for block in after for pair in normed(block)]
        reference = _run(nn.Sequential(*before), wanted)
        hidden = nn.Sequential(*(layer for block in before for layer in _expansion(block)))
        last = after[-1]
        assert isinstance(last, InvertedResidual)
        goal = reference - given if last.shortcut else reference
        activations = _run(hidden, given)
        rows = goal.shape[0] * goal.shape[2] * goal.shape[3]
        chosen = torch.randperm(rows, generator=torch.Generator().manual_seed(0))[:MAX_POSITIONS]
        keep = after_layers[-1][0].in_channels
        kept, weight, bias, left = eliminate(_positions(activations, chosen), _positions(goal, chosen), keep)
        for (layer, norm), into in zip(before_layers[:-1], after_layers[:-1], strict=True):
            w, b = _folded(layer, norm)
            set_folded(*into, w[kept], b[kept])
        set_folded(*after_layers[-1], weight[:, :, None, None], bias)
        unexplained.append(left)
        wanted, given = reference, _run(nn.Sequential(*after), given)
    for name, module in full.named_children():
        if name not in BACKBONES:
            getattr(small, name).load_state_dict(module.state_dict())
    calibrate_norms(small, [pair for block in new for pair in normed(block)], pictures)
    return unexplained


def _expansion(block: nn.Module) -> list[nn.Module]:
    """The layers of a block up to its hidden activations."""
    if not isinstance(block, InvertedResidual):
        return [block]
    return list(block.layers.children())[:-1]
