"""Run the command line, in a child process or in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import main
from support.paths import ROOT


def command_line(*args: object) -> list[str]:
    """Return the arguments that run `doorlight` in a child process; use them with `environment`.

    An installed service on this machine is ignored.
    """
    return [sys.executable, "-P", str(ROOT / "tests/support/doorlight_program.py"), *map(str, args)]


def environment(**changes: str) -> dict[str, str]:
    """Return the environment for a child process: this one's, with this checkout on PYTHONPATH, and `changes`."""
    return os.environ | {"PYTHONPATH": str(ROOT)} | changes


def doorlight(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `doorlight` in a child process to its end."""
    return subprocess.run(
        command_line(*args), capture_output=True, text=True, timeout=120, check=False, cwd=cwd, env=environment()
    )


def start_doorlight(*args: object) -> subprocess.Popen[str]:
    """Start `doorlight` in a child process with pipes for its output."""
    return subprocess.Popen(
        command_line(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )


def refusal(capfd: pytest.CaptureFixture[str], exit_code: int, *args: object) -> str:
    """Run `doorlight run` in this process, and return the error it prints.

    Checks the exit code, that the error is one line followed by a hint, and that no event log is left behind.
    """
    assert main(["run", *map(str, args)]) == exit_code
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2, lines
    assert lines[0].startswith("doorlight: ")
    assert lines[1].strip()
    assert not Path("doorlight-events.jsonl").exists()
    return lines[0]


def write_settings(text: str) -> Path:
    """Write door.toml in the working directory and return its path."""
    path = Path("door.toml")
    path.write_text(text)
    return path


def printable_output(capfd: pytest.CaptureFixture[str]) -> str:
    """Return stdout and stderr. Checks that they contain no character that controls a terminal."""
    output = "".join(capfd.readouterr())
    assert [c for c in output if c != "\n" and not c.isprintable()] == []
    return output
