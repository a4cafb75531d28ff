"""Boxes: examples by hand, and properties of any set of boxes, also the empty set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.imaging import boxes

Floats = npt.NDArray[np.float32]

NONE = np.empty((0, 4), np.float32)


def array(*rows: tuple[float, float, float, float]) -> Floats:
    return np.array(rows, np.float32).reshape(-1, 4)


coordinate = st.integers(-50, 50).map(float) | st.floats(-1e4, 1e4, width=32)


@st.composite
def box_sets(draw: st.DrawFn, max_size: int = 8) -> Floats:
    """Generate boxes (N, 4): many overlap, some have no area, some are inverted."""
    return array(*draw(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), max_size=max_size)))


@st.composite
def scored_boxes(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Generate boxes (N, 4) and scores (N,), some of them equal."""
    found = draw(box_sets(12))
    scores = draw(st.lists(st.integers(0, 8), min_size=len(found), max_size=len(found)))
    return found, np.array(scores, np.float32) / 8


class TestCells:
    def test_centres_row_by_row(self) -> None:
        assert boxes.cells(24, 16, [8]).tolist() == [
            [4, 4, 8], [12, 4, 8], [20, 4, 8],
            [4, 12, 8], [12, 12, 8], [20, 12, 8],
        ]  # fmt: skip

    def test_levels_keep_the_order_of_the_strides(self) -> None:
        found = boxes.cells(32, 32, [32, 16])
        assert found.tolist() == [[16, 16, 32], [8, 8, 16], [24, 8, 16], [8, 24, 16], [24, 24, 16]]
        assert found.dtype == np.float32

    @pytest.mark.parametrize(("width", "height"), [(256, 192), (320, 240), (64, 96)])
    def test_number_of_cells(self, width: int, height: int) -> None:
        found = boxes.cells(width, height, [8, 16, 32])
        assert len(found) == sum((width // s) * (height // s) for s in (8, 16, 32))
        assert len(np.unique(found, axis=0)) == len(found)
        assert (found[:, :2] > 0).all()
        assert (found[:, :2] < (width, height)).all()


class TestDecode:
    @pytest.mark.parametrize(
        ("distances", "cell", "box"),
        [
            ((1, 1, 1, 2), (12, 12, 8), (4, 4, 20, 28)),
            ((0, 0, 0, 0), (12, 12, 8), (12, 12, 12, 12)),
            ((0.5, 1, 1.5, 2), (16, 48, 32), (0, 16, 64, 112)),
            ((-1, 1, -3, 1), (12, 12, 8), (12, 4, 12, 20)),  # negative distances count as zero
            ((2, 2, 1, 1), (4, 4, 8), (-12, -12, 12, 12)),  # boxes are not clipped to the picture
        ],
    )
    def test_examples(self, distances: tuple[float, ...], cell: tuple[float, ...], box: tuple[float, ...]) -> None:
        assert boxes.decode(np.array([distances], np.float32), np.array([cell], np.float32)).tolist() == [list(box)]

    def test_empty(self) -> None:
        found = boxes.decode(NONE, np.empty((0, 3), np.float32))
        assert (found.shape, found.dtype) == ((0, 4), np.dtype(np.float32))

    @given(st.lists(st.tuples(*[st.floats(-8, 8, width=32)] * 4), min_size=1, max_size=8))
    def test_box_contains_its_cell(self, distances: list[tuple[float, ...]]) -> None:
        cells = boxes.cells(64, 64, [16])[: len(distances)]
        found = boxes.decode(np.array(distances, np.float32), cells)
        assert (found[:, :2] <= cells[:, :2]).all()
        assert (found[:, 2:] >= cells[:, :2]).all()


class TestOverlap:
    @pytest.mark.parametrize(
        ("a", "b", "expected"),
        [
            ((0, 0, 2, 2), (0, 0, 2, 2), 1),
            ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
            ((0, 0, 4, 4), (1, 1, 3, 3), 1 / 4),
            ((0, 0, 2, 2), (2, 0, 4, 2), 0),  # touching
            ((0, 0, 2, 2), (5, 5, 6, 6), 0),
            ((-2, -2, 0, 0), (-1, -2, 1, 0), 1 / 3),
            ((0, 0, 0, 0), (0, 0, 0, 0), 0),  # without area there is no overlap
            ((2, 2, 0, 0), (0, 0, 2, 2), 0),  # an inverted box has no area
        ],
    )
    def test_examples(
        self, a: tuple[float, float, float, float], b: tuple[float, float, float, float], expected: float
    ) -> None:
        assert boxes.iou(array(a), array(b)) == pytest.approx(expected)

    @pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0), (2, 3)])
    def test_shape(self, n: int, m: int) -> None:
        one = array((0, 0, 2, 2))
        found = boxes.iou(np.repeat(one, n, axis=0), np.repeat(one, m, axis=0))
        assert (found.shape, found.dtype) == ((n, m), np.dtype(np.float32))

    def test_areas(self) -> None:
        assert boxes.areas(array((0, 0, 2, 3), (1, 1, 1, 9), (4, 4, 0, 0))).tolist() == [6, 0, 0]
        assert boxes.areas(NONE).shape == (0,)

    @given(box_sets(), box_sets())
    def test_iou_is_symmetric_and_within_0_and_1(self, a: Floats, b: Floats) -> None:
        found = boxes.iou(a, b)
        assert (found >= 0).all()
        assert (found <= 1 + 1e-6).all()
        np.testing.assert_array_equal(found, boxes.iou(b, a).T)

    @given(box_sets())
    def test_iou_of_a_box_with_itself_is_1(self, a: Floats) -> None:
        has_area = boxes.areas(a) > 1e-6
        np.testing.assert_allclose(np.diag(boxes.iou(a, a))[has_area], 1, rtol=1e-5)


