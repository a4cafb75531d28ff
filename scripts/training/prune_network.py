"""Prune a full-size detector or mask classifier to the size that is shipped; training.train starts from the result.

Hidden channels of the backbone are removed, and the layers behind them are fitted again, so that the outputs of the
small network are close to those of the full one. Training reduces the rest of the difference.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from training.command_line import add_data, parser_for, print_error


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = parser_for("prune_network", __doc__)
    parser.add_argument("model", choices=("detector", "mask"))
    add_data(parser)
    parser.add_argument(
        "--weights", type=Path, required=True, help="the full-size network: best.pt of a run, or its exported .tflite"
    )
    parser.add_argument("--out", type=Path, required=True, help="file for the small network (.pt)")
    parser.add_argument("--samples", type=int, default=320, help="pictures to fit on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)

    # PyTorch takes seconds to import: only after the arguments are valid.
    from training.checkpoints import TrainingError, load_earlier, save_best
    from training.dataset import Dataset
    from training.detector import DetectorTask
    from training.mask import MaskTask
    from training.nets import FULL_DETECTOR, FULL_MASK, normalise
    from training.prune import prune
    from training.records import DataError

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
        return print_error("prune_network", error)
    print("unexplained variance of each block:", ", ".join(f"{v:.1%}" for v in unexplained), file=sys.stderr)
    save_best(args.out, small, {}, 0)
    print(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
