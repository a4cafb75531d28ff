"""`doorlight events`: show an event log as readable lines, JSON or CSV."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..counted import counted
from ..errors import InputError, UsageError
from ..system.terminal import printable
from .options import LOCAL_LOG, MAX_MESSAGE_LENGTH, Parser, Subparsers, local_file

if TYPE_CHECKING:
    from ..events.reader import EventReader
    from ..events.record import EventRecord
    from ..events.selection import Entry
    from ..events.summary import Summary

#: Event log of the service, as in systemd/doorlight.service.
SERVICE_LOG = Path("/var/lib/doorlight/events.jsonl")
#: FILE for standard input.
STANDARD_INPUT = Path("-")
#: Interval between two reads of --follow.
POLL_S = 0.2

DESCRIPTION = f"""\
Show an event log as readable lines, with a summary at the end. Rotated files
are read too: .1, .2, …, and those of logrotate (.gz, .xz, dates).

  doorlight events --since 1h                  the last hour
  doorlight events --since yesterday           yesterday and today
  doorlight events --since "2026-11-20 14:00" --until "2026-11-20 18:30"
  doorlight events /mnt/old/events.jsonl       another log
  doorlight events --kind alarm                only changes to ALARM
  doorlight events --kind camera_lost --kind camera_back
  doorlight events --follow                    show new events until Ctrl-C
  doorlight events --csv > events.csv          for a spreadsheet
  ssh door cat events.jsonl | doorlight events -

Times are local. The events of a played video are shown with their time in the
video; --since and --until use the time at which it was played.

Without FILE, the command reads the service's log,
{SERVICE_LOG}, if it exists and may be read, else
./{LOCAL_LOG}. If both exist, a note says which one is shown.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("events", help="show an event log", description=DESCRIPTION)
    add_log(parser, "FILE")
    parser.add_argument(
        "--follow", action="store_true", help="keep showing new events until Ctrl-C (default: stop at the end)"
    )
    add_time_span(parser, "show events")
    parser.add_argument(
        "--kind",
        action="append",
        metavar="KIND",
        help="show only this kind of event or this signal; can be repeated (default: all)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="print one JSON object a line, as in the log (default: words)"
    )
    form.add_argument("--csv", action="store_true", help="print a table for spreadsheets (default: words)")
    return parser


def add_log(parser: Parser, metavar: str) -> None:
    """Add the event log, as `log`."""
    parser.add_argument(
        "log", metavar=metavar, nargs="?", type=local_file, help="event log; - for standard input (default: see above)"
    )


def add_time_span(parser: Parser, what: str) -> None:
    """Add --since and --until; `what` is what they limit, such as "show events". Read them with `time_span`."""
    parser.add_argument(
        "--since",
        metavar="TIME",
        help=f"{what} from TIME on: an age (90s, 30m, 1h, 30d), today, yesterday, a date (2026-11-20), a time of today "
        '(14:30), or "DATE TIME" (default: all)',
    )
    parser.add_argument(
        "--until",
        metavar="TIME",
        help=f"{what} before TIME only; a day without a time counts in full: --until today includes today (default: all)",
    )


def run(args: argparse.Namespace) -> int:
    from ..events import reader, summary
    from ..events.selection import Selection

    since, until = time_span(args.since, args.until, args.follow)
    kinds = _kinds(args.kind or ())
    path: Path = args.log or default_log("events")
    is_stream = path == STANDARD_INPUT
    if is_stream and args.follow:
        raise UsageError("standard input cannot be followed", "leave out --follow: it is read until it ends")
    if kinds:
        summary.check_kinds(kinds, () if is_stream else reader.read(path))
    stop = threading.Event()
    if args.follow:
        # Ctrl-C is the normal end. It must not interrupt between printing a record and counting it.
        signal.signal(signal.SIGINT, lambda *_: stop.set())

    if is_stream:
        selection = Selection.of_stream(sys.stdin.buffer, "standard input", since, until, kinds)
    else:
        selection = Selection.of_log(path, since, until, kinds)

    def entries() -> Iterator[Entry]:
        yield from selection.entries()
        if not selection.is_of_a_log:
            raise not_a_log(path)
        if args.follow:
            yield from selection.follow(path, POLL_S, stop.is_set)

    print_each = _print_json if args.json else _print_csv if args.csv else _print_words
    # What comes through a pipe may be as slow as the events themselves.
    totals = summary.summarise(print_each(entries(), args.follow or is_stream, sys.stdout))
    notes = _notes(selection.reader)
    if not totals.records:
        notes.insert(0, _explain_nothing(selection.log, bool(kinds), since is not None or until is not None))
    if args.json or args.csv:
        for note in notes:
            print(f"doorlight: note: {note}", file=sys.stderr)
    else:
        print("\n" + "\n".join([*_render_summary(totals), *notes]))
    return 0


def _kinds(options: Sequence[str]) -> set[str]:
    """Return the kinds in the values of --kind, in lower case; each may be a list with commas. Raises UsageError."""
    kinds: set[str] = set()
    for option in options:
        named = {part.strip().lower().replace("-", "_") for part in option.split(",")} - {""}
        if not named:
            raise UsageError(f'--kind "{option}": names no kind of event', "name one, or leave out --kind to see all")
        kinds |= named
    return kinds


