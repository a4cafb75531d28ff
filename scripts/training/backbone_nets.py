"""The networks of `training.backbones`: published image classifiers, each over RGB or grey faces of any size.

They follow their papers, but for three things: convolutions pad as in `nets`, ReLU is ReLU6, which costs an 8-bit model
nothing, and the first step down is left out for faces of 48x48 pixels (`stem_stride`), as usual for small pictures:
otherwise two by two places are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from .nets import MOBILENET_V2, SameConv2d, TwoHeads, conv

DROPOUT = 0.2
#: Kernel, expansion, channels, repeats and first stride of EfficientNet-Lite0 (Liu 2020; Tan and Le 2019, table 1).
EFFICIENTNET_LITE0 = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
#: Kernel, hidden channels, channels, squeeze-and-excite, hard swish and stride of MobileNetV3-small (Howard et al. 2019,
#: table 2).
MOBILENET_V3_SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


class Backbone(TwoHeads):
    """Features, their mean over all places, perhaps a dense layer, and a linear classifier."""

    def __init__(self, features: Sequence[nn.Module], channels: int, outputs: int, neck: int = 0) -> None:
        """`features` end with `channels`; `neck` is the width of the dense layer (0: none)."""
        super().__init__()
        self.features = nn.Sequential(*features)
        self.neck: nn.Module = nn.Identity()
        if neck:
            self.neck = nn.Sequential(nn.Linear(channels, neck), nn.Hardswish())
        self.dropout = nn.Dropout(DROPOUT)
        self.classify = nn.Linear(neck or channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.dropout(self.neck(self.features(x).mean((2, 3)))))


class SqueezeExcite(nn.Module):
    """Scale each channel by what all places together say (Hu et al. 2018, as in MobileNetV3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = divisible(channels / 4)
        self.squeeze = SameConv2d(channels, squeezed, 1)
        self.expand = SameConv2d(squeezed, channels, 1)
        self.rectify, self.gate = nn.ReLU6(), nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.expand(self.rectify(self.squeeze(x.mean((2, 3), keepdim=True)))))


class MobileBlock(nn.Module):
    """An inverted residual with a kernel of any size, and perhaps squeeze-and-excite or hard swish."""

    def __init__(
        self, i: int, o: int, stride: int, hidden: int, kernel: int = 3, squeeze: bool = False, swish: bool = False
    ) -> None:
        super().__init__()
        act: Callable[[], nn.Module] = nn.Hardswish if swish else nn.ReLU6
        layers: list[nn.Module] = [] if hidden == i else [conv(i, hidden, act=False), act()]
        layers += [conv(hidden, hidden, kernel, stride, groups=hidden, act=False), act()]
        if squeeze:
            layers.append(SqueezeExcite(hidden))
        self.layers = nn.Sequential(*layers, conv(hidden, o, act=False))
        self.shortcut = stride == 1 and i == o

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return x + y if self.shortcut else y


class BasicBlock(nn.Module):
    """ResNet's block of two 3x3 convolutions (He et al. 2016); a 1x1 convolution on the shortcut where shapes differ."""

    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(i, o, 3, stride), conv(o, o, 3, act=False))
        self.shortcut = nn.Identity() if stride == 1 and i == o else conv(i, o, 1, stride, act=False)
        self.act = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.layers(x) + self.shortcut(x))


def divisible(channels: float) -> int:
    """Return the nearest multiple of 8, at least 8 and not less than 90 % of `channels`, as MobileNets round.

    >>> [divisible(c) for c in (4, 11.2, 33.6)]
    [8, 16, 32]
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def mobilenet_v2(colours: int, outputs: int, stem_stride: int, width: float = 1.0) -> Backbone:
    """Return MobileNetV2 (Sandler et al. 2018)."""
    channels = divisible(32 * width)
    features: list[nn.Module] = [conv(colours, channels, 3, stem_stride)]
    for expansion, wide, repeats, stride in MOBILENET_V2:
        for k in range(repeats):
            o = divisible(wide * width)
            features.append(MobileBlock(channels, o, stride if k == 0 else 1, channels * expansion))
            channels = o
    return Backbone([*features, conv(channels, 1280)], 1280, outputs)


def efficientnet_lite0(colours: int, outputs: int, stem_stride: int) -> Backbone:
    """Return EfficientNet-Lite0: no squeeze-and-excite, ReLU6 instead of swish, made for integer accelerators."""
    channels = 32
    features: list[nn.Module] = [conv(colours, channels, 3, stem_stride)]
    for kernel, expansion, o, repeats, stride in EFFICIENTNET_LITE0:
        for k in range(repeats):
            features.append(MobileBlock(channels, o, stride if k == 0 else 1, channels * expansion, kernel))
            channels = o
    return Backbone([*features, conv(channels, 1280)], 1280, outputs)


def mobilenet_v3_small(colours: int, outputs: int, stem_stride: int) -> Backbone:
    """Return MobileNetV3-small 1.0."""
    channels = 16
    features: list[nn.Module] = [nn.Sequential(conv(colours, channels, 3, stem_stride, act=False), nn.Hardswish())]
    for kernel, hidden, o, squeeze, swish, stride in MOBILENET_V3_SMALL:
        features.append(MobileBlock(channels, o, stride, hidden, kernel, squeeze, swish))
        channels = o
    features.append(nn.Sequential(conv(channels, 576, act=False), nn.Hardswish()))
    return Backbone(features, 576, outputs, neck=1024)


def resnet_18(colours: int, outputs: int, stem_stride: int) -> Backbone:
    """Return ResNet-18 (He et al. 2016), with a pooling of 2x2 behind the stem; none for small faces."""
    features: list[nn.Module] = [conv(colours, 64, 7, 2)]
    if stem_stride == 2:
        features.append(nn.MaxPool2d(2))
    channels = 64
    for k, wide in enumerate((64, 128, 256, 512)):
        features += [BasicBlock(channels, wide, 2 if k else 1), BasicBlock(wide, wide, 1)]
        channels = wide
    return Backbone(features, channels, outputs)


def vgg(colours: int, outputs: int, stem_stride: int) -> Backbone:
    """Return the shipped expression classifier's network: pairs of 3x3 convolutions with a pooling between them."""
    features: list[nn.Module] = []
    channels = colours
    for k, wide in enumerate((32, 64, 128, 192)):
        if k:
            features.append(nn.MaxPool2d(2))
        features += [conv(channels, wide, 3, 1 if k else stem_stride), conv(wide, wide, 3)]
        channels = wide
    return Backbone(features, channels, outputs)


@dataclass(frozen=True)
class Network:
    """A row of the table. `build` takes (colours, outputs, stride of the stem)."""

    title: str
    build: Callable[[int, int, int], Backbone]
    from_imagenet: bool = False


NETWORKS = {
    "mobilenet_v2_100": Network("MobileNetV2 1.0", mobilenet_v2),
    "mobilenet_v2_050": Network("MobileNetV2 0.5", lambda c, o, s: mobilenet_v2(c, o, s, 0.5)),
    "mobilenet_v2_035": Network("MobileNetV2 0.35", lambda c, o, s: mobilenet_v2(c, o, s, 0.35)),
    "mobilenet_v3_small": Network("MobileNetV3-small", mobilenet_v3_small),
    "efficientnet_lite0": Network("EfficientNet-Lite0", efficientnet_lite0),
    "resnet_18": Network("ResNet-18", resnet_18),
    "vgg": Network("VGG-like, 8 convolutions", vgg),
    "mobilenet_v2_100_imagenet": Network("MobileNetV2 1.0 from ImageNet", mobilenet_v2, from_imagenet=True),
}
