"""The door's decision: the stories it must tell, and what must hold whatever happens before it."""

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

# -- Stories: looks go through the real tracker at ten frames a second, with the settings of default.toml.


@dataclass(frozen=True)
class Visitor:
    """Somebody at a place of their own: log-odds of a mask (None: not looked at), and of their agitation."""

    place: int
    mask: float | None = None
    heat: float | None = None


MASKED, BARE = 2.5, -2.5
ANNA, BEN = Visitor(0, MASKED), Visitor(1, MASKED)
ANNA_BARE, BEN_BARE = Visitor(0, BARE, 0.1), Visitor(1, BARE, 0.1)
ANNA_ANGRY = Visitor(0, BARE, 0.9)


@dataclass
class Door:
    """A door as somebody in front of it knows it: people come and go, lights change."""

    settings: PolicySettings = POLICY
    t: float = 0.0
    state: State = field(default_factory=State)
    events: list[Event] = field(default_factory=list)
    tracker: Tracker = field(default_factory=lambda: Tracker(DEFAULT.tracker))

    def see(self, seconds: float, *people: Visitor, fault: str | None = None) -> list[Signal]:
        """Show these people for so long; the signal of each frame."""
        shown = []
        for _ in range(round(seconds * FPS)):
            found = [Detection(Box(200 * p.place, 100, 200 * p.place + 100, 200), 0.9) for p in people]
            owners = self.tracker.update(found, self.t, 480)
            for person, visitor in zip(owners, people, strict=True):
                if visitor.mask is not None:
                    self.tracker.saw_mask(person, visitor.mask, self.t)
                if visitor.heat is not None:
                    self.tracker.saw_expression(person, visitor.heat, self.t)
            self.state, signal, events = step(self.state, self.tracker.tracks, self.t, self.settings, fault)
            shown.append(signal)
            self.events += events
            self.t = round(self.t + 1 / FPS, 6)
        return shown

    @property
    def told(self) -> list[str]:
        """The events so far in a word each; a signal event by its signal."""
        return [str(event.data.get("signal", event.kind)) for event in self.events]


def within(shown: list[Signal], signal: Signal, seconds: float) -> bool:
    """Whether `signal` came within so long and then stayed."""
    return set(shown[round(seconds * FPS) :]) == {signal}


def test_nobody_comes() -> None:
    door = Door()
    assert set(door.see(5)) == {Signal.IDLE}
    assert door.events == []


def test_masked_person_gets_green() -> None:
    door = Door()
    shown = door.see(3, ANNA)
    assert within(shown, Signal.PASS, 1.5)
    assert set(shown) == {Signal.IDLE, Signal.PASS}
    assert door.told == ["masked", "PASS"]


def test_unmasked_person_gets_red() -> None:
    door = Door()
    shown = door.see(3, ANNA_BARE)
    assert within(shown, Signal.STOP, 1.5)
    assert set(shown) == {Signal.IDLE, Signal.STOP}
    assert door.told == ["unmasked", "STOP"]


def test_one_without_a_mask_is_enough() -> None:
    door = Door()
    door.see(3, ANNA)
    shown = door.see(3, ANNA, BEN_BARE)
    assert within(shown, Signal.STOP, 1.5)
    assert within(door.see(3, ANNA), Signal.PASS, 2.0)


@pytest.mark.parametrize("start", [ANNA, ANNA_BARE])
def test_one_odd_look_flips_nothing(start: Visitor) -> None:
    assert start.mask is not None
    door = Door()
    door.see(3, start)
    shown = door.state.signal
    for _ in range(20):
        assert set(door.see(0.1, replace(start, mask=-start.mask))) == {shown}
        assert set(door.see(0.5, start)) == {shown}
    assert len(door.events) == 2


@pytest.mark.parametrize("start", [ANNA, ANNA_BARE])
def test_a_hand_before_the_face_flips_nothing(start: Visitor) -> None:
    """Odd looks in a row, for not quite change_s."""
    assert start.mask is not None
    door = Door()
    door.see(3, start)
    shown = door.state.signal
    assert set(door.see(POLICY.change_s - 0.1, replace(start, mask=-start.mask))) == {shown}
    assert set(door.see(3, start)) == {shown}
    assert len(door.events) == 2


