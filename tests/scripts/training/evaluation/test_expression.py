"""The figures of the expression classifier."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluation needs the extra: pip install .[train]")

from support.evaluation import A, B, World, blue_of, crop, scene
from training.evaluation.expression import is_mostly_agitated, majority
from training.records import EXPRESSIONS


def test_crops_and_whole_pictures(world: World) -> None:
    world.add(crop(blue_of("angry")), expression="angry", crop=True)
    world.add(crop(blue_of("happy")), expression="sad", crop=True)
    world.add(scene((A, 0.9, blue_of("fear")), (B, 0.9, blue_of("sad"))), expression="sad")  # B is the larger
    world.add(scene(), expression="happy")
    world.add(scene((A, 0.9, 0)), label="no_mask")
    figures = world.figures("expression")
    assert (figures["n"], figures["no_face"]) == (4, 1)
    assert figures["accuracy"] == 0.5
    assert figures["agitated_auc"] == 1.0
    counts = np.array(figures["confusion"])
    assert counts.shape == (7, 7)
    angry, happy, sad = (EXPRESSIONS.index(e) for e in ("angry", "happy", "sad"))
    assert counts.sum() == 3
    assert (counts[angry, angry], counts[sad, happy], counts[sad, sad]) == (1, 1, 1)
    assert figures["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert (figures["votes_accuracy"], figures["votes_n"], figures["votes_agitated_auc"]) == (None, 0, None)


def test_votes(world: World) -> None:
    #           a  d  f  h  s  su n  c  u  not
    clear = [6, 0, 0, 2, 0, 0, 0, 2, 0, 0]
    half = [3, 2, 0, 5, 0, 0, 0, 0, 0, 0]  # half is no majority, but agitated
    other = [0, 0, 0, 0, 0, 0, 0, 9, 1, 0]  # contempt is not one of the seven
    happy = [0, 0, 0, 9, 0, 0, 0, 0, 0, 0]
    for votes, answer in ((clear, "disgust"), (half, "angry"), (other, "sad"), (happy, "happy")):
        world.add(crop(blue_of(answer)), expression="happy", votes=votes, crop=True)
    figures = world.figures("expression")
    assert (figures["votes_n"], figures["votes_accuracy"]) == (2, 0.5)
    assert figures["votes_agitated_auc"] == 1.0
    assert figures["agitated_auc"] is None
    assert figures["accuracy"] == 0.25


def test_a_majority_is_more_than_half_of_all_votes() -> None:
    assert majority([5, 0, 0, 0, 0, 0, 0, 4, 0, 0]) == "angry"
    assert majority([5, 0, 0, 0, 0, 0, 0, 5, 0, 0]) is None
    assert majority([0] * 10) is None
    assert majority(None) is None
    assert is_mostly_agitated([2, 3, 0, 0, 0, 0, 0, 5, 0, 0])
    assert not is_mostly_agitated([2, 2, 0, 0, 0, 0, 0, 5, 0, 0])
    assert not is_mostly_agitated([0] * 10)
