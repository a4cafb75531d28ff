"""Evaluate the expression classifier: crops as they are, other pictures through the detector.

A face that the detector does not find is a wrong answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics, plots
from ..arrays import Box, Picture
from ..contact_sheet import Mistake
from ..dataset import Dataset
from ..groups import expression_figures_by_group
from ..records import EXPRESSIONS, Record
from .common import RankedMistake, Result, draw_binary, draw_sheet, largest, progress
from .stages import ExpressionStage, Stages

AGITATED = ("angry", "disgust")
WHAT = "P(angry or disgust)"
#: The door's default.
AGITATED_THRESHOLD = 0.5


@dataclass(frozen=True)
class ExpressionAnswer:
    """The answer for one face. `probabilities` are in the order of EXPRESSIONS; None if the face was not found."""

    record: Record
    probabilities: tuple[float, ...] | None
    box: Box | None

    @property
    def answer(self) -> str | None:
        """The most probable expression."""
        return None if self.probabilities is None else EXPRESSIONS[int(np.argmax(self.probabilities))]

    @property
    def agitation(self) -> float:
        """The sum of the probabilities of AGITATED, 0..1."""
        return min(1.0, sum(self.probability(e) for e in AGITATED))

    def probability(self, expression: str) -> float:
        """Return the probability of an expression; 0 if the face was not found."""
        return 0.0 if self.probabilities is None else self.probabilities[EXPRESSIONS.index(expression)]


def evaluate_expression(data: Dataset, records: Sequence[Record], stages: Stages) -> Result:
    """Evaluate on pictures with an expression or votes."""
    expression = stages.expression
    assert expression is not None
    answers = [
        answer(record, data.picture(record), stages, expression)
        for record in progress(records, "expression_classifier")
        if record.expression is not None or (record.crop and record.votes)
    ]
    results = ExpressionResults(answers)

    def draw(out: Path) -> None:
        _draw(out, results)
        draw_sheet(data, records, _mistakes(results.labelled), out, stages.explain)

    figures = results.figures()
    agitated = [expression.labels.index(e) for e in AGITATED]
    if per_group := expression_figures_by_group(
        data, records, expression.probabilities_of_crop, agitated, AGITATED_THRESHOLD
    ):
        figures["per_group"] = per_group
    return Result(figures, draw)


def answer(record: Record, picture: Picture, stages: Stages, expression: ExpressionStage) -> ExpressionAnswer:
    """Return the answer of `expression` about the face of a crop, or about the largest face that the detector finds."""
    if record.crop:
        box, probabilities = None, expression.probabilities_of_crop(picture)
    elif (box := largest(stages.detector.detect(picture))) is not None:
        probabilities = expression.probabilities(picture, box)
    else:
        return ExpressionAnswer(record, None, None)
    by_label = dict(zip(expression.labels, probabilities, strict=True))
    return ExpressionAnswer(record, tuple(by_label[e] for e in EXPRESSIONS), box)


class ExpressionResults:
    """Answers compared with labels and with votes. The lists leave out what has no label, no majority, no face."""

    def __init__(self, answers: Sequence[ExpressionAnswer]) -> None:
        self.labelled = [a for a in answers if a.record.expression is not None]
        self.truth = [a.record.expression or "" for a in self.labelled]
        self.found = [a for a in self.labelled if a.probabilities is not None]
        #: (majority of the votes, answer)
        self.majorities = [(m, a.answer) for a in answers if (m := majority(a.record.votes)) is not None]
        #: (agitation, is agitated) of faces found: by label, and by votes.
        self.by_label = [a.agitation for a in self.found], [a.record.expression in AGITATED for a in self.found]
        voted = [(a, v) for a in answers if (v := a.record.votes) and sum(v) and a.probabilities is not None]
        self.by_votes = [a.agitation for a, _ in voted], [is_mostly_agitated(votes) for _, votes in voted]
        self.confusion = metrics.confusion(self.truth, [a.answer for a in self.labelled], EXPRESSIONS, EXPRESSIONS)

    def figures(self) -> dict[str, Any]:
        answers = [a.answer for a in self.labelled]
        return {
            "accuracy": metrics.share([t == a for t, a in zip(self.truth, answers, strict=True)]),
            "macro_f1": metrics.macro_f1(self.truth, answers),
            "agitated_auc": metrics.auc(*self.by_label),
            "n": len(self.labelled),
            "no_face": len(self.labelled) - len(self.found),
            "confusion": self.confusion,
            "votes_accuracy": metrics.share([m == a for m, a in self.majorities]),
            "votes_n": len(self.majorities),
            "votes_agitated_auc": metrics.auc(*self.by_votes),
        }


def majority(votes: Sequence[int] | None) -> str | None:
    """Return the expression with more than half of all votes, including those for none of the seven; None without
    one."""
    for expression, count in zip(EXPRESSIONS, votes or (), strict=False):
        if 2 * count > sum(votes or ()):
            return expression
    return None


def is_mostly_agitated(votes: Sequence[int]) -> bool:
    """Return True if at least half of all votes are for AGITATED."""
    return 2 * sum(votes[EXPRESSIONS.index(e)] for e in AGITATED) >= sum(votes) > 0


def _draw(out: Path, results: ExpressionResults) -> None:
    plots.draw_confusion(out / "confusion.png", results.confusion, EXPRESSIONS, EXPRESSIONS)
    chosen, answers = [m for m, _ in results.majorities], [a for _, a in results.majorities]
    by_votes = metrics.confusion(chosen, answers, EXPRESSIONS, EXPRESSIONS)
    plots.draw_confusion(out / "confusion_votes.png", by_votes, EXPRESSIONS, EXPRESSIONS)
    draw_binary(out, {"by label": results.by_label, "by votes": results.by_votes}, WHAT)
    groups = {
        "agitated": [s for s, is_agitated in zip(*results.by_label, strict=True) if is_agitated],
        "calm": [s for s, is_agitated in zip(*results.by_label, strict=True) if not is_agitated],
    }
    plots.draw_histograms(out / "scores.png", groups, WHAT, None)
    best = [max(a.probabilities or ()) for a in results.found]
    right = [a.answer == a.record.expression for a in results.found]
    plots.draw_reliability(out / "reliability_answer.png", best, right, "P(answer)")


def _mistakes(labelled: Sequence[ExpressionAnswer]) -> list[list[RankedMistake]]:
    """Return the wrong answers, and the faces that were not found."""
    wrong, not_found = [], []
    for a in labelled:
        file, expression = a.record.file, a.record.expression or ""
        if a.probabilities is None:
            what = f"{expression}: no face found"
            not_found.append(RankedMistake(0.0, Mistake(file, None, (file, what), has_answer=False)))
        elif a.answer != expression:
            best = max(a.probabilities)
            votes = f"votes: {majority(a.record.votes) or 'divided'}" if a.record.votes else ""
            lines = (file, f"{expression}, answer {a.answer} {best:.2f}", votes)
            wrong.append(RankedMistake(best - a.probability(expression), Mistake(file, a.box, lines)))
    return [wrong, not_found]
