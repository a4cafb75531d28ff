"""Standard input, output and error: open the closed ones, and replace characters that a terminal does not have."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path

#: Replacements for characters that the encoding of a stream does not have. Lit and dark lamps must differ.
REPLACEMENTS = {
    "●": "*",
    "○": ".",
    "◐": "%",
    "♪": "~",
    "…": "...",
    "–": "-",
    "—": "-",
    "≤": "<=",
    "≥": ">=",
    "×": "x",
    "±": "+-",
    "→": "->",
    "•": "-",
    "’": "'",
    "“": "'",
    "”": "'",
}
_ERRORS = "doorlight.replace"


def open_missing() -> None:
    """Open /dev/null in place of each standard stream that is closed, as by `>&-` in a shell.

    The kernel gives the lowest free number to the next file that is opened. Without this, the event log or the GPIO
    chip could become descriptor 1 or 2, and receive what a library prints. Python sets the objects of closed streams to
    None.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)  # child processes need the three streams, too
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def replace_missing_characters() -> None:
    """Let standard output and error replace characters that their encoding does not have, by REPLACEMENTS or "?"."""
    codecs.register_error(_ERRORS, _replace)
    encoding = "ascii" if is_ascii_locale(_initial_environment(), sys.flags.utf8_mode) else None
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors=_ERRORS)


def is_ascii_locale(environ: Mapping[str, str], utf8_mode: int) -> bool:
    """Return whether the user has chosen the locale C or POSIX, whose only characters are ASCII.

    Python writes UTF-8 in this locale (PEP 540). A system without any locale, such as a container, also runs in it, but
    nobody has chosen it there: UTF-8 is then the better guess.
    """
    chosen = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG")
    has_python_setting = any(environ.get(name) for name in ("PYTHONUTF8", "PYTHONIOENCODING"))
    return bool(utf8_mode) and chosen in ("C", "POSIX") and not has_python_setting


def _initial_environment() -> dict[str, str]:
    """Return the environment in which this process was started: Python itself changes LC_CTYPE (PEP 538)."""
    try:
        data = os.fsdecode(Path("/proc/self/environ").read_bytes())
    except OSError:
        return dict(os.environ)
    return dict(pair for entry in data.split("\0") if len(pair := entry.split("=", 1)) == 2)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(REPLACEMENTS.get(character, "?") for character in missing), error.end
