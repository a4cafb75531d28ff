"""The teacher of the face embedder: dlib's face recognition network, in PyTorch.

The network is a ResNet of 29 convolutions (King 2017, "High quality face recognition with deep metric learning"). Its
weights are in the public domain (CC0): `dlib_face_recognition_resnet_model_v1.dat` of github.com/davisking/dlib-models,
which is also in the package `face_recognition_models` on PyPI. They are read from that file, because dlib itself
computes ten times as long on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .arrays import Floats, Picture, as_floats
from .checkpoints import TrainingError

#: Side of the chips that the network knows, in pixels, and the colour that is taken from them.
CHIP = 150
MEAN_RGB = (122.782, 117.001, 104.298)
#: Names of the layers in the file, each followed by its weights.
CONVOLUTION, AFFINE, DENSE = b"con_4", b"affine_", b"fc_2"
CONVOLUTIONS = 29
#: Numbers of the convolutions, from 0 in the order of the network, that shrink the picture.
SHRINKING = (7, 15, 21, 27)
#: A tensor of dlib's format 2: the number of the format, four numbers, and the floats, little endian.
TENSOR = b"\x01\x02"


class FaceTeacher(nn.Module):
    """Maps chips (B, 3, 150, 150), RGB 0..255, to vectors (B, 128) whose Euclidean distance is below 0.6 for one
    person."""

    def __init__(self, path: Path) -> None:
        """Read the weights. Raises TrainingError if `path` is not dlib's file."""
        super().__init__()
        self.convolutions = nn.ModuleList()
        channels = 3
        try:
            layers = list(_layers(path.read_bytes()))
        except OSError as error:
            raise TrainingError(f"{path}: cannot be read: {error.strerror}") from None
        dense = layers.pop()[1] if layers else np.zeros(0, np.float32)
        if len(layers) != 2 * CONVOLUTIONS or len(dense) % 128 or not len(dense):
            raise TrainingError(f"{path}: is not dlib_face_recognition_resnet_model_v1.dat")
        for (_, weights), (_, affine) in zip(layers[::2], layers[1::2], strict=True):
            outputs = len(affine) // 2
            kernel = round(((len(weights) - outputs) / outputs / channels) ** 0.5)
            if len(weights) != outputs * (channels * kernel**2 + 1):
                raise TrainingError(f"{path}: a convolution of {channels} channels has {len(weights)} weights")
            # Blocks that shrink the picture widen it, but for the last, which keeps its width.
            first, is_down = not len(self.convolutions), len(self.convolutions) in SHRINKING
            layer = nn.Conv2d(channels, outputs, kernel, 2 if first or is_down else 1, 0 if first or is_down else 1)
            gain, offset = (torch.from_numpy(part.copy()) for part in np.split(affine, 2))
            layer.weight.data = gain[:, None, None, None] * torch.from_numpy(
                weights[:-outputs].reshape(outputs, channels, kernel, kernel).copy()
            )
            layer.bias.data = gain * torch.from_numpy(weights[-outputs:].copy()) + offset  # type: ignore[union-attr]
            self.convolutions.append(layer)
            channels = outputs
        self.dense = nn.Parameter(torch.from_numpy(dense.reshape(channels, 128).copy()), requires_grad=False)
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.vectors(self.blocks(x)[-1])

    def vectors(self, last: Tensor) -> Tensor:
        """Return the vectors (B, 128) of what the last block knows."""
        return last.mean((2, 3)) @ self.dense

    def blocks(self, x: Tensor) -> list[Tensor]:
        """Return what each block knows of the chips."""
        found = []
        mean = torch.tensor(MEAN_RGB, device=x.device)[:, None, None]
        x = ((x.float() - mean) / 256).contiguous(memory_format=torch.channels_last)
        x = F.max_pool2d(F.relu(self.convolutions[0](x)), 3, 2)
        for k in range(1, CONVOLUTIONS, 2):
            y = self.convolutions[k + 1](F.relu(self.convolutions[k](x)))
            x = F.relu(_sum(y, F.avg_pool2d(x, 2, 2) if k in SHRINKING else x))
            found.append(x)
        return found

    def answers(self, chips: Picture) -> Floats:
        """Return the vectors (n, 128) float32 of chips (n, 150, 150, 3) uint8 RGB."""
        with torch.no_grad():
            return as_floats(self(torch.from_numpy(chips).permute(0, 3, 1, 2)).numpy())


def _sum(a: Tensor, b: Tensor) -> Tensor:
    """Add tensors as dlib does: what one lacks in size or channels is zero."""
    shape = [max(m, n) for m, n in zip(a.shape[1:], b.shape[1:], strict=True)]

    def padded(x: Tensor) -> Tensor:
        missing = [wanted - has for wanted, has in zip(shape, x.shape[1:], strict=True)]
        return F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else x

    return padded(a) + padded(b)


def _layers(content: bytes) -> Iterator[tuple[bytes, Floats]]:
    """Yield name and weights of the layers in the order of the file, which is that of the network.

    Ends at what it cannot read.
    """
    at = 0
    while found := [(place, name) for name in (CONVOLUTION, AFFINE, DENSE) if (place := content.find(name, at)) >= 0]:
        place, name = min(found)
        at = content.find(TENSOR, place + len(name)) + len(TENSOR)
        if at < place:
            return
        count = 1
        for _ in range(4):
            size, at = _integer(content, at)
            count *= size
        if not 0 < count <= (len(content) - at) // 4:
            return
        yield name, as_floats(np.frombuffer(content, "<f4", count, at))
        at += 4 * count


def _integer(content: bytes, at: int) -> tuple[int, int]:
    """Return a number as dlib packs it, a byte with the count of bytes and these, little endian, and where it ends.

    At the end of the file it is 0.
    """
    count = content[at] & 0x0F if at < len(content) else 0
    return int.from_bytes(content[at + 1 : at + 1 + count], "little"), at + 1 + count
