"""A folder in the data format of the training code, in the making."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

BOX = [10.0, 10.0, 40.0, 50.0]


class DataFolder:
    """A folder in the data format, in the making."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        folder.mkdir()

    def add(self, name: str, picture: np.ndarray, **fields: Any) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        assert cv2.imwrite(str(self.folder / name), picture)
        source, (h, w) = name.split("/")[0], picture.shape[:2]
        self.rows.append({"file": name, "source": source, "width": w, "height": h, **fields})

    def write(self, *missed: dict[str, Any]) -> Path:
        (self.folder / "index.jsonl").write_text("".join(json.dumps(r) + "\n" for r in self.rows))
        if missed:
            (self.folder / "missed.jsonl").write_text("".join(json.dumps(r) + "\n" for r in missed))
        return self.folder


def picture(seed: int, width: int = 80, height: int = 60) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 that looks like no other."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