def test_taking_the_mask_off() -> None:
    door = Door()
    door.see(3, ANNA)
    shown = door.see(5, ANNA_BARE)
    assert set(shown[: round(POLICY.change_s * FPS)]) == {Signal.PASS}
    assert within(shown, Signal.STOP, 3.0)
    assert door.told == ["masked", "PASS", "unmasked", "STOP"]


def test_putting_the_mask_on() -> None:
    door = Door()
    door.see(3, ANNA_BARE)
    shown = door.see(5, ANNA)
    assert set(shown[: round(POLICY.change_s * FPS)]) == {Signal.STOP}
    assert within(shown, Signal.PASS, 3.0)
    assert door.told == ["unmasked", "STOP", "masked", "PASS"]


def test_agitated_person_raises_the_alarm_once() -> None:
    door = Door()
    shown = door.see(20, ANNA_ANGRY)
    alarm = [k / FPS for k, signal in enumerate(shown) if signal is Signal.ALARM]
    assert alarm[0] < 2.5
    assert len(alarm) == pytest.approx(POLICY.alarm_most_s * FPS, abs=1)
    assert alarm[-1] - alarm[0] < POLICY.alarm_most_s, "one alarm, without a gap"
    assert shown[-1] is Signal.STOP
    assert door.told == ["unmasked", "STOP", "agitated", "ALARM", "STOP"]


def test_somebody_who_stays_agitated_is_alarming_again_after_the_cool_down() -> None:
    door = Door()
    shown = door.see(POLICY.alarm_most_s + POLICY.alarm_again_s + 6, ANNA_ANGRY)
    alarm = [k / FPS for k, signal in enumerate(shown) if signal is Signal.ALARM]
    starts = [alarm[0], *(b for a, b in itertools.pairwise(alarm) if b - a > 2 / FPS)]
    assert len(starts) == 2
    assert starts[1] - starts[0] == pytest.approx(POLICY.alarm_most_s + POLICY.alarm_again_s, abs=0.2)


@pytest.mark.parametrize(("calm_s", "alarm"), [(4, False), (14, False), (20, True)])
def test_agitated_again_waits_for_the_cool_down(calm_s: float, alarm: bool) -> None:
    """An alarm of alarm_most_s began in the second second; after alarm_again_s more there may be another."""
    door = Door()
    door.see(8, ANNA_ANGRY)
    door.see(calm_s, ANNA_BARE)
    assert (Signal.ALARM in door.see(4, ANNA_ANGRY)) is alarm
    assert [word for word in door.told if word in {"agitated", "calm"}] == ["agitated", "calm", "agitated"]


def test_somebody_else_may_raise_the_alarm_meanwhile() -> None:
    door = Door()
    door.see(12, ANNA_ANGRY, BEN_BARE)
    assert door.state.signal is Signal.STOP
    assert Signal.ALARM in door.see(3, ANNA_ANGRY, replace(BEN_BARE, heat=0.9))


def test_a_grimace_is_no_alarm() -> None:
    door = Door()
    door.see(3, ANNA_BARE)
    assert set(door.see(POLICY.agitated_s - 0.1, ANNA_ANGRY)) == {Signal.STOP}
    assert set(door.see(3, ANNA_BARE)) == {Signal.STOP}
    assert "agitated" not in door.told


def test_calming_down_ends_the_alarm() -> None:
    door = Door()
    assert door.see(3, ANNA_ANGRY)[-1] is Signal.ALARM
    assert within(door.see(3, ANNA_BARE), Signal.STOP, 2.0)


def test_nobody_masked_is_agitated() -> None:
    door = Door()
    assert Signal.ALARM not in door.see(10, replace(ANNA, heat=0.99))
    assert "agitated" not in door.told


def test_a_mask_ends_the_alarm() -> None:
    door = Door()
    door.see(3, ANNA_ANGRY)
    assert within(door.see(5, replace(ANNA_ANGRY, mask=MASKED)), Signal.PASS, 3.0)
    assert door.told[-4:] == ["ALARM", "masked", "calm", "PASS"]


