"""Closed standard streams are opened, and characters that a terminal does not have are replaced."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap

import pytest

from edge import config
from edge.lights.lights import appearance
from edge.records import Signal
from edge.system import streams
from support.paths import ROOT

#: Closes the descriptors in argv before Python starts, opens them again, and opens a file.
PROBE = """
    import os, subprocess, sys
    from edge.system import streams
    streams.open_missing()
    with open(__file__ if "__file__" in globals() else "/proc/self/stat") as file:
        assert file.fileno() > 2, "a file has become a standard stream"
    for stream, mode in ((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w")):
        assert stream is not None and not stream.closed
        assert stream.readable() if mode == "r" else stream.writable()
    print("hidden", flush=True)
    print("hidden", file=sys.stderr, flush=True)
    child = "import os; [os.fstat(descriptor) for descriptor in range(3)]"
    os._exit(subprocess.run([sys.executable, "-c", child]).returncode)
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_are_opened_also_for_child_processes(closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", textwrap.dedent(PROBE)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "hidden\n")


def test_open_streams_are_not_touched() -> None:
    before = sys.stdin, sys.stdout, sys.stderr
    streams.open_missing()
    assert (sys.stdin, sys.stdout, sys.stderr) == before


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "iso8859-5", "utf-8"])
def test_lit_and_dark_lamps_differ_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [appearance(config.load().lights, what) for what in (*Signal, "buzzer")]
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    streams.replace_missing_characters()
    print("\n".join(shown), flush=True)
    printed = raw.getvalue().decode(encoding).splitlines()
    assert len(set(printed)) == len(set(shown))
    assert "?" not in "".join(printed)
    if encoding == "utf-8":
        assert printed == shown


def test_other_characters_become_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    streams.replace_missing_characters()
    print("Tür… \udcff", flush=True)
    assert raw.getvalue() == b"T?r... ?\n"


@pytest.mark.parametrize(
    ("environ", "is_ascii"),
    [
        ({"LANG": "C"}, True),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "POSIX"}, True),
        ({"LANG": "en_GB.UTF-8", "LC_CTYPE": "C"}, True),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),
        ({"LANG": "C.UTF-8"}, False),
        ({}, False),
        ({"LANG": "C", "PYTHONIOENCODING": "utf-8"}, False),
        ({"LC_ALL": "C", "PYTHONUTF8": "1"}, False),
    ],
)
def test_the_locale_c_has_only_ascii(environ: dict[str, str], is_ascii: bool) -> None:
    assert streams.is_ascii_locale(environ, 1) is is_ascii
    assert not streams.is_ascii_locale(environ, 0), "then Python itself follows the locale"
