"""The mask detector that most tutorials build: a face detector of OpenCV, and a float MobileNetV2 for each face.

After Rosebrock's detect_mask_video.py, whose face detector is `SsdDetector`; many later ones use `HaarDetector`.
https://pyimagesearch.com/2020/05/04/covid-19-face-mask-detector-with-opencv-keras-tensorflow-and-deep-learning/
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import ModelError, UnavailableError
from edge.imaging.images import Picture
from edge.records import Box
from peers.float_models import FloatModel, Floats, import_tensorflow, load_keras
from training.keras_converter import converter_of

#: The side of the face crops that the classifier takes.
MASK_SIDE_PX = 224


class HaarDetector:
    """OpenCV's Haar cascade for frontal faces (Viola and Jones 2001), which is part of OpenCV.

    The parameters are those of most tutorials. They skip faces below 60 pixels, which saves most of the time.
    """

    def __init__(self) -> None:
        data: Any = getattr(cv2, "data", None)  # Debian's OpenCV has no cv2.data
        if data is None:
            raise UnavailableError("this OpenCV has no Haar cascades", "pip install opencv-python-headless")
        self._cascade = cv2.CascadeClassifier(str(Path(data.haarcascades) / "haarcascade_frontalface_default.xml"))

    def detect(self, picture: Picture) -> list[Box]:
        """Return the faces in `picture`, (H, W, 3) uint8 RGB."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        found = self._cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=(60, 60))
        return [Box(x, y, x + w, y + h) for x, y, w, h in (map(float, box) for box in found)]


class SsdDetector:
    """OpenCV's face detector, a ResNet-10 SSD at 300x300 (opencv/samples/dnn/face_detector), from Caffe files.

    Raises ModelError if OpenCV cannot read the files.
    """

    def __init__(self, prototxt: Path, weights: Path) -> None:
        try:
            self._net = cv2.dnn.readNetFromCaffe(str(prototxt), str(weights))
        except cv2.error as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"{prototxt}, {weights}: OpenCV cannot read this Caffe model: {reason}") from None

    def detect(self, picture: Picture) -> list[Box]:
        """Return the faces in `picture`, (H, W, 3) uint8 RGB, with the tutorials' threshold of 0.5."""
        self._net.setInput(cv2.dnn.blobFromImage(picture, 1.0, (300, 300), (104.0, 177.0, 123.0), swapRB=True))
        found = self._net.forward()[0, 0]
        height, width = picture.shape[:2]
        boxes = found[found[:, 2] > 0.5, 3:7] * np.array([width, height, width, height], np.float32)
        return [Box(*(float(value) for value in box)) for box in boxes]


class MaskDetector:
    """The pipeline of the tutorials: detect faces, then classify a 224x224 crop of each, in every frame."""

    def __init__(self, detect: Callable[[Picture], list[Box]], classify: Callable[[Floats], Floats]) -> None:
        """`classify` takes crops (n, 224, 224, 3) float32, -1..1, and returns scores (n, classes)."""
        self._detect, self._classify = detect, classify

    def look(self, picture: Picture) -> list[tuple[Box, Floats]]:
        """Return the faces in `picture`, (H, W, 3) uint8 RGB, each with the scores of its classes."""
        height, width = picture.shape[:2]
        boxes, crops = [], []
        for box in self._detect(picture):
            x1, y1 = max(0, int(box.x1)), max(0, int(box.y1))
            x2, y2 = min(width, int(box.x2)), min(height, int(box.y2))
            if x1 < x2 and y1 < y2:
                boxes.append(box)
                crops.append(cv2.resize(picture[y1:y2, x1:x2], (MASK_SIDE_PX, MASK_SIDE_PX)))
        if not crops:
            return []
        return list(zip(boxes, self._classify(np.array(crops, np.float32) / 127.5 - 1), strict=True))


class KerasMobileNet:
    """The classifier of the tutorials in Keras, called through `predict` as they do. Needs TensorFlow.

    Without `path` it is built as in the tutorials, with random weights, which take the same time. Raises ModelError if
    the file is not such a model, and UnavailableError without TensorFlow.
    """

    def __init__(self, path: Path | None) -> None:
        tf = import_tensorflow("the tutorials' Keras model")
        # One thread, as for every pipeline. TensorFlow only allows it before its first use.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._net = _build(tf.keras) if path is None else load_keras(tf, path)
        if self._net.input_shape[1:] != (MASK_SIDE_PX, MASK_SIDE_PX, 3):
            raise ModelError(f"{path}: its input is {self._net.input_shape[1:]}; expected 224x224 RGB")
        self._tf = tf

    def classify(self, crops: Floats) -> Floats:
        """Return the scores of crops, as `MaskDetector` needs them."""
        scores: Floats = self._net.predict(crops, batch_size=32, verbose=0)
        return scores

    def to_tflite(self, path: Path) -> None:
        """Write the model as float TFLite."""
        path.write_bytes(converter_of(self._tf, self._net).convert())


def _build(keras: Any) -> Any:
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(MASK_SIDE_PX, MASK_SIDE_PX, 3))
    x = keras.layers.AveragePooling2D((7, 7))(base.output)
    x = keras.layers.Dense(128, activation="relu")(keras.layers.Flatten()(x))
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.Dropout(0.5)(x))
    return keras.Model(base.input, x)


class TfliteMobileNet(FloatModel):
    """The classifier of the tutorials as float TFLite: a port to a Raspberry Pi. Raises ModelError for another file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if (self.height, self.width) != (MASK_SIDE_PX, MASK_SIDE_PX):
            raise ModelError(f"{path}: its input is {self.width}x{self.height}; expected 224x224 RGB")
        self._output = self._interpreter.get_output_details()[0]["index"]

    def classify(self, crops: Floats) -> Floats:
        """Return the scores of crops, as `MaskDetector` needs them, one crop after the other."""
        scores = []
        for crop in crops:
            self.invoke(crop)
            scores.append(self._interpreter.get_tensor(self._output)[0])
        return np.array(scores)
