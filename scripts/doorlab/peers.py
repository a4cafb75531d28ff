"""The public models that people download, behind the same methods as our own stages, so that one code judges both.

Each is fed as its authors feed it and keeps the thresholds of their own demo. Pictures are (H, W, 3) uint8, RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge import boxes, images
from edge.errors import ModelError, Unavailable
from edge.interpreter import runtime
from edge.records import Box, Detection

from .dataset import EXPRESSIONS, Picture

Floats = npt.NDArray[np.float32]

#: Both detectors learned offsets of a box's centre and of its size's logarithm in these units (SSD, Liu et al. 2016).
CENTRE, SIZE = 0.1, 0.2


def aizoo_anchors() -> Floats:
    """AIZOO's 5,972 anchors, (n, 4) float32: centre x, centre y, width, height, as shares of the picture."""
    grids = (33, 17, 9, 5, 3)
    sizes = ((0.04, 0.056), (0.08, 0.11), (0.16, 0.22), (0.32, 0.45), (0.64, 0.72))
    levels = []
    for grid, (first, second) in zip(grids, sizes, strict=True):
        # Both sizes square, then the first in two upright shapes of the same area.
        shapes = [(first, first), (second, second), *((first * r**0.5, first / r**0.5) for r in (0.62, 0.42))]
        levels.append(_grid(grid, grid, shapes))
    return np.concatenate(levels)


def ultralight_anchors() -> Floats:
    """Ultra-Light's 4,420 anchors at 320x240, (n, 4) float32 as `aizoo_anchors`."""
    width, height = 320, 240
    levels = []
    for (across, down), sides in zip(
        ((40, 30), (20, 15), (10, 8), (5, 4)), ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256)), strict=True
    ):
        # At the coarsest strides, 32 and 64, the grid reaches below the picture: cells are spaced by the stride.
        stride = width / across
        level = _grid(across, down, [(side / width, side / height) for side in sides])
        level[:, 1] *= down * stride / height
        levels.append(level)
    return np.clip(np.concatenate(levels), 0, 1)


def _grid(across: int, down: int, shapes: Sequence[tuple[float, float]]) -> Floats:
    """Every shape (width, height) at every cell's centre, row by row, all shapes of a cell in turn."""
    y, x = np.mgrid[0:down, 0:across]
    centres = np.stack([(x.ravel() + 0.5) / across, (y.ravel() + 0.5) / down], axis=1)
    each = np.repeat(centres, len(shapes), axis=0)
    return np.concatenate([each, np.tile(shapes, (len(centres), 1))], axis=1).astype(np.float32)


def decode(offsets: Floats, anchors: Floats) -> Floats:
    """Boxes (n, 4), x1 y1 x2 y2 as shares of the picture, of what a detector said of its anchors, both (n, 4).

    >>> decode(np.array([[1, 0, 0, 0]], np.float32), np.array([[0.5, 0.5, 0.2, 0.4]], np.float32)).astype(float).round(2).tolist()
    [[0.42, 0.3, 0.62, 0.7]]
    """
    centres = anchors[:, :2] + offsets[:, :2] * CENTRE * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(offsets[:, 2:] * SIZE) / 2
    found: Floats = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
    return found


class Floating:
    """A float TFLite file with one input, (1, height, width, 3), on one thread. Raises ModelError where it is not that."""

    def __init__(self, path: Path) -> None:
        try:
            # LiteRT keeps no copy of the content: hold it for as long as the interpreter lives.
            self._content = path.read_bytes()
            self._interpreter = runtime()[1].Interpreter(model_content=self._content, num_threads=1)
            self._interpreter.allocate_tensors()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read: {error.strerror}", "give the path of the peer's file") from None
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: is not a TFLite model: {str(error).splitlines()[0]}") from None
        details = self._interpreter.get_input_details()
        if len(details) != 1 or len(details[0]["shape"]) != 4 or details[0]["dtype"] is not np.float32:
            raise ModelError(f"{path}: takes no single float picture", "is it the peer that the option names?")
        self._input = details[0]["index"]
        self.height, self.width = (int(v) for v in details[0]["shape"][1:3])

    def invoke(self, pixels: Floats) -> None:
        """Run on `pixels`, (height, width, 3) float32, scaled as the model wants them."""
        self._interpreter.set_tensor(self._input, pixels[np.newaxis])
        self._interpreter.invoke()


