"""Why libraries cannot be used: what is said about each pair, and that `run` and `doctor` say the same."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.system import libraries
from edge.system.libraries import LibraryProblem, conflicts, explain, hidden_system_package, missing_runtime_fix
from support.command import command_line
from support.paths import CLIP, ROOT

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretend that exactly these distributions are installed."""

    def pretend(**versions: str) -> None:
        known = {name.replace("_", "-"): version for name, version in versions.items()}
        monkeypatch.setattr(libraries, "installed_version", lambda name: known.get(name, ""))

    return pretend


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, tuple[int, int, int]], None]:
    """Pretend to run on another machine: processor, bits, version of Python."""

    def pretend(machine: str, bits: int, version: tuple[int, int, int]) -> None:
        monkeypatch.setattr(platform, "machine", lambda: machine)
        monkeypatch.setattr(platform, "python_version", lambda: ".".join(map(str, version)))
        monkeypatch.setattr(libraries.sys, "maxsize", 2 ** (bits - 1) - 1)
        monkeypatch.setattr(libraries.sys, "version_info", version)

    return pretend


def raised_in(tmp_path: Path, module: str, error: BaseException) -> BaseException:
    """Return `error` as raised by the code of an installed module."""
    file = tmp_path / "site-packages" / module / "__init__.py"
    try:
        exec(compile("raise error", str(file), "exec"), {"error": error})
    except BaseException as caught:
        return caught
    raise AssertionError


def explained(error: BaseException) -> LibraryProblem:
    problem = explain(error)
    assert problem is not None
    return problem


class TestNumpy:
    def test_tflite_runtime_with_numpy_2(self, tmp_path: Path, install: Install) -> None:
        install(numpy="2.2.6", tflite_runtime="2.14.0")
        error = SystemError("<built-in method CreateWrapperFromBuffer> returned a result with an exception set")
        error.__context__ = ImportError("numpy.core.multiarray failed to import")
        problem = explained(raised_in(tmp_path, "tflite_runtime", error))
        assert problem.message == "tflite-runtime 2.14.0 and numpy 2.2.6 do not work together: it was built for NumPy 1"
        assert "-m pip install " in problem.fix
        assert conflicts() == [problem], "doctor says the same before a model is loaded"

    def test_litert_makes_up_for_tflite_runtime(self, install: Install) -> None:
        install(numpy="2.2.6", tflite_runtime="2.14.0", ai_edge_litert="2.3.0")
        assert conflicts() == []

    @pytest.mark.parametrize(("numpy", "runtime"), [("1.26.4", "2.14.0"), ("2.2.6", "2.17.1"), ("2.2.6", ""), ("", "")])
    def test_pairs_that_work(self, install: Install, numpy: str, runtime: str) -> None:
        install(numpy=numpy, tflite_runtime=runtime)
        assert conflicts() == []

    def test_on_32_bits_numpy_is_the_one_to_change(
        self, tmp_path: Path, install: Install, on: Callable[..., None]
    ) -> None:
        on("armv7l", 32, (3, 11, 2))
        install(numpy="2.2.6", tflite_runtime="2.14.0")
        assert "'numpy<2'" in conflicts()[0].fix

    @pytest.mark.parametrize(
        "error",
        [
            ImportError("numpy.core.multiarray failed to import"),
            AttributeError("_ARRAY_API not found"),
            RuntimeError("module compiled against ABI version 0x1000009 but this version of numpy is 0x2000000"),
            ValueError("numpy.dtype size changed, may indicate binary incompatibility"),
        ],
    )
    def test_opencv_built_for_numpy_1(self, tmp_path: Path, install: Install, error: Exception) -> None:
        install(numpy="2.2.6", opencv_python="4.8.1.78")
        problem = explained(raised_in(tmp_path, "cv2", error))
        assert problem.message.startswith("opencv-python 4.8.1.78 and numpy 2.2.6 do not work together")

    def test_second_import_of_opencv_does_not_show_where_it_failed(self, install: Install) -> None:
        install(numpy="2.2.6", opencv_python_headless="4.8.1.78")
        problem = explained(ImportError("numpy.core.multiarray failed to import"))
        assert problem.message.startswith("opencv-python-headless 4.8.1.78 and numpy 2.2.6")

    def test_python_3_13_has_no_numpy_1(self, tmp_path: Path, install: Install, on: Callable[..., None]) -> None:
        on("aarch64", 64, (3, 13, 1))
        install(numpy="2.2.6", opencv_python_headless="4.9.0.80")
        problem = explained(raised_in(tmp_path, "cv2", ImportError("numpy.core.multiarray failed to import")))
        assert "install --upgrade 'opencv-python-headless>=4.10,<5'" in problem.fix

    def test_library_built_for_a_later_numpy(self, tmp_path: Path, install: Install) -> None:
        install(numpy="1.24.2", ai_edge_litert="2.3.0")
        error = RuntimeError("module was compiled against NumPy C-API version 0x10")
        assert "built for a later NumPy" in explained(raised_in(tmp_path, "ai_edge_litert", error)).message


