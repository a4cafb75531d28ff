"""Explain one answer about one face: a pure function from a picture to a heat map, a score and words."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError, UsageError
from ..imaging.images import Picture
from ..inference.perception import Perception, sigmoid
from ..records import Box
from .black_box import BlackBox, expression_box, face_box, mask_box
from .methods import HEAT_MAPS, Heat, Method
from .regions import Influence, influences, sentences

#: Best on validation faces, see models_tflite/README.md.
DEFAULT_METHOD = Method.LIME
#: Number of regions that are put in words.
STRONGEST = 3


class Stage(enum.Enum):
    """What is explained: an answer of one model."""

    MASK = "mask"
    EXPRESSION = "expression"
    FACE = "face"


class MaskedError(InputError):
    """The face wears a mask, and the settings do not ask for expressions above a mask."""


@dataclass(frozen=True)
class Explanation:
    """Why a model gave its answer about one face.

    `answer` is what the score is for: "a mask", an expression, "a face". `log_odds` is the score of the whole face: 0 is
    undecided, positive is for the answer. If `is_bounded`, the model's 8 bits end there, and the score may be stronger.
    `face` is the face's box, `window` the square that the map covers, both in pixels of the picture. `pixels` (S, S, 3)
    uint8 RGB is that square as it was explained. `heat` (S, S) float32 is how much each pixel speaks for the answer, in
    log-odds; against it if negative. `regions` has the parts of the face, the strongest first. `is_above_mask` is True for an
    expression that is guessed from what a mask leaves.
    """

    stage: Stage
    method: Method
    answer: str
    log_odds: float
    is_bounded: bool
    face: Box
    window: Box
    pixels: Picture
    heat: Heat
    regions: tuple[Influence, ...]
    is_above_mask: bool = False

    @property
    def probability(self) -> float:
        """The probability of the answer, 0..1."""
        return sigmoid(self.log_odds)

    @property
    def strongest(self) -> tuple[Influence, ...]:
        """The regions that are put in words."""
        return self.regions[:STRONGEST]

    @property
    def sentences(self) -> list[str]:
        """The strongest regions in words: ["mouth and chin: against a mask"]."""
        return sentences(self.strongest, self.answer)

    @property
    def verdict(self) -> str:
        """The answer in words: "no mask, 99 % sure"; "happy, 72 % sure"; "perhaps happy above the mask, 72 %"."""
        name = self.answer.removeprefix("a ")
        if self.stage is Stage.MASK and self.log_odds < 0:
            return f"no {name}, {percent(1 - self.probability)} sure"
        if self.is_above_mask:
            return f"perhaps {name} above the mask, {percent(self.probability)}"
        return f"{name}, {percent(self.probability)} sure"


def percent(share: float) -> str:
    """Return a share as a percentage that is never rounded to 100.

    >>> percent(0.912), percent(0.9987), percent(0.99999)
    ('91 %', '99.9 %', 'more than 99.9 %')
    """
    if share > 0.9995:
        return "more than 99.9 %"
    return f"{100 * share:.1f} %" if share >= 0.995 else f"{100 * share:.0f} %"


def require_stage(perception: Perception, stage: Stage) -> None:
    """Raise UsageError if the settings turn `stage` off."""
    if stage is Stage.EXPRESSION and perception.expression is None:
        raise UsageError(
            "--stage expression: the settings turn it off ([expression] enabled = false)", "use --stage mask"
        )


def explain(
    perception: Perception,
    picture: Picture,
    box: Box,
    stage: Stage = Stage.MASK,
    method: Method = DEFAULT_METHOD,
    agitated: Sequence[str] = (),
) -> Explanation:
    """Explain the answer of `stage` about the face at `box` of `picture`, (H, W, 3) uint8 RGB.

    `agitated` are the expressions that count as one, `[expression] agitated` of the settings. The same arguments give
    the same explanation.

    Raises UsageError if the settings turn the expression stage off, and MaskedError if the expression of a masked face is
    asked for, unless the settings ask for expressions above a mask.
    """
    if stage is Stage.FACE:
        return explain_question(face_box(perception.detector, picture, box), box, stage, method)
    if stage is Stage.MASK:
        return explain_question(mask_box(perception.mask, picture, box), box, stage, method)
    require_stage(perception, stage)
    classifier = perception.expression
    is_masked = perception.mask.probability(picture, box) >= perception.mask.threshold
    if is_masked:
        classifier = perception.masked_expression
        if classifier is None:
            raise MaskedError("wears a mask: the door does not read the expression", "use --stage mask")
    assert classifier is not None
    found = explain_question(expression_box(classifier, picture, box, agitated), box, stage, method)
    return replace(found, is_above_mask=is_masked)


def explain_question(question: BlackBox, face: Box, stage: Stage, method: Method = DEFAULT_METHOD) -> Explanation:
    """Explain the answer to `question` about the face at `face`, in pixels of the picture."""
    heat = HEAT_MAPS[method](question)
    return Explanation(
        stage=stage,
        method=method,
        answer=question.answer,
        log_odds=question.score(np.ones((question.size, question.size), np.float32)),
        is_bounded=question.is_bounded,
        face=face,
        window=question.window,
        pixels=question.pixels,
        heat=heat,
        regions=influences(heat, question.window, face),
    )