class Graph(Floating):
    """A detector's TFLite file, whose outputs are told apart by their last axis. Raises ModelError where it is not that."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._outputs = {int(o["shape"][-1]): o["index"] for o in self._interpreter.get_output_details()}
        if not self._outputs.keys() >= {2, 4}:
            raise ModelError(f"{path}: gives no boxes and two scores each", "is it the peer that the option names?")

    def output(self, values: int) -> Floats:
        """The output with so many values an anchor, (anchors, values)."""
        found: Floats = self._interpreter.get_tensor(self._outputs[values])[0]
        return found


class Anchored:
    """A detector with anchors; the picture is squeezed into the input's shape, as both authors do it.

    `threshold` is the least score of a face, `overlap` the IoU beyond which two boxes are one face, and `candidates`
    how many of the best anchors are looked at: those of the authors' demo.
    """

    threshold: float
    overlap: float
    candidates: int

    def __init__(self, path: Path, anchors: Floats) -> None:
        self.graph = Graph(path)
        self.graph.invoke(np.zeros((self.graph.height, self.graph.width, 3), np.float32))
        if len(self.graph.output(2)) != len(anchors):
            raise ModelError(
                f"{path}: has {len(self.graph.output(2))} anchors, expected {len(anchors)}",
                "is it the peer that the option names?",
            )
        self._anchors = anchors

    def prepare(self, picture: Picture) -> Floats:
        """The input for `picture`, (height, width, 3)."""
        raise NotImplementedError

    def scores(self, classes: Floats) -> Floats:
        """How sure each anchor, (n, 2) classes, is of a face: (n,), 0..1."""
        raise NotImplementedError

    def detect(self, picture: Picture, threshold: float | None = None) -> list[Detection]:
        """Faces in `picture`, best first; boxes in its pixels."""
        return [found for found, _ in self.look(picture, threshold)]

    def look(self, picture: Picture, threshold: float | None = None) -> list[tuple[Detection, Floats]]:
        """The same, each with both classes of its anchor."""
        self.graph.invoke(self.prepare(picture))
        offsets, classes = self.graph.output(4), self.graph.output(2)
        scores = self.scores(classes)
        best = np.argsort(-scores, kind="stable")[: self.candidates]
        best = best[scores[best] >= (self.threshold if threshold is None else threshold)]
        found = decode(offsets[best], self._anchors[best])
        best, found = (x[boxes.nms(found, scores[best], self.overlap)] for x in (best, found))
        height, width = picture.shape[:2]
        pixels = np.clip(found, 0, 1) * np.array([width, height, width, height], np.float32)
        return [
            (Detection(Box(*(float(v) for v in box)), float(scores[k])), classes[k])
            for box, k in zip(pixels, best, strict=True)
        ]


class Aizoo(Anchored):
    """AIZOO's face and mask detector, 260x260: finds faces and says of each whether it wears a mask.

    https://github.com/AIZOOTech/FaceMaskDetection (tflite_infer.py)
    """

    threshold, overlap, candidates = 0.5, 0.4, 5972

    def __init__(self, path: Path) -> None:
        super().__init__(path, aizoo_anchors())
        self._masked: dict[Box, float] = {}

    def prepare(self, picture: Picture) -> Floats:
        return cv2.resize(picture, (self.graph.width, self.graph.height)).astype(np.float32) / 255

    def scores(self, classes: Floats) -> Floats:
        best: Floats = classes.max(axis=1)
        return best

    def look(self, picture: Picture, threshold: float | None = None) -> list[tuple[Detection, Floats]]:
        found = super().look(picture, threshold)
        # Class 0 is a mask, 1 a bare face; the larger one decides.
        self._masked = {d.box: float(mask / max(mask + bare, 1e-9)) for d, (mask, bare) in found}
        return found


class AizooMask:
    """AIZOO as a mask classifier: it decides while it detects."""

    threshold = 0.5

    def __init__(self, aizoo: Aizoo) -> None:
        self._aizoo = aizoo

    def probability(self, picture: Picture, box: Box) -> float:
        """P(mask) of the face at `box` of `picture`, which the last `detect` found there."""
        return self._aizoo._masked[box]

    def probability_of_crop(self, picture: Picture) -> float | None:
        """P(mask) of the surest face in a picture that is nothing but a face; None where none is found."""
        found = self._aizoo.detect(picture)
        return self.probability(picture, found[0].box) if found else None


class UltraLight(Anchored):
    """Linzaer's Ultra-Light-Fast-Generic-Face-Detector, RFB-320: finds faces, masked or not.

    https://github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB (detect_imgs_onnx.py; config of detect_imgs.py)
    """

    threshold, overlap, candidates = 0.7, 0.3, 200

    def __init__(self, path: Path) -> None:
        super().__init__(path, ultralight_anchors())

    def prepare(self, picture: Picture) -> Floats:
        return (cv2.resize(picture, (self.graph.width, self.graph.height)).astype(np.float32) - 127) / 128

    def scores(self, classes: Floats) -> Floats:
        face: Floats = classes[:, 1]
        return face


class Xception:
    """Arriaga's mini-XCEPTION, 64x64 grey: the seven expressions. Needs TensorFlow.

    https://github.com/oarriaga/face_classification (src/utils/preprocessor.py, datasets.py). It learned from FER2013's
    Training; PublicTest and PrivateTest together chose its checkpoint. `margin` is the side of a crop in units of a
    face box's longer side: the authors cut faces as tightly as the door does, so the door's serves.
    """

    labels = EXPRESSIONS

    def __init__(self, path: Path, margin: float = 1.0) -> None:
        tf = _tensorflow("mini-XCEPTION")
        net = _keras(tf, path)
        if net.input_shape[1:] != (64, 64, 1) or net.output_shape[1:] != (len(EXPRESSIONS),):
            raise ModelError(f"{path}: takes {net.input_shape[1:]}, expected 64x64 grey and 7 answers")
        # Traced once; `predict` would build a pipeline for every picture.
        self._answer: Any = tf.function(net)
        self._margin = margin

    def probabilities(self, picture: Picture, box: Box) -> tuple[float, ...]:
        """Probabilities, in the order of `labels`, of the face at `box`."""
        return self.probabilities_of_crop(images.crop_square(picture, box, 64, self._margin))

    def probabilities_of_crop(self, crop: Picture) -> tuple[float, ...]:
        """The same for a picture that is nothing but a face, of any size."""
        return tuple(float(v) for v in np.asarray(self._answer(xception_input(crop)[np.newaxis]))[0])


def xception_input(crop: Picture) -> Floats:
    """What mini-XCEPTION is fed: grey first, then 64x64, -1..1; (64, 64, 1) float32."""
    grey = cv2.resize(images.grey(crop)[:, :, 0], (64, 64))
    pixels: Floats = (grey.astype(np.float32) / 127.5 - 1)[:, :, np.newaxis]
    return pixels


def _tensorflow(who: str) -> Any:
    try:
        import tensorflow as tf
    except ImportError:
        raise Unavailable(f"{who} needs TensorFlow, which is not installed", "pip install .[train]") from None
    return tf


def _keras(tf: Any, path: Path) -> Any:
    try:
        return tf.keras.models.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise ModelError(f"{path}: is not a Keras model: {why}", "give the path of the .hdf5, .h5 or .keras") from None


# ---- What tutorials build --------------------------------------------------------------------------------------------

#: Side of the cut-outs that the tutorials' MobileNetV2 takes.
MASK_SIDE = 224


class Haar:
    """OpenCV's Haar cascade for frontal faces (Viola and Jones 2001), which comes with OpenCV.

    Parameters as in most tutorials with it; they spare it faces below 60 pixels, and so much of its time.
    """

    def __init__(self) -> None:
        try:
            path = Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"
        except AttributeError:  # Debian's own OpenCV keeps it elsewhere
            raise Unavailable("this OpenCV brings no Haar cascades", "pip install opencv-python-headless") from None
        self._cascade = cv2.CascadeClassifier(str(path))

    def find(self, picture: Picture) -> list[Box]:
        """Faces in `picture`."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        found = self._cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=(60, 60))
        return [Box(x, y, x + w, y + h) for x, y, w, h in (map(float, box) for box in found)]


