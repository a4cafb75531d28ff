"""Make the picture of the main README: three frames of the demo clip, with the door's decisions drawn on them."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge import config
from edge.camera.factory import open_source
from edge.drawing import Drawing
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import Pipeline

DEMO = Path(__file__).resolve().parent / "demo"
#: The times of the three frames.
TIMES_S = (3.4, 10.8, 18.4)


def main() -> int:
    """Write demo/seen.jpg and print its path."""
    settings = config.load()
    perception = Perception(settings, manifest.load())
    pipeline = Pipeline(settings, perception)
    chosen: list[npt.NDArray[np.uint8]] = []
    drawing = Drawing(settings, perception)
    with open_source(settings.camera, str(DEMO / "door.mp4")) as source:
        while (frame := source.read()) is not None:
            decision = pipeline.step(frame)
            drawing.add_looks(decision)
            if len(chosen) < len(TIMES_S) and frame.t >= TIMES_S[len(chosen)]:
                chosen.append(drawing.draw(frame.picture, decision))
    row = cv2.resize(np.hstack(chosen), None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    out = DEMO / "seen.jpg"
    cv2.imwrite(str(out), cv2.cvtColor(row, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
