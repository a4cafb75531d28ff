"""Judge the models that people download by the same figures, on the same held-back pictures as ours.

The last line of stdout is one JSON object: a peer each, with figures as the manifest holds ours. Faces and masks are
judged on the split `test`, expressions on FER2013's PublicTest and on the whole pictures of `test`, where our own
detector finds the face. `--table` keeps the figures (scripts/speed/peers.json) and renews the comparison in a file;
alone, it does that with the figures that are kept. The peers' files are not part of this project: their authors'
pages are named in scripts/speed/peers.py.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge import config
from edge.errors import DoorlightError
from edge.inference import manifest
from edge.inference.perception import FaceDetector
from speed import peers
from training import cards, evaluate, metrics
from training.dataset import DataError, Dataset, Record, require

#: So many inferences of each, one of ours and one of theirs in turn: what disturbs the one disturbs the other.
ROUNDS = 60


class Judge:
    """The held-back pictures, and our own stages beside the peers."""

    def __init__(self, folders: Sequence[Path], models: manifest.Manifest) -> None:
        self.data = Dataset(*folders)
        splits = self.data.splits()
        self.test = splits["test"]
        self.public = [r for r in splits["val"] if r.split is not None and r.expression is not None]
        self.models = models
        self.ours: FaceDetector = evaluate.open_stages("detector", config.load(), models, None).detector

    def aizoo(self, path: Path) -> dict[str, Any]:
        """AIZOO: faces, and masks as the door would see them with it."""
        peer = peers.Aizoo(path)
        mask = evaluate.evaluate_mask(self.data, self.test, evaluate.Stages(peer, peers.AizooMask(peer))).figures
        return {"name": "AIZOO", **self._detector(peer), "mask": cards.flat(metrics.plain(mask))}

    def ultralight(self, path: Path) -> dict[str, Any]:
        """Ultra-Light: faces."""
        return {"name": "Ultra-Light RFB-320", **self._detector(peers.UltraLight(path))}

    def xception(self, path: Path) -> dict[str, Any]:
        """mini-XCEPTION: expressions."""
        peer = peers.Xception(path, self.models["expression_classifier"].margin)
        stages = evaluate.Stages(self.ours, None, peer)

        def figures(records: Sequence[Record], key: str) -> dict[str, Any]:
            return cards.flat(metrics.plain(evaluate.evaluate_expression(self.data, records, stages).figures), key)

        wild = [r for r in self.test if r.expression is not None]
        require(self.public + wild, "test", "face with an expression")
        expression = (figures(self.public, "test") if self.public else {}) | (figures(wild, "wild") if wild else {})
        return {"name": "mini-XCEPTION", "expression": expression}

    def _detector(self, peer: peers.Anchored) -> dict[str, Any]:
        figures = evaluate.evaluate_detector(self.data, self.test, evaluate.Stages(peer)).figures
        ours, theirs = race(_ours(self.ours), _theirs(peer.graph))
        return {
            "detector": cards.flat(metrics.plain(figures)),
            "milliseconds": round(theirs * 1e3, 2),
            "times_ours": round(theirs / ours, 2),
            "ours": self.models["face_detector"].architecture,
        }


def race(*calls: Callable[[], None]) -> list[float]:
    """The median time of each call in seconds, called in turn: the processor's time, which a busy machine leaves alone."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, spent in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            spent.append(time.process_time() - start)
    return [float(np.median(spent)) for spent in times]


def _ours(detector: FaceDetector) -> Callable[[], None]:
    pixels = np.zeros(detector.model.entry.input.shape[1:], np.uint8)
    return lambda: detector.model.invoke(pixels)


def _theirs(graph: peers.Graph) -> Callable[[], None]:
    pixels = np.zeros((graph.height, graph.width, 3), np.float32)
    return lambda: graph.invoke(pixels)


def _keep(found: dict[str, Any]) -> None:
    """Put new figures beside those of other peers that are kept already."""
    kept = json.loads(cards.PEERS.read_text(encoding="utf-8")) if cards.PEERS.is_file() else {}
    renewed = cards.PEERS.with_name(f"{cards.PEERS.name}.tmp")
    renewed.write_text(json.dumps(kept | found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(renewed, cards.PEERS)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate_peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", help="folders with index.jsonl and the pictures, the main one first"
    )
    parser.add_argument("--aizoo", type=Path, help="AIZOO's face_mask_detection.tflite, float")
    parser.add_argument(
        "--ultralight", type=Path, help="Ultra-Light's RFB-320 as .tflite, float, without postprocessing"
    )
    parser.add_argument("--xception", type=Path, help="fer2013_mini_XCEPTION .hdf5 (needs TensorFlow)")
    parser.add_argument("--models", type=Path, help="folder with manifest.toml (default: the shipped models)")
    parser.add_argument("--table", type=Path, help=f"keep the figures, renew the comparison in this {cards.README}")
    args = parser.parse_args(argv)
    if _peers(args) and args.data is None:
        parser.error("judging peers needs --data")
    if not _peers(args) and args.table is None:
        parser.error("nothing to do: name a peer's file, or --table")
    return args


def _peers(args: argparse.Namespace) -> dict[str, Path]:
    return {name: path for name in ("aizoo", "ultralight", "xception") if (path := getattr(args, name)) is not None}


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    # TensorFlow's messages are for those who debug it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    found: dict[str, Any] = {}
    try:
        models = manifest.load(args.models)
        if _peers(args):
            judge = Judge(args.data, models)
            for name, path in _peers(args).items():
                print(f"{name}: {path}", file=sys.stderr)
                found[name] = {
                    **getattr(judge, name)(path),
                    "file": path.name,
                    "bytes": path.stat().st_size,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "date": datetime.date.today().isoformat(),
                }
        if args.table is not None:
            _keep(found)
            cards.write_comparison(args.table, models)
    except (DataError, DoorlightError, OSError) as error:
        return evaluate.failed("evaluate_peers", error)
    print(json.dumps(found, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
