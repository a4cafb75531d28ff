"""mini-XCEPTION, a public model for expressions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import ModelError
from edge.imaging import images
from edge.imaging.images import Picture
from edge.records import Box
from peers.float_models import Floats, import_tensorflow, load_keras

#: The side of the model's input.
SIDE_PX = 64


class Xception:
    """Arriaga's mini-XCEPTION, 64x64 grey: the seven expressions. Needs TensorFlow.

    https://github.com/oarriaga/face_classification (src/utils/preprocessor.py, datasets.py). It was trained on
    FER2013's Training; its checkpoint was chosen by PublicTest and PrivateTest together. `margin` is the side of a crop
    in units of a face box's longer side. The authors crop faces as tightly as the door does, so that the door's margin
    is used.
    """

    labels = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")

    def __init__(self, path: Path, margin: float = 1.0) -> None:
        tf = import_tensorflow("mini-XCEPTION")
        net = load_keras(tf, path)
        if net.input_shape[1:] != (SIDE_PX, SIDE_PX, 1) or net.output_shape[1:] != (len(self.labels),):
            raise ModelError(f"{path}: its input is {net.input_shape[1:]}; expected 64x64 grey and 7 outputs")
        # Traced once: `predict` would build a pipeline for every picture.
        self._predict: Any = tf.function(net)
        self._margin = margin

    def probabilities(self, picture: Picture, box: Box) -> tuple[float, ...]:
        """Return the probabilities of the face at `box`, in the order of `labels`."""
        return self.probabilities_of_crop(images.crop_square(picture, box, SIDE_PX, self._margin))

    def probabilities_of_crop(self, crop: Picture) -> tuple[float, ...]:
        """Return the probabilities of a picture of any size that shows only a face."""
        return tuple(float(v) for v in np.asarray(self._predict(xception_input(crop)[np.newaxis]))[0])


def xception_input(crop: Picture) -> Floats:
    """Return the input of mini-XCEPTION, (64, 64, 1) float32, -1..1: first grey, then resized."""
    grey = cv2.resize(images.grey(crop)[:, :, 0], (SIDE_PX, SIDE_PX))
    pixels: Floats = (grey.astype(np.float32) / 127.5 - 1)[:, :, np.newaxis]
    return pixels
