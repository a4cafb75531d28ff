"""Prune a full-size detector or mask classifier to the size that is shipped; training.train starts from the result.

Hidden channels of the backbone are removed and the layers behind them fitted again, so that the small network sees
nearly what the full one sees. Training then makes up for the rest.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.prune_network",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", choices=("detector", "mask"))
    parser.add_argument("--data", type=Path, required=True, nargs="+", help="folders with index.jsonl and images.zip")
    parser.add_argument(
        "--weights", type=Path, required=True, help="the full-size network: best.pt of a run, or its exported .tflite"
    )
    parser.add_argument("--out", type=Path, required=True, help="where the small network goes (.pt)")
    parser.add_argument("--samples", type=int, default=320, help="pictures to fit on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    from training.dataset import DataError, Dataset
    from training.detector import DetectorTask
    from training.loop import TrainingError, load_earlier, save_best
    from training.mask import MaskTask
    from training.nets import FULL_DETECTOR, FULL_MASK, normalise
    from training.prune import prune

    try:
        data = Dataset(*args.data)
        splits = data.splits()
        task: DetectorTask | MaskTask
        if args.model == "detector":
            task, hidden = DetectorTask(data, splits), FULL_DETECTOR
        else:
            task, hidden = MaskTask(data, splits), FULL_MASK
        small = task.build()
        full = type(small)(hidden)
        load_earlier(full, args.weights, task, args.seed)
        unexplained = prune(full, small, normalise(task.calibration(args.samples, args.seed)))
    except (DataError, TrainingError) as error:
        print(f"prune_network: {error}", file=sys.stderr)
        return 65
    print("left unexplained by each block:", ", ".join(f"{v:.1%}" for v in unexplained), file=sys.stderr)
    save_best(args.out, small, {}, 0)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
