"""The networks in PyTorch, built only from operations of a full-integer TFLite model and of the Edge TPU.

Convolutions pad as TensorFlow's ``SAME`` does (the odd pixel goes to the bottom right), so that weights move between
PyTorch, Keras and TFLite without a shift. Pictures are NCHW float here, RGB, normalised by `normalise`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Cells of the detector: strides of its three levels, finest first.
STRIDES = (8, 16, 32)
# (expansion, channels, repeats, first stride) of MobileNetV2 (Sandler et al. 2018, table 2).
MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def stack(pictures: Sequence[np.ndarray]) -> Tensor:
    """Return pictures (H, W, C) uint8, all of one size, as one tensor (B, C, H, W)."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def normalise(pictures: Tensor) -> Tensor:
    """Return uint8 pixels 0..255 in the range -1..1 of the ImageNet weights: (x - 127) / 127.5."""
    return (pictures.float() - 127.0) / 127.5


def mixed_precision(where: torch.device) -> torch.autocast:
    """Return the context in which a network computes in brain floats, if `where` has them.

    They halve the time of a step. A CPU without them (AVX2 alone) emulates them, which takes ten times as long: there the
    context does nothing.
    """
    has_them = where.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(where.type, torch.bfloat16, enabled=has_them)


class SameConv2d(nn.Conv2d):
    """A convolution padded like TensorFlow's SAME. The exporter converts it as a whole."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return F.conv2d(x, self.weight, self.bias, 1, kernel // 2, 1, self.groups)
        pads = []
        for size in (x.shape[-1], x.shape[-2]):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, stride, 0, 1, self.groups)


def conv(i: int, o: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
    """Return a convolution, a batch norm and (with `act`) ReLU6."""
    layers: list[nn.Module] = [SameConv2d(i, o, kernel, stride, groups=groups, bias=False), nn.BatchNorm2d(o)]
    if act:
        layers.append(nn.ReLU6())
    return nn.Sequential(*layers)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand to `hidden` channels, depthwise, project; a shortcut where shapes allow it.

    Without `expand` the input has the hidden channels already, and there is no shortcut.
    """

    def __init__(self, i: int, o: int, stride: int, hidden: int, expand: bool = True) -> None:
        super().__init__()
        layers = [conv(i, hidden)] if expand else []
        layers += [conv(hidden, hidden, 3, stride, groups=hidden), conv(hidden, o, act=False)]
        self.layers = nn.Sequential(*layers)
        self.shortcut = expand and stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.shortcut else y


def mobilenet_hidden(count: int) -> tuple[int, ...]:
    """Return the hidden channels of the first `count` inverted residuals of MobileNetV2 1.0; the first are those of the
    stem."""
    hidden, channels = [], 32
    for expansion, width, repeats, _ in MOBILENET_V2:
        for _ in range(repeats):
            hidden.append(channels * expansion)
            channels = width
    return tuple(hidden[:count])


def mobilenet_blocks(hidden: Sequence[int]) -> nn.ModuleList:
    """Return the stem and the first `len(hidden)` inverted residuals of MobileNetV2 1.0, with these hidden channels."""
    blocks = nn.ModuleList([conv(3, hidden[0], 3, 2)])
    channels = hidden[0]
    for expansion, width, repeats, stride in MOBILENET_V2:
        for k in range(repeats):
            if len(blocks) > len(hidden):
                return blocks
            wide = hidden[len(blocks) - 1]
            blocks.append(InvertedResidual(channels, width, stride if k == 0 else 1, wide, expansion != 1))
            channels = width
    return blocks


