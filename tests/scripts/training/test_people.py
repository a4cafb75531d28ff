"""Pairs of one person and of strangers, and the figures of an embedder."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs the extra: pip install .[train]")

from training.arrays import as_floats
from training.landmarks import Example
from training.people import CHOICES, _visits, pairs_of, people
from training.records import Record

POINTS = np.array([[70, 50], [90, 50], [80, 60], [73, 70], [87, 70]], np.float32)


def face(file: str, group: str | None, height: float = 40, source: str = "mux") -> Example:
    return Example(Record(file, source, 160, 120, group=group), (0, 0, 30, height), POINTS, False)


def test_people_have_the_largest_face_of_each_picture() -> None:
    found = people(
        [
            face("1", "ann"),
            face("1", "ann", 60),
            face("2", "ann"),
            face("3", None),
            face("4", "bob"),
            face("5", "x", source="k12"),
        ],
        ("mux",),
    )
    assert {name: [(e.record.file, e.box[3]) for e in group] for name, group in found.items()} == {
        "mux/ann": [("1", 60), ("2", 40)],
        "mux/bob": [("4", 40)],
    }


def test_pairs_are_of_one_person_or_of_strangers() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 2]], np.float32)
    pairs = pairs_of(vectors, vectors, ["ann", "ann", "bob"], ["ann", "ann", "bob"], np.tri(3, dtype=bool))
    assert pairs.same.tolist() == pytest.approx([0.8])
    assert pairs.strangers.tolist() == pytest.approx([0.0, 0.6])
    assert pairs.auc() == 1
    assert pairs.found(0.79) == pytest.approx(1)
    assert pairs.found(0.81) == 0
    assert pairs.mistaken(0.5) == 0.5


def test_a_person_with_many_pictures_counts_as_one() -> None:
    """Ann's three pictures are alike, Bob's two are not: half of the people are found, not three quarters of the pairs."""
    vectors = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    names = ["ann", "ann", "ann", "bob", "bob"]
    pairs = pairs_of(vectors, vectors, names, names, np.tri(5, dtype=bool))
    assert len(pairs.same) == 4
    assert pairs.found(0.5) == pytest.approx(0.5)
    assert float(pairs.weights.sum()) == pytest.approx(1)


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_no_larger_share_of_strangers_exceeds_the_threshold(share: float) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(0, 1, (60, 8)).astype(np.float32)
    names = [str(k // 2) for k in range(60)]
    pairs = pairs_of(vectors, vectors, names, names, np.tri(60, dtype=bool))
    assert pairs.mistaken(pairs.threshold(share)) <= share
    # One more would be too many.
    assert pairs.mistaken(pairs.threshold(share) - 1e-6) > share - 1 / len(pairs.strangers)


def test_strangers_are_more_alike_in_the_mean_of_looks() -> None:
    rng = np.random.default_rng(5)
    names = [name for name in ("ann", "bob") for _ in range(6)] + ["eve"]
    faces = {name: rng.normal(0, 1, 128) for name in set(names)}
    vectors = as_floats(np.stack([2 + faces[name] + rng.normal(0, 2, 128) for name in names]))
    visits = _visits(vectors, vectors, names)
    assert visits is not None
    assert (len(visits.strangers), len(visits.same)) == (2 * CHOICES, 2 * CHOICES)
    assert float(visits.weights.sum()) == pytest.approx(1)
    single = pairs_of(vectors, vectors, names, names, np.tri(len(names), dtype=bool))
    assert float(visits.strangers.mean()) > float(single.strangers.mean())
    assert visits.auc() > single.auc()


def test_without_enough_pictures_there_is_no_visit() -> None:
    assert _visits(as_floats(np.eye(6, 128)), as_floats(np.eye(6, 128)), ["ann"] * 3 + ["bob"] * 3) is None
    assert _visits(as_floats(np.eye(6, 128)), as_floats(np.eye(6, 128)), ["ann"] * 6) is None
