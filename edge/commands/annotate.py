"""`doorlight annotate`: draw boxes, verdicts and the light into pictures and videos."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..system.terminal import printable
from . import left_out, options
from .options import Parser, Subparsers

DESCRIPTION = """\
Draw what the door sees into a picture or a video: boxes, verdicts, scores, and
the light. If SOURCE is a folder, OUT is a folder too. A single picture is
decided as if everyone in it stood in front of the door for two seconds. A
camera is watched for three seconds; its last picture is written: use it to aim
the camera.

  doorlight annotate queue.jpg seen.jpg
  doorlight annotate walk.mp4 seen.mp4
  doorlight annotate pictures/ seen/
  doorlight annotate picamera aim.jpg
  doorlight annotate /dev/video0 aim.jpg --seconds 10

A picture or video is known by its content: JPEG, PNG, BMP, WebP, and what
OpenCV's FFmpeg plays. Files of a folder that are left out are named, and the
exit code is 66 if a picture or video among them could not be read. Videos
named .mp4 are H.264 if OpenCV can encode that, else VP9.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser(
        "annotate",
        help="draw what the door sees into pictures, videos, or a picture of the camera",
        description=DESCRIPTION,
    )
    options.add_config(parser)
    options.add_models(parser)
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a picture, a video, a folder of them, or a camera (picamera, /dev/video0, rtsp://…)",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="file or folder to write, of the same kind as SOURCE")
    parser.add_argument(
        "--seconds",
        type=options.seconds(600),
        metavar="S",
        help="watch a camera for this long before its picture is written (default: 3)",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    settings = options.settings_file(args.config)
    config = options.with_areas(settings)
    # Imported after the settings, so that a wrong file is reported at once.
    from .. import annotate
    from ..inference import manifest
    from ..inference.perception import Perception

    perception = Perception(config, manifest.load(options.models_folder(args, config)))
    camera_s = args.seconds or annotate.CAMERA_S
    if config.people.enabled:
        from .door_people import presence_factory

        make_presence = presence_factory(config, settings, perception, lambda line: print(printable(line)))
        result = annotate.annotate(config, perception, args.source, args.out, camera_s, make_presence)
    else:
        result = annotate.annotate(config, perception, args.source, args.out, camera_s)
    for written in result.written:
        print(f"wrote {printable(str(written.path))}: {printable(written.summary)}")
        for note in written.notes:
            print(f"      note: {printable(note)}")
    return left_out.report(args.source, result.left_out)
