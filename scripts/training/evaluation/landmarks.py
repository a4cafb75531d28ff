"""Evaluate the landmarks as the door finds them: in the boxes of its own detector.

The truth is a teacher's points, which are a guess under a mask. The error is that of `landmarks.error`. A second
question is asked of the same faces: how often is the mask classifier right about heads that are turned? `[landmarks]
max_turn` was chosen by it, on the validation split.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.imaging.head_turn import head_turn

from .. import contact_sheet, metrics, plots
from ..arrays import Box, Floats, Picture, as_floats
from ..dataset import Dataset
from ..landmarks import Example, error, examples, is_turned
from ..records import Record
from .common import MAX_MISTAKES, Result, pair_boxes, progress
from .stages import Stages

#: The minimum IoU of a labelled face and the detection in which its landmarks are searched.
MIN_IOU = 0.4
#: Limits of the turns (degrees) between which the answers of the mask classifier are counted.
TURNS = (0, 10, 20, 30, 35, 40, 45, 50, 60, 75, 90.1)


@dataclass(frozen=True)
class LandmarkAnswer:
    """The landmarks of one face, (5, 2) pixels, and P(mask); None if the detector did not find the face."""

    face: Example
    box: Box | None
    points: Floats | None
    mask_probability: float | None

    @property
    def error(self) -> float:
        """Return the mean distance from the teacher's points divided by the distance between the eyes."""
        assert self.points is not None
        return error(self.points, self.face.points)

    @property
    def is_turned(self) -> bool:
        """Return whether the head is turned, by the teacher's points."""
        return is_turned(self.face.points)

    @property
    def turn(self) -> float:
        """Return the turn in degrees, 0 to 90, by the model's points."""
        assert self.points is not None
        return abs(head_turn(self.points))


def evaluate_landmarks(data: Dataset, records: Sequence[Record], stages: Stages) -> Result:
    """Evaluate on all faces with landmarks."""
    answers = [answer for record in progress(records, "face_landmarks") for answer in _answers(record, data, stages)]

    def draw(out: Path) -> None:
        _draw(out, data, answers)

    threshold = 0.5 if stages.mask is None else stages.mask.threshold
    figures = landmark_figures(answers) | {"by_turn": mask_by_turn(answers, threshold)}
    figures["per_source"] = {
        source: landmark_figures([a for a in answers if a.face.record.source == source])
        for source in sorted({a.face.record.source for a in answers})
    }
    return Result(figures, draw)


def _answers(record: Record, data: Dataset, stages: Stages) -> Iterable[LandmarkAnswer]:
    """Yield the answer for each face of a picture that has landmarks."""
    faces = examples([record])
    if not faces:
        return
    assert stages.landmarks is not None
    assert stages.mask is not None
    picture = data.picture(record)
    found = stages.detector.detect(picture)
    for face, owner in zip(faces, pair_boxes([f.box for f in faces], found, MIN_IOU), strict=True):
        if owner is None:
            yield LandmarkAnswer(face, None, None, None)
            continue
        box = found[owner].box
        points = as_floats(np.array(stages.landmarks.find(picture, box), np.float32))
        yield LandmarkAnswer(face, box, points, stages.mask.probability(picture, box))


def landmark_figures(answers: Sequence[LandmarkAnswer]) -> dict[str, Any]:
    """Return the mean errors of bare and of masked faces, of frontal and of turned ones, with 95 % intervals."""
    found = [a for a in answers if a.points is not None]
    groups = {
        f"{side}{name}": [
            a for a in found if a.face.masked is masked and (is_turned is None or a.is_turned is is_turned)
        ]
        for side, is_turned in (("", None), ("frontal_", False), ("turned_", True))
        for name, masked in (("bare", False), ("masked", True))
    }
    figures: dict[str, Any] = {}
    for name, own in groups.items():
        errors = np.array([a.error for a in own])
        figures[name] = float(errors.mean()) if len(errors) else None
        figures[f"{name}_95"] = metrics.mean_interval(errors)
        figures[f"{name}_n"] = len(errors)
    return {**figures, "no_face": len(answers) - len(found)}


def mask_by_turn(answers: Sequence[LandmarkAnswer], threshold: float) -> dict[str, dict[str, Any]]:
    """Return how often the mask classifier is right about bare and about masked faces, by the turn of the head.

    Counts are (right, of all). Faces without a label of a mask are left out.
    """
    out = {}
    for low, high in itertools.pairwise(TURNS):
        own = [a for a in answers if a.points is not None and a.face.is_labelled and low <= a.turn < high]
        counts = {}
        for name, masked in (("bare", False), ("masked", True)):
            right = [((a.mask_probability or 0.0) >= threshold) is masked for a in own if a.face.masked is masked]
            counts[name] = [sum(right), len(right)]
        out[f"{low:g} to {high:.0f}"] = counts
    return out


def _draw(out: Path, data: Dataset, answers: Sequence[LandmarkAnswer]) -> None:
    found = [a for a in answers if a.points is not None]
    groups = {"bare": [a for a in found if not a.face.masked], "masked": [a for a in found if a.face.masked]}
    for file, quantity, limits, across in (
        ("by_turn.png", lambda a: abs(head_turn(a.face.points)), TURNS, "turn of the head, degrees"),
        ("by_size.png", lambda a: a.box.height, (28, 40, 60, 90, 130, 200, 400, 2000), "height of the face, pixels"),
    ):
        curves = {name: ([quantity(a) for a in own], [a.error for a in own]) for name, own in groups.items()}
        plots.draw_means(out / file, curves, limits, across, "mean error / distance of the eyes")
    for file, ranked in (
        ("faces.png", [own[:: max(1, len(own) // (MAX_MISTAKES // 2))] for own in groups.values()]),
        ("worst.png", [sorted(own, key=lambda a: -a.error) for own in groups.values()]),
    ):
        chosen = contact_sheet.interleave(ranked, MAX_MISTAKES)
        contact_sheet.write(out / file, [_tile(data.picture(a.face.record), a) for a in chosen])


def _tile(picture: Picture, answer: LandmarkAnswer) -> Picture:
    """Return a tile with the teacher's points in green and the model's in red."""
    assert answer.box is not None
    assert answer.points is not None
    shown = picture.copy()
    radius = max(1, round((answer.box[3] - answer.box[1]) / 50))
    for points, colour in ((answer.face.points, (0, 220, 0)), (answer.points, (255, 0, 0))):
        for x, y in points:
            cv2.circle(shown, (round(float(x)), round(float(y))), radius, colour, -1, cv2.LINE_AA)
    lines = (answer.face.record.file, f"error {100 * answer.error:.1f} %")
    return contact_sheet.tile(shown, answer.box, lines)
