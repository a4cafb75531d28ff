"""The walk through lamps and buzzer, and the picture that the wiring is made from."""

from __future__ import annotations

import re
import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest
from gpiozero.pins.mock import MockFactory, MockPWMPin

from edge import clock, config, wiring
from edge.gpio import PIN
from edge.lights import Lights
from edge.records import Signal

DEFAULT = config.load().lights
PICTURE = Path(__file__).resolve().parent.parent / "scripts" / "pictures" / "wiring.svg"


class Watch(threading.Event):
    """A stop that notes what is lit instead of waiting, and is set after so many steps."""

    def __init__(self, factory: MockFactory, steps: int = 100) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._steps = steps
        self._pins = {name: factory.pin(getattr(DEFAULT, name)) for name in ("green", "red")}

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout == 2.5
        self.seen.append("+".join(name for name, pin in self._pins.items() if pin.state) or "dark")
        if len(self.seen) == self._steps:
            self.set()
        return self.is_set()


def test_every_state_is_shown_and_explained() -> None:
    factory, said = MockFactory(pin_class=MockPWMPin), list[str]()
    stop = Watch(factory)
    # Blinking would make what is seen a matter of chance; its turn is told from what follows.
    with Lights(msgspec.structs.replace(DEFAULT, fault_s=(10.0, 10.0)), factory=factory) as lights:
        assert wiring.walk(lights, DEFAULT, 2.5, stop, said.append)
    steps = wiring.steps(DEFAULT)
    assert {step.show for step in steps} == {*Signal, "green", "red", "buzzer"}
    for step, seen in zip(steps, stop.seen, strict=True):
        if step.show is not Signal.FAULT:
            lit = next(
                (lamp for lamp in ("green", "red") if f"{lamp} lit" in step.see or f"{lamp} steady" in step.see), "dark"
            )
            assert seen == lit, step
    assert len(said) == 3 * len(steps)
    assert all("see:" in line for line in said[1::3])
    assert all("if not:" in line for line in said[2::3])
    assert steps[-1].show is Signal.IDLE


@pytest.mark.parametrize("after", [1, 3, 8])
def test_it_stops_where_it_is_told_to(after: int) -> None:
    factory = MockFactory(pin_class=MockPWMPin)
    stop = Watch(factory, after)
    with Lights(DEFAULT, factory=factory) as lights:
        assert not wiring.walk(lights, DEFAULT, 2.5, stop, lambda _: None)
    assert len(stop.seen) == after
    assert not any(factory.pin(pin).state for pin in (DEFAULT.green, DEFAULT.red, DEFAULT.buzzer))


def test_the_words_fit_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def words(**changed: object) -> str:
        return "\n".join(
            "; ".join(map(str, step)) for step in wiring.steps(msgspec.structs.replace(DEFAULT, **changed))
        )

    assert "GPIO17, pin 11" in words()
    assert "GPIO5, pin 29" in words(green=5)
    assert "write active_low = true" in words()
    assert "remove active_low = true" in words(active_low=True)
    assert "set buzzer_tone_hz" in words()
    assert "near 3000 Hz" in words(buzzer_tone_hz=3000)
    monkeypatch.setattr(clock, "is_set", lambda: True)
    monkeypatch.setattr(clock, "minute_of_day", lambda: 23 * 60)
    assert "silent: quiet hours 22:00-07:00" in words(quiet="22:00-07:00")


class TestPicture:
    TEXT = PICTURE.read_text(encoding="utf-8")

    def words(self) -> list[str]:
        root = ElementTree.fromstring(self.TEXT)
        return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]

    def test_it_shows_the_default_pins(self) -> None:
        words = self.words()
        for key in ("green", "red", "buzzer"):
            number = getattr(DEFAULT, key)
            where = [k for k, word in enumerate(words) if word == f"GPIO{number}"]
            assert len(where) == 2, "once in the plain wiring, once in a variant"
            assert all(words[k + 1] == f"pin {PIN[number]}" for k in where)
        shown = {word for word in words if re.fullmatch(r"GPIO\d+", word)}
        assert len(shown) == 3

    def test_all_forty_pins_are_there(self) -> None:
        assert sorted(int(word) for word in self.words() if word.isdigit()) == list(range(1, 41))

    def test_it_stands_on_its_own(self) -> None:
        """On a dark page too, and without fetching anything: an opaque ground of its own, nothing from elsewhere."""
        root = ElementTree.fromstring(self.TEXT)
        ground = next(root.iter("{http://www.w3.org/2000/svg}rect"))
        assert (ground.get("width"), ground.get("height")) == (root.get("width"), root.get("height"))
        assert (ground.get("fill") or "").startswith("#")
        assert not re.search(r"href|@import|<script|<image|http(?!://www\.w3\.org/2000/svg)", self.TEXT)

    def test_the_settings_it_names_exist(self) -> None:
        for key in re.findall(r"([a-z_]+) = ", self.TEXT):
            assert key in DEFAULT.__struct_fields__, key
