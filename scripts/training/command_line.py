"""Options and error messages that the commands of the laboratory share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.errors import DoorlightError, OutputError

from .records import DataError

#: The exit code for data that cannot be used.
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


def print_error(command: str, error: Exception) -> int:
    """Print an error and its hint on stderr; return the exit code."""
    hint = f" ({error.hint})" if isinstance(error, DoorlightError) and error.hint else ""
    what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    print(f"{command}: {what}{hint}", file=sys.stderr)
    if isinstance(error, DataError):
        return BAD_DATA
    return error.exit_code if isinstance(error, DoorlightError) else OutputError.exit_code