class Ssd:
    """OpenCV's own face detector, a ResNet-10 SSD at 300x300 (opencv/samples/dnn/face_detector), as Caffe files."""

    def __init__(self, prototxt: Path, weights: Path) -> None:
        try:
            self._net = cv2.dnn.readNetFromCaffe(str(prototxt), str(weights))
        except cv2.error as error:
            why = " ".join(str(error).split())
            raise ModelError(f"{prototxt}, {weights}: no Caffe model that OpenCV can read: {why}") from None

    def find(self, picture: Picture) -> list[Box]:
        """Faces in `picture` of at least the tutorials' 0.5."""
        self._net.setInput(cv2.dnn.blobFromImage(picture, 1.0, (300, 300), (104.0, 177.0, 123.0), swapRB=True))
        found = self._net.forward()[0, 0]
        height, width = picture.shape[:2]
        boxes = found[found[:, 2] > 0.5, 3:7] * np.array([width, height, width, height], np.float32)
        return [Box(*(float(v) for v in box)) for box in boxes]


class Tutorial:
    """What most tutorials build: OpenCV finds faces, a float MobileNetV2 judges a 224x224 cut-out of each, every frame.

    After Rosebrock's detect_mask_video.py, in which the detector is `Ssd`; many that followed take `Haar`.
    https://pyimagesearch.com/2020/05/04/covid-19-face-mask-detector-with-opencv-keras-tensorflow-and-deep-learning/
    """

    def __init__(self, find: Callable[[Picture], list[Box]], classify: Callable[[Floats], Floats]) -> None:
        """`classify` takes cut-outs (n, 224, 224, 3), -1..1, and gives (n, classes)."""
        self._find, self._classify = find, classify

    def look(self, picture: Picture) -> list[tuple[Box, Floats]]:
        """Faces in `picture`, each with what the classifier says of it."""
        height, width = picture.shape[:2]
        found, cuts = [], []
        for box in self._find(picture):
            x1, y1 = max(0, int(box.x1)), max(0, int(box.y1))
            x2, y2 = min(width, int(box.x2)), min(height, int(box.y2))
            if x1 < x2 and y1 < y2:
                found.append(box)
                cuts.append(cv2.resize(picture[y1:y2, x1:x2], (MASK_SIDE, MASK_SIDE)))
        if not cuts:
            return []
        return list(zip(found, self._classify(np.array(cuts, np.float32) / 127.5 - 1), strict=True))


