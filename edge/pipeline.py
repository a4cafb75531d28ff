"""Pipeline: decide about one frame after another. It knows no camera, pin or file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

from .attention import Attention, Search
from .camera.picture_files import HELD_FPS
from .config import Config
from .frame_rate import FrameInterval, decision_times
from .imaging.blindness import Blindness, BlindnessDetector, confirmed
from .imaging.cells import BrightnessGrid, cells
from .inference.perception import Perception, log_odds
from .policy import Person, State, Verdict, step
from .records import TIME_EPSILON_S, Box, Event, Face, Frame, Signal, Track
from .still_things import Found, StillThings
from .tracker import Tracker
from .zone import Zone

if TYPE_CHECKING:  # Loaded only with [people] enabled.
    from .people.presence import Presence

#: The door counts as blind after this many seconds of pictures that show nothing. A flash is shorter.
BLIND_AFTER_S = 1.0
#: How long the people of a picture are looked at if nothing else says so.
PICTURE_S = 2.0


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of the pipeline for one frame, or for a moment without one.

    `faces` are the looks at this frame, `people` is the policy's state for everyone present; both are by the number of
    the track. `fault` is the reason why the door is blind, or None. `interval_s` is the interval between the frames of
    a slow source, 0 for others. `outside` are the boxes of the faces that do not count, because they are outside the
    zone. `still` are the boxes of the faces that do not count, because they never move. `found` are the boxes of
    all faces of the last search, which may be of an earlier picture, also of those that do not count and of those too
    uncertain to be a person; None if nothing has been searched, or nothing can be seen.
    `known` are the tracks of enrolled people by number, with the name that may be shown, "" by default. `everyone_known`
    says whether PASS is for them alone, see people/presence.py.
    """

    t: float
    signal: Signal
    tracks: tuple[Track, ...]
    faces: dict[int, Face]
    people: Mapping[int, Person]
    events: list[Event]
    fault: str | None = None
    interval_s: float = 0.0
    outside: tuple[Box, ...] = ()
    still: tuple[Box, ...] = ()
    found: tuple[Box, ...] | None = None
    known: Mapping[int, str] = field(default_factory=dict)
    everyone_known: bool = False

    def verdict(self, number: int) -> Verdict:
        """Return the verdict about the person of the track with this number; UNKNOWN if nobody has it."""
        person = self.people.get(number)
        return Verdict.UNKNOWN if person is None else person.verdict


