"""Generated stories of people, which go straight into the policy."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
from hypothesis import strategies as st

from edge import config
from edge.config import PolicySettings
from edge.policy import State, step
from edge.records import Box, Event, Signal, Track

POLICY = config.load().policy


@dataclass(frozen=True)
class Moment:
    """Arguments and results of one call of `step`."""

    before: State
    tracks: tuple[Track, ...]
    now: float
    fault: str | None
    after: State
    signal: Signal
    events: list[Event]


#: Evidence, agitation of the bare face, and agitation above a mask (None: no new look); None if the place is empty.
Occupant = tuple[float | None, float | None, float | None] | None


@dataclass(frozen=True)
class Scene:
    """A number of frames, `pause_s` apart, in which every place stays the same. `fault` is the argument of `step`."""

    frames: int
    pause_s: float
    places: tuple[Occupant, ...]
    fault: str | None


@dataclass(frozen=True)
class Story:
    """A sequence of scenes. A place has the same person until it is empty."""

    settings: PolicySettings
    scenes: list[Scene]
    masked_alarm: bool = False

    def moments(self) -> Iterator[Moment]:
        """Play the story and yield each moment."""
        state, now = State(), 0.0
        numbers = itertools.count(1)
        present: dict[int, Track] = {}
        for scene in self.scenes:
            for _ in range(scene.frames):
                now += scene.pause_s
                for place, occupant in enumerate(scene.places):
                    if occupant is None:
                        present.pop(place, None)
                        continue
                    if place not in present:
                        present[place] = Track(next(numbers), Box(0, 0, 9, 9), 0.5, now, now)
                    present[place] = looked_at(present[place], *occupant, now)
                tracks = tuple(present.values())
                after, signal, events = step(
                    state, tracks, now, self.settings, scene.fault, masked_alarm=self.masked_alarm
                )
                yield Moment(state, tracks, now, scene.fault, after, signal, events)
                state = after


def looked_at(
    track: Track, evidence: float | None, agitation: float | None, masked_agitation: float | None, now: float
) -> Track:
    if evidence is not None:
        first = now if track.first_look is None else track.first_look
        track = replace(track, evidence=evidence, looks=track.looks + 1, first_look=first, last_look=now)
    if agitation is not None:
        track = replace(track, agitation=agitation, last_expression=now)
    if masked_agitation is not None:
        track = replace(track, masked_agitation=masked_agitation, last_masked_expression=now)
    return replace(track, last_seen=now)


seconds = st.sampled_from([0.0, 0.2, 0.5, 1.0, 2.0])
#: Valid settings with times that are short enough for a story.
any_settings = st.builds(
    lambda **changes: msgspec.structs.replace(POLICY, **changes),
    min_looks=st.integers(1, 4),
    undecided_max_s=seconds,
    min_decide_s=seconds,
    change_s=seconds,
    agitated_s=seconds,
    min_signal_s=seconds,
    alarm_max_s=st.sampled_from([0.1, 0.5, 2.0]),
    alarm_cooldown_s=seconds,
)
looks = st.none() | st.sampled_from([-3.0, -1.6, -1.3, 0.0, 1.3, 1.6, 3.0]) | st.floats(-3, 3)
agitations = st.none() | st.sampled_from([0.0, 0.3, 0.5, 1.0]) | st.floats(0, 1)
occupants = st.none() | st.tuples(looks, agitations, agitations)


def stories(places: int = 3, faults: bool = True) -> st.SearchStrategy[Story]:
    scene = st.builds(
        Scene,
        st.integers(1, 12),
        st.sampled_from([0.1, 0.1, 0.3, 0.0, 1.5]),
        st.tuples(*[occupants] * places),
        st.sampled_from([None, None, None, "camera lost"] if faults else [None]),
    )
    return st.builds(Story, any_settings, st.lists(scene, min_size=1, max_size=12), st.booleans())