class TestSystem:
    @pytest.mark.parametrize(
        ("library", "command"),
        [
            ("libGL.so.1", "sudo apt install libgl1"),
            ("libgthread-2.0.so.0", "sudo apt install libglib2.0-0"),
            ("libopenblas.so.0", "sudo apt install libopenblas0"),
            ("libunheard.so.3", "apt-file search libunheard.so.3"),
        ],
    )
    def test_missing_shared_library(self, tmp_path: Path, install: Install, library: str, command: str) -> None:
        install(opencv_python="4.11.0.86")
        error = ImportError(f"{library}: cannot open shared object file: No such file or directory")
        problem = explained(raised_in(tmp_path, "cv2", error))
        assert problem.message == f"opencv-python 4.11.0.86 needs the system's {library}, which is not installed"
        assert command in problem.fix

    @pytest.mark.parametrize("version", ["GLIBC_2.34", "GLIBCXX_3.4.30"])
    def test_old_c_library(self, tmp_path: Path, install: Install, version: str) -> None:
        install(ai_edge_litert="2.3.0")
        error = ImportError(f"/lib/libc.so.6: version `{version}' not found (required by /x/_pywrap.so)")
        problem = explained(raised_in(tmp_path, "ai_edge_litert", error))
        assert problem.message.startswith(f"ai-edge-litert 2.3.0 needs {version.replace('_', ' ')} or later")
        assert "Bookworm" in problem.fix

    def test_packages_for_64_bits_in_a_32_bit_python(
        self, tmp_path: Path, install: Install, on: Callable[..., None]
    ) -> None:
        on("aarch64", 32, (3, 11, 2))
        install(numpy="1.26.4")
        problem = explained(raised_in(tmp_path, "numpy", ImportError("x.so: wrong ELF class: ELFCLASS64")))
        assert "32-bit system under a 64-bit kernel" in problem.message
        assert problem.fix == "install the 64-bit Raspberry Pi OS"


class TestInstallation:
    @pytest.mark.parametrize(
        ("machine", "bits", "version", "fix"),
        [
            ("x86_64", 64, (3, 11, 2), "-m pip install ai-edge-litert"),
            ("aarch64", 64, (3, 13, 5), "-m pip install ai-edge-litert"),
            ("armv7l", 32, (3, 11, 2), "-m pip install tflite-runtime==2.14.0 'numpy<2'"),
            ("armv7l", 32, (3, 13, 5), "TFLite has no packages for Python 3.13.5 with 32 bits on armv7l"),
            ("aarch64", 32, (3, 11, 2), "TFLite has no packages for Python 3.11.2 with 32 bits on aarch64"),
            ("riscv64", 64, (3, 12, 2), "TFLite has no packages for Python 3.12.2 with 64 bits on riscv64"),
        ],
    )
    def test_the_runtime_for_a_machine(
        self, on: Callable[..., None], machine: str, bits: int, version: tuple[int, int, int], fix: str
    ) -> None:
        on(machine, bits, version)
        assert fix in missing_runtime_fix()

    def test_missing_module(self, install: Install) -> None:
        install()
        problem = explained(ModuleNotFoundError("No module named 'cv2'", name="cv2"))
        assert problem.message == f"opencv-python-headless is not installed for {sys.executable}"

    def test_two_opencv_packages(self, tmp_path: Path, install: Install) -> None:
        install(opencv_python="4.11.0.86", opencv_contrib_python="4.9.0.80")
        problem = explained(raised_in(tmp_path, "cv2", ImportError("cannot import name 'gapi'")))
        assert problem.message.startswith("opencv-python 4.11.0.86 and opencv-contrib-python 4.9.0.80")
        assert "uninstall -y opencv-python opencv-contrib-python" in problem.fix

    def test_installation_without_pip(self, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
        """scripts/install.sh removes pip from the service's installation."""
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name))
        assert "scripts/install.sh" in libraries.pip("install numpy")

    @pytest.mark.parametrize(
        "error",
        [ImportError("cannot import name 'x' from 'edge.door'"), ModuleNotFoundError("no", name="edge.nothing")],
    )
    def test_mistakes_of_our_own_are_not_explained(self, error: Exception) -> None:
        assert explain(error) is None


