"""Try values of the door's settings on validation walk-ups, and draw what each value changes.

The models look at the video once; the result is kept beside --out and used again. Then each --set KEY=VALUES plays the
walk-ups with every value of one setting, the others as in --config. Repeat with the best value of the first setting in
--config to go on with the next.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.command_line import parser_for, print_error


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = parser_for("sweep", __doc__)
    parser.add_argument("--video", type=Path, required=True, help="walk-ups of python -m training.make_passages")
    parser.add_argument("--truth", type=Path, required=True, help="their truth")
    parser.add_argument("--models", type=Path, help="folder with manifest.toml (default: the shipped models)")
    parser.add_argument("--config", type=Path, help="settings to start from (default: default.toml)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=A,B,…", help="values to try; may be repeated"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the recording, sweep.json and a curve each")
    args = parser.parse_args(argv)
    try:
        sweeps = [_parsed(item) for item in args.set]
    except ValueError as error:
        parser.error(str(error))

    import json

    import msgspec

    from edge import config
    from edge.errors import DoorlightError
    from edge.inference import manifest
    from edge.inference.perception import Perception
    from training import plots, recording
    from training.evaluation.passages import read_truth
    from training.records import DataError

    def changed(settings: config.Config, key: str, value: float) -> config.Config:
        section, _, name = key.partition(".")
        part = msgspec.structs.replace(getattr(settings, section), **{name: value})
        return msgspec.structs.replace(settings, **{section: part})

    try:
        settings = config.load(args.config)
        passages = read_truth(args.truth)
        models = manifest.load(args.models)
        threshold = settings.detector.threshold or models["face_detector"].threshold
        perception = Perception(changed(settings, "detector.threshold", recording.MIN_SCORE), models)
        args.out.mkdir(parents=True, exist_ok=True)
        kept = args.out / "recording.npz"
        if not kept.is_file():
            recording.save(kept, list(recording.record(args.video, settings, perception)))
        replay = recording.Replay(recording.load(kept), perception)
    except (DataError, DoorlightError) as error:
        return print_error("sweep", error)
    rows: list[dict[str, Any]] = [{"key": "", "value": None, **replay.figures(settings, threshold, passages)}]
    print(_line(rows[0]))
    for key, values in sweeps:
        own: list[dict[str, Any]] = []
        for value in values:
            used = value if key == "detector.threshold" else threshold
            figures = replay.figures(changed(settings, key, value), used, passages)
            own.append({"key": key, "value": value, **figures})
            print(_line(own[-1]))
        plots.draw_sweep(args.out / f"{key}.png", key, own)
        rows += own
    (args.out / "sweep.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def _parsed(item: str) -> tuple[str, list[float]]:
    """Return key and values of a --set option. Raises ValueError if there is no such setting, or no values."""
    from edge import config

    key, _, values = item.partition("=")
    section, _, name = key.partition(".")
    if not isinstance(getattr(getattr(config.load(), section, None), name, None), int | float):
        raise ValueError(f"--set {item}: '{key}' is no setting with a number")
    try:
        return key, [float(value) for value in values.split(",")]
    except ValueError:
        raise ValueError(f"--set {item}: write numbers after =, separated by commas") from None


def _line(row: dict[str, Any]) -> str:
    name = f"{row['key']} = {row['value']:g}" if row["key"] else "as it is"
    masked, unmasked, agitated = row["masked"], row["unmasked"], row["agitated"]
    bare_n = unmasked["n"] + agitated["n"]
    wrong = masked["wrong_light_ever"] + unmasked["wrong_light_ever"] + agitated["wrong_light_ever"]
    return (
        f"{name:38s} masked {masked['right']:3d}/{masked['n']}  bare {unmasked['right'] + agitated['right']:3d}/{bare_n}"
        f"  wrong light {wrong:3d}  alarm {agitated['alarm']}/{agitated['n']} calm {unmasked['alarm']}/{unmasked['n']}"
        f"  after {masked['median_decision_s']}, {unmasked['median_decision_s']} s"
    )


if __name__ == "__main__":
    sys.exit(main())