@pytest.mark.parametrize("who", [ANNA, ANNA_BARE, ANNA_ANGRY])
def test_leaving_turns_both_lights_off(who: Visitor) -> None:
    door = Door()
    door.see(3, who)
    assert within(door.see(4), Signal.IDLE, 2.0)
    cleared = [event for event in door.events if event.kind == "cleared"]
    assert [event.data["person"] for event in cleared] == [1]
    assert cleared[0].data["verdict"] == ("masked" if who is ANNA else "unmasked")
    assert cleared[0].data["dwell_s"] == pytest.approx(3 + DEFAULT.tracker.gone_s, abs=0.2)


def test_passing_by_undecided_leaves_no_trace() -> None:
    door = Door()
    door.see(0.3, ANNA_BARE)
    assert set(door.see(3)) == {Signal.IDLE}
    assert door.events == []


def test_somebody_undecided_delays_green_but_not_for_ever() -> None:
    door = Door()
    shown = door.see(6, ANNA, Visitor(1, 0.0))
    assert set(shown[: round(POLICY.doubt_s * FPS)]) == {Signal.IDLE}
    assert within(shown, Signal.PASS, POLICY.doubt_s + 0.1)


def test_somebody_new_takes_green_away_until_decided() -> None:
    door = Door()
    door.see(3, ANNA)
    shown = door.see(3, ANNA, BEN)
    assert Signal.IDLE in shown
    assert Signal.STOP not in shown
    assert within(shown, Signal.PASS, 1.5)


def test_far_away_people_delay_nothing() -> None:
    """Too small to be judged, they are never looked at."""
    door = Door()
    assert within(door.see(3, ANNA, Visitor(1)), Signal.PASS, 1.5)
    assert set(Door().see(3, Visitor(0))) == {Signal.IDLE}


def test_a_blind_door_says_so_and_starts_afresh() -> None:
    door = Door()
    door.see(3, ANNA)
    door.tracker.forget_all()
    assert set(door.see(3, fault="camera: no picture")) == {Signal.FAULT}
    assert door.events[-1].data == {
        "signal": "FAULT", "before": "PASS", "people": 0, "reason": "camera: no picture",
    }  # fmt: skip
    shown = door.see(3, ANNA)
    assert shown[0] is Signal.IDLE, "whoever is there now is somebody new"
    assert within(shown, Signal.PASS, 1.5)


def test_a_short_fault_is_seen() -> None:
    """It stays for hold_s even where it lasted for one frame."""
    door = Door()
    door.see(3, ANNA)
    assert door.see(0.1, ANNA, fault="hiccup") == [Signal.FAULT]
    shown = door.see(2, ANNA)
    hold = round(POLICY.hold_s * FPS)
    assert set(shown[: hold - 1]) == {Signal.FAULT}
    assert set(shown[hold:]) == {Signal.PASS}


# -- Limits of the verdict, one track at a time.


def track(evidence: float = 0.0, *, looks: int = 100, since: float = 0.0, until: float = 100.0) -> Track:
    """Person 1, looked at from `since` until `until`."""
    return Track(1, Box(0, 0, 9, 9), 0.5, 0.0, until, looks, since, until, evidence)


def verdict(person: Person, *moments: tuple[float, Track]) -> Verdict:
    state = State({1: person})
    for now, seen in moments:
        state, _, _ = step(state, [seen], now, POLICY)
    return state.people[1].verdict


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (track(POLICY.masked_from), Verdict.MASKED),
        (track(POLICY.masked_from - 0.01), Verdict.UNKNOWN),
        (track(POLICY.unmasked_from), Verdict.UNMASKED),
        (track(POLICY.unmasked_from + 0.01), Verdict.UNKNOWN),
        (track(3.0, looks=POLICY.looks), Verdict.MASKED),
        (track(3.0, looks=POLICY.looks - 1), Verdict.UNKNOWN),
        (track(3.0, since=0.0, until=POLICY.decide_s), Verdict.MASKED),
        (track(3.0, since=0.0, until=POLICY.decide_s - 0.01), Verdict.UNKNOWN),
        (Track(1, Box(0, 0, 9, 9), 0.5, 0.0, 100.0), Verdict.UNKNOWN),
    ],
)
def test_deciding(seen: Track, expected: Verdict) -> None:
    assert verdict(Person(0.0), (100.0, seen)) is expected


