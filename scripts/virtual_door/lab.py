"""Doors for a scenario, and the folder for their disks."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .build import CHECKOUT, BuildError, cache_folder, chosen_suite, latest
from .door import Door
from .report import Report

#: Ignored by git, in the checkout.
RESULTS = CHECKOUT / "runs/vdoor"
SHARED_MEMORY = Path("/dev/shm")
#: Free memory that is needed to keep disks in it.
MIN_FREE_BYTES = 6 << 30


@dataclass(frozen=True)
class MachineRoom:
    """A temporary folder for machines and their disks, with the product's image."""

    folder: Path
    image: Path


class Lab:
    """Make doors for one scenario. The logs of a door are saved in `results` if the scenario fails."""

    def __init__(self, report: Report, results: Path, room: MachineRoom) -> None:
        self.report = report
        self.results = results
        self._room = room
        self._doors = 0

    @contextlib.contextmanager
    def door(self, **settings: Any) -> Iterator[Door]:
        """Make a new door, powered off; `settings` are those of `Machine`."""
        session = Path(tempfile.mkdtemp(prefix="door-", dir=self._room.folder))
        self._doors += 1
        saved = self.results / f"door-{self._doors}"
        try:
            with Door(session, **{"image": self._room.image, **settings}) as door:
                try:
                    yield door
                except BaseException:
                    door.save(saved)
                    raise
                if not self.report.ok:
                    door.save(saved)
        finally:
            shutil.rmtree(session, ignore_errors=True)


@contextlib.contextmanager
def machine_room() -> Iterator[MachineRoom]:
    """Make a MachineRoom, and remove it at the end.

    It is in shared memory if there is enough: a machine then boots in two thirds of the time.
    """
    image = latest("product") / "root.ext4"
    parent = cache_folder()
    with contextlib.suppress(OSError):
        if shutil.disk_usage(SHARED_MEMORY).free > MIN_FREE_BYTES:
            parent = SHARED_MEMORY
    _remove_leftovers(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"vdoor-{os.getpid()}-", dir=parent))
    try:
        if parent == SHARED_MEMORY:
            subprocess.run(["cp", "--sparse=always", image, folder / "root.ext4"], check=True)
        else:
            os.link(image, folder / "root.ext4")
        yield MachineRoom(folder, folder / "root.ext4")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    """Remove the folders of test runs that were killed: their names hold the pid."""
    for leftover in parent.glob("vdoor-*-*"):
        pid = leftover.name.split("-")[1]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(leftover, ignore_errors=True)


def _builds() -> str:
    """The names of the newest results; a scenario without a machine needs none."""
    with contextlib.suppress(BuildError):
        return ", ".join(latest(step).name for step in ("kernel", "base", "wheels", "clips", "product"))
    return "none"


def about() -> dict[str, str]:
    """Return date, versions and machine for the head of a report."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True)
    cpu = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "checkout": git.stdout.strip() or "unknown",
        "suite": f"{chosen_suite().title} ({chosen_suite().name}), kernel {chosen_suite().kernel}, Python {chosen_suite().python}",
        "build steps": _builds(),
        "host": f"{cpu or platform.processor()}, {len(os.sched_getaffinity(0))} cores, {platform.release()}",
    }
