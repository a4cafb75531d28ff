"""The face embedder's network: dlib's face recognition ResNet (King 2017) with a quarter of its weights.

From the second stage on, each convolution is two: one to a few channels, and one of 1x1 from these to all. The few are the
principal components of what the large network's convolution answers about faces (Zhang et al. 2015, "Accelerating very deep
convolutional networks"). So training starts from a network that nearly knows what the large one knows.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arrays import Picture
from .face_teacher import CHIP, CONVOLUTIONS, MEAN_RGB, SHRINKING, FaceTeacher
from .nets import Frozen, SameConv2d, unfrozen

#: Numbers of the output.
VECTOR = 128
#: Channels of the convolutions, in order, and of how many components each is made; None: of all its channels.
CHANNELS = (*[32] * 7, *[64] * 8, *[128] * 6, *[256] * 8)
RANKS = (
    *[None] * 7,
    *(24, 28, 32, 28, 36, 32, 32, 32),
    *(48, 40, 60, 36, 56, 24),
    *(96, 100, 60, 12, 8, 8, 52, 36),
)
#: Blocks whose convolutions have all channels: they stay as they are in the large network.
EXACT = 3
#: Side of what the first block is given: the stem does not pad.
SIZE_OF_BLOCKS = ((CHIP - 7) // 2 + 1 - 3) // 2 + 1
#: Chips whose answers are kept in memory at once.
_AT_ONCE = 50


class _Convolution(nn.Module):
    """A 3x3 convolution from `i` to `o` channels, by way of `rank` channels if that is given."""

    def __init__(self, i: int, o: int, rank: int | None, shrinks: bool, pads: bool) -> None:
        super().__init__()
        kind = SameConv2d if pads else nn.Conv2d
        self.spatial = kind(i, rank or o, 3, 2 if shrinks else 1)
        self.mix = nn.Conv2d(rank, o, 1) if rank else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.spatial(x))

    def imitate(self, layer: nn.Conv2d, mean: Tensor, components: Tensor) -> None:
        """Take the weights of `layer`, whose answers have this mean (o,) and these principal components (o, o), the first
        as columns first."""
        assert layer.bias is not None
        if isinstance(self.mix, nn.Identity):
            self.spatial.weight.data.copy_(layer.weight)
            self.spatial.bias.data.copy_(layer.bias)  # type: ignore[union-attr]
            return
        few = components[:, : self.mix.in_channels]
        self.spatial.weight.data.copy_(torch.einsum("or,oihw->rihw", few, layer.weight))
        self.spatial.bias.data.copy_(few.T @ (layer.bias - mean))  # type: ignore[union-attr]
        self.mix.weight.data.copy_(few[:, :, None, None])
        self.mix.bias.data.copy_(mean)  # type: ignore[union-attr]


def _mean_of_four(channels: int) -> nn.Conv2d:
    """Return a convolution that averages four pixels. The Edge TPU has no pooling of this kind with 8 bits."""
    layer = nn.Conv2d(channels, channels, 2, 2, groups=channels)
    nn.init.constant_(layer.weight, 1 / 4)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class _Block(nn.Module):
    """Two convolutions and a shortcut. A block that shrinks averages its shortcut; channels that this lacks are zero."""

    def __init__(self, i: int, k: int, size: int) -> None:
        """`i` are the channels of its input, `size` is its side; `k` is the number of the block's first convolution."""
        super().__init__()
        o, shrinks = CHANNELS[k], k in SHRINKING
        # As dlib, which does not pad where it shrinks; but at the end of an even side, pixels would have no place.
        self.first = _Convolution(i, o, RANKS[k], shrinks, not shrinks or size % 2 == 0)
        self.second = _Convolution(o, o, RANKS[k + 1], False, True)
        self.shortcut = _mean_of_four(i) if shrinks else nn.Identity()
        self.relu = nn.ReLU()
        self._missing = o - i

    def forward(self, x: Tensor) -> Tensor:
        new, shortcut = self.second(self.relu(self.first(x))), self.shortcut(x)
        if self._missing:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self._missing))
        return self.relu(new + shortcut)


class Embedder(nn.Module):
    """Maps aligned faces (B, 3, 150, 150), RGB as of `nets.normalise`, to vectors (B, 128)."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, CHANNELS[0], 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2))]
        size = SIZE_OF_BLOCKS
        for k in range(1, CONVOLUTIONS, 2):
            blocks.append(_Block(CHANNELS[k - 1], k, size))
            size //= 2 if k in SHRINKING else 1
        self.front, self.blocks = Frozen(blocks[: 1 + EXACT]), nn.Sequential(*blocks[1 + EXACT :])
        self.dense = nn.Linear(CHANNELS[-1], VECTOR)

    def forward(self, x: Tensor) -> Tensor:
        return self.vectors(self.known(self.front(x))[-1])

    def vectors(self, last: Tensor) -> Tensor:
        """Return the vectors of what the last block knows."""
        return self.dense(last.mean((2, 3)))

    def known(self, x: Tensor) -> list[Tensor]:
        """Return what each block after the first EXACT knows, given what these know, in the shapes of the large network."""
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found

    def imitate(self, large: FaceTeacher, chips: Picture, offset: Tensor) -> None:
        """Take what `large` knows, as far as there is room: what matters are its answers about chips (n, 150, 150, 3) uint8
        RGB. `offset` (128,) is taken from its vectors."""
        statistics = principal_components(large, chips)
        with torch.no_grad():
            layers: list[Any] = list(large.convolutions)
            parts: list[Any] = unfrozen(self.front) + list(self.blocks)
            mine = [part for block in parts[1:] for part in (block.first, block.second)]
            first = parts[0][0]
            # The pixels are normalised otherwise.
            shift = torch.tensor([(127.0 - mean) / 256 for mean in MEAN_RGB])
            first.weight.copy_(layers[0].weight * 127.5 / 256)
            first.bias.copy_(layers[0].bias + (layers[0].weight.sum((2, 3)) * shift).sum(1))
            for convolution, layer, (mean, components) in zip(mine, layers[1:], statistics[1:], strict=True):
                convolution.imitate(layer, mean, components)
            self.dense.weight.copy_(large.dense.T)
            self.dense.bias.copy_(-offset)


def principal_components(large: FaceTeacher, chips: Picture) -> list[tuple[Tensor, Tensor]]:
    """Return, for each convolution of `large`, the mean (o,) of its answers about chips (n, 150, 150, 3) uint8 RGB, and their
    principal components (o, o), the first as columns first."""
    sums = [(torch.zeros(o, dtype=torch.float64), torch.zeros(o, o, dtype=torch.float64)) for o in CHANNELS]
    counts = [0] * len(sums)

    def collect(k: int, answer: Tensor) -> None:
        values = answer.transpose(0, 1).flatten(1).double()
        counts[k] += values.shape[1]
        sums[k][0].add_(values.sum(1))
        sums[k][1].add_(values @ values.T)

    hooks = [
        layer.register_forward_hook(lambda _, __, answer, k=k: collect(k, answer))
        for k, layer in enumerate(large.convolutions)
    ]
    for start in range(0, len(chips), _AT_ONCE):
        large.answers(chips[start : start + _AT_ONCE])
    for hook in hooks:
        hook.remove()
    found = []
    for count, (total, products) in zip(counts, sums, strict=True):
        mean = total / count
        _, vectors = torch.linalg.eigh(products / count - torch.outer(mean, mean))
        found.append((mean.float(), vectors.flip(1).float()))
    return found
