"""The policy: scenes with people at the door, limits one by one, and invariants of generated stories."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from edge import config
from edge.config import PolicySettings
from edge.policy import Person, State, Verdict, step
from edge.records import Box, Detection, Event, Signal, Track
from edge.tracker import Tracker

DEFAULT = config.load()
POLICY = DEFAULT.policy
FPS = 10

# Scenes: the looks pass the real tracker at 10 frames/s, with the settings of default.toml.


@dataclass(frozen=True)
class Visitor:
    """A person at a fixed place, with log-odds of a mask (None: no look) and agitation 0..1 (None: no look)."""

    place: int
    mask: float | None = None
    agitation: float | None = None


MASKED, UNMASKED = 2.5, -2.5
ANNA, BEN = Visitor(0, MASKED), Visitor(1, MASKED)
ANNA_UNMASKED, BEN_UNMASKED = Visitor(0, UNMASKED, 0.1), Visitor(1, UNMASKED, 0.1)
ANNA_ANGRY = Visitor(0, UNMASKED, 0.9)


@dataclass
class Door:
    """Tracker and policy of one door, with everything that has happened."""

    settings: PolicySettings = POLICY
    t: float = 0.0
    state: State = field(default_factory=State)
    events: list[Event] = field(default_factory=list)
    tracker: Tracker = field(default_factory=lambda: Tracker(DEFAULT.tracker))

    def see(self, seconds: float, *people: Visitor, fault: str | None = None) -> list[Signal]:
        """Show these people for `seconds`; return the signal of each frame."""
        shown = []
        for _ in range(round(seconds * FPS)):
            found = [Detection(Box(200 * p.place, 100, 200 * p.place + 100, 200), 0.9) for p in people]
            owners = self.tracker.update(found, self.t, 480)
            for person, visitor in zip(owners, people, strict=True):
                if visitor.mask is not None:
                    self.tracker.add_mask_score(person, visitor.mask, self.t)
                if visitor.agitation is not None:
                    self.tracker.add_expression_score(person, visitor.agitation, self.t)
            self.state, signal, events = step(self.state, self.tracker.tracks, self.t, self.settings, fault)
            shown.append(signal)
            self.events += events
            self.t = round(self.t + 1 / FPS, 6)
        return shown

    @property
    def history(self) -> list[str]:
        """Return the kinds of all events; for a signal event, the signal."""
        return [str(event.data.get("signal", event.kind)) for event in self.events]


def within(shown: list[Signal], signal: Signal, seconds: float) -> bool:
    """Return True if `signal` came within `seconds` and stayed."""
    return set(shown[round(seconds * FPS) :]) == {signal}


def test_nobody_at_the_door_is_idle() -> None:
    door = Door()
    assert set(door.see(5)) == {Signal.IDLE}
    assert door.events == []


def test_masked_person_gets_green() -> None:
    door = Door()
    shown = door.see(3, ANNA)
    assert within(shown, Signal.PASS, 1.5)
    assert set(shown) == {Signal.IDLE, Signal.PASS}
    assert door.history == ["masked", "PASS"]


def test_unmasked_person_gets_red() -> None:
    door = Door()
    shown = door.see(3, ANNA_UNMASKED)
    assert within(shown, Signal.STOP, 1.5)
    assert set(shown) == {Signal.IDLE, Signal.STOP}
    assert door.history == ["unmasked", "STOP"]


def test_one_unmasked_person_is_enough_for_red() -> None:
    door = Door()
    door.see(3, ANNA)
    shown = door.see(3, ANNA, BEN_UNMASKED)
    assert within(shown, Signal.STOP, 1.5)
    assert within(door.see(3, ANNA), Signal.PASS, 2.0)


@pytest.mark.parametrize("start", [ANNA, ANNA_UNMASKED])
def test_one_wrong_look_changes_nothing(start: Visitor) -> None:
    assert start.mask is not None
    door = Door()
    door.see(3, start)
    shown = door.state.signal
    for _ in range(20):
        assert set(door.see(0.1, replace(start, mask=-start.mask))) == {shown}
        assert set(door.see(0.5, start)) == {shown}
    assert len(door.events) == 2


@pytest.mark.parametrize("start", [ANNA, ANNA_UNMASKED])
def test_hand_in_front_of_the_face_changes_nothing(start: Visitor) -> None:
    """All looks are wrong for slightly less than change_s."""
    assert start.mask is not None
    door = Door()
    door.see(3, start)
    shown = door.state.signal
    assert set(door.see(POLICY.change_s - 0.1, replace(start, mask=-start.mask))) == {shown}
    assert set(door.see(3, start)) == {shown}
    assert len(door.events) == 2


def test_taking_the_mask_off_gets_red() -> None:
    door = Door()
    door.see(3, ANNA)
    shown = door.see(5, ANNA_UNMASKED)
    assert set(shown[: round(POLICY.change_s * FPS)]) == {Signal.PASS}
    assert within(shown, Signal.STOP, 3.0)
    assert door.history == ["masked", "PASS", "unmasked", "STOP"]


def test_putting_the_mask_on_gets_green() -> None:
    door = Door()
    door.see(3, ANNA_UNMASKED)
    shown = door.see(5, ANNA)
    assert set(shown[: round(POLICY.change_s * FPS)]) == {Signal.STOP}
    assert within(shown, Signal.PASS, 3.0)
    assert door.history == ["unmasked", "STOP", "masked", "PASS"]


def test_agitated_person_raises_the_alarm_once() -> None:
    door = Door()
    shown = door.see(20, ANNA_ANGRY)
    alarm = [k / FPS for k, signal in enumerate(shown) if signal is Signal.ALARM]
    assert alarm[0] < 2.5
    assert len(alarm) == pytest.approx(POLICY.alarm_max_s * FPS, abs=1)
    assert alarm[-1] - alarm[0] < POLICY.alarm_max_s, "one alarm, without a gap"
    assert shown[-1] is Signal.STOP
    assert door.history == ["unmasked", "STOP", "agitated", "ALARM", "STOP"]


def test_person_who_stays_agitated_raises_another_alarm_after_the_cool_down() -> None:
    door = Door()
    shown = door.see(POLICY.alarm_max_s + POLICY.alarm_cooldown_s + 6, ANNA_ANGRY)
    alarm = [k / FPS for k, signal in enumerate(shown) if signal is Signal.ALARM]
    starts = [alarm[0], *(b for a, b in itertools.pairwise(alarm) if b - a > 2 / FPS)]
    assert len(starts) == 2
    assert starts[1] - starts[0] == pytest.approx(POLICY.alarm_max_s + POLICY.alarm_cooldown_s, abs=0.2)


@pytest.mark.parametrize(("calm_s", "alarm"), [(4, False), (14, False), (20, True)])
def test_next_alarm_of_a_person_waits_for_the_cool_down(calm_s: float, alarm: bool) -> None:
    """The first alarm begins in the second second and lasts alarm_max_s. The next may follow alarm_cooldown_s later."""
    door = Door()
    door.see(8, ANNA_ANGRY)
    door.see(calm_s, ANNA_UNMASKED)
    assert (Signal.ALARM in door.see(4, ANNA_ANGRY)) is alarm
    assert [word for word in door.history if word in {"agitated", "calm"}] == ["agitated", "calm", "agitated"]


def test_cool_down_does_not_apply_to_another_person() -> None:
    door = Door()
    door.see(12, ANNA_ANGRY, BEN_UNMASKED)
    assert door.state.signal is Signal.STOP
    assert Signal.ALARM in door.see(3, ANNA_ANGRY, replace(BEN_UNMASKED, agitation=0.9))


def test_short_grimace_raises_no_alarm() -> None:
    door = Door()
    door.see(3, ANNA_UNMASKED)
    assert set(door.see(POLICY.agitated_s - 0.1, ANNA_ANGRY)) == {Signal.STOP}
    assert set(door.see(3, ANNA_UNMASKED)) == {Signal.STOP}
    assert "agitated" not in door.history


def test_calming_down_ends_the_alarm() -> None:
    door = Door()
    assert door.see(3, ANNA_ANGRY)[-1] is Signal.ALARM
    assert within(door.see(3, ANNA_UNMASKED), Signal.STOP, 2.0)


def test_masked_person_is_never_agitated() -> None:
    door = Door()
    assert Signal.ALARM not in door.see(10, replace(ANNA, agitation=0.99))
    assert "agitated" not in door.history


def test_mask_ends_the_alarm() -> None:
    door = Door()
    door.see(3, ANNA_ANGRY)
    assert within(door.see(5, replace(ANNA_ANGRY, mask=MASKED)), Signal.PASS, 3.0)
    assert door.history[-4:] == ["ALARM", "masked", "calm", "PASS"]


@pytest.mark.parametrize("who", [ANNA, ANNA_UNMASKED, ANNA_ANGRY])
def test_both_lights_go_off_after_the_last_person_has_left(who: Visitor) -> None:
    door = Door()
    door.see(3, who)
    assert within(door.see(4), Signal.IDLE, 2.0)
    cleared = [event for event in door.events if event.kind == "cleared"]
    assert [event.data["person"] for event in cleared] == [1]
    assert cleared[0].data["verdict"] == ("masked" if who is ANNA else "unmasked")
    assert cleared[0].data["dwell_s"] == pytest.approx(3 + DEFAULT.tracker.forget_after_s, abs=0.2)


def test_undecided_person_who_leaves_causes_no_event() -> None:
    door = Door()
    door.see(0.3, ANNA_UNMASKED)
    assert set(door.see(3)) == {Signal.IDLE}
    assert door.events == []


def test_undecided_person_delays_green_for_undecided_max_s() -> None:
    door = Door()
    shown = door.see(6, ANNA, Visitor(1, 0.0))
    assert set(shown[: round(POLICY.undecided_max_s * FPS)]) == {Signal.IDLE}
    assert within(shown, Signal.PASS, POLICY.undecided_max_s + 0.1)


def test_new_person_ends_green_until_decided() -> None:
    door = Door()
    door.see(3, ANNA)
    shown = door.see(3, ANNA, BEN)
    assert Signal.IDLE in shown
    assert Signal.STOP not in shown
    assert within(shown, Signal.PASS, 1.5)


def test_people_far_away_do_not_delay_green() -> None:
    """Their faces are too small to be looked at."""
    door = Door()
    assert within(door.see(3, ANNA, Visitor(1)), Signal.PASS, 1.5)
    assert set(Door().see(3, Visitor(0))) == {Signal.IDLE}


def test_blind_door_shows_fault_and_then_starts_with_new_people() -> None:
    door = Door()
    door.see(3, ANNA)
    door.tracker.clear()
    assert set(door.see(3, fault="camera: no picture")) == {Signal.FAULT}
    assert door.events[-1].data == {
        "signal": "FAULT", "before": "PASS", "people": 0, "reason": "camera: no picture",
    }  # fmt: skip
    shown = door.see(3, ANNA)
    assert shown[0] is Signal.IDLE, "everyone in view is a new person"
    assert within(shown, Signal.PASS, 1.5)


def test_short_fault_is_shown_for_min_signal_s() -> None:
    """The fault itself lasts for one frame."""
    door = Door()
    door.see(3, ANNA)
    assert door.see(0.1, ANNA, fault="hiccup") == [Signal.FAULT]
    shown = door.see(2, ANNA)
    hold = round(POLICY.min_signal_s * FPS)
    assert set(shown[: hold - 1]) == {Signal.FAULT}
    assert set(shown[hold:]) == {Signal.PASS}


# Limits, one track at a time.


def track(evidence: float = 0.0, *, looks: int = 100, since: float = 0.0, until: float = 100.0) -> Track:
    """Return the track of person 1, who was looked at from `since` until `until`."""
    return Track(1, Box(0, 0, 9, 9), 0.5, 0.0, until, looks, since, until, evidence)


def verdict(person: Person, *moments: tuple[float, Track]) -> Verdict:
    state = State({1: person})
    for now, seen in moments:
        state, _, _ = step(state, [seen], now, POLICY)
    return state.people[1].verdict


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (track(POLICY.masked_threshold), Verdict.MASKED),
        (track(POLICY.masked_threshold - 0.01), Verdict.UNKNOWN),
        (track(POLICY.unmasked_threshold), Verdict.UNMASKED),
        (track(POLICY.unmasked_threshold + 0.01), Verdict.UNKNOWN),
        (track(3.0, looks=POLICY.min_looks), Verdict.MASKED),
        (track(3.0, looks=POLICY.min_looks - 1), Verdict.UNKNOWN),
        (track(3.0, since=0.0, until=POLICY.min_decide_s), Verdict.MASKED),
        (track(3.0, since=0.0, until=POLICY.min_decide_s - 0.01), Verdict.UNKNOWN),
        (Track(1, Box(0, 0, 9, 9), 0.5, 0.0, 100.0), Verdict.UNKNOWN),
    ],
)
def test_limits_of_the_first_verdict(seen: Track, expected: Verdict) -> None:
    assert verdict(Person(0.0), (100.0, seen)) is expected


@pytest.mark.parametrize(
    ("start", "evidence", "seconds", "expected"),
    [
        (Verdict.MASKED, POLICY.change_to_unmasked, POLICY.change_s, Verdict.UNMASKED),
        (Verdict.MASKED, POLICY.change_to_unmasked, POLICY.change_s - 0.01, Verdict.MASKED),
        (Verdict.MASKED, POLICY.change_to_unmasked + 0.01, 60.0, Verdict.MASKED),
        (Verdict.UNMASKED, POLICY.change_to_masked, POLICY.change_s, Verdict.MASKED),
        (Verdict.UNMASKED, POLICY.change_to_masked, POLICY.change_s - 0.01, Verdict.UNMASKED),
        (Verdict.UNMASKED, POLICY.change_to_masked - 0.01, 60.0, Verdict.UNMASKED),
    ],
)
def test_limits_of_a_changed_verdict(start: Verdict, evidence: float, seconds: float, expected: Verdict) -> None:
    person = Person(0.0, start)
    assert verdict(person, (100.0, track(evidence)), (100.0 + seconds, track(evidence))) is expected


def test_doubt_starts_again_after_a_look_that_confirms_the_verdict() -> None:
    bad, good = track(POLICY.change_to_unmasked), track(0.0)
    moments = [(100.0, bad), (100.9, bad), (101.0, good), (101.1, bad), (102.0, bad)]
    assert verdict(Person(0.0, Verdict.MASKED), *moments) is Verdict.MASKED


def test_changing_back_also_takes_change_s() -> None:
    moments = [(100.0, track(-3.0)), (100.0 + POLICY.change_s, track(-3.0)), (101.1, track(3.0))]
    assert verdict(Person(0.0, Verdict.MASKED), *moments) is Verdict.UNMASKED


def test_second_agitation_also_takes_agitated_s() -> None:
    state = State({1: Person(0.0, Verdict.UNMASKED)})
    agitated = []
    for now, agitation in [(100.0, 0.9), (100.0 + POLICY.agitated_s, 0.9), (101.0, 0.1), (101.1, 0.9)]:
        seen = replace(track(-3.0), agitation=agitation, last_expression=now)
        state, _, _ = step(state, [seen], now, POLICY)
        agitated.append(state.people[1].agitated)
    assert agitated == [False, True, False, False]


@pytest.mark.parametrize(
    ("agitated", "agitation", "expected"),
    [
        (False, POLICY.agitated_threshold, True),
        (False, POLICY.agitated_threshold - 0.01, False),
        (True, POLICY.calm_threshold, True),
        (True, POLICY.calm_threshold - 0.01, False),
    ],
)
def test_agitation_has_two_thresholds(agitated: bool, agitation: float, expected: bool) -> None:
    state = State({1: Person(0.0, Verdict.UNMASKED, agitated=agitated)})
    seen = replace(track(-3.0), agitation=agitation, last_expression=100.0)
    for now in (100.0, 100.0 + POLICY.agitated_s):
        state, _, _ = step(state, [seen], now, POLICY)
    assert state.people[1].agitated is expected


# Invariants: generated stories go straight into the policy.


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
            if moment.after.people[t.number].verdict is Verdict.UNKNOWN
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
            (new.verdict.value, new.number)
            for n, new in after.items()
            if new.verdict is not (before[n].verdict if n in before else Verdict.UNKNOWN)
        }
        agitated = {n for n, person in after.items() if person.agitated}
        was_agitated = {n for n, person in before.items() if person.agitated}
        expected |= {("agitated", after[n].number) for n in agitated - was_agitated}
        expected |= {("calm", after[n].number) for n in was_agitated - agitated if n in after}
        expected |= {
            ("cleared", old.number) for n, old in before.items() if n not in after if old.verdict is not Verdict.UNKNOWN
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
        assert set(moment.after.people) == {track.number for track in moment.tracks}
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


@given(stories())
def test_people_are_numbered_in_the_order_of_their_first_verdicts(story: Story) -> None:
    """Tracks without a verdict, which may be false detections, use up no number."""
    numbers: list[object] = []
    for moment in story.moments():
        for event in moment.events:
            if event.kind in ("masked", "unmasked") and event.data["person"] not in numbers:
                numbers.append(event.data["person"])
        for person in moment.after.people.values():
            assert (person.number > 0) is (person.verdict is not Verdict.UNKNOWN)
        decided = [person.number for person in moment.after.people.values() if person.number]
        assert len(set(decided)) == len(decided)
    assert numbers == list(range(1, len(numbers) + 1))
