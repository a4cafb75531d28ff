"""The steps of the wiring test, and the wiring picture."""

from __future__ import annotations

import re
import threading
import xml.etree.ElementTree as ElementTree

import msgspec
import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from edge import config
from edge.lights import wiring_test
from edge.lights.gpio import HEADER_PIN
from edge.lights.lights import Lights
from edge.records import Signal
from edge.settings_notes import other_notes
from edge.system import clock
from support.lights import DEFAULT, RELAY
from support.paths import ROOT

PICTURE = ROOT / "scripts" / "assets" / "wiring.svg"
STEP_S = 2.5


class RecordingStop(threading.Event):
    """A stop event that records the lit lamps instead of waiting, and is set after `max_steps` steps."""

    def __init__(self, factory: MockFactory, max_steps: int = 100) -> None:
        super().__init__()
        self.lit: list[str] = []
        self._max_steps = max_steps
        self._pins = {name: factory.pin(getattr(DEFAULT, name)) for name in ("green", "red")}

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout == STEP_S
        self.lit.append("+".join(name for name, pin in self._pins.items() if pin.state) or "dark")
        if len(self.lit) == self._max_steps:
            self.set()
        return self.is_set()


def expected_lamp(step: wiring_test.Step) -> str:
    """Return the lamp that a step's text says is lit, or "dark"."""
    lamps = [lamp for lamp in ("green", "red") if f"{lamp} lit" in step.expected or f"{lamp} steady" in step.expected]
    return lamps[0] if lamps else "dark"


def test_the_picture_defines_every_style_that_it_uses() -> None:
    text = PICTURE.read_text(encoding="utf-8")
    used = {name for names in re.findall(r'class="([^"]*)"', text) for name in names.split()}
    assert used
    assert used <= set(re.findall(r"\.([a-z]\w*) {", text))


def test_every_state_is_shown_and_explained() -> None:
    factory = MockFactory(pin_class=MockPWMPin)
    stop, lines = RecordingStop(factory), list[str]()
    # FAULT blinks, so its lamps are not compared. A slow pattern keeps it from blinking into the next step.
    with Lights(msgspec.structs.replace(DEFAULT, fault_pattern_s=(10.0, 10.0)), factory=factory) as lights:
        assert wiring_test.run(lights, DEFAULT, STEP_S, stop, lines.append, columns=1000)
    steps = wiring_test.steps(DEFAULT)
    assert {step.show for step in steps} == {*Signal, "green", "red", "buzzer"}
    for step, lit in zip(steps, stop.lit, strict=True):
        if step.show is not Signal.FAULT:
            assert lit == expected_lamp(step), step
    for what in (" of ", "expected:", "if not:"):
        assert sum(what in line for line in lines) >= len(steps), what
    assert all("expected:" in line for line in lines[1::3])
    assert all("if not:" in line for line in lines[2::3])
    assert steps[-1].show is Signal.IDLE


def test_lines_fit_a_narrow_terminal() -> None:
    factory = MockFactory(pin_class=MockPWMPin)
    lines: list[str] = []
    with Lights(DEFAULT, factory=factory) as lights:
        wiring_test.run(lights, DEFAULT, STEP_S, RecordingStop(factory), lines.append, columns=80)
    assert max(map(len, lines)) <= 80
    begin = lines.index("        if not:    if red is lit, swap the wires of the two; if none is lit, the")
    assert lines[begin + 1] == f"{'':19}LED is reversed or its wire is on another pin; if it is"


@pytest.mark.parametrize("max_steps", [1, 3, 8])
def test_the_stop_event_ends_the_test(max_steps: int) -> None:
    factory = MockFactory(pin_class=MockPWMPin)
    stop = RecordingStop(factory, max_steps)
    with Lights(DEFAULT, factory=factory) as lights:
        assert not wiring_test.run(lights, DEFAULT, STEP_S, stop, lambda _: None)
    assert len(stop.lit) == max_steps
    assert not any(factory.pin(pin).state for pin in (DEFAULT.green, DEFAULT.red, DEFAULT.buzzer))


def test_the_texts_fit_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def text(**changes: object) -> str:
        steps = wiring_test.steps(msgspec.structs.replace(DEFAULT, **changes))
        return "\n".join("; ".join(map(str, step)) for step in steps)

    assert "GPIO17, pin 11" in text()
    assert "GPIO5, pin 29" in text(green=5)
    assert "write active_low = true" in text()
    assert "remove active_low = true" in text(active_low=True)
    assert "set buzzer_tone_hz" in text()
    assert "near 3000 Hz" in text(buzzer_tone_hz=3000)
    monkeypatch.setattr(clock, "is_set", lambda: True)
    monkeypatch.setattr(clock, "minute_of_day", lambda: 23 * 60)
    assert "silent: quiet hours 22:00-07:00" in text(quiet_hours="22:00-07:00")


