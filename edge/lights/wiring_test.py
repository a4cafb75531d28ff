"""Show every state of lamps and buzzer in turn, so that one person at the door can check the wiring."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from ..config import LightSettings
from ..records import Signal
from ..system.terminal import wrap
from .gpio import HEADER_PIN
from .lights import Lights, is_quiet_now

#: Lines are not made narrower than this.
MIN_COLUMNS = 40


class Step(NamedTuple):
    """One step of the test.

    `show` is a signal, or "green", "red" or "buzzer" for that output alone. `expected` says what to see and hear,
    `remedy` what to do otherwise.
    """

    show: str | Signal
    name: str
    expected: str
    remedy: str


def steps(settings: LightSettings) -> list[Step]:
    """Return the steps for these settings, without lamps and buzzer that are not there. The last one leaves all off."""
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
            "ALARM: someone without a mask looks agitated",
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
) -> bool:
    """Show each step for `seconds`, and report what to expect, in lines of at most `columns` characters.

    Return False if `stop` was set before the end.
    """
    all_steps = steps(settings)
    for number, step in enumerate(all_steps, 1):
        if stop.is_set():
            return False
        report(f"{number} of {len(all_steps)}  {step.name}")
        if isinstance(step.show, Signal):
            lights.show(step.show)
        else:
            lights.show_only(step.show)
        for title, text in (("expected:", step.expected), ("if not:", step.remedy)):
            for line in wrap(text, max(columns, MIN_COLUMNS), f"{'':8}{title:11}", " " * 19):
                report(line)
        if stop.wait(seconds):
            return False
    return True


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
    number = settings.pins[key]
    return f"GPIO{number}, pin {HEADER_PIN[number]}"
