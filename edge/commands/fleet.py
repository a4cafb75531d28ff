"""`doorlight fleet`: all doors in one table, those in trouble first."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from .options import Parser, Subparsers

DESCRIPTION = """\
Show all doors whose events `doorlight collect` stores, those in trouble first:
when a door was last seen, its signal, since when it is blind, its version,
alarms since midnight, and events that are missing.

  doorlight fleet --database postgresql://reception@db.example/doorlight
  PGHOST=db.example PGDATABASE=doorlight doorlight fleet
  watch -n 30 doorlight fleet                  look at it all day
  doorlight fleet --json                       for programs

The same table is the page Doors of `doorlight web`: [web] fleet_database.

A door is blind if it shows FAULT or does not run, offline if its link to the
broker is broken, and silent if nothing came from it for an hour. An event is
missing if its number was skipped: the door could not write it, its log lost it
before it was sent, or the broker lost it.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("fleet", help="show all doors, those in trouble first", description=DESCRIPTION)
    parser.add_argument(
        "--database",
        metavar="ADDRESS",
        default="",
        help="as in postgresql://USER@HOST/NAME, without a password (default: what PGHOST, PGDATABASE, … name)",
    )
    parser.add_argument(
        "--days",
        type=int,
        choices=range(1, 366),
        metavar="DAYS",
        default=7,
        help="count missing events of DAYS; fewer are quicker (default: 7)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list (default: a table)")
    return parser


def run(args: argparse.Namespace) -> int:
    from ..fleet import database, overview, table
    from .process import terminal

    doors = overview.load(database.Address(args.database), args.days)
    if args.json:
        print(table.as_json(doors))
        return 0
    if not doors:
        print("no door has sent anything yet: is doorlight collect running, and doorlight link on the doors?")
        return 0
    for line in table.render(doors, datetime.now(UTC), terminal().has_colour):
        print(line)
    return 0
