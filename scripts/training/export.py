"""Turn the best weights of a training run into a shipped model: 8-bit TFLite, manifest row and model card.

Everything is checked before anything is replaced: ops and versions for the Edge TPU, no float left, the decisions of
LiteRT and tflite-runtime against each other and against the float network, on validation data. Thresholds and
calibration are chosen on validation data, figures come from the test split. A kill leaves the old model intact.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=("detector", "mask", "expression"))
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        nargs="+",
        help="folders with index.jsonl and images.zip, the main one first",
    )
    parser.add_argument("--run", type=Path, help="the training run's folder (default: runs/MODEL)")
    parser.add_argument(
        "--models", type=Path, default=Path("models_tflite"), help="where the model goes (default: %(default)s)"
    )
    parser.add_argument(
        "--samples", type=int, default=300, help="pictures for calibrating activations (default: %(default)s)"
    )
    args = parser.parse_args()

    from edge.errors import DoorlightError
    from training.convert import ExportError
    from training.dataset import DataError
    from training.export_model import ship
    from training.modelfile import ModelFileError

    try:
        report = ship(args.model, args.data, args.run or Path("runs") / args.model, args.models, args.samples)
    except (DataError, ExportError, ModelFileError, DoorlightError, OSError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 65
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
