"""The decision: verdict and agitation of each person, and the door's signal, as a pure function of state and time.

A person is *unknown* until the evidence says *masked* or *unmasked*. A verdict changes only if stronger evidence for
the other side lasts for `change_s` (hysteresis). The signal is the strongest that applies: FAULT > ALARM > STOP > PASS
> IDLE.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from .config import PolicySettings
from .records import TIME_EPSILON_S, Event, Signal, Track

#: An undecided person delays green from this look on. A single look may be a false detection.
MIN_LOOKS_TO_DELAY_GREEN = 2


class Verdict(enum.Enum):
    """The decision about one person."""

    UNKNOWN = "unknown"
    MASKED = "masked"
    UNMASKED = "unmasked"


@dataclass(frozen=True, slots=True)
class Person:
    """The policy's state for one person.

    `number` is the person's number in the event log, from 1 in the order of the first verdicts; 0 before the first
    verdict: the track may be a false detection. `last_seen` is the time of the last sighting. `doubt_since` is the time
    since which the evidence contradicts the verdict. `agitation_since` is the time since which the agitation is above
    its threshold. `alarm_from` is the time at which the person's last alarm began. `maybe_agitated` is `agitated` of a person
    with a mask who cannot raise an alarm, `maybe_since` its `agitation_since`. `verdict_from` is the time of the earliest look
    that the present verdict rests on.
    """

    first_seen: float
    verdict: Verdict = Verdict.UNKNOWN
    number: int = 0
    doubt_since: float | None = None
    agitation_since: float | None = None
    agitated: bool = False
    alarm_from: float | None = None
    last_seen: float = 0.0
    maybe_agitated: bool = False
    maybe_since: float | None = None
    verdict_from: float = 0.0

    @property
    def is_settled(self) -> bool:
        """Return True if the person is decided and the evidence does not contradict the verdict."""
        return self.verdict is not Verdict.UNKNOWN and self.doubt_since is None


@dataclass(frozen=True, slots=True)
class State:
    """The policy's complete state; `State()` is the state at start.

    `people` are by the number of their track. `last_number` is the number of the person who was decided last.
    """

    people: Mapping[int, Person] = field(default_factory=lambda: MappingProxyType({}))
    signal: Signal = Signal.IDLE
    signal_since: float = float("-inf")
    last_number: int = 0


def step(
    state: State,
    tracks: Sequence[Track],
    now: float,
    settings: PolicySettings,
    fault: str | None = None,
    ignored: Collection[int] = (),
    masked_alarm: bool = False,
) -> tuple[State, Signal, list[Event]]:
    """Return the state, the signal and the events at time `now`.

    `tracks` are the people in view. `now` never decreases from call to call. `fault` is the reason why the door is
    blind, or None. `ignored` are the numbers of tracks that have ended because they never move. People with a mask raise an
    ALARM only with `masked_alarm`. The function is pure: equal arguments give equal results.
    """
    events: list[Event] = []
    people: dict[int, Person] = {}
    last_number = state.last_number
    for track in tracks:
        before = state.people.get(track.number) or Person(track.first_seen)
        person = _update_verdict(before, track, now, settings, last_number + 1, events)
        last_number = max(last_number, person.number)
        person = _update_agitation(person, before.verdict, track, now, settings, masked_alarm, events)
        people[track.number] = replace(person, last_seen=track.last_seen)
    for number, person in state.people.items():
        if number not in people and person.verdict is not Verdict.UNKNOWN:
            dwell_s = round(person.last_seen - person.first_seen, 3)
            data: dict[str, object] = {"person": person.number, "verdict": person.verdict.value, "dwell_s": dwell_s}
            events.append(Event("ignored", now, data) if number in ignored else Event("cleared", now, data))
    wanted = Signal.FAULT if fault is not None else _signal_for(people, tracks, now, settings)
    signal, since = state.signal, state.signal_since
    # A stronger signal shows at once; a weaker one waits until the current one has shown for its minimum time.
    if wanted is not signal and (wanted.strength > signal.strength or now - since >= settings.min_signal_s):
        # A face that was lost is remembered for a while, but nobody is in view there.
        in_view = sum(track.last_seen >= now for track in tracks)
        shown: dict[str, object] = {"signal": wanted.value, "before": signal.value, "people": in_view}
        if fault is not None:
            shown["reason"] = fault
        events.append(Event("signal", now, shown))
        signal, since = wanted, now
    return State(MappingProxyType(people), signal, since, last_number), signal, events


def _update_verdict(
    person: Person, track: Track, now: float, settings: PolicySettings, next_number: int, events: list[Event]
) -> Person:
    """Return `person` with the verdict at `now`; append an event if it changes.

    The first verdict gives `next_number`.
    """
    if track.first_look is None or track.last_look is None:
        return person
    if person.verdict is Verdict.UNKNOWN:
        verdict = _first_verdict(track, track.last_look - track.first_look, settings)
        if verdict is Verdict.UNKNOWN:
            return person
        since = track.first_look
    else:
        if person.verdict is Verdict.MASKED:
            contradicts = track.evidence <= settings.change_to_unmasked
        else:
            contradicts = track.evidence >= settings.change_to_masked
        if not contradicts:
            return replace(person, doubt_since=None)
        since = now if person.doubt_since is None else person.doubt_since
        if now - since < settings.change_s:
            return replace(person, doubt_since=since)
        verdict = Verdict.UNMASKED if person.verdict is Verdict.MASKED else Verdict.MASKED
    number = person.number or next_number
    data: dict[str, object] = {"person": number, "evidence": round(track.evidence, 3)}
    if not person.number:
        data["decision_s"] = round(now - person.first_seen, 3)
    events.append(Event(verdict.value, now, data))
    return replace(person, verdict=verdict, number=number, doubt_since=None, verdict_from=since)


def is_consistent(track: Track, settings: PolicySettings) -> bool:
    """Return True if score, place and size of a new face make sense: it does not jump, grow and shrink, or flicker."""
    return track.score >= settings.min_score and track.misfit <= settings.max_misfit


def _first_verdict(track: Track, looked_at_s: float, settings: PolicySettings) -> Verdict:
    """Return the verdict about an undecided person whose looks span `looked_at_s` seconds."""
    if (
        is_consistent(track, settings)
        and track.looks >= settings.min_looks
        and looked_at_s >= settings.min_decide_s - TIME_EPSILON_S
    ):
        if track.evidence >= settings.masked_threshold:
            return Verdict.MASKED
        if track.evidence <= settings.unmasked_threshold:
            return Verdict.UNMASKED
    return Verdict.UNKNOWN


def agitation_of(track: Track, person: Person) -> float | None:
    """Return the agitation (0..1) of a person with a verdict; None without a look that shows it.

    The agitation of a bare face and the one above a mask are two figures, which never mix. Above a mask, looks at an earlier mask do not
    count: a head that is turned away is masked, too, but its expression is not read.
    """
    if person.verdict is Verdict.UNMASKED:
        return None if track.last_expression is None else track.agitation
    last = track.last_masked_expression
    if person.verdict is not Verdict.MASKED or last is None or last < person.verdict_from:
        return None
    return track.masked_agitation


def _update_agitation(
    person: Person,
    before: Verdict,
    track: Track,
    now: float,
    settings: PolicySettings,
    masked_alarm: bool,
    events: list[Event],
) -> Person:
    """Return `person` with the agitation at `now`; append an event if it changes. `before` is the verdict until now."""
    level = agitation_of(track, person)
    is_masked = person.verdict is Verdict.MASKED
    may_alarm = not is_masked or masked_alarm
    # Another verdict is another figure: what was high for the one says nothing about the other.
    known = person if person.verdict is before else Person(person.first_seen)
    agitated, since = _hysteresis(known.agitated, known.agitation_since, level if may_alarm else None, now, settings)
    maybe_agitated, maybe_since = _hysteresis(
        known.maybe_agitated, known.maybe_since, None if may_alarm else level, now, settings
    )
    if person.agitated and not agitated:
        last = track.masked_agitation if before is Verdict.MASKED else track.agitation
        events.append(Event("calm", now, {"person": person.number, "agitation": round(last, 3)}))
    data: dict[str, object] = {"person": person.number, "agitation": round(level or 0.0, 3)}
    if is_masked:
        data["above_mask"] = True
    if agitated and not person.agitated:
        events.append(Event("agitated", now, data))
    if maybe_agitated and not person.maybe_agitated:
        events.append(Event("maybe_agitated", now, data))
    return replace(
        person,
        agitated=agitated,
        agitation_since=since,
        alarm_from=_alarm_from(person, now, settings) if agitated else person.alarm_from,
        maybe_agitated=maybe_agitated,
        maybe_since=maybe_since,
    )


def _hysteresis(
    active: bool, since: float | None, level: float | None, now: float, settings: PolicySettings
) -> tuple[bool, float | None]:
    """Return whether an agitation of `level` counts at `now`, and since when it has been high enough.

    `active` and `since` are the last result. It counts after `agitated_s`, and until it is below `calm_threshold`.
    """
    if level is None or level < (settings.calm_threshold if active else settings.agitated_threshold):
        return False, None
    if active:
        return True, since
    since = now if since is None else since
    return now - since >= settings.agitated_s, since


def _alarm_from(person: Person, now: float, settings: PolicySettings) -> float:
    """Return the time at which the alarm began: that of the last alarm until its cool-down is over, then `now`."""
    last = person.alarm_from
    if last is None or now - last >= settings.alarm_max_s + settings.alarm_cooldown_s:
        return now
    return last


def _signal_for(people: Mapping[int, Person], tracks: Sequence[Track], now: float, settings: PolicySettings) -> Signal:
    """Return the signal for the people in view, without regard to the current signal."""
    for person in people.values():
        if person.agitated and person.alarm_from is not None and now - person.alarm_from < settings.alarm_max_s:
            return Signal.ALARM
    verdicts = [person.verdict for person in people.values()]
    if Verdict.UNMASKED in verdicts:
        return Signal.STOP
    if Verdict.MASKED not in verdicts:
        return Signal.IDLE
    # Green means "everyone wears a mask", so an undecided person delays it, but for a limited time.
    is_waiting = any(
        people[track.number].verdict is Verdict.UNKNOWN
        and track.looks >= MIN_LOOKS_TO_DELAY_GREEN
        and track.first_look is not None
        and now - track.first_look < settings.undecided_max_s
        for track in tracks
    )
    return Signal.IDLE if is_waiting else Signal.PASS
