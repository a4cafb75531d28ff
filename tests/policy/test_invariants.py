"""Invariants of the policy: generated stories of people go straight into it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from edge import config
from edge.config import PolicySettings
from edge.policy import State, Verdict, step
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


#: Evidence and agitation of a person (None: no new look); None if the place is empty.
Occupant = tuple[float | None, float | None] | None


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
                    present[place] = looked_at(present[place], occupant[0], occupant[1], now)
                tracks = tuple(present.values())
                after, signal, events = step(state, tracks, now, self.settings, scene.fault)
                yield Moment(state, tracks, now, scene.fault, after, signal, events)
                state = after


def looked_at(track: Track, evidence: float | None, agitation: float | None, now: float) -> Track:
    if evidence is not None:
        first = now if track.first_look is None else track.first_look
        track = replace(track, evidence=evidence, looks=track.looks + 1, first_look=first, last_look=now)
    if agitation is not None:
        track = replace(track, agitation=agitation, last_expression=now)
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
occupants = st.none() | st.tuples(looks, agitations)


def stories(places: int = 3, faults: bool = True) -> st.SearchStrategy[Story]:
    scene = st.builds(
        Scene,
        st.integers(1, 12),
        st.sampled_from([0.1, 0.1, 0.3, 0.0, 1.5]),
        st.tuples(*[occupants] * places),
        st.sampled_from([None, None, None, "camera lost"] if faults else [None]),
    )
    return st.builds(Story, any_settings, st.lists(scene, min_size=1, max_size=12))


def verdicts(moment: Moment) -> set[Verdict]:
    return {person.verdict for person in moment.after.people.values()}


def test_stories_cover_every_signal_and_a_changed_verdict() -> None:
    """Without such stories the tests below would prove nothing."""

    def rich(story: Story) -> bool:
        moments = list(story.moments())
        changed = any(
            person.verdict is not Verdict.UNKNOWN and m.after.people.get(number, person).verdict is not person.verdict
            for m in moments
            for number, person in m.before.people.items()
        )
        return changed and {m.signal for m in moments} == set(Signal)

    how = settings(max_examples=5000, phases=(Phase.generate,), database=None, derandomize=True)
    assert rich(find(stories(), rich, settings=how))


@given(stories())
def test_never_green_with_an_unmasked_person(story: Story) -> None:
    for moment in story.moments():
        if Verdict.UNMASKED in verdicts(moment):
            assert moment.signal.strength >= Signal.STOP.strength


@given(stories())
def test_blind_door_always_shows_fault(story: Story) -> None:
    for moment in story.moments():
        if moment.fault is not None:
            assert moment.signal is Signal.FAULT
        elif moment.signal is Signal.FAULT:
            assert moment.now - moment.after.signal_since < story.settings.min_signal_s, (
                "shown for longer than min_signal_s"
            )


@given(stories())
def test_green_needs_a_masked_person(story: Story) -> None:
    """Green stays for at most min_signal_s after the last masked person has left."""
    for moment in story.moments():
        if moment.signal is Signal.PASS and Verdict.MASKED not in verdicts(moment):
            assert moment.before.signal is Signal.PASS
            assert moment.now - moment.after.signal_since < story.settings.min_signal_s


@given(stories())
def test_green_waits_for_undecided_people_for_undecided_max_s(story: Story) -> None:
    for moment in story.moments():
        waiting = [
            moment.now - t.first_look
            for t in moment.tracks
            if t.looks >= 2 and t.first_look is not None
            if moment.after.people[t.person].verdict is Verdict.UNKNOWN
        ]
        held = moment.now - moment.after.signal_since < story.settings.min_signal_s
        if moment.fault is None and not held and verdicts(moment) - {Verdict.UNKNOWN} == {Verdict.MASKED}:
            all_waited = all(seconds >= story.settings.undecided_max_s for seconds in waiting)
            assert moment.signal is (Signal.PASS if all_waited else Signal.IDLE)


@given(stories())
def test_signals_do_not_flicker(story: Story) -> None:
    """A weaker signal replaces another one only after min_signal_s."""
    changed = float("-inf")
    for moment in story.moments():
        assert moment.before.signal_since == changed
        if moment.signal is not moment.before.signal:
            if moment.signal.strength < moment.before.signal.strength:
                assert moment.now - changed >= story.settings.min_signal_s
            changed = moment.now


@given(stories())
def test_step_is_a_pure_function(story: Story) -> None:
    for moment in story.moments():
        people = dict(moment.before.people)
        again = step(moment.before, list(moment.tracks), moment.now, story.settings, moment.fault)
        assert again == (moment.after, moment.signal, moment.events)
        assert dict(moment.before.people) == people
        assert moment.after.signal is moment.signal


@given(stories())
def test_events_describe_every_change_once(story: Story) -> None:
    for moment in story.moments():
        assert all(event.t == moment.now for event in moment.events)
        signals = [event for event in moment.events if event.kind == "signal"]
        if moment.signal is moment.before.signal:
            assert not signals
        else:
            (event,) = signals
            assert event is moment.events[-1], "the signal follows its causes"
            assert event.data["signal"] == moment.signal.value
            assert event.data["before"] == moment.before.signal.value
            assert event.data["people"] == len(moment.tracks)
            assert event.data.get("reason") == moment.fault
        found = {(event.kind, event.data["person"]) for event in moment.events if event.kind != "signal"}
        before, after = moment.before.people, moment.after.people
        expected = {
            (new.verdict.value, n)
            for n, new in after.items()
            if new.verdict is not (before[n].verdict if n in before else Verdict.UNKNOWN)
        }
        agitated = {n for n, person in after.items() if person.agitated}
        was_agitated = {n for n, person in before.items() if person.agitated}
        expected |= {("agitated", n) for n in agitated - was_agitated}
        expected |= {("calm", n) for n in was_agitated - agitated if n in after}
        expected |= {
            ("cleared", n) for n, old in before.items() if n not in after if old.verdict is not Verdict.UNKNOWN
        }
        assert found == expected
        assert len(moment.events) == len(found) + len(signals), "no event occurs twice"


@given(stories())
def test_changes_of_a_person_take_at_least_their_time(story: Story) -> None:
    """A changed verdict takes change_s; from calm to agitated takes agitated_s."""
    decided: dict[object, float] = {}
    calm: dict[object, float] = {}
    for moment in story.moments():
        for event in moment.events:
            number = event.data.get("person")
            if event.kind in {"masked", "unmasked"}:
                if number in decided:
                    assert moment.now - decided[number] >= story.settings.change_s
                decided[number] = moment.now
            elif event.kind == "calm":
                calm[number] = moment.now
            elif event.kind == "agitated" and number in calm:
                assert moment.now - calm[number] >= story.settings.agitated_s


@given(stories())
def test_decided_people_never_become_undecided(story: Story) -> None:
    for moment in story.moments():
        assert set(moment.after.people) == {track.person for track in moment.tracks}
        for number, person in moment.after.people.items():
            before = moment.before.people.get(number)
            if before is not None and before.verdict is not Verdict.UNKNOWN:
                assert person.verdict is not Verdict.UNKNOWN
            assert not person.agitated or person.verdict is Verdict.UNMASKED


@given(stories())
def test_alarm_needs_an_agitated_person(story: Story) -> None:
    for moment in story.moments():
        if moment.signal is Signal.ALARM and not any(person.agitated for person in moment.after.people.values()):
            assert moment.now - moment.after.signal_since < story.settings.min_signal_s


@given(stories(places=1, faults=False))
def test_alarms_keep_their_maximum_and_their_cool_down(story: Story) -> None:
    """Each person's alarm lasts at most alarm_max_s (plus min_signal_s); the next comes after alarm_cooldown_s."""
    maximum, cooldown, hold = story.settings.alarm_max_s, story.settings.alarm_cooldown_s, story.settings.min_signal_s
    began: dict[int, float] = {}
    for moment in story.moments():
        if moment.signal is not Signal.ALARM or not moment.tracks:
            continue
        (number,) = moment.after.people
        if not moment.after.people[number].agitated and number not in began:
            continue  # The signal is still the alarm of the previous person.
        start = began.setdefault(number, moment.now)
        if moment.now - start >= maximum + hold:
            assert moment.now - start >= maximum + cooldown
            began[number] = moment.now
