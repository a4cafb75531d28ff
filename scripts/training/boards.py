"""Published times of MobileNetV2 on Raspberry Pis, and what they say of another model. Nothing was measured here.

`python -m speed.estimate` names the sources.
"""

from __future__ import annotations

from typing import NamedTuple

#: Millions of multiplications of MobileNetV2 1.0 at 224x224, the model of all published times.
MOBILENET_MMACS = 300.8
#: ncnn's mobilenet_int8 and mobilenet_v2, four threads, milliseconds: Zero 2 W, then 3B+.
NCNN_INT8_MS, NCNN_FLOAT_MS = (91.03, 67.39), (147.39, 120.33)
#: How many times slower one thread is than four: ncnn's mobilenet_int8 on a 3B+.
ONE_THREAD_SLOWER = 189.95 / 67.39


class Board(NamedTuple):
    """A board: milliseconds of MobileNetV2 with four threads, 8-bit and float; the version of its USB."""

    name: str
    int8_ms: float
    float_ms: float
    usb: int


BOARDS = (
    # The times of the 3B+, slower by the ratio that ncnn shows.
    Board("Zero 2 W", 30 * NCNN_INT8_MS[0] / NCNN_INT8_MS[1], 79 * NCNN_FLOAT_MS[0] / NCNN_FLOAT_MS[1], 2),
    Board("3B+", 30, 79, 2),
    Board("4", 17, 46, 3),
    Board("5", 4.01, 10.89, 3),
)


def cpu_ms(board: Board, mmacs: float, one_thread: bool) -> float:
    """Return the milliseconds of an 8-bit model with `mmacs` million multiplications on four threads, or on one."""
    return mmacs / MOBILENET_MMACS * board.int8_ms * (ONE_THREAD_SLOWER if one_thread else 1)
