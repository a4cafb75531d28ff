"""Explain why a library cannot be imported or used, and how to mend it.

NumPy, OpenCV and the TFLite runtimes are compiled for one version of Python, of the C library and of NumPy's interface.
Their own messages say little about which two do not fit. Nothing here imports them.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import platform
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

#: Distributions that contain the module cv2. Two of them overwrite each other's files.
OPENCV = (
    *("opencv-python-headless", "opencv-python"),
    *("opencv-contrib-python-headless", "opencv-contrib-python"),
)
#: The distributions to look for, by the name of a module.
DISTRIBUTIONS = {
    "numpy": ("numpy",),
    "cv2": OPENCV,
    "tflite_runtime": ("tflite-runtime",),
    "ai_edge_litert": ("ai-edge-litert",),
    "msgspec": ("msgspec",),
    "gpiozero": ("gpiozero",),
    "rich": ("rich",),
}
#: The libraries of the extras in pyproject.toml, by what needs them: names of modules, and what pip installs.
EXTRAS = {
    "the page in the browser": (("starlette", "uvicorn", "jinja2", "segno"), "starlette uvicorn jinja2 segno"),
    "doorlight metrics": (("prometheus_client",), "prometheus-client"),
    "doorlight people": (("cryptography", "segno"), "cryptography segno"),
    "the link to a broker": (("paho",), "'paho-mqtt>=2.1'"),
    "doorlight collect and fleet": (("psycopg", "psycopg_binary"), "'psycopg[binary]'"),
}
#: What NumPy and the libraries compiled for it say if their versions do not fit.
NUMPY_MISMATCH = re.compile(
    r"numpy\S* failed to import|_ARRAY_API not found|numpy\.\w+ size changed|compiled (against|using) (NumPy|ABI|API)"
)
#: Debian's package of a shared library.
DEBIAN_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libopenblas.so.0": "libopenblas0",
    "libatomic.so.1": "libatomic1",
    "libgfortran.so.5": "libgfortran5",
    "libstdc++.so.6": "libstdc++6",
    "libSM.so.6": "libsm6",
    "libXext.so.6": "libxext6",
}
#: The first OpenCV on PyPI that works with NumPy 2.
FIRST_OPENCV_FOR_NUMPY_2 = (4, 10)
#: The last tflite-runtime on PyPI; it is compiled for NumPy 1, which its metadata does not say.
LAST_TFLITE_RUNTIME = (2, 14)
#: The Python version for which PyPI's tflite-runtime has packages for 32 bits.
LAST_32_BIT_PYTHON = (3, 11)
SYSTEM_PACKAGES = "usr/lib/python3/dist-packages"
INSTALL_64_BIT = "install the 64-bit Raspberry Pi OS"


class LibraryProblem(NamedTuple):
    """Why a library cannot be used, with names and versions, and the command that mends it."""

    message: str
    fix: str


def installed_version(package: str) -> str:
    """Return the version of an installed package; "" if it is not installed."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package) or ""
    return ""


def pip(arguments: str) -> str:
    """Return the pip command for this Python; for an installation without pip, the script that made it."""
    if importlib.util.find_spec("pip") is None:
        return "sudo scripts/install.sh  (in the checkout; it builds the installation again)"
    return f"{sys.executable} -m pip {arguments}"


def explain(error: BaseException) -> LibraryProblem | None:
    """Return why a library failed with `error` while it was imported or used; None if that is not a library's fault."""
    text = " ".join(f"{type(each).__name__}: {each}" for each in _chain(error))
    module = _failing_module(error)
    if found := re.search(r"([\w.+-]+\.so[\w.]*): cannot open shared object", text):
        return _missing_shared_library(found[1], module)
    if found := re.search(r"version [`'](\w+_[\d.]+)' not found", text):
        return _old_c_library(found[1], module)
    if found := re.search(r"wrong ELF class: (\w+)|invalid ELF header", text):
        return _wrong_machine(module)
    if NUMPY_MISMATCH.search(text):
        return _numpy_mismatch(module)
    several = [name for name in OPENCV if installed_version(name)]
    if "cv2" in (module, getattr(error, "name", None)) and len(several) > 1:
        return _several_opencv(several)
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in DISTRIBUTIONS:
        return _not_installed(missing)
    for what, (modules, packages) in EXTRAS.items():
        if missing in modules:
            verb = "need" if " and " in what else "needs"
            return LibraryProblem(
                f"{missing} is not installed for {sys.executable}: {what} {verb} it", pip(f"install {packages}")
            )
    return None


