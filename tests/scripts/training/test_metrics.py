"""Figures from scikit-learn against plain definitions, and the other figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn", reason="training.metrics needs the extra: pip install .[train]")

from training import metrics


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auc_counts_pairs_and_ties_half(rows: list[tuple[int, bool]]) -> None:
    positives, negatives = [s for s, p in rows if p], [s for s, p in rows if not p]
    found = metrics.auc([s for s, _ in rows], [p for _, p in rows])
    if not positives or not negatives:
        assert found is None
        return
    wins = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    assert found == pytest.approx(wins / len(positives) / len(negatives), abs=1e-6)
    x, y = metrics.roc([s for s, _ in rows], [p for _, p in rows])
    assert float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)) == pytest.approx(found)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=20))
def test_macro_f1_is_the_mean_over_the_labels_that_occur(rows: list[tuple[str, str | None]]) -> None:
    scores = []
    for label in {x for row in rows for x in row if x is not None}:
        hits = sum(t == a == label for t, a in rows)
        scores.append(2 * hits / (sum(t == label for t, _ in rows) + sum(a == label for _, a in rows)))
    found = metrics.macro_f1([t for t, _ in rows], [a for _, a in rows])
    assert found == pytest.approx(float(np.mean(scores)), abs=1e-6)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["a", "b", "x", None])), max_size=20))
def test_confusion_counts_pairs_of_rows_and_columns(rows: list[tuple[str, str | None]]) -> None:
    counts = metrics.confusion([t for t, _ in rows], [a for _, a in rows], ("a", "b", "c"), ("b", "x"))
    expected = [[sum(row == (t, a) for row in rows) for a in ("b", "x")] for t in ("a", "b", "c")]
    assert counts.tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_curves_have_one_point_for_each_score(rows: list[tuple[int, bool]]) -> None:
    scores, positive = [s for s, _ in rows], [p for _, p in rows]
    if all(positive) or not any(positive):
        return
    levels = sorted(set(scores), reverse=True)
    hits = np.array([sum(p for s, p in rows if s >= level) for level in levels])
    false = np.array([sum(not p for s, p in rows if s >= level) for level in levels])
    x, y = metrics.roc(scores, positive)
    assert x == pytest.approx([0, *false / false[-1]], abs=1e-6)
    assert y == pytest.approx([0, *hits / hits[-1]], abs=1e-6)
    recall, precision = metrics.precision_recall(scores, positive)
    assert recall == pytest.approx(hits / hits[-1], abs=1e-6)
    assert precision == pytest.approx(hits / (hits + false), abs=1e-6)


def test_macro_f1_counts_a_missing_answer_as_wrong() -> None:
    assert metrics.macro_f1(["a", "a"], ["a", None]) == pytest.approx(2 / 3)
    assert metrics.macro_f1([], []) is None


def test_precision_and_recall_at_equal_scores() -> None:
    recall, precision = metrics.precision_recall([0.9, 0.5, 0.5, 0.1], [True, False, True, False])
    assert recall.tolist() == [0.5, 1, 1]
    assert precision.tolist() == pytest.approx([1, 2 / 3, 0.5])


def test_reliability_bins() -> None:
    assert metrics.reliability([0.0, 0.05, 1.0], [False, True, True]) == [(0.025, 0.5, 2), (1.0, 1.0, 1)]


def test_reliability_counts_by_weight() -> None:
    points = metrics.reliability([0.95, 0.95, 0.15], [True, False, False], weights=[3, 1, 2])
    assert points == [(pytest.approx(0.15), 0.0, 2.0), (pytest.approx(0.95), 0.75, 4.0)]
    assert metrics.calibration_error(points) == pytest.approx((0.15 * 2 + 0.2 * 4) / 6)
    assert metrics.calibration_error([]) == 0.0
    assert metrics.reliability([], []) == []


def test_plain_has_no_nan() -> None:
    value = {"a": float("nan"), "b": [np.float32(0.5), np.inf], "c": np.arange(2), "d": None, "e": np.int64(4)}
    assert metrics.plain(value) == {"a": None, "b": [0.5, None], "c": [0, 1], "d": None, "e": 4}


def test_intervals() -> None:
    assert metrics.wilson(0, 0) is None
    assert metrics.wilson(10, 10) == (pytest.approx(0.722, abs=1e-3), 1.0)
    hit, miss = (metrics.Matched(np.array([0.9]), np.array([0]), np.array([face]), 1) for face in (0, -1))
    assert metrics.ap_interval([hit] * 5) == (1.0, 1.0)
    low, high = metrics.ap_interval([hit, miss] * 10)
    assert 0 < low < high < 1
