"""Whether a bundle fits this box: processor, Python, free disk."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path
from typing import NamedTuple

from ..errors import UnavailableError
from .manifest import Manifest

#: What install.sh asks for: a program of 250 MB while it is built, and reserve.
PROGRAM_BYTES = 600_000_000
_WHEEL = re.compile(r"(?P<name>[^-]+)-[^-]+(?:-\d[^-]*)?-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl")


class Machine(NamedTuple):
    """What a wheel has to fit: `uname -m`, and the version of Debian's Python."""

    architecture: str
    python: tuple[int, int]


def this_machine() -> Machine:
    """Return this machine. Its Python is the one that runs: the installed program uses Debian's."""
    return Machine(platform.machine(), sys.version_info[:2])


def check(manifest: Manifest, machine: Machine) -> None:
    """Raise UnavailableError if the bundle is for another processor or another Python."""
    if manifest.architecture != machine.architecture:
        raise UnavailableError(
            f"the bundle is for {manifest.architecture}; this box is {machine.architecture}",
            f"ask for the bundle for {machine.architecture}",
        )
    running = ".".join(map(str, machine.python))
    if tuple(map(int, manifest.min_python.split("."))) > machine.python:
        raise UnavailableError(
            f"version {manifest.version} needs Python {manifest.min_python}; this box has {running}",
            "install a newer Raspberry Pi OS or Debian on a card",
        )
    names: dict[str, bool] = {}
    for wheel in manifest.wheels:
        found = _WHEEL.fullmatch(wheel)
        if found is None:
            raise UnavailableError(f"{wheel}: is no name of a wheel", "ask for the bundle again")
        names[found["name"]] = names.get(found["name"], False) or _fits(found, machine)
    missing = sorted(name for name, fits in names.items() if not fits)
    if missing:
        raise UnavailableError(
            f"the bundle has no {', '.join(missing)} for Python {running} on {machine.architecture}",
            f"ask for a bundle that was made with Python {running}",
        )


def _fits(wheel: re.Match[str], machine: Machine) -> bool:
    """Return whether pip takes a wheel on this machine, from the tags of its name (see the PyPA's specification)."""
    major, minor = machine.python
    tags = {f"py{major}", f"py{major}{minor}", f"cp{major}{minor}"}
    pythons = set(wheel["python"].split("."))
    if "abi3" in wheel["abi"].split("."):
        tags |= {f"cp{major}{old}" for old in range(2, minor)}
    is_python = bool(pythons & tags)
    platforms = wheel["platform"].split(".")
    return is_python and any(each == "any" or each.endswith(f"_{machine.architecture}") for each in platforms)


def check_space(folder: Path, manifest: Manifest, already: int = 0) -> None:
    """Raise UnavailableError if the disk of `folder` has no room for the bundle and a program beside the running one.

    `already` are the bytes of the bundle that are there from an interrupted update.
    """
    check_room(folder, manifest.total_bytes - already)


def check_room(folder: Path, bundle_bytes: int) -> None:
    """Raise UnavailableError if the disk of `folder` has no room for this many bytes of a bundle, and for a program."""
    disk = os.statvfs(folder)
    free, needed = disk.f_bavail * disk.f_frsize, bundle_bytes + PROGRAM_BYTES
    if free < needed:
        raise UnavailableError(
            f"{folder}: {free / 1e6:,.0f} MB are free; the update needs {needed / 1e6:,.0f} MB",
            "sudo apt clean; sudo journalctl --vacuum-size=50M; df -h",
        )