class TestSuppression:
    def test_best_box_of_each_group_is_kept(self) -> None:
        found = array((0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60), (0, 1, 10, 11))
        assert boxes.nms(found, np.array([0.6, 0.9, 0.7, 0.8], np.float32), 0.5).tolist() == [1, 2]

    def test_suppressed_box_suppresses_no_other(self) -> None:
        """In a chain of three, the middle box is dropped and the last one is kept."""
        found = array((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10))
        assert boxes.nms(found, np.array([0.9, 0.8, 0.7], np.float32), 0.4).tolist() == [0, 2]

    def test_equal_scores_keep_their_order(self) -> None:
        """Needs many boxes: NumPy's quicksort is stable for a few."""
        apart = np.array([[20 * k, 0, 20 * k + 10, 10] for k in range(100)], np.float32)
        assert boxes.nms(apart, np.tile(np.array([0.5, 0.7], np.float32), 50), 0.5).tolist() == [
            *range(1, 100, 2),
            *range(0, 100, 2),
        ]
        twice = array((0, 0, 10, 10), (50, 50, 60, 60), (0, 0, 10, 10))
        assert boxes.nms(twice, np.full(3, 0.5, np.float32), 0.5).tolist() == [0, 1]

    @pytest.mark.parametrize("n", [0, 1])
    def test_no_box_and_one_box(self, n: int) -> None:
        kept = boxes.nms(np.zeros((n, 4), np.float32), np.ones(n, np.float32), 0.5)
        assert kept.tolist() == list(range(n))
        assert np.issubdtype(kept.dtype, np.integer)

    @given(scored_boxes(), st.sampled_from([0.1, 0.45, 0.9]))
    def test_kept_boxes_do_not_overlap_and_dropped_ones_overlap_a_better_one(
        self, given_boxes: tuple[Floats, Floats], threshold: float
    ) -> None:
        found, scores = given_boxes
        kept = boxes.nms(found, scores, threshold)
        assert len(set(kept.tolist())) == len(kept)
        assert (np.diff(scores[kept]) <= 0).all()
        overlap = boxes.iou(found, found)
        for a in kept:
            assert all(overlap[a, b] <= threshold for b in kept if b != a)
        for dropped in set(range(len(found))) - set(kept.tolist()):
            assert any(overlap[dropped, k] > threshold and scores[k] >= scores[dropped] for k in kept)

    @given(scored_boxes())
    def test_kept_boxes_are_kept_again(self, given_boxes: tuple[Floats, Floats]) -> None:
        found, scores = given_boxes
        kept = boxes.nms(found, scores, 0.45)
        assert boxes.nms(found[kept], scores[kept], 0.45).tolist() == list(range(len(kept)))
