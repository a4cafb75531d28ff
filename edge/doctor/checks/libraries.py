"""Check `libraries`: import the libraries that the door needs, and report their versions."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from types import ModuleType

from ...errors import DoorlightError
from ...system import gpio_library
from ...system.libraries import (
    OPENCV,
    LibraryProblem,
    conflicts,
    explain,
    hidden_system_package,
    installed_version,
    pip,
)
from ..finding import Finding
from ..host import REPAIR, Host


def check(host: Host) -> Iterator[Finding]:
    """Yield a finding for each library that cannot be used, one with versions, and those about lgpio and picamera2."""
    versions = []
    for package, import_library in _LIBRARIES.items():
        try:
            name, library = import_library()
        except DoorlightError as error:
            yield Finding("bad", str(error), error.hint)
        except Exception as error:  # a library that was built for another NumPy may raise anything
            problem = explain(error) or LibraryProblem(
                f"{package} cannot be imported: {type(error).__name__}: {error}",
                f"{pip(f'install --force-reinstall {package}')}; or {REPAIR}",
            )
            yield Finding("bad", *problem)
        else:
            versions.append(f"{name} {installed_version(name) or getattr(library, '__version__', '')}".strip())
    yield from (Finding("bad", *conflict) for conflict in conflicts())
    versions += [f"{name} {version}" for name in ("lgpio", "picamera2") if (version := installed_version(name))]
    if versions:
        yield Finding("ok", ", ".join(versions))
    # A machine that is not a Raspberry Pi has no lamps, and does not need lgpio. An empty one is worth a note there, too.
    if (lgpio := gpio_library.problem(host.root)) and (host.is_pi or installed_version("lgpio")):
        yield Finding("bad" if host.is_pi else "note", *lgpio)
    if host.source_name == "picamera" and (hidden := hidden_system_package("picamera2", host.root)):
        yield Finding("bad", *hidden)


def _opencv() -> tuple[str, ModuleType]:
    """Import OpenCV; return the name of the distribution that is installed."""
    library = importlib.import_module("cv2")
    return next((name for name in OPENCV if installed_version(name)), OPENCV[0]), library


def _tflite_runtime() -> tuple[str, None]:
    from ...inference.interpreter import load_runtime  # imports NumPy

    return load_runtime()[0].replace("_", "-"), None


#: By the name of a package: a function that imports it and returns the name of the package found, and its module.
_LIBRARIES: dict[str, Callable[[], tuple[str, ModuleType | None]]] = {
    "numpy": lambda: ("numpy", importlib.import_module("numpy")),
    "opencv-python-headless": _opencv,
    "msgspec": lambda: ("msgspec", importlib.import_module("msgspec")),
    "gpiozero": lambda: ("gpiozero", importlib.import_module("gpiozero")),
    "ai-edge-litert": _tflite_runtime,
}
