"""People at the door: their looks pass the real tracker at 10 frames/s, with the settings of default.toml."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest

from edge import config
from edge.config import PolicySettings
from edge.policy import State, step
from edge.records import Box, Detection, Event, Signal
from edge.tracker import Tracker

DEFAULT = config.load()
POLICY = DEFAULT.policy
FPS = 10


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
    assert cleared[0].data["dwell_s"] == pytest.approx(2.9), "from the first sighting to the last"


def test_a_second_track_of_the_face_that_leaves_is_not_somebody_in_view() -> None:
    """At the picture's edge a face is cut off, may start a second track, and that outlives the first one."""
    door = Door()
    door.see(3, ANNA)
    door.see(0.4, Visitor(3))
    assert within(door.see(4), Signal.IDLE, 2.0)
    last = [event for event in door.events if event.kind == "signal"][-1]
    assert (last.data["signal"], last.data["people"]) == ("IDLE", 0)


def test_somebody_in_view_who_is_not_decided_counts() -> None:
    door = Door()
    door.see(3, ANNA)
    door.see(4, Visitor(3))
    last = [event for event in door.events if event.kind == "signal"][-1]
    assert (last.data["signal"], last.data["people"]) == ("IDLE", 1)


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
