"""Try values of the door's settings on validation walk-ups, and draw what each value changes.

--video is a video of make_passages with its --truth, or a folder of make_walkups. The models look at it once; the result
is kept in --recording and used again. Then each --set KEY=VALUES plays the walk-ups with every value of one setting, the
others as in --config; --all does so for all numbers of [tracker] and [policy]. Repeat with the best value of the first
setting in --config to go on with the next.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge import config
from edge.errors import DoorlightError, UsageError
from edge.inference import manifest
from edge.inference.perception import Perception
from training import plots, recording, sweep_settings
from training.command_line import parser_for, print_error
from training.evaluation.passages import read_truth
from training.records import DataError
from training.walkups import truth
from training.workers import in_processes

Row = dict[str, Any]
#: Returns the figures of a door with these settings and this threshold of the detector.
Play = Callable[[config.Config, float], Row]
#: Computes a line of the plot, by its label.
Shares = Mapping[str, Callable[[Row], float | None]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    try:
        settings = config.load(args.config)
        models = manifest.load(args.models)
        threshold = settings.detector.threshold or models["face_detector"].threshold
        sweeps = [sweep_settings.parsed(item, settings) for item in args.set]
        if args.all:
            sweeps += [(key, sweep_settings.around(settings, key)) for key in sweep_settings.number_keys(settings)]
        args.out.mkdir(parents=True, exist_ok=True)
        perception = Perception(config.replaced(settings, "detector", threshold=recording.MIN_SCORE), models)
        play, line, shares = (_scenes if args.video.is_dir() else _passages)(args, settings, perception)
        now = play(settings, threshold)
    except (DataError, DoorlightError) as error:
        return print_error("sweep", error)
    rows: list[Row] = [{"key": "", "value": None, **now}]
    print(f"{'as it is':38s} {line(now)}", flush=True)
    curves: dict[str, list[Row]] = {}
    tried = [(key, value) for key, values in sweeps for value in values]

    def played_with(item: tuple[str, float]) -> Row:
        changed = sweep_settings.changed(settings, *item)
        return play(changed, changed.detector.threshold or threshold)

    played = in_processes(played_with, tried, args.jobs)
    for (key, value), figures in zip(tried, played, strict=True):
        print(f"{f'{key} = {value:g}':38s} {line(figures)}", flush=True)
        curves.setdefault(key, []).append({"key": key, "value": value, **figures})
    for key, own in curves.items():
        plots.draw_sweeps(args.out / f"{key}.png", {key: own}, {key: sweep_settings.value_of(settings, key)}, shares)
        rows += own
    if args.all:
        plots.draw_sweeps(
            args.out / "all.png", curves, {key: sweep_settings.value_of(settings, key) for key in curves}, shares
        )
    (args.out / "sweep.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("sweep", __doc__)
    parser.add_argument(
        "--video", type=Path, required=True, help="walk-ups of make_passages, or a folder of make_walkups"
    )
    parser.add_argument("--truth", type=Path, help="the truth of a video of make_passages")
    parser.add_argument("--models", type=Path, help="folder with manifest.toml (default: the shipped models)")
    parser.add_argument("--config", type=Path, help="settings to start from (default: default.toml)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=A,B,…", help="values to try; may be repeated"
    )
    parser.add_argument("--all", action="store_true", help="try values around every number of [tracker] and [policy]")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="play each N-th scene only, to be faster (default: all)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes to use (default: %(default)s)")
    parser.add_argument("--recording", type=Path, help="folder for the recording (default: --out)")
    parser.add_argument("--out", type=Path, required=True, help="folder for sweep.json and a curve each")
    args = parser.parse_args(argv)
    if args.jobs < 1 or args.every < 1:
        parser.error("--jobs and --every must be at least 1")
    args.recording = args.recording or args.out
    if args.truth is None and not args.video.is_dir():
        parser.error("a video needs its --truth")
    for item in args.set:
        try:
            sweep_settings.parsed(item, config.load())
        except UsageError as error:
            parser.error(str(error))
    return args


def _passages(
    args: argparse.Namespace, settings: config.Config, perception: Perception
) -> tuple[Play, Callable[[Row], str], Shares]:
    """Return how to play a video of make_passages, to print and to draw its figures."""
    passages = read_truth(args.truth)
    kept = args.recording / "recording.npz"
    if not kept.is_file():
        recording.save(kept, list(recording.record(args.video, settings, perception)))
    replay = recording.Replay(recording.load(kept), perception)
    kinds, bare = ("masked", "unmasked", "agitated"), ("unmasked", "agitated")

    def share(row: Row, of: Sequence[str], figure: str) -> float | None:
        people = sum(row[kind]["n"] for kind in of)
        return sum(row[kind][figure] for kind in of) / people if people else None

    def no_wrong_light(row: Row) -> float | None:
        wrong = share(row, kinds, "wrong_light_ever")
        return None if wrong is None else 1 - wrong

    shares: Shares = {
        "masked, end with green": lambda row: share(row, ("masked",), "right"),
        "bare, end with red": lambda row: share(row, bare, "right"),
        "no wrong light": no_wrong_light,
        "agitated, alarm": lambda row: share(row, ("agitated",), "alarm"),
    }
    return lambda changed, threshold: replay.figures(changed, threshold, passages), _passages_line, shares


def _passages_line(row: Row) -> str:
    masked, unmasked, agitated = row["masked"], row["unmasked"], row["agitated"]
    bare_n = unmasked["n"] + agitated["n"]
    wrong = masked["wrong_light_ever"] + unmasked["wrong_light_ever"] + agitated["wrong_light_ever"]
    return (
        f"masked {masked['right']:3d}/{masked['n']}  bare {unmasked['right'] + agitated['right']:3d}/{bare_n}"
        f"  wrong light {wrong:3d}  alarm {agitated['alarm']}/{agitated['n']} calm {unmasked['alarm']}/{unmasked['n']}"
        f"  after {masked['median_decision_s']}, {unmasked['median_decision_s']} s"
    )


def _scenes(
    args: argparse.Namespace, settings: config.Config, perception: Perception
) -> tuple[Play, Callable[[Row], str], Shares]:
    """Return how to play the scenes of make_walkups, to print and to draw their figures."""
    scenes = truth.read(args.video).scenes[:: args.every]
    recording.record_scenes(args.video, scenes, args.recording, settings, perception)
    replay = recording.ScenesReplay(scenes, args.recording, perception)

    def no_wrong_light(row: Row) -> float | None:
        wrong = row["wrong_light"]["share"]
        return None if wrong is None else 1 - wrong

    shares: Shares = {
        "masked, green": lambda row: row["masked_right"]["share"],
        "bare, red": lambda row: row["bare_right"]["share"],
        "no wrong light": no_wrong_light,
        "angry, alarm": lambda row: row["alarm_for_angry"]["share"],
        "IDF1": lambda row: row["identity"]["idf1"],
    }
    return replay.figures, _scenes_line, shares


def _scenes_line(row: Row) -> str:
    def count(name: str) -> str:
        return f"{row[name]['hits']}/{row[name]['n']}"

    who = row["identity"]
    return (
        f"errors {row['errors']:3d}  masked {count('masked_right')}  bare {count('bare_right')}"
        f"  wrong light {count('wrong_light')}  nobody {count('light_for_nobody')}"
        f"  alarm {count('alarm_for_angry')} calm {count('alarm_for_calm')}"
        f"  IDF1 {who['idf1'] or 0:.3f}  switches {who['switches']}  after {row['median_decision_s'] or 0:.2f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
