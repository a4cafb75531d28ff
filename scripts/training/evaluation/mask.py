"""Evaluate the mask classifier as the door uses it: a face that the detector does not find is a wrong answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import metrics, plots
from ..arrays import Box, Picture
from ..contact_sheet import Mistake
from ..dataset import Dataset
from ..groups import mask_figures_by_group
from ..records import Record
from .common import MIN_FACE_HEIGHT, RankedMistake, Result, draw_binary, draw_sheet, largest, pair, progress
from .stages import MaskStage, Stages

LABELS = ("mask", "no_mask", "incorrect")
WHAT = "P(mask)"


@dataclass(frozen=True)
class MaskAnswer:
    """The answer for one face. `score` is P(mask); None if the detector did not find the face."""

    record: Record
    label: str
    score: float | None
    box: Box | None
    threshold: float

    @property
    def answer(self) -> str | None:
        """Return "mask" or "no_mask"; None without a score."""
        return None if self.score is None else "mask" if self.score >= self.threshold else "no_mask"

    @property
    def is_right(self) -> bool:
        """A mask worn wrongly is no mask."""
        return self.answer == ("mask" if self.label == "mask" else "no_mask")


def evaluate_mask(data: Dataset, records: Sequence[Record], stages: Stages) -> Result:
    """Evaluate on faces boxed by humans, and on the most prominent face of other pictures with a label."""
    assert stages.mask is not None
    mask = stages.mask
    threshold = mask.threshold
    answers = [
        MaskAnswer(record, label, score, box, threshold)
        for record in progress(records, "mask_classifier")
        if record.human or record.label
        for label, score, box in _scores(record, data.picture(record), stages, mask)
    ]

    def draw(out: Path) -> None:
        _draw(out, answers, threshold)
        draw_sheet(data, records, _mistakes(answers), out, stages.explain)

    def masked(crop: Picture) -> bool:
        probability = mask.probability_of_crop(crop)
        return probability is not None and probability >= threshold

    figures = mask_figures(answers)
    if per_group := mask_figures_by_group(data, records, masked):
        figures["per_group"] = per_group
    return Result(figures, draw)


def _scores(
    record: Record, picture: Picture, stages: Stages, mask: MaskStage
) -> Iterator[tuple[str, float | None, Box | None]]:
    """Yield (label, P(mask) or None, box or None) of each face of a picture."""
    if record.crop:
        if record.label:
            yield record.label, mask.probability_of_crop(picture), None
    elif record.human:
        found = stages.detector.detect(picture)
        faces = record.faces or ()
        for face, owner in zip(faces, pair(faces, found), strict=True):
            is_labelled = face.by == "human" and face.label in LABELS
            if is_labelled and face.height >= MIN_FACE_HEIGHT * record.height:
                yield face.label, None if owner is None else mask.probability(picture, found[owner].box), face.box
    elif record.label:
        box = largest(stages.detector.detect(picture))
        yield record.label, None if box is None else mask.probability(picture, box), box


def mask_figures(answers: Sequence[MaskAnswer]) -> dict[str, Any]:
    """Return the figures of all answers. Masks worn wrongly count in `incorrect_refused` only."""
    judged = _without_incorrect(answers)
    right = [a.is_right for a in judged]
    per_source = {}
    for source in sorted({a.record.source for a in answers}):
        own = [a for a in answers if a.record.source == source]
        own_judged = _without_incorrect(own)
        per_source[source] = {
            "accuracy": metrics.share([a.is_right for a in own_judged]),
            "n": len(own_judged),
            "no_face": sum(a.score is None for a in own_judged),
            "incorrect_refused": _incorrect_refused(own),
        }
    return {
        "accuracy": metrics.share(right),
        "balanced_accuracy": metrics.balanced_accuracy([a.label for a in judged], right, ("mask", "no_mask")),
        "auc": metrics.auc(*_scores_and_truth(judged)),
        "n": len(judged),
        "no_face": sum(a.score is None for a in judged),
        "per_source": per_source,
        "incorrect_refused": _incorrect_refused(answers),
    }


def _without_incorrect(answers: Iterable[MaskAnswer]) -> list[MaskAnswer]:
    return [a for a in answers if a.label != "incorrect"]


def _incorrect_refused(answers: Iterable[MaskAnswer]) -> float | None:
    """Return the share of masks worn wrongly that are called no mask, of those found; None without any."""
    return metrics.share([a.is_right for a in answers if a.label == "incorrect" and a.score is not None])


def _scores_and_truth(answers: Iterable[MaskAnswer]) -> tuple[list[float], list[bool]]:
    found = [(a.score, a.label == "mask") for a in answers if a.score is not None]
    return [score for score, _ in found], [is_mask for _, is_mask in found]


def _draw(out: Path, answers: Sequence[MaskAnswer], threshold: float) -> None:
    columns = ("mask", "no_mask", "not found")
    given = [a.answer or "not found" for a in answers]
    counts = metrics.confusion([a.label for a in answers], given, LABELS, columns)
    plots.draw_confusion(out / "confusion.png", counts, LABELS, columns)
    draw_binary(out, {"mask": _scores_and_truth(_without_incorrect(answers))}, WHAT)
    groups = {label: [a.score for a in answers if a.label == label and a.score is not None] for label in LABELS}
    plots.draw_histograms(out / "scores.png", groups, WHAT, threshold)


def _mistakes(answers: Sequence[MaskAnswer]) -> list[list[RankedMistake]]:
    """Return the wrong answers by label, and the faces that were not found."""
    groups: dict[str, list[RankedMistake]] = {label: [] for label in (*LABELS, "not found")}
    for a in answers:
        file = a.record.file
        if a.score is None:
            lines = (file, f"{a.label}: not found")
            groups["not found"].append(RankedMistake(0.0, Mistake(file, a.box, lines, has_answer=False)))
        elif not a.is_right:
            lines = (file, f"{a.label}: {WHAT} {a.score:.2f}")
            groups[a.label].append(RankedMistake(abs(a.score - a.threshold), Mistake(file, a.box, lines)))
    return list(groups.values())
