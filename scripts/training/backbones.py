"""Compare backbones: train published networks on mask and expression alike, and put them into one table.

Each network learns from the same batches in the same order, from scratch; MobileNetV2 1.0 also starts from ImageNet
(--pretrained). Each is then converted to 8 bits. The weights are those of the last step, averaged: no picture chooses
them, so that PublicTest, FER2013's validation split, can judge the expressions. The table has, for each network,

  accuracy        in float and 8-bit, with its 95 % interval (Wilson), on the test split
  equal time      the accuracy in the middle of its training, when the fastest network had finished its own, on a sample
                  of the validation split; --minutes gives each network a complete schedule of that length instead
  size, multiplications, time on one thread of this machine (LiteRT, processor time), estimated time on Raspberry Pis
  operations      that the Edge TPU would not take

Every network has a folder, OUT/TASK/NETWORK. After an interruption the same command continues, and what is complete is
not done again. Delete a network's folder to train it again with another budget. Batches and faces are kept in
OUT/TASK/batches, so that every network gets the same: choose another OUT for other data.

    python -m training.backbones --costs
    python -m training.backbones --data DATA DATA2 --pretrained mobilenet_v2_1.0_224_int8.tflite
    python -m training.backbones --data DATA DATA2 --minutes 20 --networks vgg,resnet_18 --tasks mask --out runs/20-minutes

OUT gets backbones.json, backbones.md and backbones.png, of all networks that are complete there. The last line of stdout is the JSON object.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.command_line import INTERRUPTED, add_data, keep_memory, parser_for, print_error
from training.dataset import Dataset
from training.files import replace_text
from training.records import DataError, Record

if TYPE_CHECKING:
    from training.backbone_tasks import Source
    from training.loop import Plan

#: Steps of each network by task.
STEPS = {"mask": 250, "expression": 500}
TASKS = tuple(STEPS)
#: The keys of `backbone_nets.NETWORKS`, which needs PyTorch.
NAMES = (
    "mobilenet_v2_100", "mobilenet_v2_050", "mobilenet_v2_035", "mobilenet_v3_small", "efficientnet_lite0", "resnet_18",
    "vgg", "mobilenet_v2_100_imagenet",
)  # fmt: skip
#: Peak learning rates: from scratch, from ImageNet and its factor for the layers that start from there.
RATE, RATE_FROM_IMAGENET, BACKBONE_RATE = 2e-3, 5e-4, 0.6
#: Points of a curve.
VALIDATIONS = 10
#: Steps that measure a network's pace for --minutes, after one that warms up.
PACE_STEPS = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    # PyTorch takes seconds to import: only after the arguments are valid.
    from edge.errors import DoorlightError
    from training import backbone_table
    from training.checkpoints import TrainingError
    from training.convert import ExportError

    if args.costs:
        from training import backbone_costs

        print(backbone_costs.table(args.tasks, args.networks))
        return 0
    try:
        figures = compare(args)
    except (DataError, DoorlightError, TrainingError, ExportError, OSError) as error:
        return print_error("backbones", error)
    except KeyboardInterrupt:
        print("backbones: interrupted; the same command continues", file=sys.stderr)
        return INTERRUPTED
    print(backbone_table.tables(figures))
    print(json.dumps(figures))
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("backbones", __doc__)
    add_data(parser, required=False)
    parser.add_argument(
        "--costs", action="store_true", help="only print parameters, multiplications and estimated times: needs no data"
    )
    budget = parser.add_mutually_exclusive_group()
    defaults = ", ".join(f"{task} {steps}" for task, steps in STEPS.items())
    budget.add_argument("--steps", type=int, help=f"of each network (default: {defaults})")
    budget.add_argument(
        "--minutes", type=float, metavar="M", help="processor time of each network's training, instead of equal steps"
    )
    parser.add_argument("--batch", type=int, default=64, help="faces of one step (default: %(default)s)")
    parser.add_argument("--pretrained", type=Path, help="ImageNet MobileNetV2 .tflite; without it that row is left out")
    parser.add_argument(
        "--tasks", type=_names_of(TASKS), default=list(TASKS), help=f"default: {','.join(TASKS)}", metavar="NAMES"
    )
    parser.add_argument(
        "--networks", type=_names_of(NAMES), default=list(NAMES), help=f"default: {','.join(NAMES)}", metavar="NAMES"
    )
    parser.add_argument("--samples", type=int, default=200, help="faces that calibrate the activations (default: 200)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: one per core)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/backbones"), help="folder of runs and tables (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args(argv)
    if args.data is None and not args.costs:
        parser.error("give --data, or --costs")
    if args.pretrained is not None and not args.pretrained.is_file():
        parser.error(f"--pretrained: {args.pretrained}: no such file")
    for name in ("steps", "batch", "samples", "minutes"):
        if getattr(args, name) is not None and getattr(args, name) <= 0:
            parser.error(f"--{name} must be more than 0")
    return args


def _names_of(known: Sequence[str]) -> Any:
    """Return a type of argparse: names of `known`, separated by commas."""

    def names(text: str) -> list[str]:
        chosen = text.split(",")
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"'{name}' is not one of {', '.join(known)}")
        return [name for name in known if name in chosen]

    return names


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Train and judge what is not there yet; return the figures of all that is, see `backbone_table`.

    They are written after each network.

    Raises DataError, TrainingError, ExportError or OSError.
    """
    import torch

    from training import backbone_judge, backbone_table
    from training.backbone_nets import NETWORKS
    from training.backbone_tasks import Source

    if args.threads:
        torch.set_num_threads(args.threads)

    @functools.cache
    def open_data() -> tuple[Dataset, dict[str, list[Record]]]:
        data = Dataset(*args.data)
        return data, data.splits()

    for name in args.tasks:
        source = Source(name, open_data, args.out / name)
        for key in args.networks:
            network = NETWORKS[key]
            if network.from_imagenet and args.pretrained is None:
                continue
            run = args.out / name / key
            if not (run / backbone_table.FIGURES).is_file():
                _train(source, key, args, run)
                backbone_judge.judge(source, network, run, args.samples)
            backbone_table.write(args.out, backbone_table.collect(args.out, TASKS, NAMES))
        backbone_judge.judge_shipped(source)
    figures = backbone_table.collect(args.out, TASKS, NAMES)
    backbone_table.write(args.out, figures)
    return figures


