"""Check whether Doorlight reaches its speed targets on this machine.

Prints target, result and measurement. Exit code 0 if all measured targets are met, 1 if one is not. Ratios to AIZOO and
to the tutorials need their files, as in speed.compare; without a file, a target is not measured.

It takes about ten minutes, most of them for an hour of the door's time (--hours). Ratios, overhead and ten faces are
processor time. Lights, start and import are wall time: nothing else should run on the machine.

    python -m speed.check --aizoo face_mask_detection.tflite --mobilenet build
    python -m speed.check --only lights --only start
    python -m speed.check --only ten --slower 20          # as on a machine that is 20 times slower
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from edge.errors import DoorlightError
from speed import compare, loop_targets, program_targets
from speed.target import TargetResult
from training.command_line import print_error

PARTS = ("race", "overhead", "ten", "lights", "memory", "start", "import")
MARKS = {True: "yes", False: "NO", None: "–"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow prints messages for its developers
    if not args.json:
        if (load := os.getloadavg()[0]) > 1:
            print(f"This machine is busy (load {load:.1f}): lights, start and import are wall time and will be slower.")
        print(f"{'target':72} {'met':4} measured")
    results: dict[str, list[TargetResult]] = {}
    try:
        comparison = compare.Comparison(args)
        for part in PARTS:
            if args.only and part not in args.only:
                continue
            results[part] = measure(part, comparison, args)
            if not args.json:
                for result in results[part]:
                    print(f"{result.target:72} {MARKS[result.met]:4} {result.measured}", flush=True)
    except (DoorlightError, OSError) as error:
        return print_error("speed.check", error)
    if args.json:
        objects = {part: [result._asdict() for result in found] for part, found in results.items()}
        print(json.dumps(objects, ensure_ascii=False))
    return int(any(result.met is False for found in results.values() for result in found))


def measure(part: str, comparison: compare.Comparison, args: argparse.Namespace) -> list[TargetResult]:
    """Measure one of PARTS."""
    if part == "race":
        return loop_targets.check_ratios(comparison, args.rounds)
    if part == "overhead":
        return loop_targets.check_overhead(comparison)
    if part == "ten":
        return loop_targets.check_ten_faces(comparison, args.slower)
    if part == "lights":
        return program_targets.check_lights(comparison, args.footage)
    if part == "memory":
        return program_targets.check_memory(args.footage, args.hours)
    if part == "start":
        return program_targets.check_start()
    return program_targets.check_import()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m speed.check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    compare.add_arguments(parser)
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part (may be repeated)")
    parser.add_argument(
        "--rounds", type=int, default=9, metavar="N", help="race: rounds of 2 s of the door's time (%(default)s)"
    )
    parser.add_argument(
        "--hours", type=float, default=1.0, metavar="H", help="memory: hours of the door's time (%(default)s)"
    )
    parser.add_argument(
        "--slower", type=float, default=1.0, metavar="F", help="ten: multiply the processor time by this (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    args = parser.parse_args(argv)
    if args.rounds < 1 or args.hours <= 0 or args.slower <= 0:
        parser.error("--rounds, --hours and --slower must be above 0")
    return args


if __name__ == "__main__":
    sys.exit(main())