def conflicts() -> list[LibraryProblem]:
    """Return the problems of the installed versions that show only when a model is loaded."""
    numpy, runtime = installed_version("numpy"), installed_version("tflite-runtime")
    if (
        not installed_version("ai-edge-litert")
        and _numbers(numpy) >= (2,)
        and (0,) < _numbers(runtime)[:2] <= LAST_TFLITE_RUNTIME
    ):
        return [_numpy_mismatch("tflite_runtime")]
    return []


def missing_runtime_fix() -> str:
    """Return how to install a TFLite runtime for this Python and this machine."""
    machine, is_32_bit = platform.machine(), sys.maxsize < 2**32
    version = f"Python {platform.python_version()}"
    if not is_32_bit and machine in ("x86_64", "aarch64"):
        return pip("install ai-edge-litert")
    if sys.version_info[:2] <= LAST_32_BIT_PYTHON and not (is_32_bit and machine == "aarch64"):
        return pip("install tflite-runtime==2.14.0 'numpy<2'")
    return f"{INSTALL_64_BIT}: TFLite has no packages for {version} with {32 if is_32_bit else 64} bits on {machine}"


def is_32_bit_python_on_64_bits() -> bool:
    """Return whether pip would choose packages for 64 bits, which this Python cannot load."""
    return sys.maxsize < 2**32 and platform.machine() in ("aarch64", "x86_64")


def hidden_system_package(module: str, root: str = "/") -> LibraryProblem | None:
    """Return why this Python does not see a module of the system's Python, such as picamera2; None if it is not there.

    `root` is the folder that is searched, for tests.
    """
    system = Path(root) / SYSTEM_PACKAGES
    is_installed = (system / module).is_dir() or (system / f"{module}.py").is_file()
    if importlib.util.find_spec(module) is not None or not is_installed:
        return None
    place = f"{module} is installed in /{SYSTEM_PACKAGES}"
    settings = Path(sys.prefix) / "pyvenv.cfg"
    extension = next(system.glob("*.cpython-*.so"), None)
    built_for = re.search(r"cpython-(\d)(\d+)", extension.name) if extension else None
    if built_for and (int(built_for[1]), int(built_for[2])) != sys.version_info[:2]:
        return LibraryProblem(
            f"{place}, for Python {built_for[1]}.{built_for[2]}; this is Python {platform.python_version()}",
            rebuild_venv(),
        )
    if not settings.is_file():
        return LibraryProblem(f"{place}, but {sys.executable} does not look there", rebuild_venv())
    return LibraryProblem(
        f"{place}, but the virtual environment {sys.prefix} does not see the system's packages", rebuild_venv()
    )


def rebuild_venv(package: Path = Path(__file__).parents[1]) -> str:
    """Return the command that creates the virtual environment again, so that it sees the system's packages.

    `package` is the folder of this package: in a checkout, scripts/demo creates the environment.
    """
    checkout = package.parent
    if (checkout / "scripts/demo").is_file():
        return f"cd {shlex.quote(str(checkout))} && rm -rf .venv && scripts/demo"
    settings = shlex.quote(str(Path(sys.prefix) / "pyvenv.cfg"))
    return f"sed -i 's/^include-system-site-packages.*/include-system-site-packages = true/' {settings}"


def missing_picamera_fix(root: str = "/") -> str:
    """Return how to install Picamera2 where it cannot be imported. `root` is the folder of the machine, for tests."""
    if not is_raspberry_pi(root):
        return "this is not a Raspberry Pi: use a USB camera, --source /dev/video0"
    return apt_install("python3-picamera2")


def apt_install(package: str) -> str:
    """Return how to install Debian's package of a Python module so that this Python sees it."""
    settings = Path(sys.prefix) / "pyvenv.cfg"
    with contextlib.suppress(OSError):
        if re.search(r"^include-system-site-packages\s*=\s*true", settings.read_text(), re.MULTILINE):
            return f"sudo apt install {package}"
    return f"sudo apt install {package}, then: {rebuild_venv()}"


