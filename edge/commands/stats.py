"""`doorlight stats`: statistics of an event log as text, CSV, JSON, SVG or a page to mail."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, OutputError, UsageError
from ..system.terminal import printable
from .events import (
    SERVICE_LOG,
    STANDARD_INPUT,
    add_log,
    add_time_span,
    default_log,
    not_a_log,
    refuse_log_file,
    time_span,
)
from .options import LOCAL_LOG, Parser, Subparsers

if TYPE_CHECKING:
    from ..statistics.figures import By, Statistics

#: As `statistics.figures.GROUPS`, which loads more.
GROUPS = ("hour", "day", "weekday", "week", "month")

DESCRIPTION = f"""\
Show how many people were judged, which share wore a mask (with a 95 %
interval), alarms, how long people stood at the door and how long a decision
took, uptime, and the time in which the door was blind (FAULT).

  doorlight stats                              everything, by hour of the day
  doorlight stats --since 30d --by weekday     the last 30 days, Monday first
  doorlight stats --since 2026-11-01 --until 2026-11-30 --by day
  doorlight stats --since 30d --html m.html    a page to mail or to print
  doorlight stats --by day --svg days.svg      only the bars
  doorlight stats --by day --csv > days.csv    for a spreadsheet
  ssh door cat events.jsonl | doorlight stats -

People are passages: a person who comes twice counts twice. A person counts in
the hour of the first verdict, and as with or without a mask by the last one.
A share says nothing about the errors of the mask model.

Hours are hours of the local clock. Of played videos they are hours of the
video; a log of a camera shows played videos only with --played.

A log is rotated and forgets. --keep writes its complete hours, a line each,
into a file beside it, which keeps them for years: hours.jsonl for events.jsonl.
The installed service does so every night. The statistics always include it.

Without LOG, the command reads the service's log,
{SERVICE_LOG}, if it exists and may be read, else
./{LOCAL_LOG}. If both exist, a note says which one is shown.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("stats", help="show statistics of an event log", description=DESCRIPTION)
    add_log(parser, "LOG")
    add_time_span(parser, "count")
    parser.add_argument(
        "--by", choices=GROUPS, default="hour", help="a row or bar for each hour of the day, weekday, … (default: hour)"
    )
    parser.add_argument("--played", action="store_true", help="count played videos instead of the camera")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object (default: a table)")
    form.add_argument("--csv", action="store_true", help="print a table for spreadsheets (default: a table in words)")
    form.add_argument("--svg", type=Path, metavar="FILE", help="write the bars into FILE")
    form.add_argument("--html", type=Path, metavar="FILE", help="write a page with all bars into FILE")
    form.add_argument(
        "--keep", action="store_true", help="write the complete hours into the file beside the log; print nothing else"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    by: By = args.by
    path: Path = args.log or default_log("stats")
    if args.played and by != "hour":
        raise UsageError(f"--by {by}: a played video has hours only", "leave out --by or --played")
    try:
        if args.keep:
            return _keep(path, args)
        statistics = _collect(path, args)
    except InputError as error:  # the reader of the log names the command that shows logs
        raise InputError(str(error), error.hint.replace("doorlight events", "doorlight stats")) from error
    _show(statistics, by, path, args)
    _print_notes(statistics, args)
    return 0


def _keep(path: Path, args: argparse.Namespace) -> int:
    from ..statistics import figures, hours_file

    if path == STANDARD_INPUT:
        raise UsageError("standard input has no file of hours", "name the log")
    if args.since is not None or args.until is not None:
        raise UsageError("--keep takes all hours", "leave out --since and --until")
    count, changed = figures.keep(path)
    state = "updated" if changed else "unchanged"
    print(printable(f"{hours_file.hours_path(path)}: {state}, hours: {count}"))
    return 0


def _collect(path: Path, args: argparse.Namespace) -> Statistics:
    from ..statistics import figures

    since, until = time_span(args.since, args.until)
    played = True if args.played else None
    if path == STANDARD_INPUT:
        found = figures.collect_stream(sys.stdin.buffer, "standard input", since, until, played=played)
    else:
        found = figures.collect(path, since, until, played=played)
    if not found.has_log and not found.hours and found.damaged:
        raise not_a_log(path)
    if found.is_played and (since is not None or until is not None):
        raise UsageError(
            f"--since, --until: {found.source} has played videos only, and these have clocks of their own",
            "leave out --since and --until",
        )
    if found.is_played and args.by != "hour":
        raise UsageError(
            f"--by {args.by}: {found.source} has played videos only, and these have hours", "leave out --by"
        )
    return found


def _show(statistics: Statistics, by: By, path: Path, args: argparse.Namespace) -> None:
    from ..statistics import chart, report, tables
    from ..statistics.phrases import Phrases

    phrases = Phrases()
    if args.svg is not None:
        _write(args.svg, path, chart.render(statistics, by, phrases, is_file=True))
    elif args.html is not None:
        from datetime import datetime

        _write(args.html, path, report.page(statistics, phrases, datetime.now().astimezone()))
    elif args.json:
        print(tables.as_json(statistics, by))
    elif args.csv:
        tables.write_csv(statistics, by, sys.stdout)
    else:
        for line in tables.render(statistics, by, phrases):
            print(line)


def _print_notes(statistics: Statistics, args: argparse.Namespace) -> None:
    """Where the output has no place for notes, print them to standard error."""
    if args.csv or args.svg is not None:
        from ..statistics.phrases import Phrases

        for note in Phrases().notes(statistics):
            print(f"doorlight: note: {printable(note)}", file=sys.stderr)


def _write(path: Path, log: Path, text: str) -> None:
    refuse_log_file(path, log)
    if not os.path.isdir(path.parent):
        raise OutputError(
            f"{printable(str(path))}: there is no folder {printable(str(path.parent))}",
            f"mkdir -p {shlex.quote(str(path.parent))}",
        )
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the name is impossible"
        name = printable(str(path))
        raise OutputError(
            f"{name}: cannot be written: {reason}", f"see who may write: ls -ld {shlex.quote(str(path.parent))}"
        ) from error
