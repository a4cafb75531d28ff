"""Turn the best weights of a training run into a shipped model: 8-bit TFLite, manifest row and model card.

Everything is checked before a file is replaced: op versions for the Edge TPU, no float tensor, and on validation data
the decisions of LiteRT, tflite-runtime and the float network. Thresholds and calibration are chosen on validation data,
figures come from the test split. If the command is killed, the old model stays usable.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.errors import DoorlightError
from training.command_line import add_data, parser_for, print_error
from training.records import DataError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = parser_for("export", __doc__)
    parser.add_argument(
        "model", choices=("detector", "mask", "expression", "masked_expression", "landmarks", "embedding")
    )
    add_data(parser)
    parser.add_argument("--run", type=Path, help="folder of the training run (default: runs/MODEL)")
    parser.add_argument(
        "--models", type=Path, default=Path("models_tflite"), help="folder for the model (default: %(default)s)"
    )
    parser.add_argument(
        "--samples", type=int, default=300, help="pictures that calibrate the activations (default: %(default)s)"
    )
    args = parser.parse_args(argv)

    # PyTorch and TensorFlow take seconds to import: only after the arguments are valid.
    from training.checkpoints import TrainingError
    from training.convert import ExportError
    from training.export_model import export
    from training.modelfile import ModelFileError

    try:
        report = export(args.model, args.data, args.run or Path("runs") / args.model, args.models, args.samples)
    except (DataError, ExportError, ModelFileError, TrainingError, DoorlightError, OSError) as error:
        return print_error("export", error)
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
