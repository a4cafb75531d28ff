"""Parts of a face, from its box alone, and how much each speaks for an answer.

The places are the medians of 372 faces (validation data, the detector's boxes): eyes at 37 % of the box's height, nose
tip at 58 %, mouth at 73 %. A head that is turned or tilted has them elsewhere: the words are approximate, the map is not.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..records import Box

#: Regions whose mean is below this, in log-odds, speak neither for nor against.
MIN_INFLUENCE = 0.05


class Region(enum.Enum):
    """A part of a face, or what is around it."""

    FOREHEAD = "forehead"
    EYES = "eyes"
    NOSE = "nose"
    MOUTH = "mouth"
    CHIN = "chin"
    CHEEKS = "cheeks"
    HAIR = "hair and ears"
    SURROUNDINGS = "surroundings"


class Influence(NamedTuple):
    """How much a region speaks for the answer: the mean of the map in it, in log-odds; against it if negative."""

    region: Region
    log_odds: float


#: Rectangles (left, top, right, bottom) in units of the face's box, inside the oval of the face.
_PARTS = {
    Region.FOREHEAD: (-0.1, -0.2, 1.1, 0.27),
    Region.EYES: (-0.1, 0.27, 1.1, 0.47),
    Region.NOSE: (0.33, 0.47, 0.67, 0.64),
    Region.MOUTH: (0.24, 0.64, 0.76, 0.82),
    Region.CHIN: (0.2, 0.82, 0.8, 1.2),
}
#: Half axes of the oval of the face, and of that of head and hair, around the middle of the box.
_FACE, _HEAD = (0.5, 0.53), (0.75, 0.8)
#: Below this height, the oval of the head holds neck and clothes.
_HAIR_END = 0.75


def region_map(size: int, window: Box, face: Box) -> npt.NDArray[np.intp]:
    """Return the region of each pixel, (size, size), as its index in Region.

    The square map covers `window`; it and the box `face` are in pixels of the same picture.
    """
    centres = (np.arange(size) + 0.5) / size
    u = ((window.x1 + centres * window.width - face.x1) / max(face.width, 1e-6))[None, :]
    v = ((window.y1 + centres * window.height - face.y1) / max(face.height, 1e-6))[:, None]
    order = list(Region)
    found = np.full((size, size), order.index(Region.SURROUNDINGS), np.intp)
    found[_inside(u, v, _HEAD) & (v < _HAIR_END)] = order.index(Region.HAIR)
    is_face = _inside(u, v, _FACE)
    found[is_face] = order.index(Region.CHEEKS)
    for region, (left, top, right, bottom) in _PARTS.items():
        found[is_face & (u >= left) & (u < right) & (v >= top) & (v < bottom)] = order.index(region)
    return found


def _inside(u: npt.NDArray[np.float64], v: npt.NDArray[np.float64], half: tuple[float, float]) -> npt.NDArray[np.bool_]:
    inside: npt.NDArray[np.bool_] = ((u - 0.5) / half[0]) ** 2 + ((v - 0.5) / half[1]) ** 2 <= 1
    return inside


def influences(heat: npt.NDArray[np.float32], window: Box, face: Box) -> tuple[Influence, ...]:
    """Return the influence of each region in the window, the strongest first."""
    regions = region_map(len(heat), window, face)
    found = [
        Influence(region, float(heat[regions == k].mean())) for k, region in enumerate(Region) if (regions == k).any()
    ]
    return tuple(sorted(found, key=lambda one: -abs(one.log_odds)))


def sentences(strongest: Sequence[Influence], answer: str) -> list[str]:
    """Return what the regions say, those that agree together: ["mouth and chin: against a mask"].

    >>> sentences([Influence(Region.MOUTH, -2.0), Influence(Region.EYES, 1.0), Influence(Region.CHIN, -0.5)], "a mask")
    ['mouth and chin: against a mask', 'eyes: for a mask']
    """
    lines = [
        f"{_listed([region.value for region in regions])}: {speaks} {answer}" for speaks, regions in grouped(strongest)
    ]
    return lines or [f"no region speaks clearly for or against {answer}"]


def grouped(strongest: Sequence[Influence]) -> list[tuple[str, list[Region]]]:
    """Return "for" and "against", the stronger one first, with the regions that speak so; none if none is clear."""
    groups: dict[str, list[Region]] = {}
    for one in strongest:
        if abs(one.log_odds) >= MIN_INFLUENCE:
            groups.setdefault("for" if one.log_odds > 0 else "against", []).append(one.region)
    return list(groups.items())


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