@pytest.mark.parametrize(
    ("start", "evidence", "seconds", "expected"),
    [
        (Verdict.MASKED, POLICY.to_unmasked, POLICY.change_s, Verdict.UNMASKED),
        (Verdict.MASKED, POLICY.to_unmasked, POLICY.change_s - 0.01, Verdict.MASKED),
        (Verdict.MASKED, POLICY.to_unmasked + 0.01, 60.0, Verdict.MASKED),
        (Verdict.UNMASKED, POLICY.to_masked, POLICY.change_s, Verdict.MASKED),
        (Verdict.UNMASKED, POLICY.to_masked, POLICY.change_s - 0.01, Verdict.UNMASKED),
        (Verdict.UNMASKED, POLICY.to_masked - 0.01, 60.0, Verdict.UNMASKED),
    ],
)
def test_changing_sides(start: Verdict, evidence: float, seconds: float, expected: Verdict) -> None:
    person = Person(0.0, start)
    assert verdict(person, (100.0, track(evidence)), (100.0 + seconds, track(evidence))) is expected


def test_doubt_starts_again_after_a_good_look() -> None:
    bad, good = track(POLICY.to_unmasked), track(0.0)
    moments = [(100.0, bad), (100.9, bad), (101.0, good), (101.1, bad), (102.0, bad)]
    assert verdict(Person(0.0, Verdict.MASKED), *moments) is Verdict.MASKED


def test_changing_back_takes_as_long() -> None:
    moments = [(100.0, track(-3.0)), (100.0 + POLICY.change_s, track(-3.0)), (101.1, track(3.0))]
    assert verdict(Person(0.0, Verdict.MASKED), *moments) is Verdict.UNMASKED


def test_agitated_again_takes_as_long() -> None:
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
        (False, POLICY.agitated_from, True),
        (False, POLICY.agitated_from - 0.01, False),
        (True, POLICY.calm_below, True),
        (True, POLICY.calm_below - 0.01, False),
    ],
)
def test_agitation_has_two_thresholds(agitated: bool, agitation: float, expected: bool) -> None:
    state = State({1: Person(0.0, Verdict.UNMASKED, agitated=agitated)})
    seen = replace(track(-3.0), agitation=agitation, last_expression=100.0)
    for now in (100.0, 100.0 + POLICY.agitated_s):
        state, _, _ = step(state, [seen], now, POLICY)
    assert state.people[1].agitated is expected


# -- Whatever happens: generated stories, straight into the policy.


@dataclass(frozen=True)
class Moment:
    """One call of `step`: what went in, what came out."""

    before: State
    tracks: tuple[Track, ...]
    now: float
    fault: str | None
    after: State
    signal: Signal
    events: list[Event]


#: Evidence and agitation (None: no new look) of somebody; None is nobody.
Somebody = tuple[float | None, float | None] | None


@dataclass(frozen=True)
class Scene:
    """So many frames, so far apart, in which every place shows the same; `fault` as `step` takes it."""

    frames: int
    pause_s: float
    places: tuple[Somebody, ...]
    fault: str | None


@dataclass(frozen=True)
class Story:
    """One scene after another. Whoever stands at a place stays the same person until nobody does."""

    settings: PolicySettings
    scenes: list[Scene]

    def told(self) -> Iterator[Moment]:
        state, now = State(), 0.0
        numbers = itertools.count(1)
        present: dict[int, Track] = {}
        for scene in self.scenes:
            for _ in range(scene.frames):
                now += scene.pause_s
                for place, somebody in enumerate(scene.places):
                    if somebody is None:
                        present.pop(place, None)
                        continue
                    if place not in present:
                        present[place] = Track(next(numbers), Box(0, 0, 9, 9), 0.5, now, now)
                    present[place] = looked_at(present[place], somebody[0], somebody[1], now)
                tracks = tuple(present.values())
                after, signal, events = step(state, tracks, now, self.settings, scene.fault)
                yield Moment(state, tracks, now, scene.fault, after, signal, events)
                state = after


