"""Fake networks of the public detectors, and pictures for them.

A face is a rectangle whose red is full. Its blue is the score, its green P(mask).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge.imaging.images import Picture
from peers import detectors
from peers.float_models import Floats

#: Two places for a face, (x1, y1, x2, y2).
LEFT, RIGHT = (64, 48, 192, 240), (384, 96, 512, 336)

Face = tuple[tuple[int, int, int, int], float, float]


class FakeGraph(detectors.Graph):
    """AIZOO's network as a perfect detector: the two anchors nearest to a face report it."""

    anchors = detectors.aizoo_anchors()
    size = (260, 260)

    def __init__(self, path: Path) -> None:
        self.width, self.height = self.size
        self.pixels: Floats = np.zeros(0, np.float32)
        self._answers: dict[int, Floats] = {}

    def classes(self, masked: float, score: float) -> tuple[float, float]:
        """Return the scores of both classes of an anchor."""
        return (score * masked, score * (1 - masked))

    def invoke(self, pixels: Floats) -> None:
        assert pixels.shape == (self.height, self.width, 3)
        assert pixels.dtype == np.float32
        self.pixels = pixels
        offsets, classes = np.zeros((len(self.anchors), 4), np.float32), np.zeros((len(self.anchors), 2), np.float32)
        scaled = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1e-6)
        _, _, rectangles, _ = cv2.connectedComponentsWithStats((scaled[..., 0] > 0.9).astype(np.uint8))
        for x, y, w, h, _ in rectangles[1:]:
            face = np.array([(x + w / 2) / self.width, (y + h / 2) / self.height, w / self.width, h / self.height])
            # Two anchors report the same face, the nearer one with a higher score.
            for rank, k in enumerate(np.argsort(np.abs(self.anchors - face).sum(1), kind="stable")[:2]):
                anchor = self.anchors[k]
                offsets[k] = [*((face[:2] - anchor[:2]) / anchor[2:] / 0.1), *(np.log(face[2:] / anchor[2:]) / 0.2)]
                _, masked, score = (float(v) for v in scaled[y + h // 2, x + w // 2])
                classes[k] = self.classes(masked, score - 0.01 * rank)
        self._answers = {4: offsets, 2: classes}

    def output(self, values: int) -> Floats:
        return self._answers[values]


class FakeUltraLight(FakeGraph):
    """Ultra-Light's network as a perfect detector."""

    anchors = detectors.ultralight_anchors()
    size = (320, 240)

    def classes(self, masked: float, score: float) -> tuple[float, float]:
        return (1 - score, score)


def draw_faces(*faces: Face) -> Picture:
    """Return a black picture, (480, 640, 3) uint8 RGB, with faces (box, P(mask), score)."""
    picture = np.zeros((480, 640, 3), np.uint8)
    for (x1, y1, x2, y2), masked, score in faces:
        picture[y1:y2, x1:x2] = 255, round(masked * 255), round(score * 255)
    return picture


def pixels_of(graph: detectors.Graph) -> Floats:
    """Return the last input of a fake network."""
    assert isinstance(graph, FakeGraph)
    return graph.pixels
