"""`doorlight metrics`: the event log as metrics for Prometheus."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OutputError, UsageError
from ..system.files import state_folder
from ..system.terminal import printable
from .events import SERVICE_LOG, STANDARD_INPUT, default_log, not_a_log, refuse_log_file
from .options import LOCAL_LOG, Parser, Subparsers, local_file

if TYPE_CHECKING:
    from ..metrics.keeper import TotalsKeeper

DESCRIPTION = f"""\
Show the event log as metrics for Prometheus: signals, visits, how long they
and the decisions took, FAULT, problems of the log, temperature.

  doorlight metrics                            print them
  doorlight metrics --out /var/lib/prometheus/node-exporter/doorlight.prom
                                               for node_exporter; run it every
                                               minute from a timer
  doorlight metrics --listen 127.0.0.1:9187    for a Prometheus on this machine

No metric names a person. scripts/fleet/README.md lists the metrics, and has a
timer and a dashboard for Grafana.

With --out and --listen, counters keep growing when the log rotates: their
totals are kept in a file. Keep it when you move the output.

Without LOG, the command reads the service's log,
{SERVICE_LOG}, if it exists and may be read, else
./{LOCAL_LOG}.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("metrics", help="show the event log to Prometheus", description=DESCRIPTION)
    parser.add_argument("log", metavar="LOG", nargs="?", type=local_file, help="event log (default: see above)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--out", type=local_file, metavar="FILE", help="write them into FILE, whole or not at all (default: print them)"
    )
    where.add_argument(
        "--listen", metavar="ADDRESS:PORT", help="answer on this address of this machine until it is stopped"
    )
    parser.add_argument(
        "--state",
        type=local_file,
        metavar="FILE",
        help="where the totals are kept (default: with --out, .NAME.totals beside it; with --listen, metrics.json in "
        "$STATE_DIRECTORY, else in ~/.local/state/doorlight)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    address = _address(args.listen)
    if args.state is not None and not (args.out or address):
        raise UsageError("--state: what is printed keeps no totals", "add --out or --listen, or leave out --state")
    log: Path = args.log or default_log("metrics")
    if log == STANDARD_INPUT:
        raise UsageError("standard input cannot be counted from one run to the next", "name the log")
    from ..metrics.exposition import DoorCollector, render
    from ..metrics.keeper import TotalsKeeper, replace

    state = _state_file(args)
    if args.out is not None and state is not None and args.out.resolve() == state.resolve():
        raise UsageError("--state: is the file of --out", "name another file")
    for path in filter(None, (args.out, state)):
        refuse_log_file(path, log)
    keeper = TotalsKeeper(log, state)
    if keeper.problem is not None:
        print(f"doorlight: note: {printable(keeper.problem)}", file=sys.stderr)
    if address is not None:
        return _serve(keeper, *address)
    text = render(DoorCollector(keeper))
    if not keeper.has_events and log.exists() and log.stat().st_size:
        raise not_a_log(log)
    if args.out is None:
        sys.stdout.write(text.decode())
        return 0
    replace(args.out, text)
    keeper.store()
    return 0


def _state_file(args: argparse.Namespace) -> Path | None:
    if args.state is not None or not (args.out or args.listen):
        given: Path | None = args.state
        return given
    if args.out is not None:
        out: Path = args.out
        return out.parent / f".{out.name}.totals"
    folder = state_folder()
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}", "name a file after --state") from error
    return folder / "metrics.json"


def _address(listen: str | None) -> tuple[str, int] | None:
    if listen is None:
        return None
    from ..listen_address import is_local, parse_listen

    try:
        host, port = parse_listen(listen)
    except ValueError as error:
        raise UsageError(f"--listen {listen} {error}", "for example 127.0.0.1:9187") from None
    if not is_local(host):
        raise UsageError(
            f"--listen {listen}: others in the network could read it", "use 127.0.0.1, or node_exporter and --out"
        )
    return host, port


def _serve(keeper: TotalsKeeper, host: str, port: int) -> int:
    from ..metrics.server import serve
    from .process import stop_on_signals

    stop = threading.Event()
    stop_on_signals(stop)
    serve(keeper, host, port, stop)
    return 0
