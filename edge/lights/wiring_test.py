"""Show every state of lamps, buzzer and relay in turn, so that one person at the door can check the wiring."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ..config import LightSettings, RelaySettings
from ..records import Signal
from ..system.terminal import wrap
from .gpio import HEADER_PIN
from .lights import Lights, is_quiet_now
from .relay import is_on_at, state, state_at

#: Lines are not made narrower than this.
MIN_COLUMNS = 40


class Step(NamedTuple):
    """One step of the test.

    `show` is a signal, or "green", "red", "buzzer" or "relay" for that output alone. `expected` says what to see and hear,
    `remedy` what to do otherwise.
    """

    show: str | Signal
    name: str
    expected: str
    remedy: str


def steps(settings: LightSettings, relay: RelaySettings | None = None) -> list[Step]:
    """Return the steps for these settings, without what is not there. The last one leaves lamps and buzzer off."""
    if relay is None or not relay.pins:
        return _light_steps(settings)
    return list(_with_relay(_light_steps(settings), relay))


def _light_steps(settings: LightSettings) -> list[Step]:
    """Return the steps of lamps and buzzer."""
    polarity = "remove" if settings.active_low else "write"
    has_green, has_buzzer = "green" in settings.pins, "buzzer" in settings.pins
    if not has_buzzer:
        alarm = ""
    elif is_quiet_now(settings):
        alarm = f", buzzer silent: quiet hours {settings.quiet_hours}"
    else:
        alarm = ", buzzer sounding in turns"
    green, silent = ", green dark" if has_green else "", ", buzzer silent" if has_buzzer else ""
    dark = ("both lamps dark" if has_green else "the red lamp dark") + silent
    everything_off = Step(
        Signal.IDLE,
        "everything off",
        dark,
        f"lamps that are lit now are on when their pins are low: {polarity} active_low = true under [lights]"
        + ("; for the buzzer it is buzzer_active_low" if has_buzzer else ""),
    )
    lit = Step(Signal.PASS, "PASS: everyone wears a mask", f"green steady, red dark{silent}", "see the green lamp")
    return [
        everything_off,
        *([_lamp_step(settings, "green", "red", silent)] if has_green else []),
        _lamp_step(settings, "red", "green", silent),
        *([_buzzer_step(settings, has_green)] if has_buzzer else []),
        *([lit] if has_green else []),
        Step(Signal.STOP, "STOP: someone wears no mask", f"red steady{green}{silent}", "see the red lamp"),
        Step(
            Signal.ALARM,
            "ALARM: someone looks agitated",
            f"red steady{green}{alarm}",
            "see the buzzer; alarm_pattern_s sets its rhythm, quiet_hours the hours in which it is silent"
            if has_buzzer
            else "see the red lamp",
        ),
        Step(
            Signal.FAULT,
            "FAULT: the camera is lost",
            f"red blinking{green}{silent}",
            "if red is steady or dark, check fault_pattern_s",
        ),
        everything_off._replace(
            remedy="a lamp that stays on is not switched by its pin: check where its other leg is connected"
        ),
    ]


def run(
    lights: Lights,
    settings: LightSettings,
    seconds: float,
    stop: threading.Event,
    report: Callable[[str], None],
    columns: int = 100,
    relay: RelaySettings | None = None,
) -> bool:
    """Show each step for `seconds`, and report what to expect, in lines of at most `columns` characters.

    Return False if `stop` was set before the end.
    """
    all_steps = steps(settings, relay)
    for number, step in enumerate(all_steps, 1):
        if stop.is_set():
            return False
        report(f"{number} of {len(all_steps)}  {step.name}")
        if isinstance(step.show, Signal):
            lights.show(step.show, True)  # a relay for known people switches, too
        else:
            lights.show_only(step.show)
        for title, text in (("expected:", step.expected), ("if not:", step.remedy)):
            for line in wrap(text, max(columns, MIN_COLUMNS), f"{'':8}{title:11}", " " * 19):
                report(line)
        if stop.wait(seconds):
            return False
    return True


def _with_relay(light_steps: list[Step], relay: RelaySettings) -> Iterator[Step]:
    """Yield the steps with what the relay does in each, and its own steps before the first signal that is lit."""
    dark = light_steps[0].expected
    first_lit = next(k for k, step in enumerate(light_steps) if k and isinstance(step.show, Signal))
    for k, step in enumerate(light_steps):
        if k == first_lit:
            yield _relay_step(relay, dark)
            if step.show is not Signal.PASS:  # there is no green lamp
                step_of_pass = Step(Signal.PASS, "PASS: everyone wears a mask", dark, "see the relay")
                yield _with_state(step_of_pass, relay)
        yield _with_state(step, relay)


def _with_state(step: Step, relay: RelaySettings) -> Step:
    """Return a step with the state of the relay."""
    if not isinstance(step.show, Signal):
        return step._replace(expected=f"{step.expected}, {state(relay, is_on=False)}")
    remedy = step.remedy
    if step.show is Signal.PASS:
        remedy += (
            "; if the relay clicks but the lock does not follow, check the lock's own power supply, and that the lock is "
            "connected to COM and NO"
        )
    name = "lamps and buzzer off" if step.name == "everything off" and is_on_at(relay, step.show) else step.name
    return Step(step.show, name, f"{step.expected}, {state_at(relay, step.show, True)}", remedy)


def _relay_step(relay: RelaySettings, dark: str) -> Step:
    polarity = "remove" if relay.active_low else "write"
    return Step(
        "relay",
        f"the relay ({_header_pin(relay.pins['relay'])})",
        f"a click at the beginning, the lamp of the relay board lit, {state(relay, is_on=True)}; {dark}",
        f"if the board is on in the other steps and off in this one, {polarity} active_low = true under [relay]; if it is "
        "always on, its input needs 5 V: use a board for 3.3 V; if it is always off, check its supply (often 5 V, pin 4), "
        "ground and the wire to its input; if the Pi restarts, the lock lacks its diode or its own power supply",
    )


def _lamp_step(settings: LightSettings, key: str, other: str, silent: str) -> Step:
    swap, dark = "", "if it is dark"
    if other in settings.pins:
        swap, dark = f"if {other} is lit, swap the wires of the two; ", "if none is lit"
    return Step(
        key,
        f"the {key} lamp ({_pin_name(settings, key)})",
        f"{key} lit" + (f", {other} dark" if other in settings.pins else "") + silent,
        f"{swap}{dark}, the LED is reversed or its wire is on another pin; if it is faint, its resistor is too large",
    )


def _buzzer_step(settings: LightSettings, has_green: bool) -> Step:
    tone_hz = settings.buzzer_tone_hz
    if tone_hz:
        remedy = (
            f"reverse a buzzer with a plus sign; it may be louder at a pitch near {tone_hz:g} Hz: try another "
            "buzzer_tone_hz"
        )
    else:
        remedy = "reverse it (plus towards the pin); if it only clicks, it is a passive one: set buzzer_tone_hz = 2500"
    return Step(
        "buzzer",
        f"the buzzer ({_pin_name(settings, 'buzzer')})",
        f"a steady tone, {'both lamps' if has_green else 'the red lamp'} dark",
        f"{remedy}; one that hums faintly needs the transistor of the wiring picture",
    )


def _pin_name(settings: LightSettings, key: str) -> str:
    return _header_pin(settings.pins[key])


def _header_pin(number: int) -> str:
    return f"GPIO{number}, pin {HEADER_PIN[number]}"
