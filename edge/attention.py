"""Decide when to search a frame for faces, and which faces to look at.

The face detector and the classifiers cost nearly all of the loop's time. `Attention` saves most of it: an unchanged
picture is not searched again, a settled person is looked at now and then, and a crowd is looked at in turns. It reads
the state of tracker and policy, and changes neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from .config import Config
from .imaging.cells import BrightnessGrid
from .imaging.motion import has_changed
from .policy import Person, Verdict, agitation_of
from .records import TIME_EPSILON_S, Box, Detection, Track


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """The faces that a search found.

    `detections` are the faces that count, `best_score` is the highest score of any face in the picture, 0 without one.
    `is_current` is False if the people may have moved since the search, or if the picture is a repeated one: the boxes
    still keep the tracks alive, but no look must use them.
    """

    detections: list[Detection]
    best_score: float
    is_current: bool = True


class Attention:
    """The search and look decisions of one pipeline. Times are seconds on the source's clock."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._last_search: tuple[float, BrightnessGrid, Search] | None = None

    def clear(self) -> None:
        """Forget the last search, so that the next frame is searched."""
        self._last_search = None

    def record_search(self, t: float, grid: BrightnessGrid, search: Search) -> None:
        """Store the result of a search of the frame at `t` with brightness `grid`."""
        self._last_search = (t, grid, search)

    def reusable_search(
        self, t: float, grid: BrightnessGrid, people: Mapping[int, Person], tracks: Sequence[Track]
    ) -> Search | None:
        """Return the last search if it still serves for the frame at `t`; None if the frame must be searched.

        An earlier search serves only while everyone is settled: otherwise one frame's boxes would count as several
        independent looks. It serves for `idle_search_s` if the picture has not changed, and for `settled_search_s` if
        it has, provided that the search found a face.
        """
        if self._last_search is None or not self._all_settled(people, tracks):
            return None
        settings = self._config.detector
        searched_t, searched_grid, search = self._last_search
        age_s = t - searched_t + TIME_EPSILON_S
        if age_s < settings.idle_search_s and not has_changed(grid, searched_grid):
            return search
        if search.detections and age_s < settings.settled_search_s:
            return replace(search, is_current=False)
        return None

    def repeated_search(self) -> Search | None:
        """Return the last search for a frame that repeats a picture; None if there is none. No look may use it."""
        return None if self._last_search is None else replace(self._last_search[2], is_current=False)

    def faces_due(
        self,
        faces: Iterable[tuple[int, Detection]],
        t: float,
        people: Mapping[int, Person],
        tracks: Sequence[Track],
    ) -> list[tuple[int, Detection]]:
        """Return the faces to look at now, the longest overdue first, at most `max_looks_per_frame`.

        `faces` are pairs of a track's number and a detection; number 0 and faces smaller than `min_face_height` are
        skipped.
        """
        settings = self._config.tracker
        track_of = {track.number: track for track in tracks}
        waiting = []
        for number, detection in faces:
            if not number:
                continue
            track = track_of[number]
            if track.height < settings.min_face_height:
                continue
            due_since = self._due_since(track, people.get(number))
            if t >= due_since - TIME_EPSILON_S:
                waiting.append((due_since, track.looks, number, detection))
        waiting.sort(key=lambda item: item[:3])
        return [(number, detection) for *_, number, detection in waiting[: settings.max_looks_per_frame]]

    def _due_since(self, track: Track, person: Person | None) -> float:
        """Return the time from which the face of `track` needs a look."""
        if track.last_look is None or track.last_look_box is None:
            return track.first_seen
        if (
            person is None
            or not person.is_settled
            or contradicts_verdict(track, person)
            or has_moved(track.last_look_box, track.box)
        ):
            return track.last_look
        recheck_s = self._config.tracker.recheck_s
        if self._may_be_agitated(track, person):
            recheck_s = min(recheck_s, self._config.expression.recheck_s)
        return track.last_look + recheck_s

    def _all_settled(self, people: Mapping[int, Person], tracks: Sequence[Track]) -> bool:
        """Return True if no verdict and no agitation is about to change."""
        for person in people.values():
            if not person.is_settled:
                return False
        for track in tracks:
            person = people[track.number]
            if self._may_be_agitated(track, person) or contradicts_verdict(track, person):
                return False
        return True

    def _may_be_agitated(self, track: Track, person: Person) -> bool:
        """Return True if the agitation that counts for `person` is not low enough to be calm."""
        level = agitation_of(track, person)
        return level is not None and level >= self._config.policy.calm_threshold


def contradicts_verdict(track: Track, person: Person) -> bool:
    """Return True if the last look at `track` contradicts the verdict about `person`."""
    return (track.last_log_odds > 0) is not (person.verdict is Verdict.MASKED)


def has_moved(before: Box, now: Box) -> bool:
    """Return True if a face has moved, come nearer or gone back by a third of its height."""
    return max(abs(b - n) for b, n in zip(before, now, strict=True)) > before.height / 3
