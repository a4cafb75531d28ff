"""A fake of Picamera2 for child processes, with a sensor in the folder $VIRTUAL_PI_CAMERA.

The sensor takes the orders of scripts/checks/picamera/libcamera/virtual.cpp, a word in the file `state`, and writes what it
was asked for into `seen`, as that does. It always shows SCENE.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
from pathlib import Path
from typing import Any

import numpy as np

from support.fake_picamera2 import SCENE, FakePicamera2, World

FOLDER = Path(os.environ["VIRTUAL_PI_CAMERA"])
#: Age of the pictures of a sensor that is late.
LATE_S = 2.0
#: Libraries print. It must not get between the pictures.
print("a fake Picamera2")


def state() -> str:
    """Return the sensor's order."""
    with contextlib.suppress(OSError):
        return (FOLDER / "state").read_text().strip() or "play"
    return "play"


class _Hang:
    """Whether pictures arrive. After a request was cancelled, none does: it is never queued again."""

    def __init__(self) -> None:
        self._is_cancelled = False

    def is_set(self) -> bool:
        word = state()
        self._is_cancelled = self._is_cancelled or word == "timeout"
        # Picamera2 drops frames with errors.
        return self._is_cancelled or word in ("hang", "stuck", "error")


class _FileWorld(World):
    def __init__(self) -> None:
        super().__init__()
        if not (FOLDER / "frames").exists():
            self.cameras = []
        self.controls |= {"Saturation"}
        self.hang: Any = _Hang()
        self.age_s = lambda number: LATE_S if state() == "late" else 0.0
        self._shown = 0
        self._lock = -1

    def look(self, number: int) -> tuple[Any, int | None]:
        word = state()
        if word == "black":
            return np.zeros_like(SCENE), None
        self._shown = self._shown if word == "freeze" else number
        return SCENE, self._shown

    def on_construct(self) -> None:
        self._lock = os.open(FOLDER / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        is_free = False
        if state() != "busy":
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_free = True
        if not is_free:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")

    def on_start(self, controls: dict[str, Any]) -> None:
        text = " ".join(f"{name}={_shown(value)}" for name, value in controls.items())
        with (FOLDER / "seen").open("a") as seen:
            seen.write(f"start {text}\n")
        if state() == "nostart":
            raise RuntimeError("Failed to start camera: Input/output error")

    def on_stop(self) -> None:
        while state() == "stuck":
            ctypes.PyDLL(None).usleep(50_000)  # holds the GIL, as libcamera does


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[ {', '.join(map(str, value))} ]"
    return f"{value:f}" if isinstance(value, float) else str(getattr(value, "value", value))


class Picamera2(FakePicamera2):
    world = _FileWorld()
