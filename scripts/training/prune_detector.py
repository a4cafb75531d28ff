"""Make the small face detector out of a full-size one; the result is what train.py starts the small one from.

Hidden channels of the backbone are removed and the layers behind them fitted again, so that the small network sees
nearly what the full one sees. Training then makes up for the rest.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.prune_detector",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, nargs="+", help="folders with index.jsonl and images.zip")
    parser.add_argument(
        "--weights", type=Path, required=True, help="the full-size network: best.pt of a run, or its exported .tflite"
    )
    parser.add_argument("--out", type=Path, required=True, help="where the small network goes (.pt)")
    parser.add_argument("--samples", type=int, default=320, help="scenes to fit on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    from training.dataset import DataError, Dataset
    from training.detector import DetectorTask
    from training.loop import TrainingError, load_earlier, save_best
    from training.nets import FULL_DETECTOR, normalise
    from training.prune import prune

    try:
        data = Dataset(*args.data)
        splits = data.splits()
        task = DetectorTask(data, splits, FULL_DETECTOR)
        full = task.build()
        load_earlier(full, args.weights, task, args.seed)
        small = DetectorTask(data, splits).build()
        unexplained = prune(full, small, normalise(task.calibration(args.samples, args.seed)))
    except (DataError, TrainingError) as error:
        print(f"prune_detector.py: {error}", file=sys.stderr)
        return 65
    print("left unexplained by each block:", ", ".join(f"{v:.1%}" for v in unexplained), file=sys.stderr)
    save_best(args.out, small, {}, 0)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
