"""The part of the picture in which faces count: a zone, less the areas to ignore.

Polygons are sequences of (x, y) corners as shares of the picture's width and height, 0 to 1, x to the right, y down. A
polygon closes itself. Everything here is pure.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .records import Box

Corner = tuple[float, float]
Polygon = Sequence[Corner]

#: Points in each direction at which `Zone.share` looks whether a face counts.
GRID = 100


@dataclass(frozen=True, slots=True)
class Zone:
    """The part of the picture in which faces count: inside `zone` (default: everywhere), outside all of `ignore`."""

    zone: Polygon = ()
    ignore: Sequence[Polygon] = ()

    @property
    def is_limited(self) -> bool:
        """False if every face counts."""
        return bool(self.zone or self.ignore)

    @property
    def is_empty(self) -> bool:
        """True if no face counts, because the areas to ignore cover everything."""
        return not any(any(row) for row in self._grid())

    @property
    def share(self) -> float:
        """The share of the picture in which faces count, 0 to 1."""
        return sum(sum(row) for row in self._grid()) / GRID**2

    def _grid(self) -> Iterator[list[bool]]:
        """Yield for each row of a grid which of its places count.

        The sides of a polygon are looked at once for each row: polygons with many corners would take seconds otherwise.
        """
        centres = [(k + 0.5) / GRID for k in range(GRID)]
        for y in centres:
            inside = _crossings(y, self.zone)
            outside = [_crossings(y, area) for area in self.ignore]
            yield [
                (not self.zone or _is_odd(x, inside)) and not any(_is_odd(x, crossings) for crossings in outside)
                for x in centres
            ]

    def contains(self, x: float, y: float) -> bool:
        """Return True if a point is in the zone and in none of the areas to ignore."""
        return (not self.zone or is_inside(x, y, self.zone)) and not any(is_inside(x, y, a) for a in self.ignore)

    def counts(self, box: Box, width: int, height: int) -> bool:
        """Return True if a face counts: the centre of its box, in pixels of a picture of this size, is in the zone."""
        return self.contains((box.x1 + box.x2) / 2 / width, (box.y1 + box.y2) / 2 / height)


def _crossings(y: float, polygon: Polygon) -> list[float]:
    """Return where the sides of `polygon` cross the height `y`, from left to right."""
    sides = zip(polygon, [*polygon[1:], *polygon[:1]], strict=True)
    return sorted(x1 + (y - y1) / (y2 - y1) * (x2 - x1) for (x1, y1), (x2, y2) in sides if (y1 > y) is not (y2 > y))


def _is_odd(x: float, crossings: list[float]) -> bool:
    """Return whether an odd number of `crossings` is to the right of `x`: it is inside, as in `is_inside`."""
    return bool((len(crossings) - bisect.bisect_right(crossings, x)) % 2)


def is_inside(x: float, y: float, polygon: Polygon) -> bool:
    """Return True if a point is inside `polygon`, by the even-odd rule."""
    inside = False
    for k, (x2, y2) in enumerate(polygon):
        x1, y1 = polygon[k - 1]
        if (y1 > y) is not (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            inside = not inside
    return inside


def without_closing_corner(polygon: Polygon) -> Polygon:
    """Return `polygon` without a last corner that repeats the first one, as GeoJSON writes it."""
    return polygon[:-1] if len(polygon) > 1 and polygon[0] == polygon[-1] else polygon


def crossing_sides(polygon: Polygon) -> tuple[int, int] | None:
    """Return the numbers of two sides that cross or touch, or None.

    Side k leads from corner k to the next; k is from 1.
    """
    n = len(polygon)
    sides = [(polygon[k], polygon[(k + 1) % n]) for k in range(n)]
    for j, k in itertools.combinations(range(n), 2):
        is_next = k == j + 1 or (j == 0 and k == n - 1)
        if not is_next and _touch(*sides[j], *sides[k]):
            return j + 1, k + 1
    return None


def polygon_area(polygon: Polygon) -> float:
    """Return the area of `polygon` as a share of the picture (the shoelace formula)."""
    doubled = sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], *polygon[:1]], strict=True))
    return abs(doubled) / 2


def _touch(a: Corner, b: Corner, c: Corner, d: Corner) -> bool:
    """Return True if the lines a-b and c-d have a point in common."""

    def side(p: Corner, q: Corner, r: Corner) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    def between(p: Corner, q: Corner, r: Corner) -> bool:
        return min(p[0], q[0]) <= r[0] <= max(p[0], q[0]) and min(p[1], q[1]) <= r[1] <= max(p[1], q[1])

    c_side, d_side, a_side, b_side = side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)
    if (c_side > 0) is not (d_side > 0) and (a_side > 0) is not (b_side > 0) and c_side != d_side and a_side != b_side:
        return True
    ends = ((a, b, c, c_side), (a, b, d, d_side), (c, d, a, a_side), (c, d, b, b_side))
    return any(value == 0 and between(p, q, r) for p, q, r, value in ends)
