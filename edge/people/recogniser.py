"""Recognise people at the door: the vectors of several looks at one track are averaged before anybody is known.

"Unknown" is the default. One look never decides, small, turned and blurred faces do not count, and at most one embedding is
made for a frame: the time for it does not grow with the number of people.

Only vectors of the tracks in view are kept, in memory, and they go with the track.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..config import PeopleSettings
from ..imaging.images import Picture
from ..inference.embedder import Embedder
from ..records import TIME_EPSILON_S, Face
from . import quality
from .matching import Gallery, relaxed
from .record import Vector, normalized, to_vector

if TYPE_CHECKING:
    from .card import Card
    from .card_reader import CardReader

#: Looks of a track that are averaged, the latest ones.
AVERAGED_LOOKS = 8
#: Interval (seconds) between embeddings of a track once it is known, or has been seen often enough without.
RECHECK_S = 1.0
#: A known person stays known down to a threshold that is relaxed by this, see `matching.relaxed`.
HYSTERESIS = 1.25
#: A single look may differ from the template by this before it counts as one of another person.
DOUBT = 2.0
#: A known person is unknown again if no look has been good enough for this time (seconds): nobody sees who is there now.
STALE_S = 5.0
#: After this many looks in a row that are not like the known person, only they count: another person has taken their place.
DOUBTFUL_LOOKS = 3


class Identity(NamedTuple):
    """What is known about a person at the door: `id` is the pseudonym, None if a card was held up; then `name` is ""."""

    id: str | None
    name: str = ""


@dataclass(slots=True)
class _TrackLooks:
    """The latest looks at one track: their vectors and weights.

    `due` is the time of the next embedding, `last_good` that of the last look that was good enough.
    `template` is what made the track known, and `card` the card that it is of, if any. `doubtful` counts the latest looks that
    are not like it.
    """

    due: float = float("-inf")
    last_good: float = float("-inf")
    looks: deque[tuple[float, Vector]] = field(default_factory=lambda: deque(maxlen=AVERAGED_LOOKS))
    identity: Identity | None = None
    template: Vector | None = None
    doubtful: int = 0
    card: Card | None = None


class Recogniser:
    """Which of the tracks in view are known. Times are seconds on the source's clock."""

    def __init__(
        self,
        settings: PeopleSettings,
        embedder: Embedder,
        gallery: Callable[[], Gallery],
        cards: CardReader | None = None,
    ) -> None:
        """`gallery` returns the templates that count now. `cards` reads cards that are held up; None for no cards."""
        self._settings = settings
        self._embedder = embedder
        self._gallery = gallery
        self._cards = cards
        self._tracks: dict[int, _TrackLooks] = {}
        self._embedded_t = float("-inf")
        #: The gallery with which the known tracks were last compared.
        self._seen_gallery: Gallery | None = None

    @property
    def known(self) -> Mapping[int, Identity]:
        """Return the known people by the number of their track."""
        return {number: track.identity for number, track in self._tracks.items() if track.identity is not None}

    def keep(self, numbers: Collection[int]) -> None:
        """Forget the tracks that are not among `numbers`."""
        if self._tracks.keys() - numbers:
            self._tracks = {number: track for number, track in self._tracks.items() if number in numbers}

    def refresh(self, t: float) -> None:
        """Look at the known tracks again if the store has changed: somebody may have been removed, or their card revoked."""
        gallery = self._gallery()
        if gallery is self._seen_gallery:
            return
        self._seen_gallery = gallery
        for track in self._tracks.values():
            if track.identity is not None:
                self._decide(track, t)

    def look(self, number: int, picture: Picture, face: Face, t: float) -> None:
        """Use a look at the face of track `number` in the frame at `t`, if an embedding is due and the face is good enough.

        `picture` is (H, W, 3) uint8 RGB.
        """
        track = self._tracks.setdefault(number, _TrackLooks())
        if t - track.last_good > STALE_S:
            self._forget(track, 0)
        if t <= self._embedded_t or t < track.due - TIME_EPSILON_S:
            return
        track.due = t + self._settings.interval_s
        points = self._embedder.landmarks(picture, face)
        crop = self._embedder.crop(picture, points)
        seen = quality.measure(points, crop, face.mask_probability)
        if quality.problem(seen, quality.DOOR) is not None:
            return
        # Only now: a face that is always turned away must not take the turn of the others in every frame.
        self._embedded_t = t
        (vector,) = self._embedder.embed([crop])
        track.last_good = t
        track.looks.append((quality.weight(seen), vector))
        self._doubt(track, vector)
        self._decide(track, t)
        if not track.doubtful and (track.identity is not None or len(track.looks) == AVERAGED_LOOKS):
            track.due = t + max(RECHECK_S, self._settings.interval_s)

    def read_cards(self, picture: Picture, t: float) -> None:
        """Look for a card in the frame at `t`, if cards are on and a person in view is unknown."""
        if self._cards is None or all(track.identity is not None for track in self._tracks.values()):
            return
        claimed = self._cards.read(picture, t)
        if claimed is None:
            return
        for track in self._tracks.values():
            if track.identity is None and self._is_like(track, claimed.vector, self._gallery().threshold):
                track.identity, track.template, track.card = Identity(None), claimed.vector, claimed

    def _doubt(self, track: _TrackLooks, vector: Vector) -> None:
        """Forget the earlier looks at a known track if the latest ones show another person."""
        if track.template is None:
            track.doubtful = 0
            return
        is_like = float(vector @ track.template) >= relaxed(self._gallery().threshold, DOUBT)
        track.doubtful = 0 if is_like else track.doubtful + 1
        if track.doubtful >= DOUBTFUL_LOOKS:
            self._forget(track, DOUBTFUL_LOOKS)

    def _forget(self, track: _TrackLooks, kept: int) -> None:
        """Make a track unknown, and forget its looks but the latest `kept`."""
        latest = list(track.looks)[len(track.looks) - kept :] if kept else []
        track.looks = deque(latest, AVERAGED_LOOKS)
        track.identity, track.template, track.card, track.doubtful = None, None, None, 0

    def _decide(self, track: _TrackLooks, t: float) -> None:
        """Update who the track is at `t`, from its latest looks."""
        gallery = self._gallery()
        lower = relaxed(gallery.threshold, HYSTERESIS)
        if track.card is not None and self._is_like(track, track.card.vector, lower) and self._counts(track.card, t):
            return
        before, track.identity, track.template, track.card = track.identity, None, None, None
        vector = self._mean(track)
        match = None if vector is None else gallery.nearest(vector)
        if match is None:
            return
        identity = Identity(match.person.id, match.person.name)
        if match.similarity >= (lower if before == identity else gallery.threshold):
            track.identity, track.template = identity, to_vector(match.person.template)

    def _counts(self, card: Card, t: float) -> bool:
        return self._cards is not None and self._cards.still_counts(card, t)

    def _is_like(self, track: _TrackLooks, template: Vector, threshold: float) -> bool:
        vector = self._mean(track)
        return vector is not None and float(vector @ template) >= threshold

    def _mean(self, track: _TrackLooks) -> Vector | None:
        """Return the mean (128,) of the latest looks, by weight, with length 1; None if they are too few."""
        if len(track.looks) < self._settings.min_looks:
            return None
        total = np.sum([weight * vector for weight, vector in track.looks], axis=0)
        return normalized(np.asarray(total, np.float32))
