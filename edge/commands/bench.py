"""`doorlight bench`: measure how fast this machine is as a door."""

from __future__ import annotations

import argparse
import sys
import time

from ..errors import UsageError
from . import options, process
from .options import Parser, Subparsers

MAX_DURATION_S = 86400
DESCRIPTION = """\
Measure how fast this machine is as a door. The command runs the real loop with
real models and a real event log, and times every stage of a frame. Add its
output to a bug report: it contains no serial number, no address, and no name
of a file or a person.

Without --source, pictures are drawn: people (one NASA portrait, public domain)
arrive, stay and leave, and are detected and decided as usual; first one person
at a time, then ten. The tables show three situations: nobody in view; everyone
decided (looked at again now and then); someone new (looked at until decided).
"own" is the time that the door spends outside the three models.

  doorlight bench                              20 seconds of drawn people
  doorlight bench --source picamera            30 seconds of this camera
  doorlight bench --source walk.mp4            a whole video
  doorlight bench --faces 3 --threads 2        three people at once, two threads
                                               for each model
  doorlight bench --faces 1 --seconds 3600     check whether memory grows
  doorlight bench --json > bench.json

Run nothing else meanwhile: sudo systemctl stop doorlight
Ctrl-C ends the measurement and shows the results so far.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("bench", help="measure how fast this machine is as a door", description=DESCRIPTION)
    options.add_config(parser)
    options.add_models(parser)
    parser.add_argument("--source", metavar="SOURCE", help="a source as for `doorlight run` (default: drawn people)")
    parser.add_argument(
        "--faces",
        type=options.count(0, 20),
        metavar="N",
        help="number of drawn people at once, 0 to 20 (default: 1, then 10)",
    )
    parser.add_argument(
        "--threads",
        type=options.count(1, 16),
        metavar="N",
        help="number of threads for each model, 1 to 16 (default: models.threads in the settings)",
    )
    parser.add_argument(
        "--seconds",
        type=options.seconds(MAX_DURATION_S),
        metavar="S",
        help=f"duration in seconds, up to {MAX_DURATION_S} (default: drawn people 10 each, a camera 30, a file whole)",
    )
    parser.add_argument("--pins", action="store_true", help="switch the real lamps (default: simulate them)")
    parser.add_argument("--json", action="store_true", help="print one JSON object (default: print tables)")
    return parser


def run(args: argparse.Namespace) -> int:
    entered_at = time.monotonic()
    if args.source is not None and args.faces is not None:
        raise UsageError("--faces is for drawn people: a source has its own faces", "leave out one of the two")
    config = options.load_settings(args.config)
    # Imported after the settings, so that a wrong file is reported at once.
    from msgspec.structs import replace

    from ..bench import report as bench_report
    from ..bench.run import Bench

    if args.threads is not None:
        config = replace(config, models=replace(config.models, threads=args.threads))

    def begin(name: str) -> None:
        # Only from here on: opening a camera may take long, and until then a signal should end the process at once.
        process.stop_on_signals(bench.stop)
        if sys.stderr.isatty():
            print(f"measuring {name} …", file=sys.stderr, flush=True)

    bench = Bench(
        config=config,
        models=options.models_folder(args, config),
        source=args.source,
        faces=(1, 10) if args.faces is None else (args.faces,),
        seconds=args.seconds,
        pins=args.pins,
        started_at=process.started_at(),
        entered_at=entered_at,
        begin=begin,
    )
    report = bench.run()
    if args.json:
        import json
        from dataclasses import asdict

        print(json.dumps(asdict(report), indent=2, ensure_ascii=False))
    else:
        _, has_colour, width = process.terminal()
        print(bench_report.render(report, width, has_colour))
    return 0
