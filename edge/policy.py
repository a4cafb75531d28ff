"""The door's decision: a pure function of what was decided before, who is there, and the time.

Per person: *unknown* until enough evidence says *masked* or *unmasked*; a decided person changes sides only on stronger
evidence that lasts. Over all: FAULT > ALARM > STOP > PASS > IDLE.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from .config import PolicySettings
from .records import Event, Signal, Track


class Verdict(enum.Enum):
    """What is decided about a person."""

    UNKNOWN = "unknown"
    MASKED = "masked"
    UNMASKED = "unmasked"


@dataclass(frozen=True, slots=True)
class Person:
    """What the policy remembers of one person; times are seconds on the source's clock.

    `doubt_since`: evidence for the other side has lasted since. `heated_since`: agitation has lasted since.
    """

    since: float
    verdict: Verdict = Verdict.UNKNOWN
    doubt_since: float | None = None
    heated_since: float | None = None
    agitated: bool = False
    alarm_from: float | None = None

    @property
    def settled(self) -> bool:
        """Decided, and nothing speaks against it."""
        return self.verdict is not Verdict.UNKNOWN and self.doubt_since is None


@dataclass(frozen=True, slots=True)
class State:
    """Everything the policy knows; `State()` is a door that has seen nobody."""

    people: Mapping[int, Person] = field(default_factory=lambda: MappingProxyType({}))
    signal: Signal = Signal.IDLE
    signal_since: float = float("-inf")


def step(
    state: State, tracks: Sequence[Track], now: float, settings: PolicySettings, fault: str | None = None
) -> tuple[State, Signal, list[Event]]:
    """Decide at `now` (seconds, never decreasing) about the people in `tracks`.

    `fault` says why the door is blind, None that it sees. Returns the new state, the signal to show, and what happened,
    in order. The same arguments always give the same answer.
    """
    events: list[Event] = []
    people: dict[int, Person] = {}
    for track in tracks:
        person = state.people.get(track.person) or Person(track.since)
        person = _judged(person, track, now, settings, events)
        people[track.person] = _heated(person, track, now, settings, events)
    for number, person in state.people.items():
        if number not in people and person.verdict is not Verdict.UNKNOWN:
            events.append(
                Event(
                    "cleared",
                    now,
                    {"person": number, "verdict": person.verdict.value, "dwell_s": round(now - person.since, 3)},
                )
            )
    wanted = Signal.FAULT if fault is not None else _wanted(people, tracks, now, settings)
    signal, since = state.signal, state.signal_since
    # A stronger signal shows at once; a weaker one waits until the present one has been seen.
    if wanted is not signal and (wanted.strength > signal.strength or now - since >= settings.hold_s):
        data: dict[str, object] = {"signal": wanted.value, "before": signal.value, "people": len(people)}
        if fault is not None:
            data["reason"] = fault
        events.append(Event("signal", now, data))
        signal, since = wanted, now
    return State(MappingProxyType(people), signal, since), signal, events


def _judged(person: Person, track: Track, now: float, settings: PolicySettings, events: list[Event]) -> Person:
    """Mask or no mask, with hysteresis."""
    if track.first_look is None or track.last_look is None:
        return person
    evidence = track.evidence
    verdict = person.verdict
    if verdict is Verdict.UNKNOWN:
        # The difference of two times of a file, 1.9 - 1.5, may be a little less than it should be.
        if track.looks < settings.looks or track.last_look - track.first_look < settings.decide_s - 1e-6:
            return person
        if evidence >= settings.masked_from:
            verdict = Verdict.MASKED
        elif evidence <= settings.unmasked_from:
            verdict = Verdict.UNMASKED
        else:
            return person
    else:
        other = evidence <= settings.to_unmasked if verdict is Verdict.MASKED else evidence >= settings.to_masked
        if not other:
            return replace(person, doubt_since=None)
        since = now if person.doubt_since is None else person.doubt_since
        if now - since < settings.change_s:
            return replace(person, doubt_since=since)
        verdict = Verdict.UNMASKED if verdict is Verdict.MASKED else Verdict.MASKED
    events.append(Event(verdict.value, now, {"person": track.person, "evidence": round(evidence, 3)}))
    return replace(person, verdict=verdict, doubt_since=None)


def _heated(person: Person, track: Track, now: float, settings: PolicySettings, events: list[Event]) -> Person:
    """Agitated or calm; only somebody without a mask can be agitated."""
    unmasked = person.verdict is Verdict.UNMASKED
    if person.agitated:
        if unmasked and track.agitation >= settings.calm_below:
            return replace(person, alarm_from=_alarm_from(person, now, settings))
        events.append(Event("calm", now, {"person": track.person, "agitation": round(track.agitation, 3)}))
        return replace(person, agitated=False, heated_since=None)
    if not unmasked or track.last_expression is None or track.agitation < settings.agitated_from:
        return replace(person, heated_since=None)
    since = now if person.heated_since is None else person.heated_since
    if now - since < settings.agitated_s:
        return replace(person, heated_since=since)
    events.append(Event("agitated", now, {"person": track.person, "agitation": round(track.agitation, 3)}))
    return replace(person, agitated=True, heated_since=since, alarm_from=_alarm_from(person, now, settings))


def _alarm_from(person: Person, now: float, settings: PolicySettings) -> float:
    """When the agitated person's alarm began: the last one's beginning until its cool-down is over, then now."""
    last = person.alarm_from
    if last is None or now - last >= settings.alarm_most_s + settings.alarm_again_s:
        return now
    return last


def _wanted(people: Mapping[int, Person], tracks: Sequence[Track], now: float, settings: PolicySettings) -> Signal:
    """The signal that the people in view ask for."""
    for person in people.values():
        if person.agitated and person.alarm_from is not None and now - person.alarm_from < settings.alarm_most_s:
            return Signal.ALARM
    verdicts = [person.verdict for person in people.values()]
    if Verdict.UNMASKED in verdicts:
        return Signal.STOP
    if Verdict.MASKED not in verdicts:
        return Signal.IDLE
    # Green says "everyone": somebody being looked at for the first time is waited for, but not for ever.
    undecided = any(
        people[track.person].verdict is Verdict.UNKNOWN
        and track.looks >= 2
        and track.first_look is not None
        and now - track.first_look < settings.doubt_s
        for track in tracks
    )
    return Signal.IDLE if undecided else Signal.PASS
