"""Where lgpio comes from, and why it cannot be used."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.system import gpio_library
from support.lgpio import add_empty_lgpio
from support.paths import ROOT

PI = "Raspberry Pi 3 Model B\0"


def add(root: Path, path: str, text: str = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def without_lgpio(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Python has no lgpio."""
    monkeypatch.setitem(sys.modules, "lgpio", None)

    def missing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)


def test_an_lgpio_of_another_version_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(add_empty_lgpio(tmp_path, "0.2.2.0"))
    assert gpio_library.problem(str(tmp_path)) is None


@pytest.mark.parametrize("has_apts", [True, False])
def test_the_empty_package_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_apts: bool
) -> None:
    """It hides the one of Debian's package. Where that is not installed, removing the empty one is not enough."""
    monkeypatch.syspath_prepend(add_empty_lgpio(tmp_path / "usr/local/lib/python3.13/dist-packages"))
    if has_apts:
        add(tmp_path, "usr/lib/python3/dist-packages/lgpio.py")
    found = gpio_library.problem(str(tmp_path))
    assert found is not None
    assert "lgpio 0.0.0.2" in found.message
    assert "usr/local/lib/python3.13/dist-packages is PyPI's empty package" in found.message
    assert "uninstall -y --break-system-packages lgpio" in found.fix
    assert ("apt install python3-lgpio" in found.fix) is not has_apts


def test_an_empty_package_in_the_virtual_environment_is_removed_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.syspath_prepend(add_empty_lgpio(tmp_path / "lib/python3.13/site-packages"))
    found = gpio_library.problem(str(tmp_path))
    assert found is not None
    assert f"pip --python {sys.executable} uninstall -y lgpio" in found.fix


@pytest.mark.usefixtures("without_lgpio")
class TestMissing:
    """There is no lgpio."""

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("etc/rpi-issue", "Raspberry Pi reference 2026-10-01\n"),
            ("etc/apt/sources.list.d/raspi.sources", "Types: deb\nURIs: http://archive.raspberrypi.com/debian/\n"),
            ("etc/apt/sources.list.d/raspi.list", "deb http://archive.raspberrypi.com/debian/ bookworm main\n"),
        ],
    )
    def test_raspberry_pi_os_has_a_package(self, tmp_path: Path, file: str, text: str) -> None:
        add(tmp_path, "proc/device-tree/model", PI)
        add(tmp_path, file, text)
        found = gpio_library.problem(str(tmp_path))
        assert found is not None
        assert "lgpio" in found.message
        assert "sudo apt install python3-lgpio" in found.fix
        assert "swig" not in found.fix

    @pytest.mark.parametrize(
        ("version", "word"), [((3, 11), "python3-pip"), ((3, 12), "python3-pip"), ((3, 13), "swig")]
    )
    def test_debian_has_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], word: str
    ) -> None:
        """PyPI has wheels up to Python 3.12, and the source of a later version, which must be named."""
        add(tmp_path, "proc/device-tree/model", PI)
        add(tmp_path, "etc/apt/sources.list", "deb http://deb.debian.org/debian trixie main\n")
        monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
        fix = gpio_library.install_fix(str(tmp_path))
        assert "Debian has no package of it" in fix
        assert word in fix
        assert ("lgpio==0.2.2.0" in fix) is (version >= (3, 13))

    def test_a_package_that_the_environment_does_not_see(self, tmp_path: Path) -> None:
        add(tmp_path, "usr/lib/python3/dist-packages/lgpio.py")
        found = gpio_library.problem(str(tmp_path))
        assert found is not None
        assert found.message.startswith("lgpio is installed in /usr/lib/python3/dist-packages, but ")


def test_the_installer_s_command_fails_with_both_lines(tmp_path: Path) -> None:
    """scripts/install.sh runs it with the system's Python in the checkout, without any other library."""
    add_empty_lgpio(tmp_path)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "edge.system.gpio_library"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 69
    first, second = done.stderr.splitlines()
    assert first.startswith("doorlight: lgpio 0.0.0.2 in ")
    assert "pip uninstall" in second