class Frozen(nn.Module):
    """Blocks that keep the weights that training starts from: no gradient, batch norm as calibrated.

    The first layers are edges and colours; leaving them alone more than doubles the training speed on a CPU, because
    the widest feature maps need no backward pass.
    """

    def __init__(self, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def train(self, mode: bool = True) -> Frozen:
        super().train(False)
        return self

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def unfrozen(front: nn.Module) -> list[nn.Module]:
    return list(front.blocks if isinstance(front, Frozen) else front.children())  # type: ignore[arg-type]


#: Hidden channels of the detector's inverted residuals: MobileNetV2's own.
FULL_DETECTOR = mobilenet_hidden(14)
#: Those of the shipped detector: half as many multiplications. Fewer are left where `prune` finds more to spare.
SMALL_DETECTOR = (16, 40, 64, 72, 104, 120, 104, 208, 224, 224, 208, 304, 304, 304)


class FaceDetector(nn.Module):
    """Single-shot, anchor-free face detector on a MobileNetV2 cut at stride 32.

    Input: (B, 3, 192, 256). Output: distances (B, N, 4) from each cell's centre to the left, top, right and bottom of
    the face in units of the cell's stride, and scores (B, N, 1) as logits; cells run level by level, row by row. The
    head is FCOS's (Tian et al. 2019) without centre-ness: the score itself is trained to be the IoU (Zhang et al.
    2021). `hidden` are the hidden channels of the inverted residuals (the first: of the stem). The first layers are
    frozen if they are ImageNet's own; a pruned network trains them too.
    """

    def __init__(self, hidden: Sequence[int] = SMALL_DETECTOR, width: int = 64) -> None:
        super().__init__()
        blocks = mobilenet_blocks(hidden)
        self.front = Frozen(blocks[:4]) if tuple(hidden) == FULL_DETECTOR else nn.Sequential(*blocks[:4])
        self.to8 = nn.Sequential(*blocks[4:7])
        self.to16 = nn.Sequential(*blocks[7:14])
        self.to32 = nn.Sequential(*blocks[14:])
        self.lateral = nn.ModuleList([conv(c, width) for c in (32, 96, 160)])
        self.smooth = nn.ModuleList(
            [nn.Sequential(conv(width, width, 3, groups=width), conv(width, width)) for _ in STRIDES]
        )
        self.head = nn.ModuleList(
            [nn.Sequential(conv(width, width, 3, groups=width), conv(width, width)) for _ in STRIDES]
        )
        self.distance = nn.ModuleList([nn.Conv2d(width, 4, 1) for _ in STRIDES])
        self.score = nn.ModuleList([nn.Conv2d(width, 1, 1) for _ in STRIDES])
        for layer in self.distance:
            nn.init.constant_(layer.bias, 2.0)  # type: ignore[union-attr, arg-type]
        for layer in self.score:
            nn.init.constant_(layer.bias, -4.0)  # type: ignore[union-attr, arg-type]  # few cells hold a face

    def backbone(self) -> list[nn.Module]:
        """Return the stem and the inverted residuals, in order."""
        return [*unfrozen(self.front), *self.to8, *self.to16, *self.to32]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x8 = self.to8(self.front(x))
        x16 = self.to16(x8)
        x32 = self.to32(x16)
        p: Tensor | None = None
        distances, scores = [], []
        # Level by level from the coarsest: the order in which the exported graph holds the layers, see `restore`.
        for k, x in ((2, x32), (1, x16), (0, x8)):
            x = self.lateral[k](x)
            p = self.smooth[k](x if p is None else x + F.interpolate(p, scale_factor=2.0, mode="nearest"))
            h = self.head[k](p)
            distances.append(self.distance[k](h).permute(0, 2, 3, 1).reshape(-1, h.shape[2] * h.shape[3], 4))
            scores.append(self.score[k](h).permute(0, 2, 3, 1).reshape(-1, h.shape[2] * h.shape[3], 1))
        return torch.cat(distances[::-1], 1), torch.cat(scores[::-1], 1)


#: Hidden channels of a mask classifier with MobileNetV2's own, and of the shipped one.
FULL_MASK = mobilenet_hidden(17)
SMALL_MASK = (20, 56, 80, 88, 120, 120, 120, 256, 256, 256, 256, 384, 384, 384, 640, 640, 640)


class MaskClassifier(nn.Module):
    """MobileNetV2 over a face crop; output (B, 2) logits: no mask, mask.

    `hidden` are the hidden channels of the inverted residuals (the first: of the stem). The first layers are frozen if
    they are ImageNet's own; a pruned network trains them too.
    """

    def __init__(self, hidden: Sequence[int] = SMALL_MASK, outputs: int = 2, dropout: float = 0.2) -> None:
        super().__init__()
        blocks = mobilenet_blocks(hidden)
        self.front = Frozen(blocks[:3]) if tuple(hidden) == FULL_MASK else nn.Sequential(*blocks[:3])
        self.blocks = nn.Sequential(*blocks[3:])
        self.last = conv(320, 1280)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(1280, outputs)

    def backbone(self) -> list[nn.Module]:
        """Return the stem and the inverted residuals, in order."""
        return [*unfrozen(self.front), *self.blocks]

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.dropout(self.last(self.blocks(self.front(x))).mean((2, 3))))


class TwoHeads(nn.Module):
    """A classifier of expressions; output (B, 14) logits while training, twice FER2013's seven.

    One head learns the label of the picture, the other the votes of ten people. Both shape the
    features; `folded` makes one head of the two.
    """

    classify: nn.Linear

    def folded(self, votes: float) -> TwoHeads:
        """Return the network with one head, (B, 7): the logits of the labels and, with weight `votes`, of the votes,
        mixed."""
        net = copy.deepcopy(self)
        net.classify = nn.Linear(self.classify.in_features, 7)
        for name in ("weight", "bias"):
            two = getattr(self.classify, name).data
            getattr(net.classify, name).data = (1 - votes) * two[:7] + votes * two[7:]
        return net


class ExpressionTeacher(TwoHeads, MaskClassifier):
    """MobileNetV2 1.0 over a 48x48 grey face, enlarged: too large to ship, it teaches the shipped one."""

    def __init__(self) -> None:
        super().__init__(FULL_MASK, 14, 0.4)

    def forward(self, x: Tensor) -> Tensor:
        # ImageNet's layers know edges at this scale: two pixels where the face has one.
        large = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return super().forward(large.expand(-1, 3, -1, -1))


class ExpressionClassifier(TwoHeads):
    """A small VGG over a 48x48 grey face."""

    def __init__(self, widths: Sequence[int] = (32, 64, 128, 192), dropout: float = 0.3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for k, width in enumerate(widths):
            if k:
                layers.append(nn.MaxPool2d(2))
            layers += [conv(channels, width, 3), conv(width, width, 3)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(channels, 14)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.dropout(self.features(x).mean((2, 3))))
