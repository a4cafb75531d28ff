"""How a virtual machine is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from virtual_door import machine
from virtual_door.machine import Machine


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build with empty files, of which only the base has an initramfs."""
    folder = tmp_path / "build"
    for name in ("kernel/linux", "kernel/door.dtb", "base/initramfs.img", "product/root.ext4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    monkeypatch.setattr(machine, "latest", lambda step: folder / step)
    monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: None)  # mke2fs may be missing
    return folder


@pytest.mark.usefixtures("build")
def test_the_kernel_mounts_the_root_writable(tmp_path: Path) -> None:
    door = Machine(tmp_path / "door")
    words = door._kernel_command(3)
    assert "rw" in words
    assert "ro" not in words
    assert not [word for word in words if word.startswith("initrd=")]


@pytest.mark.usefixtures("build")
def test_an_initramfs_mounts_the_root_read_only(tmp_path: Path) -> None:
    """With rw on the command line, install.sh --read-only refuses to make an overlay over a writable root."""
    door = Machine(tmp_path / "door", has_initramfs=True)
    words = door._kernel_command(3)
    assert "ro" in words
    assert "rw" not in words
    (initramfs,) = [word.partition("=")[2] for word in words if word.startswith("initrd=")]
    assert Path(initramfs).is_file()


@pytest.mark.parametrize(("processors", "policy"), [(2, os.SCHED_RR), (1, os.SCHED_OTHER)])
def test_a_machine_comes_before_other_programs(processors: int, policy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has one processor; a single one is left to the program that controls the machine."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) < processors or subprocess.run(["chrt", "-r", "1", "true"], capture_output=True).returncode:
        pytest.skip("there is one processor, or this user may not start real-time processes")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(sorted(allowed)[:processors]))
    show = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0), len(os.sched_getaffinity(0)))"]
    done = subprocess.run(show, preexec_fn=machine._prepare_process, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(policy), str(1 if processors > 1 else len(allowed))]
