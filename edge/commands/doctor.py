"""`doorlight doctor`: check this machine, and say what repairs it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OutputError, UnavailableError
from ..system.terminal import printable
from . import options, process
from .options import Parser, Subparsers

if TYPE_CHECKING:
    from ..doctor.finding import Finding
    from ..doctor.host import Host

DESCRIPTION = """\
Check everything that the door depends on: Python, libraries, models, camera,
Coral, pins, permissions, privacy, event log and what it lies on, wear of the
card, temperature and power, journal, clock, service and updates. The camera
check captures a picture and does not keep it.

Each line shows a severity, what was found, and after an arrow how to repair
it. The severities are "ok", "note" (the door works) and "bad". The exit code
is 0 if nothing is bad, 69 otherwise.

If the service is installed, options that you leave out are those of the
service, unless --config names another file. While the service runs, it holds
camera and pins, and its own status of them is shown. Otherwise the check
switches the lamps off.

  sudo doorlight doctor                        check what the service uses
  doorlight doctor --source /dev/video0        check another camera
  doorlight doctor --json | jq .severity       for programs
  sudo doorlight doctor --report pi.md         a file to send to the developers

--report also collects versions, GPIO chips, cameras, a short benchmark, the
settings without texts, and the journal without lines about people. It takes a
minute, removes what is private, and asks what "doorlight lights --test" has
shown. Stop the service before (sudo systemctl stop doorlight): it holds camera
and pins. Read the file before you attach it to an issue.
"""

#: Longest answer to the question about the lamps.
MAX_ANSWER_LENGTH = 200


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser(
        "doctor", help="check this machine, and say what repairs it", description=DESCRIPTION
    )
    options.add_door(parser)
    output = parser.add_mutually_exclusive_group()
    output.add_argument(
        "--json", action="store_true", help="print one JSON object with all checks (default: print lines)"
    )
    output.add_argument(
        "--report",
        type=options.local_file,
        metavar="FILE",
        help="also write a report for the developers, with nothing private in it (Markdown)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    from ..doctor.host import Host

    given = {name: str(getattr(args, name) or "") for name in ("config", "models", "source", "events")}
    host = Host(**given, simulate=args.simulate)
    if args.report is not None:
        _check_writable(args.report)
    found = _print_json(host) if args.json else _print_lines(host)
    if args.report is not None:
        _write_report(args.report, host, found)
    return UnavailableError.exit_code if any(finding.severity == "bad" for _, finding in found) else 0


def _check_writable(path: Path) -> None:
    """Raise OutputError before the checks if the report cannot be written after them."""
    if path.is_dir() or (path.exists() and not path.is_file()):
        raise OutputError(f"{path}: is no regular file", "give the report a name, such as report.md")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: its folder is missing or cannot be written", "choose another folder")


def _write_report(path: Path, host: Host, found: list[tuple[str, Finding]]) -> None:
    from ..doctor import report
    from ..system.files import replace_file

    text = report.render(host, found, _ask_about_lights(), lambda what: print(f"  report: {what}", flush=True))
    try:
        replace_file(path, text.encode(errors="replace"))  # a name of a file may be no UTF-8
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", "choose another folder") from error
    print(f"\n  {path}: read it, then attach it to an issue")


def _ask_about_lights() -> str:
    """Return what the user says about the wiring test; "" if nobody can be asked."""
    if not sys.stdin.isatty():
        return ""
    print(
        "\n  Has every step of 'doorlight lights --test' shown what it said? Answer yes, no or not run, or in a sentence:"
    )
    try:
        return printable(input("  > ").strip(), MAX_ANSWER_LENGTH)
    except (EOFError, UnicodeDecodeError):
        return ""


def _print_json(host: Host) -> list[tuple[str, Finding]]:
    import json

    from ..doctor import runner

    found = list(runner.run_checks(host))
    severity = runner.worst(finding.severity for _, finding in found)
    checks = [{"name": name, **finding._asdict()} for name, finding in found]
    print(json.dumps({"severity": severity, "checks": checks}, indent=2, ensure_ascii=False))
    return found


def _print_lines(host: Host) -> list[tuple[str, Finding]]:
    from ..doctor import runner

    is_terminal, has_colour, width = process.terminal()
    clear_line = "\r\x1b[K" if is_terminal else ""

    def show_progress(name: str) -> None:
        if is_terminal:
            print(f"{clear_line}  …     {name}", end="", flush=True)

    found = []
    for name, finding in runner.run_checks(host, show_progress):
        print(clear_line + runner.render(name, finding, width, has_colour), flush=True)
        found.append((name, finding))
    severities = [finding.severity for _, finding in found]
    print(f"\n  {severities.count('bad')} bad, {severities.count('note')} to note, {severities.count('ok')} ok")
    return found
