"""Where people walk."""

from __future__ import annotations

import numpy as np
import pytest

from training.walkups.paths import Knot, Path, path

WIDTH, HEIGHT = 640, 480


def test_a_path_goes_through_its_knots() -> None:
    there = Path((Knot(1.0, 0.2, 0.36, 0.08), Knot(3.0, 0.6, 0.45, 0.4), Knot(5.0, 0.6, 0.45, 0.4)))
    for knot in there.knots:
        place = there.at(knot.t, WIDTH, HEIGHT)
        assert place is not None
        assert (place.x, place.y, place.face) == pytest.approx((knot.x * WIDTH, knot.y * HEIGHT, knot.face * HEIGHT))
    assert there.at(0.9, WIDTH, HEIGHT) is None
    assert there.at(5.1, WIDTH, HEIGHT) is None


def test_somebody_who_comes_nearer_grows_fastest_at_the_end() -> None:
    there = Path((Knot(0.0, 0.5, 0.36, 0.08), Knot(2.0, 0.5, 0.45, 0.4)))
    faces = [place.face for t in (0.2, 0.6, 1.0, 1.4) if (place := there.at(t, WIDTH, HEIGHT))]
    growth = np.diff(faces)
    assert (growth > 0).all()
    assert (np.diff(growth) > 0).all()


def test_who_stands_does_not_sway() -> None:
    rng = np.random.default_rng(0)
    stands = path([(0, 0.5, 0.4, 0.3), (4, 0.5, 0.4, 0.3)], rng)
    walks = path([(0, 0.1, 0.4, 0.3), (4, 0.9, 0.4, 0.3)], rng)

    def spread(there: Path) -> float:
        return float(np.ptp([p.y for k in range(40) if (p := there.at(k / 10, WIDTH, HEIGHT))]))

    assert spread(stands) < 0.01
    assert spread(walks) > 1
