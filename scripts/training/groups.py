"""Does the mask classifier judge everybody equally well? Portraits of all ages, sexes and skins, bare and with masks drawn on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edge.imaging import images
from edge.inference.perception import MaskClassifier
from edge.records import Box

from . import augment
from .arrays import Picture, Rng
from .dataset import Dataset, Record
from .drawing import masks
from .mask import AROUND, examples

#: How often each face is shown bare, and with a mask.
DRAWN = 2
#: Upper limits of the groups by age, in years.
AGES = (10, 20, 40, 60)
#: Side of the square around a face that masks are drawn in, in pixels, and the sides that it is shrunk to.
SIDE, COARSE_PX = 240, (40, 90)


def groups(record: Record) -> Iterator[str]:
    """Yield the names of the groups that a person belongs to."""
    if record.age is not None:
        limit = next((a for a in AGES if record.age < a), None)
        yield f"{AGES[-1]} or older" if limit is None else f"under {limit}"
    if record.sex is not None:
        yield record.sex
    if record.ethnicity is not None:
        yield record.ethnicity


def group_figures(
    data: Dataset, records: Sequence[Record], masked: Callable[[Picture, Box], bool]
) -> dict[str, dict[str, float]]:
    """Return, by group and for "all", the shares of bare and of masked faces judged rightly, their mean, and the faces.

    `masked` decides about a face in a picture (H, W, 3) uint8 RGB. Every face is judged DRAWN times bare
    and DRAWN times with a mask, each time as another camera in another light shows it.
    """
    bare: dict[str, list[bool]] = defaultdict(list)
    worn: dict[str, list[bool]] = defaultdict(list)
    for k, example in enumerate(e for e in examples(records) if not e.masked):
        names = ["all", *groups(example.record)]
        if len(names) == 1:
            continue
        region = images.crop_square(data.picture(example.record), example.box, SIDE, AROUND)
        x1, y1, x2, y2 = example.box
        half_w, half_h = (SIDE / AROUND / 2 * (v / max(x2 - x1, y2 - y1)) for v in (x2 - x1, y2 - y1))
        box = Box(SIDE / 2 - half_w, SIDE / 2 - half_h, SIDE / 2 + half_w, SIDE / 2 + half_h)
        rngs = [np.random.default_rng((k, n)) for n in range(DRAWN)]
        right_bare = [not masked(_as_at_a_door(region, rng), box) for rng in rngs]
        right_worn = [masked(_as_at_a_door(masks.draw_mask(region, box, rng), rng), box) for rng in rngs]
        for name in names:
            bare[name] += right_bare
            worn[name] += right_worn
    out = {}
    for name in bare:
        shares = float(np.mean(bare[name])), float(np.mean(worn[name]))
        out[name] = {"bare": shares[0], "masked": shares[1], "mean": sum(shares) / 2, "n": len(bare[name]) // DRAWN}
    return out


def _as_at_a_door(region: Picture, rng: Rng) -> Picture:
    """Return the region with a face as small, dim and blurred as a door's camera shows it."""
    return augment.lens_and_light(augment.coarse(region, rng, *COARSE_PX), rng, 1.5)


def judge(classifier: MaskClassifier) -> Callable[[Picture, Box], bool]:
    """Return the decision of the door's classifier about one face, for `group_figures`."""
    return lambda picture, box: classifier.probability(picture, box) >= classifier.threshold
