"""A machine with a fake Coral: its /sys and /dev, its library (fake_libedgetpu.c), and models compiled for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge.inference import edgetpu, edgetpu_process, manifest
from edge.inference.manifest import Manifest
from training import manifest_rows

#: USB ids of a Coral without and with firmware.
FRESH, READY = ("1a6e", "089a"), ("18d1", "9302")

#: Sets the behaviour of the fake library.
Behave = Callable[[str], None]


class Usb:
    """The files of /sys and /dev that show a USB Coral, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def plug(self, ids: tuple[str, str], name: str = "1-1.2", number: int = 4) -> None:
        """Add a device, or change its ids and number."""
        folder = self.root / "sys/bus/usb/devices" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "busnum").write_text("1\n")
        (folder / "devnum").write_text(f"{number}\n")
        (folder / "idProduct").write_text(f"{ids[1]}\n")
        (folder / "idVendor").write_text(f"{ids[0]}\n")
        node = self.root / f"dev/bus/usb/001/{number:03}"
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()

    def unplug(self) -> None:
        """Remove every device."""
        shutil.rmtree(self.root / "sys")


@pytest.fixture
def usb(tmp_path: Path) -> Usb:
    """A machine without devices."""
    return Usb(tmp_path / "machine")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the fake libedgetpu.so.1, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for the fake libedgetpu (apt install gcc libc6-dev)")
    folder = tmp_path_factory.mktemp("libedgetpu")

    def compile_shared(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
        command = [compiler, "-shared", "-fPIC", "-o", str(target), str(source)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    probe = folder / "probe.c"
    probe.write_text("#include <stdio.h>\n")
    if compile_shared(probe, folder / "probe.so").returncode:
        pytest.skip("the C compiler cannot make a shared library (apt install libc6-dev)")
    done = compile_shared(Path(__file__).with_name("fake_libedgetpu.c"), folder / "libedgetpu.so.1")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def coral(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Behave:
    """Set the behaviour of the fake library, see fake_libedgetpu.c; it works at first."""
    word = tmp_path / "word"

    def behave(how: str) -> None:
        word.with_suffix(".new").write_text(how)
        word.with_suffix(".new").replace(word)

    behave("ok")
    monkeypatch.setenv("FAKE_CORAL", str(word))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(library))
    # On a busy machine a call takes a while; a test in which a call hangs sets a lower limit.
    monkeypatch.setattr(edgetpu_process, "CALL_S", 60.0)
    for limit in ("PROBE_S", "CLOSE_S", "EXIT_S", "STDERR_S"):
        monkeypatch.setattr(edgetpu_process, limit, 60.0)
    monkeypatch.setattr(edgetpu, "USB_POLL_S", 0.05)
    monkeypatch.setattr(edgetpu, "RETRY_MIN_S", 0.05)
    return behave


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The shipped models, each also as a file "compiled" for the fake Edge TPU: a copy of the same model."""
    folder = tmp_path_factory.mktemp("models")
    shipped = manifest.load()
    entries = {}
    for name, entry in shipped.items():
        shutil.copy(shipped.folder / entry.file, folder)
        shutil.copy(shipped.folder / entry.file, folder / f"{name}_edgetpu.tflite")
        file = manifest.EdgeTpuFile(f"{name}_edgetpu.tflite", entry.sha256)
        entries[name] = msgspec.structs.replace(entry, edgetpu=file)
    manifest_rows.write(folder, entries)
    return manifest.load(folder)
