"""Build sources and wheels of several versions of Doorlight from this checkout, for scenarios that install them.

The versions differ in their number; some also in a setting that only one of them has, or in a program that does not
start. All wheels are in one folder that the guest sees, with one version of Doorlight at a time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from releasing import bundle
from virtual_door.agent_client import MachineError
from virtual_door.build import CHECKOUT, latest
from virtual_door.door import Door

#: What the wheel is built from.
PROGRAM = ("edge", "models_tflite", "pyproject.toml", "README.md", "LICENSE")

#: When a version breaks that starts well: after its first pictures, long before it is kept.
BREAKS_AFTER_S = 10

SourceChange = Callable[[Path], None]


class Versions:
    """Versions of Doorlight for `door`: `make` some, `choose` one, then run the returned command in the door."""

    def __init__(self, door: Door) -> None:
        self._folder = door.session / "versions"
        self._wheels = self._folder / "wheels"
        shutil.copytree(latest("wheels"), self._wheels, ignore=shutil.ignore_patterns("*.log"))

    def make(self, number: str, change: SourceChange | None = None) -> None:
        """Build this checkout under another version number; `change` edits its sources first."""
        source = self._folder / number
        for name in (*bundle.CHECKOUT_FILES, *PROGRAM):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", CHECKOUT / name, source / name], check=True)
        replace_line(source / "edge/__init__.py", r'__version__ = "[^"]*"', f'__version__ = "{number}"')
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
        """Put this version's wheel into the folder of wheels, and return the command that installs it."""
        for old in self._wheels.glob("doorlight-*.whl"):
            old.unlink()
        (wheel,) = (self._folder / number).glob("doorlight-*.whl")
        os.link(wheel, self._wheels / wheel.name)
        return f"/root/vdoor/versions/{number}/scripts/install.sh --wheels /root/vdoor/versions/wheels"

    def make_bundle(self, number: str, key: Path) -> str:
        """Make and sign the bundle of a version that was made, and return its folder in the guest."""
        self.choose(number)
        source, folder = self._folder / number, self._folder / f"bundle-{number}"
        files = {f"wheels/{wheel.name}": wheel for wheel in sorted(self._wheels.glob("*.whl"))}
        bundle.write(folder, files | bundle.checkout_files(source), number, "x86_64")
        bundle.sign(folder, key)
        return f"/root/vdoor/versions/{folder.name}"

    def remove_wheel(self, package: str) -> Path:
        """Remove a package's wheel from the folder of wheels, and return its new path for `restore_wheel`."""
        (wheel,) = self._wheels.glob(f"{package}-*.whl")
        return wheel.rename(self._folder / wheel.name)

    def restore_wheel(self, wheel: Path) -> None:
        wheel.rename(self._wheels / wheel.name)


def replace_line(file: Path, pattern: str, replacement: str) -> None:
    """Change one place in a source file. Raises MachineError if the pattern does not match exactly once."""
    text, count = re.subn(pattern, replacement, file.read_text(), flags=re.MULTILINE)
    if count != 1:
        raise MachineError(f"{file.name}: {pattern!r} matches {count} times, expected 1")
    file.write_text(text)


def add_setting(source: Path) -> None:
    """Add the setting `[camera] porch`, which no other version has."""
    replace_line(source / "edge/config.py", r"^    grey: bool$", "    grey: bool\n    porch: bool")
    replace_line(source / "edge/default.toml", r"^grey = false$", "grey = false\nporch = false")


def break_later(source: Path, fault: str) -> None:
    """Let the door run, and call `fault`, a Python statement, in its main thread after BREAKS_AFTER_S."""
    with (source / "edge/door.py").open("a") as file:
        file.write(
            f"""

_run_well = run


def run(*arguments: object, **named: object) -> Summary:
    import os, signal, threading

    def fault(*_: object) -> None:
        {fault}

    signal.signal(signal.SIGALRM, fault)
    signal.alarm({BREAKS_AFTER_S})
    return _run_well(*arguments, **named)
"""
        )


def break_start(source: Path) -> None:
    """Break the start of the door. The self-test of install.sh, which decides about one picture, still works."""
    with (source / "edge/door.py").open("a") as file:
        file.write(
            '\n\ndef run(*_: object, **__: object) -> Summary:\n    raise RuntimeError("this version is broken")\n'
        )
