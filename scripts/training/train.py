"""Train one of the models, or a teacher for the expressions. After an interruption the same command continues."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from training.command_line import INTERRUPTED, add_data, keep_memory, parser_for, print_error

if __name__ == "__main__":
    keep_memory()  # starts this program again: before it has imported PyTorch, which takes seconds

from training.checkpoints import TrainingError
from training.dataset import Dataset
from training.loop import Plan, Task, device, train
from training.records import DataError

PLANS = {
    "detector": Plan(steps=2600, batch=32, rate=1.2e-3, backbone_rate=0.4),
    "mask": Plan(steps=2200, batch=32, rate=5e-4, backbone_rate=0.6, validate_every=500),
    "teacher": Plan(steps=4000, batch=64, rate=6e-4, backbone_rate=0.6, weight_decay=0.05, validate_every=440),
    "landmarks": Plan(steps=2200, batch=96, rate=3e-3, weight_decay=0.01, validate_every=500),
    "embedding": Plan(steps=2000, batch=120, rate=4e-4, warmup=100, validate_every=200),
    # A laboratory model, see age_sex.md.
    "age_sex": Plan(steps=1200, batch=48, rate=1e-3, backbone_rate=0.5, warmup=100, validate_every=150),
    "expression": Plan(steps=10500, batch=128, rate=2.5e-3, weight_decay=0.05, validate_every=440, ema=0.999),
    "masked_expression": Plan(steps=10500, batch=128, rate=2.5e-3, weight_decay=0.05, validate_every=440, ema=0.999),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _arguments(argv)
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    names = ("steps", "batch", "rate", "validate_every", "patience")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    plan = replace(PLANS[args.model], seed=args.seed, **given)
    out = args.out or Path("runs") / args.model
    try:
        task = _task(args)
        best = train(task, plan, out, args.pretrained, args.workers, args.quiet, args.weights)
    except (DataError, TrainingError) as error:
        return print_error("train", error)
    except KeyboardInterrupt:
        print(f"train: stopped; the same command continues from {out / 'last.pt'}", file=sys.stderr)
        return INTERRUPTED
    print(best)
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("train", __doc__)
    parser.add_argument("model", choices=PLANS)
    add_data(parser)
    parser.add_argument("--sources", help="train on these only, separated by commas (default: all)")
    parser.add_argument("--without", help="leave these sources out, separated by commas")
    _add_starts(parser)
    parser.add_argument("--out", type=Path, help="checkpoints and curves (default: runs/MODEL)")
    _add_plan(parser)
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: one per core)")
    parser.add_argument("--workers", type=int, default=1, help="threads that draw batches ahead (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args(argv)
    _check(parser, args)
    return args


def _add_starts(parser: argparse.ArgumentParser) -> None:
    """Add the options for the network that training starts from, and for the networks that teach it."""
    parser.add_argument(
        "--pretrained",
        type=Path,
        help="ImageNet MobileNetV2 .tflite to start from (full-size detector or mask; teacher); age_sex: the "
        "shipped mask_classifier.tflite",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        help="start from an earlier network instead: best.pt of a run, or an exported model, models_tflite/NAME.tflite",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        help="expression, masked_expression: learn from this network's answers too, best.pt of a teacher or an exported model; may be repeated",
    )
    parser.add_argument("--face-teacher", type=Path, help="embedding: dlib_face_recognition_resnet_model_v1.dat")
    parser.add_argument(
        "--full-size",
        action="store_true",
        help="detector, mask: MobileNetV2's own width, for python -m training.prune_network",
    )


def _add_plan(parser: argparse.ArgumentParser) -> None:
    """Add the options that change the plan of a model."""
    plans = ", ".join(f"{name} {plan.steps}" for name, plan in PLANS.items())
    parser.add_argument("--steps", type=int, help=f"default: {plans}")
    parser.add_argument("--batch", type=int, help="pictures of one step (default: by model)")
    parser.add_argument("--rate", type=float, help="peak learning rate (default: by model)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same run (default: %(default)s)")
    parser.add_argument("--validate-every", type=int, help="steps between validations (default: by model)")
    parser.add_argument("--patience", type=int, help="stop after this number of validations without a better one")


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with a usage error if options do not fit the model."""
    if args.model == "landmarks" and args.weights is not None and args.weights.suffix == ".tflite":
        # The layers of an exported model do not tell which heat map is of which point.
        parser.error("--weights of landmarks takes best.pt of a run")
    if (args.face_teacher is None) != (args.model != "embedding"):
        parser.error("embedding needs --face-teacher, and nothing else does")
    if args.teacher and args.model not in ("expression", "masked_expression"):
        parser.error("--teacher is for expression and masked_expression")
    if args.pretrained and args.model == "embedding":
        parser.error("--pretrained is not for embedding: it starts from --face-teacher")
    if args.full_size and args.model not in ("detector", "mask"):
        parser.error("--full-size is for detector and mask")
    if args.pretrained and args.model in ("detector", "mask") and not args.full_size:
        parser.error(
            "--pretrained is for full-size networks: add --full-size, or --weights from python -m training.prune_network"
        )


def _task(args: argparse.Namespace) -> Task:
    """Return the task of the model, with the chosen sources of the data set."""
    data = Dataset(*args.data)
    # Split first, then choose: the same picture must never change sides with the sources chosen.
    chosen = set(args.sources.split(",")) if args.sources else {r.source for r in data.records}
    chosen -= set(args.without.split(",")) if args.without else set()
    splits = {name: [r for r in records if r.source in chosen] for name, records in data.splits().items()}
    counts = ", ".join(f"{name} {len(records)}" for name, records in splits.items())
    print(f"{args.model}: {counts} pictures; on {device()}", file=sys.stderr)
    if args.model == "detector":
        from training.detector import DetectorTask
        from training.nets import FULL_DETECTOR, SMALL_DETECTOR

        return DetectorTask(data, splits, FULL_DETECTOR if args.full_size else SMALL_DETECTOR)
    if args.model == "mask":
        from training.mask import MaskTask
        from training.nets import FULL_MASK, SMALL_MASK

        return MaskTask(data, splits, FULL_MASK if args.full_size else SMALL_MASK)
    if args.model == "landmarks":
        from training.landmarker import LandmarkTask

        return LandmarkTask(data, splits)
    if args.model == "age_sex":
        from training.age_sex import AgeSexTask

        return AgeSexTask(data, splits, args.data)
    if args.model == "embedding":
        from training.embedder import EmbedderTask
        from training.face_teacher import FaceTeacher

        return EmbedderTask(data, splits, FaceTeacher(args.face_teacher), imitates=args.weights is None)
    from training.expression import ExpressionTask, TeacherTask

    if args.model == "teacher":
        return TeacherTask(data, splits)
    if args.model == "masked_expression":
        from training.masked_expression import MaskedExpressionTask

        task: ExpressionTask = MaskedExpressionTask(data, splits)
    else:
        task = ExpressionTask(data, splits)
    if args.teacher:
        from training import teachers

        task.teach([teachers.of_file(path) for path in args.teacher])
    return task


if __name__ == "__main__":
    sys.exit(main())
