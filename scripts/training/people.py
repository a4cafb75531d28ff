"""People who are in several pictures, and how well an embedder tells them apart.

Two pictures of one person are a pair of its own, two of different people a strangers' pair. The door compares cosines of
embeddings, and so do all figures here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge.imaging.alignment import align
from edge.imaging.images import Picture as RgbPicture
from edge.inference import manifest
from edge.inference.interpreter import Model
from edge.inference.landmarks import LandmarkFinder
from edge.records import Box, Point

from .arrays import Floats, Picture, as_floats
from .dataset import Dataset, require
from .drawing import masks
from .landmarks import Example, examples, pose
from .metrics import Curve
from .records import Record

#: Sources whose group is a person: bare faces, and news pictures in which about one person in seven is another one.
BARE_PEOPLE, MASKED_PEOPLE = ("mux",), ("rwmfd", "rwmfd2")
#: How often each bare face is shown with another mask.
DRAWN = 2
#: Pictures of which a template is made, and looks of which the door makes a mean at least ([people] min_looks); how often they
#: are chosen anew.
LOOKS, CHOICES = 3, 20
#: Shares of the strangers' pairs that are taken for one person, for which the found pairs are counted.
FALSE_SHARES = (0.01, 0.001)

#: Returns embeddings (n, 128) of aligned crops (n, size, size, 3) uint8 RGB.
Embed = Callable[[Picture], Floats]
#: Returns landmarks of the face at a box, in pixels of a picture (H, W, 3) uint8 RGB.
Find = Callable[[RgbPicture, Box], Sequence[Point]]
Flags = npt.NDArray[np.bool_]


def people(faces: Sequence[Example], sources: Sequence[str]) -> dict[str, list[Example]]:
    """Return the largest face of each picture of `sources`, by person."""
    best: dict[str, Example] = {}
    for e in faces:
        if e.record.source in sources and e.record.group:
            other = best.get(e.record.file)
            if other is None or _height(e) > _height(other):
                best[e.record.file] = e
    found: dict[str, list[Example]] = {}
    for e in best.values():
        found.setdefault(f"{e.record.source}/{e.record.group}", []).append(e)
    return found


def _height(e: Example) -> float:
    return e.box[3] - e.box[1]


def finder(models: manifest.Manifest | None = None) -> Find:
    """Return what finds landmarks at the door: the model in `models`, by default the shipped one."""
    model = Model(models if models is not None else manifest.load(), "face_landmarks")
    return LandmarkFinder(model, max_turn=90.0).find


class Pairs(NamedTuple):
    """Cosines of strangers' pairs, ascending, (n,), and of one person's pairs, (m,), whose weights sum to 1: every person
    counts the same, however many pictures there are."""

    strangers: Floats
    same: Floats
    weights: Floats

    def auc(self) -> float:
        """Return the share of pairs of pairs in which the one person's is the more alike."""
        below = np.searchsorted(self.strangers, self.same) / max(len(self.strangers), 1)
        return float((self.weights * below).sum())

    def threshold(self, share: float) -> float:
        """Return the cosine that at most `share` of the strangers' pairs exceed."""
        return float(self.strangers[len(self.strangers) - 1 - int(share * len(self.strangers))])

    def found(self, threshold: float) -> float:
        """Return the share of one person's pairs above `threshold`."""
        return float(self.weights[self.same > threshold].sum())

    def mistaken(self, threshold: float) -> float:
        """Return the share of strangers' pairs above `threshold`."""
        return float((self.strangers > threshold).mean())

    def curve(self) -> Curve:
        """Return shares of strangers mistaken, from 1 in 1,000 up, and the shares found for them."""
        shares = np.geomspace(1e-3, 1, 60)
        return shares, np.array([self.found(self.threshold(min(share, 0.999999))) for share in shares])

    def figures(self) -> dict[str, float]:
        """Return the AUC, and the shares found for FALSE_SHARES."""
        return {"auc": self.auc()} | {
            f"at_1_in_{round(1 / share)}": self.found(self.threshold(share)) for share in FALSE_SHARES
        }


def pairs_of(a: Floats, b: Floats, names_a: Sequence[str], names_b: Sequence[str], left_out: Flags) -> Pairs:
    """Return the pairs of embeddings `a` (n, 128) and `b` (m, 128) of people with these names, but for those `left_out`
    (n, m)."""
    a, b = _unit(a), _unit(b)
    cosines = as_floats(a @ b.T)
    own = (np.array(names_a)[:, None] == np.array(names_b)[None]) & ~left_out
    strangers = (np.array(names_a)[:, None] != np.array(names_b)[None]) & ~left_out
    rows = np.nonzero(own)[0]
    counts = Counter(names_a[k] for k in rows)
    weights = np.array([1 / counts[names_a[k]] for k in rows], np.float64) / max(len(counts), 1)
    return Pairs(np.sort(cosines[strangers]), cosines[own], as_floats(weights))