def looked_at(track: Track, evidence: float | None, heat: float | None, now: float) -> Track:
    if evidence is not None:
        first = now if track.first_look is None else track.first_look
        track = replace(track, evidence=evidence, looks=track.looks + 1, first_look=first, last_look=now)
    if heat is not None:
        track = replace(track, agitation=heat, last_expression=now)
    return replace(track, seen=now)


seconds = st.sampled_from([0.0, 0.2, 0.5, 1.0, 2.0])
#: Any settings that a file may hold, short enough for something to happen.
any_settings = st.builds(
    lambda **changes: msgspec.structs.replace(POLICY, **changes),
    looks=st.integers(1, 4),
    doubt_s=seconds,
    decide_s=seconds,
    change_s=seconds,
    agitated_s=seconds,
    hold_s=seconds,
    alarm_most_s=st.sampled_from([0.1, 0.5, 2.0]),
    alarm_again_s=seconds,
)
looks = st.none() | st.sampled_from([-3.0, -1.6, -1.3, 0.0, 1.3, 1.6, 3.0]) | st.floats(-3, 3)
heats = st.none() | st.sampled_from([0.0, 0.3, 0.5, 1.0]) | st.floats(0, 1)
somebody_or_nobody = st.none() | st.tuples(looks, heats)


def stories(places: int = 3, faults: bool = True) -> st.SearchStrategy[Story]:
    scene = st.builds(
        Scene,
        st.integers(1, 12),
        st.sampled_from([0.1, 0.1, 0.3, 0.0, 1.5]),
        st.tuples(*[somebody_or_nobody] * places),
        st.sampled_from([None, None, None, "camera lost"] if faults else [None]),
    )
    return st.builds(Story, any_settings, st.lists(scene, min_size=1, max_size=12))


def verdicts(moment: Moment) -> set[Verdict]:
    return {person.verdict for person in moment.after.people.values()}


def test_the_stories_are_about_something() -> None:
    """Else everything below would hold for nothing: one of them shows every signal and changes a decided person."""

    def rich(story: Story) -> bool:
        told = list(story.told())
        changed = any(
            person.verdict is not Verdict.UNKNOWN and m.after.people.get(number, person).verdict is not person.verdict
            for m in told
            for number, person in m.before.people.items()
        )
        return changed and {m.signal for m in told} == set(Signal)

    how = settings(max_examples=5000, phases=(Phase.generate,), database=None, derandomize=True)
    assert rich(find(stories(), rich, settings=how))


@given(stories())
def test_never_green_with_somebody_unmasked(story: Story) -> None:
    for moment in story.told():
        if Verdict.UNMASKED in verdicts(moment):
            assert moment.signal.strength >= Signal.STOP.strength


@given(stories())
def test_blind_is_fault_and_nothing_else(story: Story) -> None:
    for moment in story.told():
        if moment.fault is not None:
            assert moment.signal is Signal.FAULT
        elif moment.signal is Signal.FAULT:
            assert moment.now - moment.after.signal_since < story.settings.hold_s, "longer than it must be seen"


@given(stories())
def test_green_needs_somebody_masked(story: Story) -> None:
    """Green comes with somebody masked, and stays without them for no longer than hold_s."""
    for moment in story.told():
        if moment.signal is Signal.PASS and Verdict.MASKED not in verdicts(moment):
            assert moment.before.signal is Signal.PASS
            assert moment.now - moment.after.signal_since < story.settings.hold_s


@given(stories())
def test_green_waits_for_everyone_at_most_doubt_s(story: Story) -> None:
    for moment in story.told():
        waiting = [
            moment.now - t.first_look
            for t in moment.tracks
            if t.looks >= 2 and t.first_look is not None
            if moment.after.people[t.person].verdict is Verdict.UNKNOWN
        ]
        held = moment.now - moment.after.signal_since < story.settings.hold_s
        if moment.fault is None and not held and verdicts(moment) - {Verdict.UNKNOWN} == {Verdict.MASKED}:
            all_waited = all(seconds >= story.settings.doubt_s for seconds in waiting)
            assert moment.signal is (Signal.PASS if all_waited else Signal.IDLE)


