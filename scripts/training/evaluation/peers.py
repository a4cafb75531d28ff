"""Evaluate public models by the same figures, on the same pictures as Doorlight's models."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge import config
from edge.inference.manifest import Manifest
from edge.inference.perception import FaceDetector
from peers import detectors
from peers.xception import Xception
from peers.yunet import YuNet

from .. import metrics
from ..dataset import Dataset, require
from ..figures import flat
from ..records import Record
from .detector import evaluate_detector
from .expression import evaluate_expression
from .mask import evaluate_mask
from .stages import Detector, Stages, open_stages

#: Inferences of each model in `time_in_turn`.
ROUNDS = 60


class PeerEvaluation:
    """The held-back pictures, and Doorlight's detector.

    Each method takes the file of a public model and returns its figures as scripts/peers/figures.json keeps them.
    """

    def __init__(self, folders: Sequence[Path], models: Manifest) -> None:
        self._data = Dataset(*folders)
        splits = self._data.splits()
        self._test = splits["test"]
        self._public_test = [r for r in splits["val"] if r.split is not None and r.expression is not None]
        self._models = models
        detector = open_stages("detector", config.load(), models, None).detector
        assert isinstance(detector, FaceDetector)
        self._detector = detector

    def aizoo(self, path: Path) -> dict[str, Any]:
        """Evaluate AIZOO on faces, and on masks, where it finds the faces itself."""
        peer = detectors.Aizoo(path)
        stages = Stages(peer, detectors.AizooMask(peer))
        mask = evaluate_mask(self._data, self._test, stages).figures
        found = self._detector_figures(peer, _inference(peer.graph))
        return {"name": "AIZOO", **found, "mask": flat(metrics.plain(mask))}

    def ultralight(self, path: Path) -> dict[str, Any]:
        """Evaluate Ultra-Light on faces."""
        peer = detectors.UltraLight(path)
        return {"name": "Ultra-Light RFB-320", **self._detector_figures(peer, _inference(peer.graph))}

    def yunet(self, path: Path) -> dict[str, Any]:
        """Evaluate YuNet on faces."""
        peer = YuNet(path)
        blank = np.zeros((peer.side_px * 3 // 4, peer.side_px, 3), np.uint8)
        return {"name": "YuNet-n, 640 px", **self._detector_figures(peer, lambda: peer.candidates(blank))}

    def xception(self, path: Path) -> dict[str, Any]:
        """Evaluate mini-XCEPTION on expressions. Doorlight's detector finds the faces."""
        stages = Stages(self._detector, None, Xception(path, self._models["expression_classifier"].margin))

        def figures(records: Sequence[Record], key: str) -> dict[str, Any]:
            return flat(metrics.plain(evaluate_expression(self._data, records, stages).figures), key)

        wild = [r for r in self._test if r.expression is not None]
        require(self._public_test + wild, "test", "face with an expression")
        public_figures = figures(self._public_test, "test") if self._public_test else {}
        return {"name": "mini-XCEPTION", "expression": public_figures | (figures(wild, "wild") if wild else {})}

    def _detector_figures(self, peer: Detector, infer: Callable[[], object]) -> dict[str, Any]:
        """Return the figures of a detector; `infer` runs its network once."""
        figures = evaluate_detector(self._data, self._test, Stages(peer)).figures
        ours_s, peer_s = time_in_turn(_doorlight_inference(self._detector), infer)
        return {
            "detector": flat(metrics.plain(figures)),
            "milliseconds": round(peer_s * 1e3, 2),
            "times_ours": round(peer_s / ours_s, 2),
            "ours": self._models["face_detector"].architecture,
        }


def time_in_turn(*calls: Callable[[], object]) -> list[float]:
    """Return the median processor time of each call in seconds.

    The calls take turns, so that a disturbance of the machine hits all of them alike.
    """
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, spent in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            spent.append(time.process_time() - start)
    return [float(np.median(spent)) for spent in times]


def _doorlight_inference(detector: FaceDetector) -> Callable[[], None]:
    pixels = np.zeros(detector.model.entry.input.shape[1:], np.uint8)
    return lambda: detector.model.invoke(pixels)


def _inference(graph: detectors.Graph) -> Callable[[], None]:
    pixels = np.zeros((graph.height, graph.width, 3), np.float32)
    return lambda: graph.invoke(pixels)
