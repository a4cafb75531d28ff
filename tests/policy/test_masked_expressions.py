"""People with a mask who look agitated: no ALARM unless `masked_alarm`, and then the same rules as for bare faces."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import Phase, find, given
from hypothesis import settings as how
from hypothesis import strategies as st

from edge.policy import Person, State, Verdict, agitation_of, step
from edge.records import Box, Event, Signal, Track
from support.policy_stories import POLICY, Moment, Occupant, Scene, Story, looked_at, stories

#: Longer than one frame, and shorter than `agitated_s`.
PAUSE_S = 0.1


def without_alarm(story: Story) -> Story:
    return replace(story, masked_alarm=False)


def test_stories_have_masked_people_who_look_agitated() -> None:
    """Without such stories the tests below would prove nothing."""

    def rich(story: Story) -> bool:
        kinds = {event.kind for moment in story.moments() for event in moment.events}
        return {"maybe_agitated", "agitated"} <= kinds

    def alarmed(story: Story) -> bool:
        return any(
            "above_mask" in event.data for m in story.moments() for event in m.events if event.kind == "agitated"
        )

    generate = how(max_examples=2000, phases=(Phase.generate,), database=None, derandomize=True)
    found = find(stories(), lambda story: rich(without_alarm(story)), settings=generate)
    assert rich(without_alarm(found))
    assert alarmed(find(stories(), alarmed, settings=generate))


@given(stories())
def test_a_masked_person_never_raises_an_alarm(story: Story) -> None:
    for moment in without_alarm(story).moments():
        people = moment.after.people.values()
        assert all(person.verdict is Verdict.UNMASKED for person in people if person.agitated)
        if moment.signal is Signal.ALARM and moment.before.signal is not Signal.ALARM:
            assert any(person.agitated and person.verdict is Verdict.UNMASKED for person in people)
        assert not [event for event in moment.events if event.kind == "agitated" and "above_mask" in event.data]


@how(max_examples=50)
@given(stories())
def test_looks_above_a_mask_change_nothing_else(story: Story) -> None:
    """The same story without them has the same signals, people and events, but for `maybe_agitated`."""
    plain = replace(
        story, scenes=[replace(scene, places=tuple(_bare(p) for p in scene.places)) for scene in story.scenes]
    )
    pairs = zip(without_alarm(story).moments(), without_alarm(plain).moments(), strict=True)
    for moment, other in pairs:
        assert moment.signal is other.signal
        assert [event for event in moment.events if event.kind != "maybe_agitated"] == other.events
        people = {n: replace(p, maybe_agitated=False, maybe_since=None) for n, p in moment.after.people.items()}
        assert people == other.after.people


def _bare(place: Occupant) -> Occupant:
    return None if place is None else (*place[:2], None)


@how(max_examples=50)
@given(stories())
def test_the_setting_counts_from_the_next_step_on(story: Story) -> None:
    """Whatever the state, a step without `masked_alarm` leaves no masked person agitated."""
    for moment in replace(story, masked_alarm=True).moments():
        after, signal, _ = step(moment.after, moment.tracks, moment.now, story.settings, moment.fault)
        assert all(person.verdict is Verdict.UNMASKED for person in after.people.values() if person.agitated)
        if signal is Signal.ALARM and not any(person.agitated for person in after.people.values()):
            assert moment.signal is Signal.ALARM, "shown for its minimum time"


@how(max_examples=50)
@given(stories(places=1))
def test_with_the_setting_masked_people_have_the_rules_of_bare_ones(story: Story) -> None:
    """A story and its mirror image, with masks for bare faces, have alarms at the same times."""
    bare = replace(story, masked_alarm=True, scenes=[_only_bare(scene) for scene in story.scenes])
    masked = replace(bare, scenes=[_mirrored(scene) for scene in bare.scenes])
    for one, other in zip(bare.moments(), masked.moments(), strict=True):
        assert _alarm_state(one) == _alarm_state(other)


def _only_bare(scene: Scene) -> Scene:
    """Return a scene of bare faces. A look that says nothing about a mask has no expression either."""
    places = (p and (p[0], None if p[0] is None else p[1], None) for p in scene.places)
    return replace(scene, places=tuple(places))


def _mirrored(scene: Scene) -> Scene:
    return replace(
        scene,
        places=tuple(p and (None if p[0] is None else -p[0], None, p[1]) for p in scene.places),
    )


def _alarm_state(moment: Moment) -> object:
    people = moment.after.people.values()
    kinds = sorted(event.kind for event in moment.events if event.kind in ("agitated", "calm"))
    return moment.signal is Signal.ALARM, [(p.agitated, p.agitation_since, p.alarm_from) for p in people], kinds


class InView:
    """One person in view, frame by frame."""

    def __init__(self, masked_alarm: bool) -> None:
        self._masked_alarm = masked_alarm
        self._state, self._now = State(), 0.0
        self._track = Track(1, Box(0, 0, 9, 9), 0.5, 0.0, 0.0)
        self.signal = Signal.IDLE

    def shown(self, seconds: float, evidence: float, bare: float | None, above: float | None) -> list[Event]:
        events: list[Event] = []
        for _ in range(round(seconds / PAUSE_S)):
            self._now += PAUSE_S
            self._track = looked_at(self._track, evidence, bare, above, self._now)
            self._state, self.signal, new = step(
                self._state, [self._track], self._now, POLICY, masked_alarm=self._masked_alarm
            )
            events += new
        return events


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events if event.kind != "signal"]


def test_it_is_logged_once_as_uncertain() -> None:
    person = InView(masked_alarm=False)
    events = person.shown(10.0, 3.0, None, 0.64)
    assert kinds(events) == ["masked", "maybe_agitated"]
    assert events[-1].data == {"person": 1, "agitation": 0.64, "above_mask": True}
    assert person.signal is Signal.PASS


def test_a_mask_that_is_taken_off_begins_anew() -> None:
    """What was guessed above the mask says nothing about the bare face, and the other way round."""
    person = InView(masked_alarm=True)
    assert kinds(person.shown(3.0, 3.0, None, 0.9)) == ["masked", "agitated"]
    assert person.signal is Signal.ALARM
    # Above the threshold for calm, but too low to be agitated by itself.
    assert kinds(person.shown(3.0, -3.0, 0.4, 0.9)) == ["unmasked", "calm"]
    assert person.signal is Signal.STOP
    other = InView(masked_alarm=True)
    assert kinds(other.shown(3.0, -3.0, 0.9, None)) == ["unmasked", "agitated"]
    assert kinds(other.shown(3.0, 3.0, None, 0.4)) == ["masked", "calm"]


def test_the_cool_down_is_of_the_person_with_and_without_mask() -> None:
    person = InView(masked_alarm=True)
    person.shown(3.0, 3.0, None, 0.9)
    assert person.signal is Signal.ALARM
    person.shown(POLICY.alarm_max_s + 1, -3.0, 0.9, None)
    assert person.signal is Signal.STOP, "the alarm has sounded for alarm_max_s"
    person.shown(POLICY.alarm_cooldown_s, -3.0, 0.9, None)
    assert person.signal is Signal.ALARM


@given(st.floats(0, 1), st.floats(0, 1))
def test_an_agitation_is_that_of_the_verdict(bare: float, above: float) -> None:
    track = Track(1, Box(0, 0, 9, 9), 0.5, 0.0, 0.0)
    assert {agitation_of(track, Person(0.0, verdict)) for verdict in Verdict} == {None}
    track = replace(track, agitation=bare, masked_agitation=above, last_expression=1.0, last_masked_expression=1.0)
    assert agitation_of(track, Person(0.0, Verdict.UNMASKED)) == bare
    assert agitation_of(track, Person(0.0, Verdict.MASKED)) == above
    assert agitation_of(track, Person(0.0)) is None


def test_looks_above_an_earlier_mask_do_not_count() -> None:
    """The mask of a head that is turned away is seen, but its expression is not read."""
    for masked_alarm in (False, True):
        person = InView(masked_alarm)
        person.shown(3.0, 3.0, None, 0.9)
        person.shown(40.0, -3.0, 0.1, None)
        assert kinds(person.shown(5.0, 3.0, None, None)) == ["masked"]
        assert person.signal is Signal.PASS
        assert kinds(person.shown(2.0, 3.0, None, 0.9)) == ["agitated" if masked_alarm else "maybe_agitated"]
