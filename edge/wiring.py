"""A walk through everything that lights and buzzer can do, so that one person at the door can check the wiring."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from .config import LightSettings
from .gpio import PIN
from .lights import Lights, quiet_now
from .records import Signal


class Step(NamedTuple):
    """What is shown ("green", "red" or "buzzer" alone, or a signal), what to see, and what is wrong if one does not."""

    show: str | Signal
    name: str
    see: str
    otherwise: str


def steps(settings: LightSettings) -> list[Step]:
    """The walk for these settings."""

    def pin(key: str) -> str:
        number = getattr(settings, key)
        return f"GPIO{number}, pin {PIN[number]}"

    def lamp(key: str, other: str) -> Step:
        return Step(
            key,
            f"the {key} lamp ({pin(key)})",
            f"{key} lit, {other} dark, buzzer silent",
            f"if {other} is lit, swap the wires of the two; if none is, the LED is the wrong way round or its wire is on "
            "another pin; if it is faint, its resistor is too large",
        )

    polarity = "remove" if settings.active_low else "write"
    tone = settings.buzzer_tone_hz
    buzzer = (
        f"turn a buzzer with a plus sign round; a louder pitch may be near {tone:g} Hz: try another buzzer_tone_hz"
        if tone
        else "turn it round (plus towards the pin); if it only clicks, it is a passive one: set buzzer_tone_hz = 2500"
    )
    alarm = f"silent: quiet hours {settings.quiet}" if quiet_now(settings) else "sounding in turns"
    return [
        Step(
            Signal.IDLE,
            "everything off",
            "both lamps dark, buzzer silent",
            f"lamps that are lit now are on when their pins are low: {polarity} active_low = true under [lights]; for the "
            "buzzer it is buzzer_active_low",
        ),
        lamp("green", "red"),
        lamp("red", "green"),
        Step(
            "buzzer",
            f"the buzzer ({pin('buzzer')})",
            "a steady tone, both lamps dark",
            f"{buzzer}; one that hums faintly needs the transistor of the wiring picture",
        ),
        Step(Signal.PASS, "PASS: everyone wears a mask", "green steady, red dark, buzzer silent", "see the green lamp"),
        Step(Signal.STOP, "STOP: someone wears no mask", "red steady, green dark, buzzer silent", "see the red lamp"),
        Step(
            Signal.ALARM,
            "ALARM: someone without a mask looks agitated",
            f"red steady, green dark, buzzer {alarm}",
            "see the buzzer; alarm_s sets its rhythm, quiet the hours in which it is silent",
        ),
        Step(
            Signal.FAULT,
            "FAULT: the camera is gone",
            "red blinking, green dark, buzzer silent",
            "if red is steady or dark, look at fault_s",
        ),
        Step(
            Signal.IDLE,
            "everything off",
            "both lamps dark, buzzer silent",
            "what stays on is not switched by its pin: check where its other leg goes",
        ),
    ]


def walk(
    lights: Lights, settings: LightSettings, seconds: float, stop: threading.Event, say: Callable[[str], None]
) -> bool:
    """Show every step for so many seconds, telling what to see; False where `stop` was set before the end.

    The last step leaves everything off, and so does the end of the `with` block of the lights.
    """
    walked = steps(settings)
    for number, step in enumerate(walked, 1):
        if stop.is_set():
            return False
        say(f"{number} of {len(walked)}  {step.name}")
        if isinstance(step.show, Signal):
            lights.show(step.show)
        else:
            lights.alone(step.show)
        say(f"        see:     {step.see}")
        say(f"        if not:  {step.otherwise}")
        if stop.wait(seconds):
            return False
    return True
