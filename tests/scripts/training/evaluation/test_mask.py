"""The figures of the mask classifier."""

from __future__ import annotations

import pytest

pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluation needs the extra: pip install .[train]")

from support.evaluation import SMALL, A, B, World, crop, human, scene


def test_faces_boxed_by_humans(world: World) -> None:
    far = (150, 100, 190, 145)
    world.add(
        scene((A, 0.9, 0.9), (B, 0.9, 0.55), (SMALL, 0.9, 0.9)),
        "ilc",
        faces=[human(A, "mask"), human(B, "mask"), human(far, "no_mask"), human(SMALL, "no_mask")],
        label="no_mask",  # the labels of boxes take precedence over that of the picture
    )
    world.add(scene((A, 0.9, 0.2), (B, 0.9, 0.8)), "maks", faces=[human(A, "incorrect"), human(B, "incorrect")])
    world.add(scene((A, 0.4, 0.2)), "maks", faces=[human(A, "incorrect")])  # below the threshold: not found
    figures = world.figures("mask")
    # Right: A. Wrong: B (0.55 is below the manifest's 0.6), far (not found). SMALL does not count.
    assert (figures["n"], figures["no_face"]) == (3, 1)
    assert figures["accuracy"] == pytest.approx(1 / 3)
    assert figures["balanced_accuracy"] == 0.25
    assert figures["auc"] is None  # no face without a mask was found
    assert figures["incorrect_refused"] == 0.5
    assert figures["per_source"] == {
        "ilc": {"accuracy": pytest.approx(1 / 3), "n": 3, "no_face": 1, "incorrect_refused": None},
        "maks": {"accuracy": None, "n": 0, "no_face": 0, "incorrect_refused": 0.5},
    }


def test_the_label_of_a_picture_is_for_its_largest_face(world: World) -> None:
    world.add(scene((A, 0.99, 0.1), (B, 0.6, 0.9)), label="mask")  # B is larger, A has the better score
    world.add(scene((A, 0.9, 0.1)), label="no_mask", faces=[{"box": list(B), "label": "mask", "by": "teacher"}])
    world.add(scene(), label="no_mask")
    world.add(crop(0.95), "k12", label="mask", crop=True)
    world.add(crop(0.7), "k12", label="no_mask", crop=True)
    world.add(scene((A, 0.9, 0.1)))  # without a label: does not count
    figures = world.figures("mask")
    assert (figures["n"], figures["no_face"]) == (5, 1)
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["balanced_accuracy"] == pytest.approx((1 + 1 / 3) / 2)
    assert figures["auc"] == 1.0
    assert figures["incorrect_refused"] is None
    assert figures["per_source"]["k12"]["accuracy"] == 0.5
