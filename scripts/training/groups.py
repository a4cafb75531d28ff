"""Evaluate the mask classifier by age, sex and ethnicity, on portraits that are bare and that have masks drawn on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from . import augment
from .arrays import Picture, Rng
from .dataset import CROP_MARGIN, Dataset
from .drawing import masks
from .records import Record

#: How often each face is shown bare, and with a mask.
DRAWN = 2
#: Upper limits of the groups by age, in years.
AGES = (10, 20, 40, 60)
#: Sides that a crop is shrunk to before it is judged, in pixels: at least, at most.
COARSE_PX = (25, 60)


def groups(record: Record) -> Iterator[str]:
    """Yield the names of the groups that a person belongs to."""
    if record.age is not None:
        limit = next((a for a in AGES if record.age < a), None)
        yield f"{AGES[-1]}_or_older" if limit is None else f"under_{limit}"
    if record.sex is not None:
        yield record.sex
    if record.ethnicity is not None:
        yield record.ethnicity


def group_figures(
    data: Dataset, records: Sequence[Record], masked: Callable[[Picture], bool]
) -> dict[str, dict[str, float]]:
    """Return, by group and for "all", the shares of bare and of masked faces judged rightly, their mean, and the faces.

    Takes bare crops of people whose group is known. `masked` decides about a crop (H, W, 3) uint8 RGB. Every face is
    judged DRAWN times bare and DRAWN times with a mask, each time as another camera in another light shows it.
    """
    bare: dict[str, list[bool]] = defaultdict(list)
    worn: dict[str, list[bool]] = defaultdict(list)
    for k, record in enumerate(records):
        names = list(groups(record))
        if not names or not record.crop or record.label != "no_mask":
            continue
        crop = data.picture(record)
        height, width = crop.shape[:2]
        x, y = width * (1 - 1 / CROP_MARGIN) / 2, height * (1 - 1 / CROP_MARGIN) / 2
        face = (x, y, width - x, height - y)
        rngs = [np.random.default_rng((k, n)) for n in range(DRAWN)]
        right_bare = [not masked(_as_at_a_door(crop, rng)) for rng in rngs]
        right_worn = [masked(_as_at_a_door(masks.draw_mask(crop, face, rng), rng)) for rng in rngs]
        for name in ("all", *names):
            bare[name] += right_bare
            worn[name] += right_worn
    out = {}
    for name in ("all", *sorted(bare.keys() - {"all"})) if bare else ():
        shares = float(np.mean(bare[name])), float(np.mean(worn[name]))
        out[name] = {"bare": shares[0], "masked": shares[1], "mean": sum(shares) / 2, "n": len(bare[name]) // DRAWN}
    return out


def _as_at_a_door(crop: Picture, rng: Rng) -> Picture:
    """Return the crop as small, dim and blurred as a door's camera shows it."""
    return augment.lens_and_light(augment.coarse(crop, rng, *COARSE_PX), rng, 1.5)
