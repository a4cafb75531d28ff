"""Train one of the three models, or a teacher for the expressions; killed at any moment, the same command goes on."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from training.dataset import Dataset
from training.loop import Plan, TrainingError, device, train
from training.records import DataError

PLANS = {
    "detector": Plan(steps=2600, batch=32, rate=1.2e-3, backbone_rate=0.4),
    "mask": Plan(steps=2200, batch=32, rate=5e-4, backbone_rate=0.6, validate_every=500),
    "teacher": Plan(steps=4000, batch=64, rate=6e-4, backbone_rate=0.6, weight_decay=0.05, validate_every=440),
    "expression": Plan(steps=10500, batch=128, rate=2.5e-3, weight_decay=0.05, validate_every=440, ema=0.999),
}


def keep_memory() -> None:
    """Start again with settings that only a new process takes.

    A C library that keeps freed memory is a third faster, as no page is faulted in twice. OpenMP threads that sleep while
    they wait leave the core to the thread that is late; with one other busy process on two cores that is five times
    faster.
    """
    if "MALLOC_MMAP_MAX_" not in os.environ:
        settings = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000", "MALLOC_TOP_PAD_": "268435456"}
        settings |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
        # sys.orig_argv keeps "-m training.train", which sys.argv replaces with a path.
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **settings})


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.train", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("model", choices=PLANS)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        nargs="+",
        help="folders with index.jsonl and images.zip, the main one first",
    )
    parser.add_argument("--sources", help="train on these only, separated by commas (default: all)")
    parser.add_argument("--without", help="leave these sources out, separated by commas")
    parser.add_argument(
        "--pretrained", type=Path, help="ImageNet MobileNetV2 .tflite to start from (detector, mask, teacher)"
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
        help="expression: learn from this network's answers too, best.pt of a teacher or an exported model; may be repeated",
    )
    parser.add_argument(
        "--full-size",
        action="store_true",
        help="detector, mask: MobileNetV2's own width, for python -m training.prune_network",
    )
    parser.add_argument("--out", type=Path, help="checkpoints and curves (default: runs/MODEL)")
    parser.add_argument("--steps", type=int, help="default: by model")
    parser.add_argument("--batch", type=int, help="default: by model")
    parser.add_argument("--rate", type=float, help="peak learning rate (default: by model)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--validate-every", type=int, help="steps (default: by model)")
    parser.add_argument("--patience", type=int, help="stop after so many validations without a better one")
    parser.add_argument("--threads", type=int, help="of PyTorch (default: all cores)")
    parser.add_argument("--workers", type=int, default=1, help="threads that draw batches ahead")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args()
    if args.teacher and args.model != "expression":
        parser.error("--teacher is for expression")
    if args.full_size and args.model not in ("detector", "mask"):
        parser.error("--full-size is for detector and mask")
    if args.pretrained and args.model in ("detector", "mask") and not args.full_size:
        parser.error(
            "--pretrained is for full-size networks: add --full-size, or --weights from python -m training.prune_network"
        )

    keep_memory()
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    given = {
        "steps": args.steps,
        "batch": args.batch,
        "rate": args.rate,
        "validate_every": args.validate_every,
        "patience": args.patience,
    }
    plan = replace(PLANS[args.model], seed=args.seed, **{k: v for k, v in given.items() if v is not None})
    out = args.out or Path("runs") / args.model
    try:
        data = Dataset(*args.data)
        # Split first, then choose: the same picture must never change sides with the sources chosen.
        chosen = set(args.sources.split(",")) if args.sources else {r.source for r in data.records}
        chosen -= set(args.without.split(",")) if args.without else set()
        splits = {name: [r for r in records if r.source in chosen] for name, records in data.splits().items()}
        print(
            f"{args.model}: {', '.join(f'{k} {len(v)}' for k, v in splits.items())} pictures; on {device()}",
            file=sys.stderr,
        )
        if args.model == "detector":
            from training.detector import DetectorTask as Task
            from training.nets import FULL_DETECTOR as full
        elif args.model == "mask":
            from training.mask import MaskTask as Task
            from training.nets import FULL_MASK as full
        elif args.model == "teacher":
            from training.expression import TeacherTask as Task
        else:
            from training.expression import ExpressionTask as Task
        task = Task(data, splits, full) if args.full_size else Task(data, splits)
        if args.teacher:
            task.teach([task.open_teacher(path) for path in args.teacher])
        best = train(task, plan, out, args.pretrained, args.workers, args.quiet, args.weights)
    except (DataError, TrainingError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 65
    except KeyboardInterrupt:
        print(f"train: stopped; the same command goes on from {out / 'last.pt'}", file=sys.stderr)
        return 130
    print(best)
    return 0


if __name__ == "__main__":
    sys.exit(main())
