"""`doorlight events`: show an event log as readable lines, with a summary."""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..system.terminal import printable
from .options import LOCAL_LOG, Parser, Subparsers

if TYPE_CHECKING:
    from ..events.record import EventRecord
    from ..events.summary import Summary

#: Event log of the service, as in systemd/doorlight.service.
SERVICE_LOG = Path("/var/lib/doorlight/events.jsonl")
#: Interval between two reads of --follow.
POLL_S = 0.2

DESCRIPTION = f"""\
Show an event log as readable lines, with a summary at the end. Rotated files
(.1, .2, …) are read too.

  doorlight events --since 1h                  the last hour
  doorlight events /mnt/old/events.jsonl       another log
  doorlight events --kind alarm                only changes to ALARM
  doorlight events --kind camera_lost --kind camera_back
  doorlight events --follow                    show new events until Ctrl-C

Without FILE, the command reads ./{LOCAL_LOG} if it exists, else
the service's log, {SERVICE_LOG}.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("events", help="show an event log", description=DESCRIPTION)
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="event log (default: see above)")
    parser.add_argument(
        "--follow", action="store_true", help="keep showing new events until Ctrl-C (default: stop at the end)"
    )
    parser.add_argument(
        "--since",
        metavar="AGE",
        help="show events of the last AGE only: a number and s, m, h or d, such as 90s, 30m, 1h, 2d (default: all)",
    )
    parser.add_argument(
        "--kind",
        action="append",
        metavar="KIND",
        help="show only this kind of event or this signal; can be repeated (default: all)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    from ..events import reader, summary

    since = time.time() - summary.parse_duration(args.since) if args.since else None
    kinds = {kind.lower() for kind in args.kind or ()}
    path: Path = args.file or _default_log()
    reading = reader.read(path)
    after = summary.last_before(reader.read(path), since) if since is not None else 0

    stop = threading.Event()
    if args.follow:
        # Ctrl-C is the normal end. It must not interrupt between printing a record and counting it.
        signal.signal(signal.SIGINT, lambda *_: stop.set())

    def selected() -> Iterator[EventRecord]:
        yield from summary.select(reading, after, kinds)
        if args.follow:
            yield from summary.select(reader.follow(path, POLL_S, stop.is_set, reading.last_seq), 0, kinds)

    totals = summary.summarise(_print_each(selected(), flush=args.follow))
    print(f"\n{_render_summary(totals, reading.damaged)}")
    return 0


def _default_log() -> Path:
    """Return the log of a run in this folder, or the service's log if only that exists."""
    return SERVICE_LOG if os.path.exists(SERVICE_LOG) and not LOCAL_LOG.exists() else LOCAL_LOG


def _print_each(records: Iterable[EventRecord], flush: bool) -> Iterator[EventRecord]:
    """Print each record and yield it. A heading shows each new day, in local time."""
    from ..events import record, text

    day = None
    for each in records:
        moment = record.timestamp(each)
        if moment is not None and (date := moment.astimezone().date()) != day:
            day = date
            print(f"{day:%A, %Y-%m-%d}", flush=flush)
        print(text.describe(each), flush=flush)
        yield each


def _render_summary(summary: Summary, damaged: int) -> str:
    """Return the lines below the events: number and time span, counts of signals and other events, damaged lines."""
    lines = [f"{summary.records} event{'' if summary.records == 1 else 's'}"]
    if summary.first is not None and summary.last is not None:
        first, last = summary.first.astimezone(), summary.last.astimezone()
        lines[0] += f", {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S}"
    if summary.signals:
        lines.append(f"signals: {_render_counts(summary.signals)}")
    if others := {name: count for name, count in summary.events.items() if name != "signal"}:
        lines.append(f"others: {_render_counts(others)}")
    if damaged:
        lines.append(f"{damaged} damaged lines were skipped")
    return "\n".join(lines)


def _render_counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{printable(name)} {count}" for name, count in counts.items())
