"""Options and messages that the commands of the laboratory share."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from edge.errors import DoorlightError, OutputError

#: The exit code for data, or a network, that cannot be used.
BAD_DATA = 65
#: The exit code of a command that was interrupted.
INTERRUPTED = 130


def parser_for(command: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `python -m training.COMMAND`; `description` is its module's docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m training.{command}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_data(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add --data, a list of folders."""
    parser.add_argument(
        "--data",
        type=Path,
        required=required,
        nargs="+",
        metavar="DIR",
        help="folders with index.jsonl and the pictures (or images.zip), the main one first; a file holds more landmarks",
    )


def log(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_error(command: str, error: Exception) -> int:
    """Print an error and its hint on stderr. Return its own exit code, OutputError's for an OSError, else BAD_DATA."""
    hint = f" ({error.hint})" if isinstance(error, DoorlightError) and error.hint else ""
    what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    print(f"{command}: {what}{hint}", file=sys.stderr)
    if isinstance(error, DoorlightError):
        return error.exit_code
    return OutputError.exit_code if isinstance(error, OSError) else BAD_DATA


def keep_memory() -> None:
    """Restart this program with settings that only a new process takes.

    A C library that keeps freed memory is a third faster, because no page is faulted in twice. OpenMP threads that
    sleep while they wait leave the core to the last thread: five times faster if another process is busy on one of two
    cores.
    """
    if "MALLOC_MMAP_MAX_" not in os.environ:
        settings = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_TOP_PAD_": "268435456"}
        settings |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
        # sys.orig_argv keeps "-m training.train", which sys.argv replaces with a path.
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **settings})