def is_raspberry_pi(root: str = "/") -> bool:
    """Return whether the machine whose root folder is `root` is a Raspberry Pi."""
    with contextlib.suppress(OSError):
        return b"Raspberry Pi" in (Path(root) / "proc/device-tree/model").read_bytes()
    return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes.

    NumPy's message about a missing library is long, and OpenCV hides it behind its own.
    """
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _failing_module(error: BaseException) -> str:
    """Return the top-level module of a library in which `error` was raised, except NumPy if another one called it."""
    found = []
    for each in _chain(error):
        traceback = each.__traceback__
        while traceback is not None:
            parts = Path(traceback.tb_frame.f_code.co_filename).parts
            for folder in ("site-packages", "dist-packages"):
                if folder in parts[:-1]:
                    found.append(parts[len(parts) - parts[::-1].index(folder)].removesuffix(".py"))
            traceback = traceback.tb_next
        if isinstance(each, ImportError) and each.name:
            found.append(each.name.partition(".")[0])
    return next((name for name in found if name != "numpy"), found[0] if found else "")


def _describe(module: str) -> str:
    """Return name and version of the distribution of a module."""
    if not module:
        return "a library"
    for name in DISTRIBUTIONS.get(module, (module,)):
        if version := installed_version(name):
            return f"{name} {version}"
    return module


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, (0,) if it is not installed."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in found[0].split(".")) if found else (0,)


def _missing_shared_library(library: str, module: str) -> LibraryProblem:
    message = f"{_describe(module)} needs the system's {library}, which is not installed"
    if package := DEBIAN_PACKAGES.get(library):
        return LibraryProblem(message, f"sudo apt install {package}")
    if library.startswith("libedgetpu"):
        return LibraryProblem(message, "see systemd/README.md, Coral")
    return LibraryProblem(message, f"sudo apt install apt-file; sudo apt-file update; apt-file search {library}")


def _old_c_library(version: str, module: str) -> LibraryProblem:
    name, number = " ".join(platform.libc_ver()), version.replace("_", " ")
    return LibraryProblem(
        f"{_describe(module)} needs {number} or later; this system has {name or 'another C library'}",
        "install Debian 12 or Raspberry Pi OS Bookworm, or a later one",
    )


def _wrong_machine(module: str) -> LibraryProblem:
    bits = 32 if sys.maxsize < 2**32 else 64
    message = f"{_describe(module)} is for another processor than this Python ({bits} bits, {platform.machine()})"
    if is_32_bit_python_on_64_bits():
        return LibraryProblem(f"{message}: a 32-bit system under a 64-bit kernel", INSTALL_64_BIT)
    name = _describe(module).partition(" ")[0]
    return LibraryProblem(message, pip(f"install --force-reinstall --no-cache-dir {name}"))


def _numpy_mismatch(module: str) -> LibraryProblem:
    numpy = installed_version("numpy")
    if not module and _numbers(numpy) >= (2,):  # a second attempt to import OpenCV does not show where it failed
        opencv = next(filter(None, map(installed_version, OPENCV)), "")
        module = "cv2" if (0,) < _numbers(opencv) < FIRST_OPENCV_FOR_NUMPY_2 else ""
    name = _describe(module).partition(" ")[0]
    if _numbers(numpy) < (2,):
        message = f"{_describe(module)} and numpy {numpy} do not work together: it was built for a later NumPy"
        return LibraryProblem(message, pip(f"install --upgrade {name} 'numpy>=1.26,<2'"))
    message = f"{_describe(module)} and numpy {numpy} do not work together: it was built for NumPy 1"
    if module == "tflite_runtime" and platform.machine() in ("x86_64", "aarch64") and sys.maxsize > 2**32:
        return LibraryProblem(message, pip("install ai-edge-litert"))
    if sys.version_info >= (3, 13) and module == "cv2":  # NumPy 1 has no packages for Python 3.13
        return LibraryProblem(message, pip(f"install --upgrade '{name}>=4.10,<5'"))
    # OpenCV 4.12 asks for NumPy 2.
    return LibraryProblem(message, pip("install 'numpy<2' 'opencv-python-headless<4.12'"))


def _several_opencv(names: list[str]) -> LibraryProblem:
    versions = " and ".join(f"{name} {installed_version(name)}" for name in names)
    fix = f"{pip('uninstall -y ' + ' '.join(names))} && {pip('install opencv-python-headless')}"
    return LibraryProblem(f"{versions} have overwritten each other's files", fix)


def incomplete(module: str) -> LibraryProblem:
    """Return the problem of an installed library of which a part is missing, as after an interrupted update."""
    name = DISTRIBUTIONS.get(module, (module,))[0]
    return LibraryProblem(
        f"{_describe(module)} is incomplete: a part of it is missing",
        pip(f"install --force-reinstall --no-cache-dir {name}"),
    )


def _not_installed(module: str) -> LibraryProblem:
    name = DISTRIBUTIONS[module][0]
    if module in ("tflite_runtime", "ai_edge_litert"):
        return LibraryProblem("no TFLite runtime is installed", missing_runtime_fix())
    return LibraryProblem(
        f"{name} is not installed for {sys.executable}", f"{pip('install ' + name)}; or start .venv/bin/doorlight"
    )
