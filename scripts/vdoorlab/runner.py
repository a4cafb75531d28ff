"""Finds the scenarios, runs them one after the other, and reports."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import platform
import shutil
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from . import layers, report, scenarios
from .machine import Machine
from .report import Report

#: Git-ignored, in the checkout.
RESULTS = layers.CHECKOUT / "runs/vdoor"
MEMORY = Path("/dev/shm")


class Lab:
    """What a scenario gets: virtual doors. They are switched off, and saved where something failed, by whom made them."""

    def __init__(self, found: Report, folder: Path, place: Path, image: Path) -> None:
        self.report = found
        self.folder = folder
        self._place = place
        self._image = image
        self._made = 0

    @contextlib.contextmanager
    def door(self, **settings: Any) -> Iterator[Machine]:
        """A fresh door, switched off; `settings` are Machine's."""
        session = Path(tempfile.mkdtemp(prefix="door-", dir=self._place))
        self._made += 1
        try:
            with Machine(session, **{"image": self._image, **settings}) as door:
                try:
                    yield door
                except BaseException:
                    door.save(self.folder / f"door-{self._made}")
                    raise
                if not self.report.ok:
                    door.save(self.folder / f"door-{self._made}")
        finally:
            shutil.rmtree(session, ignore_errors=True)


@contextlib.contextmanager
def place() -> Iterator[tuple[Path, Path]]:
    """A folder for machines and their disks, gone afterwards, and the product's image in it.

    In memory where there is enough: a machine boots in two thirds of the time then.
    """
    image = layers.newest("product") / "root.ext4"
    parent = layers.cache()
    with contextlib.suppress(OSError):
        if shutil.disk_usage(MEMORY).free > 6 << 30:
            parent = MEMORY
    for left in parent.glob("vdoor-*-*"):  # of test benches that were killed
        if not Path("/proc", left.name.split("-")[1]).exists():
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"vdoor-{os.getpid()}-", dir=parent))
    try:
        if parent == MEMORY:
            subprocess.run(["cp", "--sparse=always", image, made / "root.ext4"], check=True)
        else:
            os.link(image, made / "root.ext4")
        yield made, made / "root.ext4"
    finally:
        shutil.rmtree(made, ignore_errors=True)


def find() -> dict[str, ModuleType]:
    """Every scenario by its name, in the order of their names."""
    names = sorted(
        module.name for module in pkgutil.iter_modules(scenarios.__path__) if not module.name.startswith("_")
    )
    return {name: importlib.import_module(f"{scenarios.__name__}.{name}") for name in names}


def first_line(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def run(chosen: Sequence[str], folder: Path, say: Callable[[str], None]) -> list[Report]:
    """Run scenarios; the reports are in `folder`, with what tells of failures."""
    modules = find()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    reports: list[Report] = []
    with place() as (machines, image):
        for name in chosen:
            module = modules[name]
            found = Report(name, (module.__doc__ or "").strip())
            reports.append(found)
            say(f"{name}: {first_line(module)}")
            began = time.monotonic()
            try:
                module.run(Lab(found, folder / name, machines, image), found)
            except Exception:
                found.error = traceback.format_exc()
            finally:
                found.seconds = time.monotonic() - began
                report.write(folder, reports, about())
            _tell(found, say)
    return reports


def _tell(found: Report, say: Callable[[str], None]) -> None:
    for step in found.steps:
        if not step.ok:
            say(f"  not as expected: {step.done}: expected {step.expected}, seen {step.seen}")
    for measure in found.measures:
        say(f"  {'' if measure.ok else 'TOO MUCH: '}{measure.name}: {measure}")
    if found.error:
        say("  " + found.error.strip().replace("\n", "\n  "))
    good = sum(s.ok for s in found.steps)
    say(f"  {report.verdict(found)}: {good} of {len(found.steps)} steps as expected, {found.seconds:.0f} s")


def about() -> dict[str, str]:
    """Versions and date: what a report is about."""
    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=layers.CHECKOUT, capture_output=True, text=True
    )
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        cpu = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "checkout": git.stdout.strip() or "unknown",
        "layers": ", ".join(layers.newest(layer).name for layer in ("kernel", "base", "wheels", "clips", "product")),
        "host": f"{cpu or platform.processor()}, {len(os.sched_getaffinity(0))} cores, {platform.release()}",
    }
