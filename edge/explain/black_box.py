"""The answer of each stage to a face of which parts are removed, as log-odds.

The classifiers' probabilities have 8 bits. Close to 0 and 1 they do not change any more: a mask that is 99.9 % certain
stays at 255 of 255 when a part of it is removed. Log-odds, log(p / (1 - p)), stretch both ends, and parts add up in
them. A stored 0 counts as half a step, and so does a stored 255 for masks and faces (see `perception.log_odds`): log-odds
are finite, and a score there is a bound. A method has to remove enough of a face to leave that bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..imaging import boxes, images
from ..imaging.images import Picture
from ..inference.interpreter import RawOutput
from ..inference.perception import ExpressionClassifier, FaceDetector, MaskClassifier, log_odds
from ..records import Box

#: (S, S) float32, 0..1: the share of each pixel that is kept; the rest is replaced by the blurred picture.
Keep = npt.NDArray[np.float32]

#: Side of the map of the face stage, and of the square that it covers, in units of the longer side of the face's box.
FACE_SIZE_PX, FACE_MARGIN = 96, 1.8
#: A cell of the detector sees the face if its box has this IoU with the face's box.
SAME_FACE_IOU = 0.35
#: Standard deviation of the blur that replaces what is removed, in units of the side. A face that is blurred so leaves
#: the mask classifier undecided (mean log-odds +0.3 if masked, -0.3 if not; 40 validation faces each). With 1/8 it still
#: sees the mask (+2.5).
BLUR = 1 / 4


@dataclass(frozen=True)
class BlackBox:
    """A question to a model about one face.

    `pixels` (S, S, 3) uint8 RGB is the square around the face, `window` its place in the picture. `answer` is what the
    score is for, such as "a mask". `score` returns the log-odds of the answer if only `keep` is left of the pixels.
    `is_bounded` says whether the answer to the whole face is at the end of the 8 bits: then the score is a bound.
    """

    pixels: Picture
    window: Box
    answer: str
    score: Callable[[Keep], float]
    is_bounded: bool = False

    @property
    def size(self) -> int:
        """The side of `pixels` and of a map."""
        return int(self.pixels.shape[0])


def blurred(pixels: Picture) -> Picture:
    """Return `pixels` (H, W, 3) uint8 without their details: what stands for a part that is removed.

    A grey or black patch would look like a mask.
    """
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), BLUR * max(pixels.shape[:2])), np.uint8)


def blend(pixels: Picture, background: Picture, keep: Keep) -> Picture:
    """Return `pixels` where `keep` (H, W) is 1 and `background` where it is 0; all pictures are (H, W, 3) uint8."""
    return np.asarray(cv2.blendLinear(pixels, background, keep, 1 - keep), np.uint8)


def mask_box(classifier: MaskClassifier, picture: Picture, box: Box) -> BlackBox:
    """Return the question whether the face at `box` wears a mask."""
    model = classifier.model
    pixels, window = _crop(picture, box, model.entry.input.shape[1], model.entry.margin)
    background = blurred(pixels)

    def score(keep: Keep) -> float:
        return logit(classifier.probability_of_crop(blend(pixels, background, keep)))

    classifier.probability_of_crop(pixels)
    return BlackBox(pixels, window, "a mask", score, _is_at_end(model.raw("probabilities")))


def expression_box(
    classifier: ExpressionClassifier, picture: Picture, box: Box, agitated: Sequence[str] = ()
) -> BlackBox:
    """Return the question about the most likely expression of the face at `box`.

    The expressions in `agitated` count as one, as for the door's alarm.
    """
    model = classifier.model
    pixels, window = _crop(picture, box, model.entry.input.shape[1], model.entry.margin)
    background = blurred(pixels)
    whole = classifier.probabilities_of_crop(pixels)
    is_bounded = _is_at_end(model.raw("probabilities"))
    together = tuple(label for label in classifier.labels if label in agitated)
    groups = [together] * bool(together) + [(label,) for label in classifier.labels if label not in together]
    group = max(groups, key=lambda labels: classifier.agitation(whole, labels))
    others = [label for label in classifier.labels if label not in group]

    def score(keep: Keep) -> float:
        given = classifier.probabilities_of_crop(blend(pixels, background, keep))
        # Not 1 - p: rounding would leave nothing of it.
        return math.log(classifier.agitation(given, group) / classifier.agitation(given, others))

    return BlackBox(pixels, window, " or ".join(group), score, is_bounded)


def face_box(detector: FaceDetector, picture: Picture, box: Box) -> BlackBox:
    """Return the question whether there is a face at `box`: the best score of the detector's cells that see it."""
    model = detector.model
    entry = model.entry
    _, height, width, _ = entry.input.shape
    whole, letterbox = images.letterbox(picture, width, height)
    cells = boxes.cells(width, height, entry.strides)
    own = letterbox.to_input(np.array([box], np.float32))
    pixels, window = _crop(picture, box, FACE_SIZE_PX, FACE_MARGIN)
    # The place of the window in the model's input: the rest of the input is kept.
    x1, y1, x2, y2 = (round(float(v)) for v in letterbox.to_input(np.array([window], np.float32))[0])
    x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    seen = np.ascontiguousarray(whole[top:bottom, left:right])
    background = blurred(seen)

    def score(keep: Keep) -> float:
        small = np.asarray(cv2.resize(keep, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA), np.float32)
        part = np.ascontiguousarray(small[top - y1 : bottom - y1, left - x1 : right - x1])
        changed = whole.copy()
        changed[top:bottom, left:right] = blend(seen, background, part)
        model.invoke(changed)
        raw = model.raw("scores")[:, 0]
        chosen = np.flatnonzero(raw > np.iinfo(raw.dtype).min)
        found = boxes.decode(model.dequantized("distances", model.raw("distances")[chosen]), cells[chosen])
        same = chosen[boxes.iou(found, own)[:, 0] >= SAME_FACE_IOU]
        return log_odds(float(model.dequantized("scores", raw[same]).max(initial=0.0)))

    score(np.ones((FACE_SIZE_PX, FACE_SIZE_PX), np.float32))
    return BlackBox(pixels, window, "a face", score, _is_at_end(model.raw("scores")))


def logit(probability: float) -> float:
    """Return log(p / (1 - p)) of a calibrated probability, which is never 0 or 1.

    >>> logit(0.5)
    0.0
    """
    return math.log(probability / (1 - probability))


def _crop(picture: Picture, box: Box, size: int, margin: float) -> tuple[Picture, Box]:
    """Return the square that a classifier gets, (size, size, 3), and its place in the picture."""
    height, width = picture.shape[:2]
    window = Box(*(float(v) for v in images.square_around(width, height, box, margin)))
    return images.crop_square(picture, box, size, margin), window


def _is_at_end(raw: RawOutput) -> bool:
    """Return whether the highest of the stored probabilities is the highest that there is."""
    return bool(raw.max() == np.iinfo(raw.dtype).max)
