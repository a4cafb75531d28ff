"""Find out whether lgpio, the library that drives the pins, can be used, and where it comes from.

Raspberry Pi OS has it as the Debian package python3-lgpio, in the folder of the system's Python; a virtual environment
sees it if it was created with --system-site-packages, as scripts/install.sh does. Debian has no such package. PyPI has
lgpio 0.2.2.0 for Python 3.12 and earlier; for Python 3.13 it has only the source, and an empty module, 0.0.0.2, which pip
takes silently. An empty lgpio in /usr/local or in a virtual environment hides the one of Debian's package.

`python3 -m edge.system.gpio_library` prints what is wrong, for scripts/install.sh. It needs no other library.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from .libraries import LibraryProblem, apt_install, hidden_system_package, is_raspberry_pi

PACKAGE = "python3-lgpio"
#: PyPI's empty module.
EMPTY_VERSION = "0.0.0.2"
#: The newest Python that PyPI's lgpio has wheels for.
LAST_WHEEL_PYTHON = (3, 12)
#: Raspberry Pi OS has this file, and these words in its lists of package servers.
RASPBERRY_PI_OS_FILE, RASPBERRY_PI_ARCHIVE = "etc/rpi-issue", "archive.raspberrypi."


def problem(root: str = "/") -> LibraryProblem | None:
    """Return why this Python cannot use lgpio, and how to mend it; None if it can. Does not import it.

    `root` is the root folder of the machine, for tests.
    """
    found = _distribution()
    if found is not None and found.version == EMPTY_VERSION:
        place = Path(str(found.locate_file(""))).resolve()
        fix = _uninstall(place)
        if not has_system_package(root):
            fix += f"; then: {install_fix(root)}"
        return LibraryProblem(f"lgpio {EMPTY_VERSION} in {place} is PyPI's empty package, not the library", fix)
    if importlib.util.find_spec("lgpio") is not None:
        return None
    return hidden_system_package("lgpio", root) or LibraryProblem(
        "lgpio, which drives the pins, is not installed", install_fix(root)
    )


def install_fix(root: str = "/") -> str:
    """Return how to install lgpio so that this Python sees it: by apt on Raspberry Pi OS, by pip on Debian."""
    if is_raspberry_pi_os(root) or not is_raspberry_pi(root):
        return apt_install(PACKAGE)
    install = "python3 -m pip install --break-system-packages"
    if sys.version_info[:2] <= LAST_WHEEL_PYTHON:
        return f"Debian has no package of it: sudo apt install python3-pip && sudo {install} lgpio"
    return (
        "Debian has no package of it, and PyPI only its source: sudo apt install gcc libc6-dev python3-dev python3-pip swig "
        f"&& sudo PYPI=1 {install} --no-binary lgpio lgpio==0.2.2.0"
    )


def is_raspberry_pi_os(root: str = "/") -> bool:
    """Return whether the system has Raspberry Pi's own packages."""
    folder = Path(root)
    if (folder / RASPBERRY_PI_OS_FILE).exists():
        return True
    lists = [folder / "etc/apt/sources.list", *(folder / "etc/apt/sources.list.d").glob("*")]
    for file in lists:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if RASPBERRY_PI_ARCHIVE in file.read_text():
                return True
    return False


def has_system_package(root: str = "/") -> bool:
    """Return whether Debian's package of lgpio is installed, whatever this Python sees."""
    return (Path(root) / "usr/lib/python3/dist-packages/lgpio.py").is_file()


def _distribution() -> importlib.metadata.Distribution | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.distribution("lgpio")
    return None


def _uninstall(place: Path) -> str:
    """Return the command that removes lgpio from `place`, a folder of packages."""
    if place.is_relative_to(Path(sys.prefix).resolve()) and sys.prefix != sys.base_prefix:
        # The environment of scripts/install.sh has no pip, but --python uses the one of the system.
        return f"sudo python3 -m pip --python {sys.executable} uninstall -y lgpio"
    return "sudo python3 -m pip uninstall -y --break-system-packages lgpio"


if __name__ == "__main__":
    if found := problem():
        print(f"doorlight: {found.message}\n           {found.fix}", file=sys.stderr)
        sys.exit(69)
