#!/usr/bin/env python3
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

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=("detector", "mask", "expression"))
    parser.add_argument("--data", type=Path, required=True, help="folder with index.jsonl and images.zip")
    parser.add_argument("--run", type=Path, help="the training run's folder (default: runs/MODEL)")
    parser.add_argument(
        "--models", type=Path, default=Path("models_tflite"), help="where the model goes (default: %(default)s)"
    )
    parser.add_argument(
        "--samples", type=int, default=300, help="pictures for calibrating activations (default: %(default)s)"
    )
    args = parser.parse_args()

    from doorlab.convert import ExportError
    from doorlab.dataset import DataError
    from doorlab.modelfile import ModelFileError
    from doorlab.ship import ship
    from edge.errors import DoorlightError

    try:
        report = ship(args.model, args.data, args.run or Path("runs") / args.model, args.models, args.samples)
    except (DataError, ExportError, ModelFileError, DoorlightError, OSError) as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 65
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