def time_span(
    since_text: str | None, until_text: str | None, follow: bool = False
) -> tuple[float | None, float | None]:
    """Return what --since and --until mean, in seconds since the epoch. Raises UsageError."""
    from datetime import datetime

    from ..events.time_span import parse_moment

    now = datetime.now().astimezone()
    since = None if since_text is None else parse_moment(since_text, now)
    until = None if until_text is None else parse_moment(until_text, now, is_end=True)
    if until is not None and follow:
        raise UsageError("--follow and --until exclude each other", "leave out one of them")
    if since is not None and until is not None and since >= until:
        raise UsageError(f"--since {since_text} is not before --until {until_text}", "exchange the two")
    if since is not None and since > now.timestamp() and not follow:
        raise UsageError(f"--since {since_text} is in the future", "a time without a date is one of today")
    return since, until


def default_log(subcommand: str) -> Path:
    """Return the service's log, or that of a run in this folder if only that can be read. A note names the other."""
    if not LOCAL_LOG.exists():
        return SERVICE_LOG if os.path.exists(SERVICE_LOG) else LOCAL_LOG
    if not os.path.exists(SERVICE_LOG):
        return LOCAL_LOG
    if os.access(SERVICE_LOG, os.R_OK):
        shown, other, name, command = SERVICE_LOG, "the log of the runs in this folder", LOCAL_LOG, "doorlight"
    else:
        shown, other, name, command = LOCAL_LOG, "the service's log", SERVICE_LOG, "sudo doorlight"
    print(f"doorlight: note: this is {shown}; for {other}: {command} {subcommand} {name}", file=sys.stderr)
    return shown


def refuse_log_file(path: Path, log: Path) -> None:
    """Raise UsageError if `path`, which is to be written, is a file of the log at `log`, or its file of hours."""
    from ..events.counter import counter_path
    from ..events.log_files import LogFiles
    from ..events.write_ahead import write_ahead_path
    from ..statistics.hours_file import hours_path

    for own in (
        hours_path(log),
        counter_path(log),
        write_ahead_path(log),
        *(file for _, file in LogFiles(log).snapshot()),
    ):
        if path.exists() and own.exists() and path.samefile(own):
            raise UsageError(f"{printable(str(path))}: is a file of the event log", "name another file")


def not_a_log(path: Path) -> InputError:
    """Return the error for a file without any event."""
    from ..events.compressed import decompression_errors, open_decompressed
    from ..system.files import wide_encoding

    if path == STANDARD_INPUT:
        return InputError("standard input: is not an event log: it has no events", "check what is before the |")
    encoding = None
    with contextlib.suppress(*decompression_errors()), open_decompressed(path).file as file:
        encoding = wide_encoding(file.read(16) or b"")
    if encoding:
        return InputError(f"{path}: is {encoding} text, an event log is UTF-8", "save it as UTF-8")
    return InputError(f"{path}: is not an event log: it has no events", f"the service's log is {SERVICE_LOG}")


def _print_words(entries: Iterator[Entry], flush: bool, file: TextIO) -> Iterator[EventRecord]:
    """Print each record as a line and yield it. A heading shows each new day, in local time, and each played file."""
    from ..events import record, text

    heading: object = None
    for each, played in entries:
        moment = record.timestamp(each)
        day = f"{moment.astimezone():%A, %Y-%m-%d}" if moment else None
        if played is not None:
            if played != heading:
                heading = played
                print(printable(f"{played.file}, played on {day or 'an unknown day'}"), file=file, flush=flush)
            print(text.describe_played(each), file=file, flush=flush)
            # The summary must not show the time of the playing.
            yield {**each, "time": None}
            continue
        if day is not None and day != heading:
            heading = day
            print(day, file=file, flush=flush)
        print(text.describe(each), file=file, flush=flush)
        yield each


def _print_json(entries: Iterator[Entry], flush: bool, file: TextIO) -> Iterator[EventRecord]:
    """Print each record as one JSON object a line, and yield it."""
    from ..events.record import ascii_text

    for entry in entries:
        print(ascii_text(entry.record), file=file, flush=flush)
        yield entry.record


def _print_csv(entries: Iterator[Entry], flush: bool, file: TextIO) -> Iterator[EventRecord]:
    """Print each record as a row of a table with a heading, and yield it."""
    from ..events.table import TableWriter

    table = TableWriter(file)
    for entry in entries:
        table.write(entry.record, is_played=entry.played is not None)
        if flush:
            file.flush()
        yield entry.record


def _explain_nothing(log: Summary, by_kind: bool, by_time: bool) -> str:
    """Return why no event is shown, and what the log has."""
    if not log.records:
        return "the log is empty"
    filters = " and ".join(["of this kind"] * by_kind + ["in this time"] * by_time)
    return f"none is {filters}; the log has {_render_count(log)}"


def _render_summary(summary: Summary) -> list[str]:
    """Return the lines below the events: number and time span, counts of signals and other events."""
    lines = [_render_count(summary)]
    if summary.signals:
        lines.append(f"signals: {_render_counts(summary.signals)}")
    if others := {name: count for name, count in summary.events.items() if name != "signal"}:
        lines.append(f"others: {_render_counts(others)}")
    return lines


def _notes(reading: EventReader) -> list[str]:
    """Return a line for everything that was not read."""
    lines = [f"{counted(reading.damaged, 'damaged line was', 'damaged lines were')} skipped"] if reading.damaged else []
    lines += [f"not read: {name}: {reason}" for name, reason in reading.unread.items()]
    return [printable(line, MAX_MESSAGE_LENGTH) for line in lines]


def _render_count(summary: Summary) -> str:
    """Return the number of events and their time span."""
    text = counted(summary.records, "event")
    if summary.first is not None and summary.last is not None:
        first, last = summary.first.astimezone(), summary.last.astimezone()
        text += f", {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S}"
    return text


def _render_counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{printable(name)} {count}" for name, count in counts.items())
