"""Measure what the mask classifier loses on a collection of pictures that it was not trained on (leave one out).

Short trainings of equal length from ImageNet, one with all sources and one without each in turn, are evaluated on the
held-back pictures of that source. The difference estimates how well a model works where nobody collected pictures: at
another door. After an interruption the same command continues. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from training.command_line import INTERRUPTED, add_data, keep_memory, parser_for, print_error

if __name__ == "__main__":
    keep_memory()  # starts this program again: before it has imported PyTorch, which takes seconds

import numpy as np
import torch

from training.checkpoints import TrainingError, load_best
from training.dataset import Dataset
from training.loop import train
from training.mask import Example, MaskTask, examples
from training.nets import FULL_MASK
from training.records import DataError
from training.train import PLANS

#: The columns of the JSON object: number of faces, accuracy with the source and without it, their difference.
Figures = dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    try:
        figures = leave_out(args)
    except (DataError, TrainingError) as error:
        return print_error("leave_one_out", error)
    except KeyboardInterrupt:
        print("leave_one_out: interrupted; the same command continues", file=sys.stderr)
        return INTERRUPTED
    print(table(figures))
    print(json.dumps({source: {n: round(v, 4) for n, v in f.items()} for source, f in figures.items()}))
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("leave_one_out", __doc__)
    add_data(parser)
    parser.add_argument("--pretrained", type=Path, help="ImageNet MobileNetV2 .tflite to start from")
    parser.add_argument("--sources", help="leave out only these in turn, separated by commas (default: each)")
    parser.add_argument("--steps", type=int, default=300, help="of each training (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=PLANS["mask"].batch, help="default: %(default)s")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/leave-one-out"), help="folder of the runs (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args(argv)


def leave_out(args: argparse.Namespace) -> dict[str, Figures]:
    """Train with all sources and without each; return the figures by source. Raises DataError or TrainingError."""
    data = Dataset(*args.data)
    splits = data.splits()
    task = MaskTask(data, splits, FULL_MASK)  # ImageNet's weights do not fit a pruned network
    held_back: dict[str, list[Example]] = {}
    for example in examples(splits["test"]):
        held_back.setdefault(example.record.source, []).append(example)
    known = {source for source, _ in task.crops.pools} & set(held_back)
    sources = args.sources.split(",") if args.sources else sorted(known)
    if missing := set(sources) - known:
        names = ", ".join(sorted(missing))
        raise DataError(f"--sources: needs faces both to train on and to evaluate on, found none in {names}")

    with_all = _train(task, "all", args)
    figures: dict[str, Figures] = {}
    for source in sources:
        faces = held_back[source]
        seen = _accuracy(task, with_all, faces)
        unseen = _accuracy(task, _train(task.without(source), source, args), faces)
        figures[source] = {"n": len(faces), "with": seen, "without": unseen, "cost": seen - unseen}
        print(f"{source}: {seen:.1%} with, {unseen:.1%} without it", file=sys.stderr, flush=True)
    return figures


def _train(task: MaskTask, run: str, args: argparse.Namespace) -> torch.nn.Module:
    """Return the best network of a run; train it unless the run is complete."""
    warmup = max(1, args.steps // 6)
    plan = replace(PLANS["mask"], steps=args.steps, batch=args.batch, warmup=warmup, validate_every=args.steps)
    net = task.build().eval()
    load_best(net, train(task, plan, args.out / run, args.pretrained, quiet=args.quiet))
    return net


def _accuracy(task: MaskTask, net: torch.nn.Module, faces: Sequence[Example]) -> float:
    """Return the share of right answers on faces at their true boxes."""
    called = task.probabilities(net, faces) >= 0.5
    return float((called == np.array([face.masked for face in faces])).mean())


def table(figures: dict[str, Figures]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| left out | held-back faces | accuracy with it | accuracy without it | cost, points |",
        "|---|---:|---:|---:|---:|",
    ]
    for source, f in figures.items():
        lines.append(f"| `{source}` | {f['n']:,} | {f['with']:.1%} | {f['without']:.1%} | {100 * f['cost']:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
