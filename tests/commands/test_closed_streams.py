"""Every command runs while standard streams are closed, and what it prints does not go into another file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edge.events.reader import read
from support.command import command_line, environment
from support.paths import CLIP

STILL = CLIP.with_name("still.jpg")


def run_closed(closed: str, *args: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `doorlight` with standard streams closed by a shell, as in `doorlight run >&-`."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command_line(*args)],
        capture_output=True, text=True, timeout=120, check=False, env=environment() | variables,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("closed", "args", "code"),
    [
        ("<&-", ["check-config"], 0),
        (">&-", ["check-config"], 0),
        ("2>&-", ["events", "none"], 66),
        ("<&- >&- 2>&-", ["check-config"], 0),
        ("<&- >&- 2>&-", ["--version"], 0),
        ("<&- >&- 2>&-", ["events", "x.jsonl"], 0),
        ("<&- >&- 2>&-", ["events", "-"], 0),
        ("<&- >&- 2>&-", ["events", "none"], 66),
        ("<&- >&- 2>&-", ["events", "--unknown"], 2),
    ],
)
def test_commands(closed: str, args: list[str], code: int) -> None:
    Path("x.jsonl").write_text('{"seq": 1, "time": "2026-11-20T10:00:03.120Z", "event": "started"}\n')
    done = run_closed(closed, *args)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if ">&-" in closed.replace("2>&-", ""):
        assert done.stdout == ""


def test_doctor_and_lights() -> None:
    assert run_closed("<&- >&- 2>&-", "lights", "--off").returncode == 0
    assert run_closed("<&- >&- 2>&-", "doctor").returncode in (0, 69)


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_nothing_that_is_printed_goes_into_the_event_log(closed: str) -> None:
    done = run_closed(closed, "run", "--simulate", "--source", STILL, "--events", "x.jsonl")
    assert done.returncode == 0, done.stderr
    reading = read(Path("x.jsonl"))
    assert "started" in [record["event"] for record in reading]
    assert reading.damaged == 0
    assert run_closed(closed, "annotate", STILL, "seen.png").returncode == 0
    assert Path("seen.png").read_bytes().startswith(b"\x89PNG")


def test_standard_output_that_is_open_for_reading_only() -> None:
    done = run_closed("1</dev/null", "check-config")
    assert done.returncode == 74
    assert done.stderr == "doorlight: the output cannot be written: Bad file descriptor\n"


def test_an_error_that_cannot_be_printed_keeps_its_exit_code() -> None:
    assert run_closed("2>/dev/full", "events", "none").returncode == 66


@pytest.mark.parametrize("variable", ["LANG=C", "LC_ALL=POSIX", "PYTHONIOENCODING=ascii", "PYTHONIOENCODING=latin-1"])
def test_a_terminal_without_circles_shows_lit_and_dark_differently(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONUTF8", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)
    name, _, value = variable.partition("=")
    done = subprocess.run(
        command_line("lights", "--test", "--simulate", "--seconds", "0.01"),
        capture_output=True, timeout=60, check=True, env=environment() | {name: value},
    )  # fmt: skip
    assert b"* green  . red" in done.stdout
    assert b". green  * red" in done.stdout
    assert all(byte < 128 for byte in done.stdout)
    assert os.fsencode("?") not in done.stdout