@given(stories())
def test_nothing_flickers(story: Story) -> None:
    """A signal gives way to a weaker one only after hold_s; a change is dated when it happens."""
    changed = float("-inf")
    for moment in story.told():
        assert moment.before.signal_since == changed
        if moment.signal is not moment.before.signal:
            if moment.signal.strength < moment.before.signal.strength:
                assert moment.now - changed >= story.settings.hold_s
            changed = moment.now


@given(stories())
def test_the_same_again_is_the_same(story: Story) -> None:
    for moment in story.told():
        people = dict(moment.before.people)
        again = step(moment.before, list(moment.tracks), moment.now, story.settings, moment.fault)
        assert again == (moment.after, moment.signal, moment.events)
        assert dict(moment.before.people) == people
        assert moment.after.signal is moment.signal


@given(stories())
def test_events_say_what_changed(story: Story) -> None:
    for moment in story.told():
        assert all(event.t == moment.now for event in moment.events)
        signals = [event for event in moment.events if event.kind == "signal"]
        if moment.signal is moment.before.signal:
            assert not signals
        else:
            (event,) = signals
            assert event is moment.events[-1], "first what happened, then what it led to"
            assert event.data["signal"] == moment.signal.value
            assert event.data["before"] == moment.before.signal.value
            assert event.data["people"] == len(moment.tracks)
            assert event.data.get("reason") == moment.fault
        told = {(event.kind, event.data["person"]) for event in moment.events if event.kind != "signal"}
        before, after = moment.before.people, moment.after.people
        expected = {
            (new.verdict.value, n)
            for n, new in after.items()
            if new.verdict is not (before[n].verdict if n in before else Verdict.UNKNOWN)
        }
        heated = {n for n, person in after.items() if person.agitated}
        was_heated = {n for n, person in before.items() if person.agitated}
        expected |= {("agitated", n) for n in heated - was_heated}
        expected |= {("calm", n) for n in was_heated - heated if n in after}
        expected |= {
            ("cleared", n) for n, old in before.items() if n not in after if old.verdict is not Verdict.UNKNOWN
        }
        assert told == expected
        assert len(moment.events) == len(told) + len(signals), "nothing is told twice"


@given(stories())
def test_every_change_of_mind_takes_its_time(story: Story) -> None:
    """From one side to the other, change_s each time; from calm to agitated, agitated_s each time."""
    decided: dict[object, float] = {}
    calm: dict[object, float] = {}
    for moment in story.told():
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
    for moment in story.told():
        assert set(moment.after.people) == {track.person for track in moment.tracks}
        for number, person in moment.after.people.items():
            before = moment.before.people.get(number)
            if before is not None and before.verdict is not Verdict.UNKNOWN:
                assert person.verdict is not Verdict.UNKNOWN
            assert not person.agitated or person.verdict is Verdict.UNMASKED


@given(stories())
def test_alarm_needs_somebody_agitated(story: Story) -> None:
    for moment in story.told():
        if moment.signal is Signal.ALARM and not any(person.agitated for person in moment.after.people.values()):
            assert moment.now - moment.after.signal_since < story.settings.hold_s


@given(stories(places=1, faults=False))
def test_alarms_are_short_and_far_between(story: Story) -> None:
    """Of each person: for at most alarm_most_s (or the hold, past its end), then not again for alarm_again_s."""
    most, again, hold = story.settings.alarm_most_s, story.settings.alarm_again_s, story.settings.hold_s
    began: dict[int, float] = {}
    for moment in story.told():
        if moment.signal is not Signal.ALARM or not moment.tracks:
            continue
        (number,) = moment.after.people
        if not moment.after.people[number].agitated and number not in began:
            continue  # still the alarm of whoever was here before
        start = began.setdefault(number, moment.now)
        if moment.now - start >= most + hold:
            assert moment.now - start >= most + again
            began[number] = moment.now
