"""For scenarios that change the installed version: sources and wheels of several versions, made from this checkout.

They differ in their number and, where that is what is tried, in a setting that only one of them knows, or in a program that
does not start. All wheels are in one folder that the guest sees, with one version of Doorlight at a time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from vdoorlab import layers
from vdoorlab.machine import Machine, MachineError

#: What an installation from wheels needs of a checkout, and what making the wheel needs besides.
SOURCE = ("systemd", "scripts/install.sh", "scripts/demo_data/still.jpg")
PROGRAM = ("edge", "models_tflite", "pyproject.toml", "README.md", "LICENSE")

Change = Callable[[Path], None]


class Versions:
    """Versions of Doorlight that can be installed in `door`; `choose` one, then run `command` there."""

    def __init__(self, door: Machine) -> None:
        self._top = door.session / "versions"
        self._wheels = self._top / "wheels"
        shutil.copytree(layers.newest("wheels"), self._wheels, ignore=shutil.ignore_patterns("*.log"))

    def make(self, number: str, change: Change | None = None) -> None:
        """Make this checkout's version of another number; `change` is done to its sources."""
        source = self._top / number
        for name in (*SOURCE, *PROGRAM):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", layers.CHECKOUT / name, source / name], check=True)
        replace(source / "edge/__init__.py", r'__version__ = "[^"]*"', f'__version__ = "{number}"')
        with (source / "systemd/doorlight.service").open("a") as unit:
            unit.write(f"# of {number}\n")
        if change:
            change(source)
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(source), str(source)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
        for name in PROGRAM:
            path = source / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def choose(self, number: str) -> str:
        """From now on this one is in the folder of wheels: the command line that installs it."""
        for old in self._wheels.glob("doorlight-*.whl"):
            old.unlink()
        (wheel,) = (self._top / number).glob("doorlight-*.whl")
        os.link(wheel, self._wheels / wheel.name)
        return f"/root/vdoor/versions/{number}/scripts/install.sh --wheels /root/vdoor/versions/wheels"

    def without(self, package: str) -> Path:
        """Take a package's wheels out of the folder; give them back by moving what is returned to where it was."""
        (wheel,) = self._wheels.glob(f"{package}-*.whl")
        return wheel.rename(self._top / wheel.name)

    def give_back(self, wheel: Path) -> None:
        wheel.rename(self._wheels / wheel.name)


def replace(file: Path, pattern: str, by: str) -> None:
    """Change a source; an error where there is nothing to change any more."""
    text, count = re.subn(pattern, by, file.read_text(), flags=re.MULTILINE)
    if count != 1:
        raise MachineError(f"{file.name} has {pattern!r} {count} times")
    file.write_text(text)


def with_a_setting(source: Path) -> None:
    """`[camera] porch`, which no other version knows."""
    replace(source / "edge/config.py", r"^    grey: bool$", "    grey: bool\n    porch: bool")
    replace(source / "edge/default.toml", r"^grey = false$", "grey = false\nporch = false")


def that_does_not_start(source: Path) -> None:
    """It judges the picture on which an installation is tried out, but no door runs."""
    with (source / "edge/door.py").open("a") as file:
        file.write(
            '\n\ndef run(*_: object, **__: object) -> Summary:\n    raise RuntimeError("this version is broken")\n'
        )