class TestHiddenPackage:
    def add(self, root: Path, *names: str) -> None:
        for name in names:
            (root / libraries.SYSTEM_PACKAGES / name).mkdir(parents=True, exist_ok=True)

    def test_venv_that_does_not_see_the_system(self, tmp_path: Path) -> None:
        self.add(tmp_path, "hidden_camera")
        problem = hidden_system_package("hidden_camera", str(tmp_path))
        assert problem is not None
        assert problem.message.startswith("hidden_camera is installed in /usr/lib/python3/dist-packages, but ")

    def test_system_of_another_python(self, tmp_path: Path) -> None:
        self.add(tmp_path, "hidden_camera", "_libcamera.cpython-39-arm.so")
        problem = hidden_system_package("hidden_camera", str(tmp_path))
        assert problem is not None
        assert f"for Python 3.9; this is Python {platform.python_version()}" in problem.message

    def test_fix_is_a_command_that_creates_the_venv_again(self, tmp_path: Path) -> None:
        self.add(tmp_path, "hidden_camera")
        problem = hidden_system_package("hidden_camera", str(tmp_path))
        assert problem is not None
        assert problem.fix == f"cd {ROOT} && rm -rf .venv && scripts/demo"

    def test_fix_outside_of_a_checkout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        venv = tmp_path / "a venv"
        venv.mkdir()
        (venv / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n")
        monkeypatch.setattr(sys, "prefix", str(venv))
        subprocess.run(libraries.rebuild_venv(tmp_path / "edge"), shell=True, check=True)
        assert "\ninclude-system-site-packages = true\nversion" in (venv / "pyvenv.cfg").read_text()

    def test_package_that_is_not_installed_or_visible(self, tmp_path: Path) -> None:
        self.add(tmp_path, "numpy")
        assert hidden_system_package("hidden_camera", str(tmp_path)) is None
        assert hidden_system_package("numpy", str(tmp_path)) is None


@pytest.fixture
def broken_opencv(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which OpenCV is broken, and the installed NumPy seems to be version 2."""
    packages = tmp_path / "site-packages"
    for name, version in (("numpy", "2.2.6"), ("opencv_python_headless", "4.8.1.78")):
        folder = packages / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")
    (packages / "cv2").mkdir()
    (packages / "cv2/__init__.py").write_text("raise ImportError('numpy.core.multiarray failed to import')")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)]), "COLUMNS": "200"}


def test_run_and_doctor_say_the_same(tmp_path: Path, broken_opencv: dict[str, str]) -> None:
    sentence = "opencv-python-headless 4.8.1.78 and numpy 2.2.6 do not work together: it was built for NumPy 1"
    for arguments in (("run", "--simulate", "--source", str(CLIP)), ("doctor", "--json")):
        done = subprocess.run(
            command_line(*arguments),
            env=broken_opencv, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 69, done.stderr
        assert sentence in done.stdout + done.stderr
        assert "-m pip install 'numpy<2'" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_an_explanation_that_cannot_be_printed_keeps_its_exit_code(
    tmp_path: Path, broken_opencv: dict[str, str]
) -> None:
    command = command_line("run", "--simulate", "--source", CLIP)
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, env=broken_opencv, cwd=tmp_path, stderr=full, timeout=120, check=False)
    assert done.returncode == 69


class TestMissingPicamera2:
    def test_on_a_raspberry_pi(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = tmp_path / "proc/device-tree/model"
        model.parent.mkdir(parents=True)
        model.write_text("Raspberry Pi Zero 2 W Rev 1.0\0")
        monkeypatch.setattr(sys, "prefix", str(tmp_path))
        fix = libraries.missing_picamera_fix(str(tmp_path))
        assert fix == f"sudo apt install python3-picamera2, then: cd {ROOT} && rm -rf .venv && scripts/demo"
        (tmp_path / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
        assert libraries.missing_picamera_fix(str(tmp_path)) == "sudo apt install python3-picamera2"

    @pytest.mark.parametrize("model", ["", "Radxa ROCK 5B\0"])
    def test_on_another_machine(self, model: str, tmp_path: Path) -> None:
        if model:
            (tmp_path / "proc/device-tree").mkdir(parents=True)
            (tmp_path / "proc/device-tree/model").write_text(model)
        fix = libraries.missing_picamera_fix(str(tmp_path))
        assert fix == "this is not a Raspberry Pi: use a USB camera, --source /dev/video0"
