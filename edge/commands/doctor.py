"""`doorlight doctor`: check this machine, and say what repairs it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import UnavailableError
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
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser(
        "doctor", help="check this machine, and say what repairs it", description=DESCRIPTION
    )
    options.add_door(parser)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object with all checks (default: print lines)"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    from ..doctor.host import Host

    given = {name: str(getattr(args, name) or "") for name in ("config", "models", "source", "events")}
    host = Host(**given, simulate=args.simulate)
    findings = _print_json(host) if args.json else _print_lines(host)
    return UnavailableError.exit_code if any(finding.severity == "bad" for finding in findings) else 0


def _print_json(host: Host) -> list[Finding]:
    import json

    from ..doctor import runner

    found = list(runner.run_checks(host))
    severity = runner.worst(finding.severity for _, finding in found)
    checks = [{"name": name, **finding._asdict()} for name, finding in found]
    print(json.dumps({"severity": severity, "checks": checks}, indent=2, ensure_ascii=False))
    return [finding for _, finding in found]


def _print_lines(host: Host) -> list[Finding]:
    from ..doctor import runner

    is_terminal, has_colour, width = process.terminal()
    clear_line = "\r\x1b[K" if is_terminal else ""

    def show_progress(name: str) -> None:
        if is_terminal:
            print(f"{clear_line}  …     {name}", end="", flush=True)

    findings = []
    for name, finding in runner.run_checks(host, show_progress):
        print(clear_line + runner.render(name, finding, width, has_colour), flush=True)
        findings.append(finding)
    severities = [finding.severity for finding in findings]
    print(f"\n  {severities.count('bad')} bad, {severities.count('note')} to note, {severities.count('ok')} ok")
    return findings
