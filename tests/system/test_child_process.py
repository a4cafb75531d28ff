"""A child process finds this package, ignores stop signals, and ends with its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import edge
from edge.system import child_process
from support.paths import ROOT


def test_the_child_imports_this_package_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge/__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    command = child_process.command("edge", "--version")
    done = subprocess.run(
        command, env=child_process.environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert edge.__version__ in done.stdout


def test_environment_keeps_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/mine")
    monkeypatch.setenv("DOORLIGHT_TEST", "kept")
    found = child_process.environment()
    assert found["PYTHONPATH"] == f"{ROOT}{os.pathsep}/mine"
    assert found["DOORLIGHT_TEST"] == "kept"


def test_the_child_ignores_stop_signals() -> None:
    code = (
        "import os, signal\n"
        "from edge.system import child_process\n"
        "child_process.ignore_stop_signals(signal.SIGABRT)\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGABRT):\n"
        "    os.kill(os.getpid(), number)\n"
        "print('alive')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_process.environment(), capture_output=True, timeout=60, check=True
    )
    assert done.stdout == b"alive\n"


def test_the_child_ends_with_its_parent_and_writes_no_core_file() -> None:
    child = (
        "import ctypes, time\n"
        "from edge.system import child_process\n"
        "child_process.set_up()\n"
        "pr_get_dumpable = 3\n"
        "print(ctypes.CDLL(None).prctl(pr_get_dumpable), flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], env=child_process.environment(), stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert owner.stdout.readline() == "0\n"
        owner.send_signal(signal.SIGKILL)
    end = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < end, "the child outlives its parent"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False
