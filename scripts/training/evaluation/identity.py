"""Who is who: how well tracks follow people, in the measures of the multiple object tracking literature.

IDF1 and its parts: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016.
Identity switches: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance", 2008.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from edge.imaging.boxes import iou

from ..arrays import Box

#: A track follows a face if their boxes overlap by at least this.
MIN_IOU = 0.4


class TrueFace(NamedTuple):
    """A face of a frame: the person, the box, and whether it must be followed. Others may, but need not."""

    person: int
    box: Box
    counts: bool


class Followed(NamedTuple):
    """A track in a frame: its number, and the box."""

    track: int
    box: Box


@dataclass
class Identity:
    """Counts over one or more videos.

    `faces` is the number of faces to be followed, `tracked` that of track boxes that count, `identified` that of the
    boxes which are of the person that the track follows longest (IDTP). `switches` counts how often a person is
    continued by another track. `missed` are faces without a track, `false` track boxes without a face.
    """

    faces: int = 0
    tracked: int = 0
    identified: int = 0
    switches: int = 0
    missed: int = 0
    false: int = 0

    def __add__(self, other: Identity) -> Identity:
        return Identity(*(a + b for a, b in zip(_values(self), _values(other), strict=True)))

    @property
    def idf1(self) -> float | None:
        """Return the F1 of the identified boxes, or None if there are no boxes at all."""
        return 2 * self.identified / (self.faces + self.tracked) if self.faces + self.tracked else None


def _values(counts: Identity) -> tuple[int, ...]:
    return counts.faces, counts.tracked, counts.identified, counts.switches, counts.missed, counts.false


@dataclass
class _Matching:
    """Who is followed by which track in the frames so far."""

    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)  # frames by (person, track)
    last: dict[int, int] = field(default_factory=dict)  # the person's last track

    def match(self, faces: Sequence[TrueFace], tracks: Sequence[Followed]) -> dict[int, int]:
        """Return the index of each face's track in this frame. A pair of the frame before stays while it overlaps."""
        if not faces or not tracks:
            return {}
        overlap = iou(np.array([f.box for f in faces], np.float32), np.array([t.box for t in tracks], np.float32))
        kept = np.array([[self.last.get(f.person) == t.track for t in tracks] for f in faces])
        score = np.where(overlap >= MIN_IOU, overlap + 2.0 * kept, -1e3)
        rows, columns = linear_sum_assignment(-score)
        return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if overlap[r, c] >= MIN_IOU}


def compare(frames: Sequence[tuple[Sequence[TrueFace], Sequence[Followed]]]) -> tuple[Identity, dict[int, int]]:
    """Return the counts of a video, and for each track the person whom it follows longest (0: nobody)."""
    matching, out = _Matching(), Identity()
    of_track: dict[int, Counter[int]] = {}
    for faces, tracks in frames:
        found = matching.match(faces, tracks)
        by_track = {c: r for r, c in found.items()}
        for r, face in enumerate(faces):
            if r not in found:
                out.faces += face.counts
                out.missed += face.counts
                continue
            track = tracks[found[r]].track
            if face.counts and matching.last.get(face.person, track) != track:
                out.switches += 1
            matching.last[face.person] = track
            if face.counts:
                out.faces += 1
                out.tracked += 1
                matching.pairs[face.person, track] += 1
        for c, followed in enumerate(tracks):
            person = faces[by_track[c]].person if c in by_track else 0
            of_track.setdefault(followed.track, Counter())[person] += 1
            if c not in by_track:
                out.tracked += 1
                out.false += 1
    out.identified = _identified(matching.pairs)
    return out, {track: people.most_common(1)[0][0] for track, people in of_track.items()}


def _identified(pairs: Counter[tuple[int, int]]) -> int:
    """Return the largest number of frames that pairs of one person and one track each can have."""
    people, tracks = sorted({p for p, _ in pairs}), sorted({t for _, t in pairs})
    if not pairs:
        return 0
    frames = np.array([[pairs[p, t] for t in tracks] for p in people])
    rows, columns = linear_sum_assignment(-frames)
    return int(frames[rows, columns].sum())
