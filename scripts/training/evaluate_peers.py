"""Evaluate public models by the same figures, on the same held-back pictures as Doorlight's models.

The last line of stdout is one JSON object with the figures of each model, as the manifest holds ours. Faces and masks
are evaluated on the split `test`, expressions on FER2013's PublicTest and on the whole pictures of `test`, where
Doorlight's detector finds the face. `--table` keeps the figures (scripts/peers/figures.json) and updates the comparison
in a file; without a model, it updates the comparison from the kept figures. The model files are not part of this
project: scripts/peers/README.md has their addresses.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.errors import DoorlightError
from edge.inference import manifest
from training import comparison
from training.command_line import add_data, parser_for, print_error
from training.evaluation.peers import PeerEvaluation
from training.files import replace_text
from training.records import DataError

#: The options that name a model file; each is also a method of PeerEvaluation.
PEERS = ("aizoo", "ultralight", "yunet", "xception")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow prints messages for its developers
    found: dict[str, Any] = {}
    try:
        models = manifest.load(args.models)
        if files := _files(args):
            evaluation = PeerEvaluation(args.data, models)
            for name, path in files.items():
                print(f"{name}: {path}", file=sys.stderr)
                found[name] = {**getattr(evaluation, name)(path), **_describe_file(path)}
        if args.table is not None:
            _keep(found)
            comparison.write_comparison(args.table, models)
    except (DataError, DoorlightError, OSError) as error:
        return print_error("evaluate_peers", error)
    print(json.dumps(found, allow_nan=False))
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("evaluate_peers", __doc__)
    add_data(parser, required=False)
    parser.add_argument("--aizoo", metavar="FILE", type=Path, help="AIZOO's face_mask_detection.tflite, float")
    parser.add_argument(
        "--ultralight",
        metavar="FILE",
        type=Path,
        help="Ultra-Light's RFB-320 as .tflite, float, without postprocessing",
    )
    parser.add_argument("--yunet", metavar="FILE", type=Path, help="YuNet-n as .onnx (needs ONNX Runtime)")
    parser.add_argument("--xception", metavar="FILE", type=Path, help="fer2013_mini_XCEPTION .hdf5 (needs TensorFlow)")
    parser.add_argument(
        "--models", metavar="DIR", type=Path, help="folder with manifest.toml (default: the shipped models)"
    )
    parser.add_argument(
        "--table",
        metavar="FILE",
        type=Path,
        help=f"keep the figures, and update the comparison in this {comparison.README}",
    )
    args = parser.parse_args(argv)
    if _files(args) and args.data is None:
        parser.error("a public model needs --data")
    if not _files(args) and args.table is None:
        parser.error("nothing to do: give the file of a public model, or --table")
    return args


def _files(args: argparse.Namespace) -> dict[str, Path]:
    """Return the model files on the command line, by name of the model."""
    return {name: path for name in PEERS if (path := getattr(args, name)) is not None}


def _describe_file(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {
        "file": path.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "date": datetime.date.today().isoformat(),
    }


def _keep(found: dict[str, Any]) -> None:
    """Add figures to the file of kept figures. Those of other models stay."""
    kept = json.loads(comparison.PEERS.read_text(encoding="utf-8")) if comparison.PEERS.is_file() else {}
    replace_text(comparison.PEERS, json.dumps(kept | found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
