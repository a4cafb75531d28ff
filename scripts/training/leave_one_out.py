"""What a collection of pictures costs the mask classifier that has never seen any of it: leave-one-source-out.

Short equal trainings from ImageNet, one with every source and one without each in turn, are judged on the held-back
pictures of that source. The difference tells how well a model does where nobody collected pictures: at another door.
Killed at any moment, the same command goes on. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from training.dataset import DataError, Dataset
from training.loop import TrainingError, load_best, train
from training.train import PLANS, keep_memory


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.leave_one_out",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        nargs="+",
        help="folders with index.jsonl and images.zip, the main one first",
    )
    parser.add_argument("--pretrained", type=Path, help="ImageNet MobileNetV2 .tflite to start from")
    parser.add_argument("--sources", help="leave out only these in turn, separated by commas (default: each)")
    parser.add_argument("--steps", type=int, default=300, help="of each training (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=PLANS["mask"].batch, help="default: %(default)s")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/leave-one-out"), help="a run for each (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    args = parser.parse_args()

    keep_memory()
    import numpy as np
    import torch

    from training.mask import Example, MaskTask, examples

    plan = replace(
        PLANS["mask"], steps=args.steps, batch=args.batch, warmup=max(1, args.steps // 6), validate_every=args.steps
    )
    try:
        data = Dataset(*args.data)
        splits = data.splits()
        task = MaskTask(data, splits)
        judged: dict[str, list[Example]] = {}
        for example in examples(splits["test"]):
            judged.setdefault(example.record.source, []).append(example)
        known = {source for source, _ in task.crops.pools} & set(judged)
        wanted = args.sources.split(",") if args.sources else sorted(known)
        if missing := set(wanted) - known:
            raise DataError(f"--sources: no faces both to train on and to judge by in {', '.join(sorted(missing))}")

        def network(run: str, learner: MaskTask) -> torch.nn.Module:
            """The best network of a run, trained now unless it has been."""
            net = learner.build().eval()
            load_best(net, train(learner, plan, args.out / run, args.pretrained, quiet=args.quiet))
            return net

        def right(net: torch.nn.Module, source: str) -> float:
            """Share of the held-back faces of `source` that are decided rightly, on true boxes."""
            called = task.probabilities(net, judged[source]) >= 0.5
            return float((called == np.array([e.masked for e in judged[source]])).mean())

        with_all = network("all", task)
        figures: dict[str, dict[str, float]] = {}
        for source in wanted:
            seen, unseen = right(with_all, source), right(network(source, task.without(source)), source)
            figures[source] = {"n": len(judged[source]), "with": seen, "without": unseen, "cost": seen - unseen}
            print(f"{source}: {seen:.1%} with, {unseen:.1%} without it", file=sys.stderr, flush=True)
    except (DataError, TrainingError) as error:
        print(f"leave_one_out: {error}", file=sys.stderr)
        return 65
    except KeyboardInterrupt:
        print("leave_one_out: stopped; the same command goes on", file=sys.stderr)
        return 130
    print("| left out | held-back faces | right, trained with it | without it | cost, points |")
    print("|---|---:|---:|---:|---:|")
    for source, f in figures.items():
        print(f"| `{source}` | {f['n']:,} | {f['with']:.1%} | {f['without']:.1%} | {100 * f['cost']:.1f} |")
    print(json.dumps({k: {n: round(v, 4) for n, v in f.items()} for k, f in figures.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
