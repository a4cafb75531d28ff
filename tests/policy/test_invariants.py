"""Invariants of the policy: generated stories of people go straight into it."""

from __future__ import annotations

from hypothesis import Phase, find, given, settings

from edge.policy import Verdict, step
from edge.records import Signal
from support.policy_stories import Moment, Story, stories


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
        # An alarm, which people with a mask raise with `masked_alarm`, takes precedence.
        held = moment.now - moment.after.signal_since < story.settings.min_signal_s or moment.signal is Signal.ALARM
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
        again = step(
            moment.before,
            list(moment.tracks),
            moment.now,
            story.settings,
            moment.fault,
            masked_alarm=story.masked_alarm,
        )
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
        expected |= {
            ("maybe_agitated", new.number)
            for n, new in after.items()
            if new.maybe_agitated and not (n in before and before[n].maybe_agitated)
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
            assert not person.agitated or person.verdict is Verdict.UNMASKED or story.masked_alarm
            assert not person.maybe_agitated or person.verdict is Verdict.MASKED
            assert not (person.agitated and person.maybe_agitated)


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