class KerasMobileNet:
    """The tutorials' classifier in Keras, called through `predict` as they do. Needs TensorFlow.

    With `path` None it is built as they build it, with random weights: it takes the same time.
    """

    def __init__(self, path: Path | None) -> None:
        tf = _tensorflow("the tutorials' Keras model")
        # One thread, as everybody here; only possible before TensorFlow is first used.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._net = _built(tf.keras) if path is None else _keras(tf, path)
        if self._net.input_shape[1:] != (MASK_SIDE, MASK_SIDE, 3):
            raise ModelError(f"{path}: takes {self._net.input_shape[1:]}, expected 224x224 RGB")
        self._tf = tf

    def classify(self, cuts: Floats) -> Floats:
        """What `Tutorial` asks for."""
        said: Floats = self._net.predict(cuts, batch_size=32, verbose=0)
        return said

    def to_tflite(self, path: Path) -> None:
        """Write the same net as float TFLite."""
        path.write_bytes(self._tf.lite.TFLiteConverter.from_keras_model(self._net).convert())


def _built(keras: Any) -> Any:
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(MASK_SIDE, MASK_SIDE, 3))
    x = keras.layers.AveragePooling2D((7, 7))(base.output)
    x = keras.layers.Dense(128, activation="relu")(keras.layers.Flatten()(x))
    x = keras.layers.Dense(2, activation="softmax")(keras.layers.Dropout(0.5)(x))
    return keras.Model(base.input, x)


class LiteMobileNet(Floating):
    """The same net as float TFLite: the tutorial as somebody would port it to a Raspberry Pi."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if (self.height, self.width) != (MASK_SIDE, MASK_SIDE):
            raise ModelError(f"{path}: takes {self.width}x{self.height}, expected 224x224 RGB")
        self._output = self._interpreter.get_output_details()[0]["index"]

    def classify(self, cuts: Floats) -> Floats:
        """What `Tutorial` asks for, one cut-out after the other."""
        said = []
        for cut in cuts:
            self.invoke(cut)
            said.append(self._interpreter.get_tensor(self._output)[0])
        return np.array(said)
