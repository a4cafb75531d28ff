"""Which faces count: the zone, the areas to ignore, and polygons that make no sense."""

from __future__ import annotations

import pytest

from edge.records import Box
from edge.zone import Corner, Zone, crossing_sides, is_inside, polygon_area, without_closing_corner

SQUARE: list[Corner] = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]
#: Two corners swapped: an hourglass.
HOURGLASS = [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]]
#: A U: the middle of its upper half is outside.
U_SHAPE: list[Corner] = [(0.1, 0.1), (0.3, 0.1), (0.3, 0.7), (0.7, 0.7), (0.7, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]


def face_at(x: float, y: float) -> Box:
    """Return a face of 40 x 60 pixels with its centre at a share of a 640 x 480 picture."""
    return Box(x * 640 - 20, y * 480 - 30, x * 640 + 20, y * 480 + 30)


@pytest.mark.parametrize(
    ("polygon", "x", "y", "inside"),
    [
        (SQUARE, 0.5, 0.5, True),
        (SQUARE, 0.2, 0.5, False),
        (SQUARE, 0.8, 0.5, False),
        (SQUARE, 0.5, 0.1, False),
        (SQUARE[::-1], 0.5, 0.5, True),
        (U_SHAPE, 0.2, 0.3, True),
        (U_SHAPE, 0.5, 0.3, False),
        (U_SHAPE, 0.5, 0.8, True),
        # A ray through corners must count them once.
        ([(0.5, 0.1), (0.9, 0.5), (0.5, 0.9), (0.1, 0.5)], 0.05, 0.5, False),
        ([(0.5, 0.1), (0.9, 0.5), (0.5, 0.9), (0.1, 0.5)], 0.3, 0.5, True),
    ],
)
def test_point_in_polygon(polygon: list[Corner], x: float, y: float, inside: bool) -> None:
    assert is_inside(x, y, polygon) is inside


def test_every_face_counts_without_a_zone() -> None:
    zone = Zone()
    assert not zone.is_limited
    assert zone.counts(face_at(0.99, 0.01), 640, 480)


def test_a_face_counts_where_its_centre_is() -> None:
    zone = Zone(SQUARE)
    assert zone.is_limited
    assert zone.counts(face_at(0.26, 0.5), 640, 480)
    assert not zone.counts(face_at(0.24, 0.5), 640, 480)


def test_areas_to_ignore_are_cut_out_of_the_zone() -> None:
    left: list[Corner] = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    zone = Zone(SQUARE, [left])
    assert not zone.counts(face_at(0.4, 0.5), 640, 480)
    assert zone.counts(face_at(0.6, 0.5), 640, 480)
    assert not Zone((), [left]).counts(face_at(0.1, 0.1), 640, 480)
    assert Zone((), [left]).counts(face_at(0.9, 0.1), 640, 480)


def test_a_zone_that_is_all_ignored_is_empty() -> None:
    around: list[Corner] = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]
    assert Zone(SQUARE, [around]).is_empty
    assert not Zone((), [around]).is_empty
    # Two halves together.
    halves: list[list[Corner]] = [[(a, 0.0), (a + 0.5, 0.0), (a + 0.5, 1.0), (a, 1.0)] for a in (0.0, 0.5)]
    assert Zone((), halves).is_empty
    assert not Zone((), halves[:1]).is_empty


@pytest.mark.parametrize(
    ("polygon", "sides"),
    [
        (SQUARE, None),
        (U_SHAPE, None),
        (SQUARE[:3], None),
        (HOURGLASS, (1, 3)),
        # A corner that lies on another side, and one corner given twice.
        ([*SQUARE, (0.5, 0.25)], (1, 4)),
        ([*SQUARE[:2], SQUARE[0], *SQUARE[2:]], (1, 3)),
    ],
)
def test_sides_that_cross(polygon: list[Corner], sides: tuple[int, int] | None) -> None:
    assert crossing_sides(polygon) == sides


def test_polygon_area() -> None:
    assert polygon_area(SQUARE) == pytest.approx(0.25)
    assert polygon_area(SQUARE[::-1]) == pytest.approx(0.25)
    assert polygon_area([(0.1, 0.1), (0.5, 0.5), (0.9, 0.9)]) == pytest.approx(0)


@pytest.mark.parametrize("polygon", [SQUARE, U_SHAPE])
def test_a_polygon_may_repeat_its_first_corner_at_the_end(polygon: list[Corner]) -> None:
    closed = [*polygon, polygon[0]]
    assert without_closing_corner(closed) == without_closing_corner(polygon) == polygon
    points = [(x / 20, y / 20) for x in range(21) for y in range(21)]
    assert [is_inside(*point, closed) for point in points] == [is_inside(*point, polygon) for point in points]