class Judge:
    """Faces of people, as the door aligns them: bare ones, the same with drawn masks, and others with real masks."""

    def __init__(self, data: Dataset, records: Sequence[Record], find: Find, size: int) -> None:
        """Raises DataError if a picture is damaged, or if there is no person with two pictures."""
        faces = examples(records)
        bare = [e for group in people(faces, BARE_PEOPLE).values() for e in group if not e.masked]
        worn = [e for group in people(faces, MASKED_PEOPLE).values() for e in group if e.masked]
        self.bare_names = [str(e.record.group) for e in bare]
        self.masked_names = [f"{e.record.source}/{e.record.group}" for e in worn]
        for names, what in ((self.bare_names, "bare"), (self.masked_names, "masked")):
            require([n for n, count in Counter(names).items() if count > 1], "chosen", f"person with two {what} faces")

        def crop(e: Example, picture: Picture) -> Picture:
            return align(picture, find(picture, Box(*e.box)), size)

        def drawn(e: Example, k: int, j: int) -> Picture:
            at = pose(e.points)
            return masks.draw_mask(data.picture(e.record), at.box, np.random.default_rng((7, k, j)), (at.roll, at.yaw))

        self.bare = np.stack([crop(e, data.picture(e.record)) for e in bare])
        self.masked = np.stack([crop(e, data.picture(e.record)) for e in worn])
        self.drawn = np.stack([crop(e, drawn(e, k, j)) for k, e in enumerate(bare) for j in range(DRAWN)])

    def pairs(self, embed: Embed) -> dict[str, Pairs]:
        """Return the pairs of bare faces, of a bare face and one with a drawn mask, and of faces with real masks.

        With enough pictures also "bare_visit" and "drawn_visit": a template and a visit, see `_visits`.
        """
        bare, drawn, masked = (_with_mirrored(embed, crops) for crops in (self.bare, self.drawn, self.masked))
        drawn_names = [name for name in self.bare_names for _ in range(DRAWN)]
        same_picture = np.arange(len(bare))[:, None] == np.arange(len(drawn))[None] // DRAWN
        pairs = {
            "bare": pairs_of(bare, bare, self.bare_names, self.bare_names, _twice(bare)),
            "drawn": pairs_of(bare, drawn, self.bare_names, drawn_names, same_picture),
            "masked": pairs_of(masked, masked, self.masked_names, self.masked_names, _twice(masked)),
        }
        for name, seen in (("bare_visit", bare), ("drawn_visit", drawn[::DRAWN])):
            visits = _visits(bare, seen, self.bare_names)
            if visits is not None:
                pairs[name] = visits
        return pairs


def _visits(bare: Floats, seen: Floats, names: Sequence[str]) -> Pairs | None:
    """Return pairs of a template, the mean of LOOKS embeddings `bare` (n, 128), and a visit, the mean of LOOKS others of `seen`.

    Means are more alike than single looks, also those of strangers: what they share remains, what differs is averaged away. Row
    k of `bare` and `seen` is one picture of `names[k]`. None without two people who have LOOKS pictures, and one who has twice
    as many.
    """
    pictures = {name: np.flatnonzero(np.array(names) == name) for name in sorted(set(names))}
    pictures = {name: rows for name, rows in pictures.items() if len(rows) >= LOOKS}
    rng = np.random.default_rng(LOOKS)
    strangers: list[Floats] = []
    same: list[float] = []
    for _ in range(CHOICES):
        orders = [rng.permutation(rows) for rows in pictures.values()]
        if len(orders) < 2:
            return None
        templates = _unit(np.stack([bare[order[:LOOKS]].sum(0) for order in orders]))
        visits = _unit(np.stack([seen[order[-LOOKS:]].sum(0) for order in orders]))
        cosines = as_floats(templates @ visits.T)
        strangers.append(cosines[~np.eye(len(orders), dtype=bool)])
        same += [cosine for cosine, order in zip(cosines.diagonal(), orders, strict=True) if len(order) >= 2 * LOOKS]
    if not same:
        return None
    return Pairs(
        np.sort(np.concatenate(strangers)), as_floats(np.array(same)), as_floats(np.full(len(same), 1 / len(same)))
    )


def _unit(vectors: Floats) -> Floats:
    return as_floats(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _with_mirrored(embed: Embed, crops: Picture) -> Floats:
    """Return the sum of the embeddings of a crop and its mirror image, as `edge.inference.embedder` makes it."""
    crop, mirrored = (_unit(embed(np.ascontiguousarray(side))) for side in (crops, crops[:, :, ::-1]))
    return _unit(as_floats(crop + mirrored))


def _twice(vectors: Floats) -> Flags:
    """Return the pairs (n, n) of a face with itself, and those whose mirror pair counts."""
    return np.tri(len(vectors), dtype=bool)
