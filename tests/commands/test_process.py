"""Start time and terminal of a process."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from edge.commands import process
from support.command import environment


def test_started_at_includes_the_start_of_the_interpreter() -> None:
    before = time.monotonic()
    code = "import time; time.sleep(0.2); from edge.commands.process import started_at; print(started_at())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment()
    )
    clock_tick_s = 0.02
    assert before - clock_tick_s <= float(done.stdout) <= time.monotonic() - 0.2 + clock_tick_s


@pytest.mark.parametrize(
    ("is_terminal", "environ", "expected"),
    [
        (True, {}, (True, True, 70)),
        (True, {"NO_COLOR": "1"}, (True, False, 70)),
        (True, {"TERM": "dumb"}, (False, False, 70)),
        (False, {}, (False, False, 70)),
    ],
)
def test_terminal(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, environ: dict[str, str], expected: tuple[bool, bool, int]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm", "COLUMNS": "70", **environ}.items():
        monkeypatch.setenv(name, value)
    assert process.terminal() == expected
