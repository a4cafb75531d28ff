"""Export the laboratory model of age and sex to 8 bits, judge it on held-back people, and write its card.

The model stays in the folder of its run: it must not become part of the product (age_sex.md says why).

    python -m training.train age_sex --data DATA DATA2 --pretrained models_tflite/mask_classifier.tflite
    python -m training.judge_age_sex --data DATA DATA2 --card scripts/training/age_sex.md

The last line of stdout is one JSON object: for each group of people, the shares judged rightly by sex, bare and with a
mask drawn on, and the mean error of the age in years.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.errors import DoorlightError
from training import age_sex_card
from training.command_line import add_data, parser_for, print_error
from training.files import replace_text
from training.records import DataError

MODEL_FILE, FIGURES = "age_sex.tflite", "age_sex.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    from training.checkpoints import TrainingError
    from training.convert import ExportError

    try:
        figures = judge(args)
        if args.card is not None:
            replace_text(args.card, age_sex_card.card(figures))
    except (DataError, DoorlightError, TrainingError, ExportError, OSError) as error:
        return print_error("judge_age_sex", error)
    print(age_sex_card.table(figures["groups"]))
    print(json.dumps(figures))
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("judge_age_sex", __doc__)
    add_data(parser)
    parser.add_argument(
        "--run", type=Path, default=Path("runs/age_sex"), help="folder of the run (default: %(default)s)"
    )
    parser.add_argument("--samples", type=int, default=200, help="faces that calibrate the activations (default: 200)")
    parser.add_argument("--card", type=Path, metavar="FILE", help="write the model card")
    return parser.parse_args(argv)


def judge(args: argparse.Namespace) -> dict[str, Any]:
    """Export the model of the run, and return its figures; both are written there too.

    Raises DataError, TrainingError, ExportError or OSError.
    """
    from training import convert, modelfile
    from training.age_sex import AgeSexTask, judged_by_group
    from training.age_sex_model import AgeSexModel
    from training.checkpoints import load_best
    from training.dataset import Dataset
    from training.files import replacing

    data = Dataset(*args.data)
    splits = data.splits()
    task = AgeSexTask(data, splits, args.data)
    net = task.build().eval()
    load_best(net, args.run / "best.pt")
    content = convert.quantise(net, task.calibration(args.samples, seed=7), _two_softmaxes)
    with replacing(args.run / MODEL_FILE) as part:
        part.write_bytes(content)
    history = (args.run / "history.jsonl").read_text(encoding="utf-8").splitlines()
    figures = {
        "bytes": len(content),
        "mmacs": round(modelfile.macs(content) / 1e6, 1),
        "parameters": sum(p.numel() for p in net.parameters()),
        "steps": json.loads(history[-1])["step"],
        "faces": {"with labels": len(task.known), "with the answers of a regression": len(task.taught)},
        "groups": judged_by_group(data, splits["test"], AgeSexModel(args.run / MODEL_FILE).answer),
    }
    replace_text(args.run / FIGURES, json.dumps(figures, indent=1) + "\n")
    return figures


def _two_softmaxes(outputs: list[Any]) -> Any:
    import tensorflow as tf

    return [tf.keras.layers.Softmax()(output) for output in outputs]


if __name__ == "__main__":
    sys.exit(main())