class Pipeline:
    """Decide frame by frame: motion, perception, tracker, policy."""

    def __init__(self, config: Config, perception: Perception, presence: Presence | None = None) -> None:
        """`presence` recognises enrolled people; None recognises nobody."""
        self._presence = presence
        self._config = config
        self._perception = perception
        self._zone = Zone(config.door.zone, config.door.ignore)
        self._outside: tuple[Box, ...] = ()
        self._things = StillThings(config.door.ignore_still_s, sees_return=presence is not None)
        self._found: tuple[Box, ...] | None = None
        self._attention = Attention(config)
        self._tracker = Tracker(config.tracker)
        self._state = State()
        self._blindness = BlindnessDetector(config.camera.min_detail)
        self._blind_since: float | None = None
        self._interval = FrameInterval()
        self._interval_s = 0.0
        self._policy = config.policy

    @property
    def zone(self) -> Zone:
        """The part of the picture in which faces count."""
        return self._zone

    @zone.setter
    def zone(self, zone: Zone) -> None:
        # People stay known. Someone who does not count any more is not found again, and goes as if they had left.
        self._zone = zone
        self._outside = ()
        self._attention.clear()

    def step(self, frame: Frame) -> Decision:
        """Return the decision for `frame`. The times of the frames must not decrease."""
        mark = self._perception.timer.mark
        self._adapt_times(self._interval.add(frame.t, frame.still_s))
        grid = cells(frame.picture if frame.lores is None else frame.lores)
        blindness = self._blindness.find(grid, frame.t)
        if blindness is not None and blindness.is_certain:
            return self._decide_unseen(frame.t, blindness)
        search = self._search(frame, grid.brightness)
        blindness = confirmed(blindness, search.best_score >= self._config.tracker.new_score)
        fault = self._blind_reason(frame.t, blindness)
        if fault is not None:
            self._tracker.clear()  # the search stays valid: the next one is due when the picture changes
            self._things.interrupt()
            return self._decide(frame.t, {}, fault)
        mark("decode")
        found_things = self._look_for_things(frame, search)
        # A face that has just become a thing is matched once more, to know its track.
        counting = [
            (detection, is_new)
            for detection, is_thing, is_new in zip(search.detections, *found_things, strict=True)
            if is_new or not is_thing
        ]
        detections = [detection for detection, _ in counting]
        numbers = self._tracker.update(detections, frame.t, frame.picture.shape[0], frame.still_s)
        ignored = {number for number, (_, is_new) in zip(numbers, counting, strict=True) if is_new and number}
        for number in ignored:
            self._tracker.drop(number)
        still = tuple(d.box for d, is_thing in zip(search.detections, found_things.things, strict=True) if is_thing)
        mark("track")
        faces: dict[int, Face] = {}
        if search.is_current:
            found = ((n, d) for n, d in zip(numbers, detections, strict=True) if n not in ignored)
            for number, detection in self._attention.faces_due(
                found, frame.t, self._state.people, self._tracker.tracks
            ):
                face = faces[number] = self._perception.classify(frame.picture, detection)
                self._add_evidence(number, face, frame.t)
                if self._presence is not None:
                    self._presence.look(number, frame.picture, face, frame.t)
                mark("evidence")
            if self._presence is not None:
                self._presence.look_around(frame.picture, self._tracker.tracks, frame.t, self._things)
        decision = replace(self._decide(frame.t, faces, None, ignored), still=still)
        mark("decide")
        return decision

    def blind(self, t: float, reason: str) -> Decision:
        """Return the decision for time `t` at which there is no usable picture, for example from a lost camera."""
        self._tracker.clear()
        self._things.interrupt()
        self._attention.clear()
        self._interval.clear()
        self._blindness.clear()
        return self._decide(t, {}, reason)

    def _decide_unseen(self, t: float, blindness: Blindness) -> Decision:
        """Return the decision for a picture in which nothing can be seen for certain. It is not searched for faces."""
        self._perception.timer.mark("motion")
        fault = self._blind_reason(t, blindness)
        if fault is not None:
            return self.blind(t, fault)
        # It may be a flash, which is no fault. But nobody is visible, so nobody may keep the light green.
        self._tracker.clear()
        self._attention.clear()
        self._found = None
        return self._decide(t, {}, None)

    def _adapt_times(self, interval_s: float) -> None:
        """Adapt the decision times to the interval between frames. A normal camera always has the interval 0."""
        if interval_s == self._interval_s:
            return
        self._interval_s = interval_s
        times = decision_times(self._config.tracker, self._config.policy, interval_s)
        self._tracker.bridge_s, self._tracker.max_weight = times.bridge_s, times.max_weight
        self._policy = msgspec.structs.replace(self._config.policy, undecided_max_s=times.undecided_max_s)

    def _blind_reason(self, t: float, blindness: Blindness | None) -> str | None:
        """Return why the door is blind, if the pictures have shown nothing for BLIND_AFTER_S; None otherwise."""
        if blindness is None:
            self._blind_since = None
            return None
        if self._blind_since is None:
            self._blind_since = t
        if t - self._blind_since < BLIND_AFTER_S - TIME_EPSILON_S:
            return None
        return f"{blindness.sentence}: {blindness.fix}"

    def _search(self, frame: Frame, grid: BrightnessGrid) -> Search:
        """Return the faces in `frame`, from an earlier search if that still serves."""
        if frame.is_repeat:
            earlier = self._attention.repeated_search()
        else:
            earlier = self._attention.reusable_search(frame.t, grid, self._state.people, self._tracker.tracks)
        self._perception.timer.mark("motion")
        if earlier is not None:
            return earlier
        detections = self._perception.detect(frame)
        self._found = tuple(d.box for d in detections)
        # A face outside the zone does not count, but it proves that the lens is not covered.
        best_score = max((detection.score for detection in detections), default=0.0)
        if self._zone.is_limited:
            height, width = frame.picture.shape[:2]
            new_score = self._config.tracker.new_score
            counting = [self._zone.counts(d.box, width, height) for d in detections]
            found = list(zip(detections, counting, strict=True))
            self._outside = tuple(d.box for d, counts in found if not counts and d.score >= new_score)
            detections = [d for d, counts in found if counts]
        search = Search(detections, best_score)
        self._attention.record_search(frame.t, grid, search)
        return search

    def _look_for_things(self, frame: Frame, search: Search) -> Found:
        """Return which faces of `search` never move."""
        boxes = [detection.box for detection in search.detections]
        if search.is_current and not frame.is_repeat:
            return self._things.look(boxes, frame.picture, frame.t)
        return Found(self._things.known(boxes), [False] * len(boxes))

    def _add_evidence(self, number: int, face: Face, t: float) -> None:
        # Log-odds of 0 say neither: an undecided look lowers the evidence of the others and adds none.
        self._tracker.add_mask_score(number, 0.0 if face.is_undecided else log_odds(face.mask_probability), t)
        classifier = self._perception.expression
        if face.expression is not None and classifier is not None:
            agitation = classifier.agitation(face.expression, self._config.expression.agitated)
            self._tracker.add_expression_score(number, agitation, t)
        above_mask = self._perception.masked_expression
        if face.masked_expression is not None and above_mask is not None:
            agitation = above_mask.agitation(face.masked_expression, self._config.expression.agitated)
            self._tracker.add_masked_expression_score(number, agitation, t)

    def _decide(self, t: float, faces: dict[int, Face], fault: str | None, ignored: Collection[int] = ()) -> Decision:
        tracks = self._tracker.tracks
        self._state, signal, events = step(
            self._state, tracks, t, self._policy, fault, ignored, self._config.expression.alarms_masked
        )
        outside, found = (self._outside, self._found) if fault is None else ((), None)
        decision = Decision(
            t, signal, tracks, faces, self._state.people, events, fault, self._interval_s, outside, found=found
        )
        return decision if self._presence is None else self._presence.complete(decision)


def decide_image(
    config: Config,
    perception: Perception,
    picture: npt.NDArray[np.uint8],
    seconds: float = PICTURE_S,
    presence: Presence | None = None,
) -> Decision:
    """Return the decision for a picture, (H, W, 3) uint8 RGB, as if the door saw it for `seconds` at HELD_FPS.

    `faces` of the decision has the last look at each person. `presence` is that of `Pipeline`.
    """
    pipeline = Pipeline(config, perception, presence)
    looks: dict[int, Face] = {}
    for k in range(round(seconds * HELD_FPS) + 1):
        decision = pipeline.step(Frame(k, k / HELD_FPS, picture))
        looks.update(decision.faces)
    return replace(decision, faces=looks)
