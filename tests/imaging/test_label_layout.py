"""Labels cover neither boxes nor each other where there is room."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.imaging.label_layout import Layout, Rectangle, clip, overlap, place_labels

WIDTH, HEIGHT = 640, 480
LABEL = (110, 24)


def place(boxes: Sequence[Rectangle], size: tuple[int, int] = LABEL, gap: int = 2) -> Layout:
    """Place labels of one size, and check what holds for every layout."""
    layout = place_labels(WIDTH, HEIGHT, boxes, [size] * len(boxes), gap)
    assert len(layout.places) == len(boxes)
    for x1, y1, x2, y2 in layout.places:
        assert 0 <= x1 < x2 <= WIDTH
        assert 0 <= y1 < y2 <= HEIGHT
        assert (x2 - x1, y2 - y1) == (min(size[0], WIDTH), min(size[1], HEIGHT))
    return layout


def assert_free(layout: Layout, boxes: Sequence[Rectangle]) -> None:
    """Check that no label covers a box or another label."""
    assert layout.covered == 0
    assert all(overlap(label, box) == 0 for label in layout.places for box in boxes)
    assert all(overlap(one, other) == 0 for one, other in itertools.combinations(layout.places, 2))


def test_label_stands_directly_above_its_box() -> None:
    layout = place([(200, 100, 300, 220)])
    assert layout == Layout([(200, 74, 310, 98)], 0, 0)


@pytest.mark.parametrize(
    ("box", "place_"),
    [
        ((200, 10, 300, 120), (200, 122, 310, 146)),  # no room above: below
        ((600, 100, 640, 220), (530, 74, 640, 98)),  # at the right border: shifted inwards
        ((-30, 100, 50, 220), (0, 74, 110, 98)),  # partly outside
        ((200, 0, 300, 480), (302, 0, 412, 24)),  # neither above nor below: beside
    ],
)
def test_label_stays_inside_at_the_borders(box: Rectangle, place_: Rectangle) -> None:
    assert place([box]).places == [place_]


CROWDS = {
    "a row at the top": [(10 + 62 * k, 5, 66 + 62 * k, 80) for k in range(10)],
    "a row at the bottom": [(10 + 62 * k, 400, 66 + 62 * k, 479) for k in range(10)],
    "shoulder to shoulder": [(10 + 62 * k, 200 + k % 2 * 20, 70 + 62 * k, 275 + k % 2 * 20) for k in range(10)],
    "two rows": [(10 + 62 * k, 120 + 90 * j, 66 + 62 * k, 195 + 90 * j) for k in range(10) for j in range(2)],
    "overlapping faces": [(200 + 25 * k, 150 + 10 * k, 290 + 25 * k, 270 + 10 * k) for k in range(6)],
    "one in front of another": [(150, 100, 450, 400), (250, 180, 350, 300)],
    "all corners": [(-40, -30, 60, 80), (590, -20, 700, 70), (-20, 420, 70, 520), (600, 400, 690, 540)],
    "identical boxes": [(300, 200, 380, 300)] * 5,
}


@pytest.mark.parametrize("boxes", CROWDS.values(), ids=CROWDS)
def test_labels_of_a_crowd_cover_neither_faces_nor_each_other(boxes: list[Rectangle]) -> None:
    assert_free(place(boxes), boxes)


def test_label_that_is_not_at_its_box_is_counted() -> None:
    boxes = CROWDS["two rows"]
    layout = place(boxes)
    far = sum(
        not overlap(label, (x1 - 3, y1 - 3, x2 + 3, y2 + 3))
        for label, (x1, y1, x2, y2) in zip(layout.places, boxes, strict=True)
    )
    assert far == layout.detached > 0


def test_without_room_the_label_covers_as_little_as_possible() -> None:
    layout = place([(0, 0, 640, 480)])
    assert layout.covered == LABEL[0] * LABEL[1]
    # A strip at the right is free, but too narrow.
    boxes = [(0, 0, 600, 480)]
    assert place(boxes).covered == (LABEL[0] - 40) * LABEL[1]


def test_label_larger_than_the_picture_is_cut() -> None:
    assert place([(10, 10, 20, 20)], (2000, 1000)).places == [(0, 0, 640, 480)]


def test_no_boxes() -> None:
    assert place([]) == Layout([], 0, 0)


def test_same_boxes_give_the_same_places() -> None:
    assert place(CROWDS["two rows"]) == place(CROWDS["two rows"])


@given(st.lists(st.tuples(*[st.integers(-700, 1400)] * 4), max_size=8), st.integers(1, 900), st.integers(1, 600))
def test_any_boxes_have_labels_inside_the_picture(
    corners: list[tuple[int, int, int, int]], width: int, height: int
) -> None:
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    layout = place(boxes, (width, height))
    inside = [clip(box, (0, 0, WIDTH, HEIGHT)) for box in boxes]
    if not layout.covered:
        assert_free(layout, inside)


def test_random_crowds_with_room_are_free() -> None:
    """Up to eight faces of a tenth of the picture's height: there is always room."""
    random = np.random.default_rng(5)
    for _ in range(50):
        corners = random.integers((0, 0), (WIDTH - 60, HEIGHT - 60), (random.integers(1, 9), 2))
        boxes = [(int(x), int(y), int(x) + 48, int(y) + 58) for x, y in corners]
        assert_free(place(boxes), boxes)
