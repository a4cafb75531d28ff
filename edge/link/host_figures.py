"""Figures of this machine for the network: temperature, free disk space, frame rate, and what the door says about itself."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from ..system import temperature
from ..system.files import read_regular
from ..update.layout import Layout

#: How often (seconds) the figures are read: the door's own status needs a process.
READ_EVERY_S = 60.0
#: The same while only the door's status says what it shows.
READ_SOON_S = 5.0
TIMEOUT_S = 5.0
_VERSION = re.compile(r"\d[0-9A-Za-z.+-]{0,39}")
#: The status of the door, as `door.py` reports it to systemd: "STOP, 9.8 frames/s, CPU, all well".
_STATUS = re.compile(r"(?P<signal>[A-Z]+), (?P<rate>[\d.]+) frames/s, .*?, (?P<health>all well|[a-zA-Z ]+: .*)")


class Figures(NamedTuple):
    """What is known; None if it is not.

    `problem` is what the door reports about itself: its log, its Coral. `signal` is what it shows, up to READ_EVERY_S old.
    """

    temperature_c: float | None = None
    disk_free_mb: int | None = None
    frames_per_s: float | None = None
    problem: str | None = None
    latest_version: str | None = None
    signal: str | None = None

    @property
    def is_log_failing(self) -> bool:
        """Whether the door cannot write its log: then the log says nothing about now."""
        return "event log: " in (self.problem or "")


class HostFigures:
    """Reads the figures, at most every READ_EVERY_S seconds. `folder` is that of the log. `root` is for tests."""

    def __init__(self, folder: Path, root: Path = Path("/")) -> None:
        self._folder = folder
        self._root = root
        self._figures = Figures()
        self._read_at = float("-inf")

    def read(self, is_running: bool) -> Figures:
        """Return the figures. `is_running` says whether the door runs: otherwise there is no frame rate."""
        every_s = READ_SOON_S if self._figures.is_log_failing else READ_EVERY_S
        if time.monotonic() - self._read_at >= every_s:
            self._read_at = time.monotonic()
            self._figures = self._read()
        return self._figures if is_running else self._figures._replace(frames_per_s=None, problem=None, signal=None)

    def _read(self) -> Figures:
        signal, rate, problem = parse_status(_door_status())
        degrees = temperature.highest_c(self._root)
        degrees = None if degrees is None else round(degrees, 1)
        return Figures(degrees, self._disk_free_mb(), rate, problem, self._latest_version(), signal)

    def _latest_version(self) -> str | None:
        """Return the version that `doorlight update` has noted; None if there is none."""
        with contextlib.suppress(OSError):
            text = read_regular(Layout(self._root).latest, 1000).decode("ascii", "replace").strip()
            return text if _VERSION.fullmatch(text) else None
        return None

    def _disk_free_mb(self) -> int | None:
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._folder)
            return disk.f_bavail * disk.f_frsize // 1_000_000
        return None


def parse_status(text: str) -> tuple[str | None, float | None, str | None]:
    """Return signal, frames per second and problem of the door's status; None for what it does not say."""
    match = _STATUS.fullmatch(text)
    if match is None:
        return None, None, None
    # The event log knows about the camera at once; this status is up to a minute old.
    parts = [part for part in match["health"].split("; ") if not part.startswith("camera: ")]
    problem = "; ".join(parts)[:300] if parts != ["all well"] and parts else None
    with contextlib.suppress(ValueError):
        return match["signal"], float(match["rate"]), problem
    return match["signal"], None, problem


def _door_status() -> str:
    """Return the status line of the door's service; "" if there is none."""
    command = ("systemctl", "show", "doorlight.service", "-p", "StatusText", "--value")
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False)
        return done.stdout.decode(errors="replace").strip()
    return ""
