"""A file like that of dlib's face recognition network, with few channels and random weights."""

from __future__ import annotations

import struct

import numpy as np

#: Channels of its convolutions: those of the real file are 32 to 256; the pattern is the same.
WIDTHS = [2] * 7 + [3] * 8 + [4] * 6 + [5] * 8
RNG = np.random.default_rng(1)


def number(value: int) -> bytes:
    """Return a number as dlib writes it."""
    content = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "little")
    return bytes([len(content)]) + content


def tensor(name: bytes, values: np.ndarray, *shape: int) -> bytes:
    """Return a layer's name and numbers."""
    sizes = b"".join(number(n) for n in (*shape, *[1] * (4 - len(shape))))
    return number(len(name)) + name + b"\x01\x02" + sizes + values.astype("<f4").tobytes() + struct.pack("<q", 7)


def network(layers: int = len(WIDTHS)) -> bytes:
    """Return the file; with fewer `layers`, one that lacks the last."""
    parts, channels = [], 3
    for k, width in enumerate(WIDTHS[:layers]):
        weights = RNG.normal(0, 0.2, width * channels * (49 if k == 0 else 9) + width)
        parts.append(tensor(b"con_4", weights, len(weights)))
        parts.append(tensor(b"affine_", np.concatenate([np.ones(width), np.zeros(width)]), 2 * width))
        channels = width
    # The dense layer says its size first.
    dense = RNG.normal(0, 1, channels * 128)
    parts.append(tensor(b"fc_2" + number(128) + number(channels) + b"\x01\x01", dense, channels, 128))
    return b"".join(parts)
