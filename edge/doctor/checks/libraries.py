"""Check `libraries`: import the libraries that the door needs, and report their versions."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

from ..finding import Finding
from ..host import REPAIR, Host

#: PyPI's lgpio for Python 3.13 is this version. It is an empty package.
EMPTY_LGPIO = "0.0.0.2"


def check(host: Host) -> Iterator[Finding]:
    """Yield a finding for each library that cannot be imported, one with the versions, and one about an empty lgpio."""
    versions = []
    for package, import_library in _LIBRARIES.items():
        try:
            name, library = import_library()
        except Exception as error:  # a library that was built for another NumPy may raise anything
            fix = (
                getattr(error, "hint", "")
                or f"{sys.executable} -m pip install --force-reinstall {package}; or {REPAIR}"
            )
            yield Finding("bad", f"{package} cannot be imported: {type(error).__name__}: {error}", fix)
        else:
            versions.append(f"{name} {installed_version(name) or getattr(library, '__version__', '')}".strip())
    versions += [f"{name} {version}" for name in ("lgpio", "picamera2") if (version := installed_version(name))]
    if versions:
        yield Finding("ok", ", ".join(versions))
    if installed_version("lgpio") == EMPTY_LGPIO:
        yield Finding(
            "bad" if host.is_pi else "note",
            f"lgpio {EMPTY_LGPIO} is PyPI's empty package, not the library",
            f"{sys.executable} -m pip uninstall lgpio; sudo apt install python3-lgpio",
        )


def installed_version(package: str) -> str:
    """Return the version of an installed package; "" if it is not installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return ""


def _tflite_runtime() -> tuple[str, None]:
    from ...inference.interpreter import load_runtime  # imports NumPy

    return load_runtime()[0].replace("_", "-"), None


#: By the name of a package: a function that imports it and returns the name of the package found, and its module.
_LIBRARIES: dict[str, Callable[[], tuple[str, ModuleType | None]]] = {
    "numpy": lambda: ("numpy", importlib.import_module("numpy")),
    "opencv-python-headless": lambda: ("opencv-python-headless", importlib.import_module("cv2")),
    "msgspec": lambda: ("msgspec", importlib.import_module("msgspec")),
    "gpiozero": lambda: ("gpiozero", importlib.import_module("gpiozero")),
    "ai-edge-litert": _tflite_runtime,
}
