"""Evaluate the shipped 8-bit models through the door's own code. The last line of stdout is one JSON object.

detector, mask, expression, masked_expression and landmarks read folders in the data format (index.jsonl, and the pictures
beside it or in images.zip). masked_expression draws masks on bare faces, and prints a table before the JSON; passages plays a video of people who walk up, or the scenes of make_walkups. A figure that the data cannot
give is null.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edge import config
from edge.errors import DoorlightError, UsageError
from edge.inference import manifest
from edge.inference.interpreter import RUNTIMES
from training import metrics
from training.command_line import add_data, parser_for, print_error
from training.dataset import SPLITS, Dataset
from training.evaluation.common import Result
from training.evaluation.detector import evaluate_detector
from training.evaluation.embedding import evaluate_embedding
from training.evaluation.explaining import explainer
from training.evaluation.expression import evaluate_expression
from training.evaluation.landmarks import evaluate_landmarks
from training.evaluation.mask import evaluate_mask
from training.evaluation.masked_expression import evaluate_masked_expression, with_model
from training.evaluation.passages import evaluate_passages, read_truth
from training.evaluation.selection import check_pictures, choose
from training.evaluation.stages import Stages, open_stages
from training.evaluation.walkups import evaluate_walkups
from training.records import DataError, Record

#: The tasks that read a data set.
TASKS: dict[str, Callable[[Dataset, Sequence[Record], Stages], Result]] = {
    "detector": evaluate_detector,
    "mask": evaluate_mask,
    "expression": evaluate_expression,
    "masked_expression": evaluate_masked_expression,
    "landmarks": evaluate_landmarks,
    "embedding": evaluate_embedding,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    try:
        if args.out is not None:
            _prepare_output(args.out)
        result = _evaluate(args)
        figures = metrics.plain(result.figures)
        if args.out is not None:
            result.draw(args.out)
            text = json.dumps(figures, indent=2, allow_nan=False) + "\n"
            (args.out / "metrics.json").write_text(text, encoding="utf-8")
    except (DataError, DoorlightError, OSError) as error:
        return print_error("evaluate", error)
    if result.table:
        print(result.table)
    print(json.dumps(figures, allow_nan=False))
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("evaluate", __doc__)
    parser.add_argument("task", choices=[*TASKS, "passages"])
    add_data(parser, required=False)
    parser.add_argument("--sources", metavar="NAMES", help="evaluate on these only, separated by commas (default: all)")
    parser.add_argument("--split", choices=[*SPLITS, "all"], default="all", help="default: all")
    parser.add_argument(
        "--video",
        metavar="FILE",
        type=Path,
        help="passages: a video of people who walk up, or a folder of make_walkups",
    )
    parser.add_argument(
        "--truth", metavar="FILE", type=Path, help='passages: JSON list of {"kind", "start_s", "end_s"}'
    )
    parser.add_argument(
        "--models", metavar="DIR", type=Path, help="folder with manifest.toml (default: the shipped models)"
    )
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="settings file of the door (default: the default settings)"
    )
    parser.add_argument("--runtime", choices=RUNTIMES, help="TFLite runtime (default: the first that is installed)")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder for curves, the worst mistakes and metrics.json"
    )
    parser.add_argument(
        "--model", metavar="FILE", type=Path, help="masked_expression: this .tflite file, which no manifest describes"
    )
    parser.add_argument("--explain", action="store_true", help="with --out: heat maps beside the worst mistakes")
    args = parser.parse_args(argv)
    needed = ("data",) if args.task != "passages" else ("video",) if _is_folder(args.video) else ("video", "truth")
    if args.explain and (args.out is None or args.task not in ("detector", "mask", "expression")):
        parser.error("--explain needs --out, and the task detector, mask or expression")
    if args.model is not None and args.task != "masked_expression":
        parser.error("--model is for masked_expression; --models takes a folder")
    for name in needed:
        if getattr(args, name) is None:
            parser.error(f"{args.task} needs --{name}")
    return args


def _is_folder(video: Path | None) -> bool:
    return video is not None and video.is_dir()


def _prepare_output(folder: Path) -> None:
    """Create the folder. Raises UsageError without matplotlib: drawing comes last, after all the work."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError("--out needs matplotlib", "pip install .[train]") from None
    folder.mkdir(parents=True, exist_ok=True)


def _evaluate(args: argparse.Namespace) -> Result:
    settings = config.load(args.config)
    folder = args.models or (Path(settings.models.directory) if settings.models.directory else None)
    if args.task == "passages" and _is_folder(args.video):
        return evaluate_walkups(args.video, settings, manifest.load(folder), args.runtime)
    if args.task == "passages":
        read_truth(args.truth)  # report a wrong truth file before a missing model
        return evaluate_passages(args.video, args.truth, settings, manifest.load(folder), args.runtime)
    data, records = choose(args.data, args.sources.split(",") if args.sources else None, args.split)
    models = manifest.load(folder)
    if args.model is not None:
        models = with_model(models, args.model)
    stages = open_stages(args.task, settings, models, args.runtime)
    if args.explain:
        stages = stages._replace(explain=explainer(args.task, stages, settings.expression.agitated))
    check_pictures(data, records)
    return TASKS[args.task](data, records, stages)


if __name__ == "__main__":
    sys.exit(main())
