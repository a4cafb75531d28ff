"""`doorlight run`: watch the door.

This module reads the settings, forks the pin process and starts the Raspberry Pi camera before anything large is imported;
`run_door` does the rest.
"""

from __future__ import annotations

import argparse

from . import options, process
from .options import Parser, Subparsers

DESCRIPTION = """\
Watch the door: capture frames from the source, show the lights, log the
events. The command ends with SIGTERM or Ctrl-C, or at the end of a video or
folder (exit code 0).

A camera is watched live: old frames are dropped, a lost camera is reopened,
and the light shows FAULT meanwhile. A video is played completely, by its own
clock, as fast as the machine can: the same file always gives the same events.
A picture is shown for two seconds (camera.picture_s), as if its people stood
in front of the door. A folder plays its pictures and videos one after the
other. Files that are left out are named. The exit code is 66 if a picture or
video among them could not be read.

Without a GPIO chip, or with --simulate, the lights are printed as lines.

  doorlight run --source /dev/video0           a USB camera
  doorlight run --source clip.mp4 --simulate   a video; print the lights
  doorlight run --source photos/ --simulate    decide each picture of a folder
  doorlight run --config door.toml             your own settings
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("run", help="watch the door", description=DESCRIPTION)
    options.add_door(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    from ..camera import picamera_request
    from ..config import load
    from ..lights.pin_process import PinProcess
    from ..source_kind import source_kind, without_blanks

    settings = options.settings_file(args.config)
    config = load(settings)
    # Fork first: the child stays small, and opens the pins while this process imports the rest. Its timeout is longer
    # than the longest time between two frames.
    pin_process = None if args.simulate else PinProcess(config.lights, config.camera.timeout_s + 1, config.relay)
    if source_kind(without_blanks(args.source or config.camera.source)) == "Pi camera":
        picamera_request.start_early(config.camera)
    from .run_door import run_door

    return run_door(args, settings, config, pin_process, process.started_at())
