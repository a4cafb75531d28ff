"""What a shipped 8-bit model answers in LiteRT and in tflite-runtime, and whether both agree."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edge.inference import manifest
from edge.inference.interpreter import RUNTIMES, Model, load_runtime

from .arrays import Floats, Picture, as_floats
from .command_line import log
from .convert import ExportError

#: The minimum share of validation decisions on which the two runtimes agree.
MIN_AGREEMENT = 0.97


def installed_runtimes() -> list[str]:
    """Return the names of the runtimes that are installed, the preferred one first."""
    found = []
    for name in RUNTIMES:
        with contextlib.suppress(Exception):
            found.append(load_runtime(name)[0])
    return found


def answers(folder: Path, name: str, output: str, crops: Iterable[Picture], runtime: str) -> Floats:
    """Return an output of the model for crops of its size, one row each: (n, its values)."""
    model = Model(manifest.load(folder), name, runtime_name=runtime)
    out = []
    for crop in crops:
        model.invoke(crop)
        out.append(model.dequantized(output))
    return as_floats(np.stack(out))


def check_agreement(what: str, share: float) -> float:
    """Return the share of `what` on which both agree, rounded. Raises ExportError if it is below MIN_AGREEMENT."""
    log(f"the runtimes agree on {share:.2%} of {what}")
    if share < MIN_AGREEMENT:
        raise ExportError(
            f"LiteRT and tflite-runtime agree on only {share:.1%} of {what} (minimum: {MIN_AGREEMENT:.0%})"
        )
    return round(share, 4)
