"""The installed TFLite runtimes, and pictures to feed the models with."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import UnavailableError
from edge.imaging import images
from edge.inference import interpreter
from edge.inference.manifest import ModelEntry
from support.paths import DEMO


def installed_runtimes() -> list[str]:
    """Return the names of the runtimes that can be imported, the preferred one first."""
    found = []
    for name in interpreter.RUNTIMES:
        try:
            found.append(interpreter.load_runtime(name)[0])
        except UnavailableError:
            continue
    return found


RUNTIMES = installed_runtimes()


def pictures(entry: ModelEntry) -> dict[str, npt.NDArray[np.uint8]]:
    """Return inputs (height, width, channels) uint8 for a model, made from the demo's picture."""
    _, height, width, channels = entry.input.shape
    photo = cv2.cvtColor(cv2.imread(str(DEMO / "still.jpg")), cv2.COLOR_BGR2RGB)
    rows, columns = photo.shape[0] // 4, photo.shape[1] // 4
    views = {
        "photo": photo,
        "mirrored": photo[:, ::-1],
        "dim": photo // 2,
        "close": photo[rows:-rows, columns:-columns],
    }
    found = {key: images.letterbox(np.ascontiguousarray(view), width, height)[0] for key, view in views.items()}
    return {key: images.grey(picture) if channels == 1 else picture for key, picture in found.items()}
