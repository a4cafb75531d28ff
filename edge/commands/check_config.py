"""`doorlight check-config`: check a settings file, or print all settings with their defaults."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..errors import InputError
from ..system.terminal import printable
from .options import Parser, Subparsers, areas_path

DESCRIPTION = """\
Check a settings file for unknown keys, wrong types and impossible values.
Without FILE, print the default settings: every key, its default value, and a
comment that explains it. The exit code is 0 if the file is correct, 78 if not,
66 if there is no such file.
A note names settings that have no effect on the source, and areas that were
set on the page and replace those of the file.

  doorlight check-config | less                print all settings to read; copy
                                               only the lines you change, with
                                               the [section] above them
  doorlight check-config door.toml             check your file

Do not copy the whole file: it would keep today's defaults after an upgrade.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser(
        "check-config", help="check a settings file, or print all settings to read", description=DESCRIPTION
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=Path,
        help="settings file to check (default: print the default settings)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    from .. import config

    if args.file is None:
        print(config.default_text(), end="")
    else:
        from ..areas_file import applied
        from ..settings_notes import camera_notes, other_notes, privacy_notes

        if not os.path.exists(args.file):
            name = printable(str(args.file))
            raise InputError(
                f"{name}: no such file",
                "doorlight check-config, without a file, prints all settings to read; copy only the lines you change",
            )
        loaded = config.load(args.file)
        if loaded.link.webhook:
            from ..link.webhook_message import check_events

            for webhook in loaded.link.webhook:
                check_events(webhook)
        print(f"{printable(str(args.file))}: OK")
        loaded, areas_note = applied(loaded, areas_path(args.file), args.file)
        for note in (*camera_notes(loaded), *other_notes(loaded), *privacy_notes(loaded), areas_note):
            if note:
                print(f"note: {printable(note)}")
    return 0
