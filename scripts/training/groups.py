"""Evaluate the classifiers by age, sex and ethnicity, on bare portraits as a door's camera shows them.

The mask classifier also sees them with masks drawn on.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from . import augment
from .arrays import Box, Picture, Rng
from .dataset import CROP_MARGIN, Dataset
from .drawing import masks
from .records import Record

#: How often each face is shown bare, and with a mask: each time as another camera in another light shows it.
DRAWN = 2
#: Upper limits of the groups by age, in years.
AGES = (10, 20, 40, 60)
#: Names of the groups by age, from the youngest.
AGE_GROUPS = (*(f"under_{age}" for age in AGES), f"{AGES[-1]}_or_older")
#: Sides that a crop is shrunk to before it is judged, in pixels: at least, at most.
COARSE_PX = (25, 60)


def age_group(years: float) -> str:
    """Return the name of the group that an age belongs to.

    >>> [age_group(years) for years in (9, 10, 60)]
    ['under_10', 'under_20', '60_or_older']
    """
    return AGE_GROUPS[bisect.bisect_right(AGES, years)]


def groups(record: Record) -> Iterator[str]:
    """Yield the names of the groups that a person belongs to."""
    if record.age is not None:
        yield age_group(record.age)
    if record.sex is not None:
        yield record.sex
    if record.ethnicity is not None:
        yield record.ethnicity


def mask_figures_by_group(
    data: Dataset, records: Sequence[Record], masked: Callable[[Picture], bool]
) -> dict[str, dict[str, float]]:
    """Return, by group and for "all", the shares of bare and of masked faces judged rightly, their mean, and the faces.

    `masked` decides about a crop (H, W, 3) uint8 RGB. Every face is judged DRAWN times bare and DRAWN times with a mask.
    """
    bare: dict[str, list[bool]] = defaultdict(list)
    worn: dict[str, list[bool]] = defaultdict(list)
    for names, crop, rngs in _portraits(data, records):
        right_bare = [not masked(_as_at_a_door(crop, rng)) for rng in rngs]
        right_worn = [masked(_as_at_a_door(masks.draw_mask(crop, _face(crop), rng), rng)) for rng in rngs]
        for name in names:
            bare[name] += right_bare
            worn[name] += right_worn
    out = {}
    for name in _in_order(bare):
        shares = float(np.mean(bare[name])), float(np.mean(worn[name]))
        out[name] = {"bare": shares[0], "masked": shares[1], "mean": sum(shares) / 2, "n": len(bare[name]) // DRAWN}
    return out


def expression_figures_by_group(
    data: Dataset,
    records: Sequence[Record],
    probabilities: Callable[[Picture], Sequence[float]],
    agitated: Sequence[int],
    threshold: float,
) -> dict[str, dict[str, float]]:
    """Return, by group and for "all", how many portraits look agitated, how sure the classifier is, and the faces.

    `probabilities` are those of a crop (H, W, 3) uint8 RGB that shows only a face; a face is agitated if those at the
    places `agitated` sum up to `threshold`. "certainty" is the mean probability of the answer. What the people felt is
    not known: portraits are mostly calm, so that a group that is called agitated more often than others is wronged.
    """
    alarmed: dict[str, list[bool]] = defaultdict(list)
    certain: dict[str, list[float]] = defaultdict(list)
    for names, crop, rngs in _portraits(data, records):
        x1, y1, x2, y2 = (round(v) for v in _face(crop))
        given = [probabilities(_as_at_a_door(crop, rng)[y1:y2, x1:x2]) for rng in rngs]
        for name in names:
            alarmed[name] += [sum(p[k] for k in agitated) >= threshold for p in given]
            certain[name] += [max(p) for p in given]
    return {
        name: {
            "agitated": float(np.mean(alarmed[name])),
            "certainty": float(np.mean(certain[name])),
            "n": len(alarmed[name]) // DRAWN,
        }
        for name in _in_order(alarmed)
    }


def _portraits(data: Dataset, records: Sequence[Record]) -> Iterator[tuple[list[str], Picture, list[Rng]]]:
    """Yield each bare crop of a person whose group is known: "all" and the groups, the crop, and DRAWN generators."""
    for k, record in enumerate(records):
        names = list(groups(record))
        if names and record.crop and record.label == "no_mask":
            yield ["all", *names], data.picture(record), [np.random.default_rng((k, n)) for n in range(DRAWN)]


def _face(crop: Picture) -> Box:
    """Return the box of the face in a crop."""
    height, width = crop.shape[:2]
    x, y = width * (1 - 1 / CROP_MARGIN) / 2, height * (1 - 1 / CROP_MARGIN) / 2
    return x, y, width - x, height - y


def _in_order(names: Collection[str]) -> list[str]:
    """Return the names of groups, "all" first."""
    return sorted(names, key=lambda name: (name != "all", name))


def _as_at_a_door(crop: Picture, rng: Rng) -> Picture:
    """Return the crop as small, dim and blurred as a door's camera shows it."""
    return augment.lens_and_light(augment.coarse(crop, rng, *COARSE_PX), rng, 1.5)
