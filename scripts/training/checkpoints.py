"""Weights on the disk: checkpoints of a run, its best weights, and weights of an exported model."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from .files import replacing
from .nets import normalise
from .tflite_weights import restore


class TrainingError(Exception):
    """Training cannot go on; the message says what to do."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, complete or not at all."""
    with replacing(path) as part, part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())


class Calibrating(Protocol):
    """Part of `loop.Task`."""

    def calibration(self, n: int, seed: int) -> Tensor:
        """Return `n` training pictures, (n, C, H, W) uint8."""
        ...


def load_earlier(net: torch.nn.Module, path: Path, task: Calibrating, seed: int) -> None:
    """Load the weights of a run's best.pt or of an exported `.tflite` into `net`. Raises TrainingError."""
    if path.suffix != ".tflite":
        load_best(net, path)
        return
    try:
        restore(net, path, normalise(task.calibration(160, seed)))
    except ValueError as error:
        raise TrainingError(f"{path}: not a model of such a network: {error}") from None


def save_best(path: Path, net: torch.nn.Module, figures: dict[str, float], step: int) -> None:
    """Write weights, with the validation figures that they reached, for `load_best`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, {"net": net.state_dict(), "figures": figures, "step": step})


def load_last_average(net: torch.nn.Module, path: Path) -> int:
    """Load the averaged weights of a run's last.pt into `net`; return the number of steps. Raises TrainingError."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=False)
        net.load_state_dict(saved["average"])
        return int(saved["step"])
    except (OSError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError, EOFError) as error:
        raise TrainingError(f"{path}: not a checkpoint of such a network: {error}") from None


def load_best(net: torch.nn.Module, path: Path) -> dict[str, float]:
    """Load the weights of a run's best.pt into `net`; return the figures saved with them. Raises TrainingError."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict(saved["net"])
        figures: dict[str, float] = saved["figures"]
    except (OSError, RuntimeError, KeyError, TypeError, pickle.UnpicklingError, EOFError) as error:
        raise TrainingError(f"{path}: not the weights of such a network: {error}") from None
    return figures
