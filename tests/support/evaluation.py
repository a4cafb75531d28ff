"""Fake stages of the cascade, and a data set made of drawn pictures.

In its pictures faces are rectangles whose red is 200; green is the detector's score, blue the classifiers' answer (/
255).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.imaging.images import Picture
from edge.records import Box, Detection
from training.dataset import Dataset
from training.evaluation.stages import Stages
from training.records import EXPRESSIONS

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="drawing needs the extra: pip install .[train]"
)

#: Boxes of faces; 33 %, 40 % and 8 % of the height of `scene`.
A, B, SMALL = (10, 10, 50, 60), (100, 20, 140, 80), (180, 5, 190, 17)


class FakeDetector:
    """Finds the rectangles."""

    threshold = 0.5

    def detect(self, picture: Picture, threshold: float | None = None) -> list[Detection]:
        _, _, stats, centres = cv2.connectedComponentsWithStats((picture[..., 0] == 200).astype(np.uint8))
        found = []
        for (x, y, w, h, _), centre in zip(stats[1:], centres[1:], strict=True):
            score = float(picture[round(centre[1]), round(centre[0]), 1]) / 255
            if score >= (self.threshold if threshold is None else threshold):
                found.append(Detection(Box(float(x), float(y), float(x + w), float(y + h)), score))
        return sorted(found, key=lambda d: -d.score)


class FakeMask:
    """Answers blue as P(mask)."""

    threshold = 0.6

    def probability(self, picture: Picture, box: Box) -> float:
        return float(picture[int(box.y1 + box.y2) // 2, int(box.x1 + box.x2) // 2, 2]) / 255

    def probability_of_crop(self, crop: Picture) -> float:
        return float(crop[crop.shape[0] // 2, crop.shape[1] // 2, 2]) / 255


class FakeExpression:
    """Answers the expression with the index blue / 10, with 0.4; the others get 0.1. Its labels have another order."""

    labels = tuple(reversed(EXPRESSIONS))

    def probabilities(self, picture: Picture, box: Box) -> tuple[float, ...]:
        return self.probabilities_of_crop(picture[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)])

    def probabilities_of_crop(self, crop: Picture) -> tuple[float, ...]:
        answer = EXPRESSIONS[int(crop[crop.shape[0] // 2, crop.shape[1] // 2, 2]) // 10]
        return tuple(0.4 if label == answer else 0.1 for label in self.labels)


STAGES = Stages(FakeDetector(), FakeMask(), FakeExpression(), 0.65)


def scene(*faces: tuple[tuple[int, int, int, int], float, float], size: tuple[int, int] = (200, 150)) -> Picture:
    """Return a picture, (H, W, 3) uint8 RGB, with faces ((x1, y1, x2, y2), score 0..1, blue 0..1)."""
    picture = np.full((size[1], size[0], 3), 60, np.uint8)
    for (x1, y1, x2, y2), score, blue in faces:
        picture[y1:y2, x1:x2] = 200, round(score * 255), round(blue * 255)
    return picture


def crop(blue: float) -> Picture:
    """Return a picture that shows only a face."""
    return scene(((0, 0, 48, 48), 0.0, blue), size=(48, 48))


class World:
    """A data set that a test fills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []

    def add(self, picture: Picture, source: str = "made", **fields: Any) -> str:
        """Add a picture with these fields of its record; return its file name."""
        name = f"{source}/{len(self.rows):04d}.png"
        (self.folder / source).mkdir(exist_ok=True)
        assert cv2.imwrite(str(self.folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        row = {"file": name, "source": source, "width": picture.shape[1], "height": picture.shape[0], **fields}
        self.rows.append(row)
        return name

    def write(self) -> Path:
        """Write the index; return the folder."""
        (self.folder / "index.jsonl").write_text("".join(json.dumps(r) + "\n" for r in self.rows))
        return self.folder

    def figures(self, task: str) -> dict[str, Any]:
        """Return the figures of a task with STAGES."""
        from training.evaluate import TASKS  # needs the extra `train`

        data = Dataset(self.write())
        return TASKS[task](data, data.records, STAGES).figures


def human(box: tuple[int, int, int, int], label: str = "no_mask") -> dict[str, Any]:
    """Return the field of a face that a human boxed."""
    return {"box": list(box), "label": label, "by": "human"}


def blue_of(expression: str) -> float:
    """Return the blue for which FakeExpression answers `expression`."""
    return EXPRESSIONS.index(expression) * 10 / 255