def _train(source: Source, key: str, args: argparse.Namespace, run: Path) -> None:
    """Train a network, or continue."""
    from training.backbone_nets import NETWORKS
    from training.backbone_tasks import BackboneTask
    from training.loop import train

    network = NETWORKS[key]
    task = BackboneTask(source, key, network)
    steps = args.steps or STEPS[source.name]
    if args.minutes:
        pace = run / "pace.json"
        if not pace.is_file():
            # Kept, so that a run that continues has the same plan.
            replace_text(pace, json.dumps({"seconds_a_step": _seconds_a_step(task, args)}) + "\n")
        steps = max(1, round(60 * args.minutes / json.loads(pace.read_text(encoding="utf-8"))["seconds_a_step"]))
    plan = _plan(steps, args.batch, args.seed, network.from_imagenet)
    train(task, plan, run, args.pretrained if network.from_imagenet else None, quiet=args.quiet)


def _plan(steps: int, batch: int, seed: int, from_imagenet: bool) -> Plan:
    from training.loop import Plan

    return Plan(
        steps=steps,
        batch=batch,
        rate=RATE_FROM_IMAGENET if from_imagenet else RATE,
        backbone_rate=BACKBONE_RATE,
        warmup=max(1, min(200, steps // 10)),
        validate_every=max(1, steps // VALIDATIONS),
        seed=seed,
    )


def _seconds_a_step(task: Any, args: argparse.Namespace) -> float:
    """Return the processor time of a training step."""
    import torch

    net = task.build().to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.0)
    batches = [task.batch(args.seed, step, args.batch) for step in range(1 + PACE_STEPS)]
    began = 0.0
    for step, batch in enumerate(batches):
        if step == 1:
            began = time.process_time()
        optimiser.zero_grad(set_to_none=True)
        task.loss(net, batch, 0.0).backward()
        optimiser.step()
    return (time.process_time() - began) / PACE_STEPS


if __name__ == "__main__":
    keep_memory()
    sys.exit(main())
