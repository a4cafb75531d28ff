"""The pins of an emulated Raspberry Pi: its registers, and what they showed when."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from checks.board.build_steps import HERE
from checks.board.pins import BUZZER, GREEN, RED, RELAY, Pins, at, between, decode, first_dark, in_order
from edge import config
from support.board import ON, UNUSED, changes


def registers(outputs: Sequence[int], high: Sequence[int]) -> tuple[list[int], int]:
    """Return the words of GPFSEL and GPLEV for pins that are outputs, and pins that are high."""
    select = [0] * 6
    for pin in outputs:
        select[pin // 10] |= 0b001 << pin % 10 * 3
    return select, sum(1 << pin for pin in high)


@pytest.mark.parametrize(
    ("outputs", "high", "expected"),
    [
        ([], [], UNUSED),
        ([], [GREEN, RED], UNUSED),
        ([GREEN, RED, BUZZER], [], Pins(False, False, False, None)),
        ([GREEN, RED, BUZZER, RELAY], [GREEN, RELAY], ON["green+relay"]),
        ([GREEN, RED, BUZZER, RELAY], [RED, BUZZER, 4, 5], ON["red+buzzer"]),
    ],
)
def test_pins_are_decoded_from_the_registers(outputs: list[int], high: list[int], expected: Pins) -> None:
    assert decode(*registers(outputs, high)) == expected


def test_another_function_than_output_is_no_output() -> None:
    """An alternate function (PWM) has its own bits."""
    select, levels = registers([RED], [GREEN, RED])
    select[GREEN // 10] |= 0b101 << GREEN % 10 * 3
    assert decode(select, levels) == Pins(None, True, None, None)


def test_the_default_pins_are_doorlight_s() -> None:
    assert config.load().lights.pins == {"green": GREEN, "red": RED, "buzzer": BUZZER}
    relay = config.load(HERE / "guest/relay.toml").relay
    assert relay.pin == RELAY


class TestTimes:
    seen = changes((1.0, "off"), (2.0, "green"), (5.0, "off"), (6.0, "red"), (6.2, "off"))

    @pytest.mark.parametrize(("t", "name"), [(1.0, "off"), (4.9, "green"), (5.0, "off"), (99, "off")])
    def test_at(self, t: float, name: str) -> None:
        assert at(self.seen, t) == ON[name]

    def test_before_the_first_look(self) -> None:
        assert at(self.seen, 0.5) is None

    def test_a_span_begins_with_the_state_at_its_begin(self) -> None:
        assert between(self.seen, 3.0, 5.5) == changes((3.0, "green"), (5.0, "off"))

    @pytest.mark.parametrize(("since", "seconds"), [(2.5, 3.7), (6.1, 0.1), (6.3, 0.0)])
    def test_dark_for_good(self, since: float, seconds: float) -> None:
        """A lamp that is lit once more is not dark yet."""
        assert first_dark(self.seen, since) == pytest.approx(seconds)

    def test_never_dark(self) -> None:
        assert first_dark(changes((1.0, "green")), 2.0) is None

    def test_order(self) -> None:
        assert in_order(["off", "green", "off", "red"], ["green", "red"])
        assert not in_order(["off", "red", "green"], ["green", "red"])