class TestWiringPicture:
    TEXT = PICTURE.read_text(encoding="utf-8")

    def labels(self) -> list[str]:
        root = ElementTree.fromstring(self.TEXT)
        return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]

    def test_shows_the_default_pins(self) -> None:
        labels = self.labels()
        for key in ("green", "red", "buzzer"):
            number = getattr(DEFAULT, key)
            positions = [k for k, label in enumerate(labels) if label == f"GPIO{number}"]
            assert len(positions) == 2, "once in the plain wiring, once in a variant"
            assert all(labels[k + 1] == f"pin {HEADER_PIN[number]}" for k in positions)
        assert len({label for label in labels if re.fullmatch(r"GPIO\d+", label)}) == 4

    def test_shows_a_pin_for_a_relay_that_is_low_until_the_door_has_started(self) -> None:
        labels = self.labels()
        (k,) = [k for k, label in enumerate(labels) if label == f"GPIO{RELAY.pin}"]
        assert labels[k + 1] == f"pin {HEADER_PIN[RELAY.pins['relay']]}"
        assert RELAY.pins["relay"] not in DEFAULT.pins.values()
        assert list(other_notes(config.replaced(config.load(), "relay", pin=RELAY.pin))) == []

    def test_shows_all_forty_pins(self) -> None:
        assert sorted(int(label) for label in self.labels() if label.isdigit()) == list(range(1, 41))

    def test_needs_no_other_file_and_no_background(self) -> None:
        """It has an opaque background, for dark pages, and loads nothing."""
        root = ElementTree.fromstring(self.TEXT)
        background = next(root.iter("{http://www.w3.org/2000/svg}rect"))
        assert (background.get("width"), background.get("height")) == (root.get("width"), root.get("height"))
        assert (background.get("fill") or "").startswith("#")
        assert not re.search(r"href|@import|<script|<image|http(?!://www\.w3\.org/2000/svg)", self.TEXT)

    def test_the_settings_it_names_exist(self) -> None:
        for key in re.findall(r"([a-z_]+) = ", self.TEXT):
            assert key in (*DEFAULT.__struct_fields__, *RELAY.__struct_fields__), key


class TestRelay:
    @pytest.mark.parametrize("fail", ["secure", "safe"])
    @pytest.mark.parametrize("seconds", [0.0, 3.0])
    @pytest.mark.parametrize("absent", [(), ("green",), ("green", "buzzer")])
    def test_each_step_says_what_relay_and_lock_do(self, fail: str, seconds: float, absent: tuple[str, ...]) -> None:
        relay = msgspec.structs.replace(RELAY, fail=fail, seconds=seconds)
        settings = msgspec.structs.replace(DEFAULT, **dict.fromkeys(absent, "none"))
        simulated, lines = list[str](), list[str]()
        with Lights(settings, True, simulated.append, relay=relay) as lights:
            assert wiring_test.run(lights, settings, 0.001, threading.Event(), lines.append, 1000, relay)
        steps = wiring_test.steps(settings, relay)
        assert {step.show for step in steps} == {*Signal, "green", "red", "buzzer", "relay"} - {*absent}
        for step, shown in zip(steps, simulated, strict=False):
            assert shown.rpartition("  ")[2] in step.expected, step
        assert sum("unlocked" in step.expected for step in steps) >= 2
        assert len(lines) == 3 * len(steps)

    def test_the_relay_is_tested_alone_before_the_signals(self) -> None:
        shown = [step.show for step in wiring_test.steps(DEFAULT, RELAY)]
        assert shown[:6] == [Signal.IDLE, "green", "red", "buzzer", "relay", Signal.PASS]

    def test_the_remedies_name_the_usual_mistakes(self) -> None:
        def remedies(**changes: object) -> str:
            steps = wiring_test.steps(DEFAULT, msgspec.structs.replace(RELAY, **changes))
            return "\n".join(step.remedy for step in steps if step.show in ("relay", Signal.PASS))

        for words in ("write active_low = true under [relay]", "a board for 3.3 V", "diode", "COM and NO"):
            assert words in remedies()
        assert "remove active_low = true under [relay]" in remedies(active_low=True)
        assert "GPIO23, pin 16" in wiring_test.steps(DEFAULT, RELAY)[4].name

    def test_a_door_without_relay_has_the_same_steps(self) -> None:
        absent = msgspec.structs.replace(RELAY, pin="none")
        assert wiring_test.steps(DEFAULT, absent) == wiring_test.steps(DEFAULT)
        assert not any("relay" in word for step in wiring_test.steps(DEFAULT) for word in map(str, step))


@pytest.mark.parametrize("absent", [("green",), ("buzzer",), ("green", "buzzer")])
def test_absent_lights_are_neither_tested_nor_mentioned(absent: tuple[str, ...]) -> None:
    settings = msgspec.structs.replace(DEFAULT, **dict.fromkeys(absent, "none"), fault_pattern_s=(10.0, 10.0))
    lines: list[str] = []
    with Lights(settings, simulate=True) as lights:
        assert wiring_test.run(lights, settings, 0.001, threading.Event(), lines.append)
    steps = wiring_test.steps(settings)
    shown = {step.show for step in steps}
    assert shown == {*Signal, "green", "red", "buzzer"} - {*absent} - ({Signal.PASS} if "green" in absent else set())
    for name in absent:
        assert not any(name in f"{step.name} {step.expected} {step.remedy}" for step in steps), name
    for what in (" of ", "expected:", "if not:"):
        assert sum(what in line for line in lines) >= len(steps), what
