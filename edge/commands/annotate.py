"""`doorlight annotate`: draw boxes, verdicts and the light into pictures and videos."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import options
from .options import Parser, Subparsers

DESCRIPTION = """\
Draw what the door sees into a picture or a video: boxes, verdicts, scores, and
the light. If SOURCE is a folder, OUT is a folder too. A single picture is
decided as if everyone in it stood in front of the door for two seconds.

  doorlight annotate queue.jpg seen.jpg
  doorlight annotate walk.mp4 seen.mp4
  doorlight annotate pictures/ seen/
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser(
        "annotate", help="draw what the door sees into pictures and videos", description=DESCRIPTION
    )
    options.add_config(parser)
    options.add_models(parser)
    parser.add_argument("source", metavar="SOURCE", help="a picture, a video file, or a folder of them")
    parser.add_argument("out", metavar="OUT", type=Path, help="file or folder to write, of the same kind as SOURCE")
    return parser


def run(args: argparse.Namespace) -> int:
    from ..config import load

    config = load(args.config)
    # Imported after the settings, so that a wrong file is reported at once.
    from .. import annotate
    from ..inference import manifest
    from ..inference.perception import Perception

    perception = Perception(config, manifest.load(options.models_folder(args, config)))
    annotate.annotate(config, perception, args.source, args.out)
    return 0
