"""`Lights` without pins: when they are simulated, and what they report."""

from __future__ import annotations

from pathlib import Path

import gpiozero.pins.local
import pytest

from edge.lights import gpio
from edge.lights.lights import Lights
from edge.records import Signal
from support.lights import DEFAULT


class TestSimulation:
    def test_reports_each_change_once(self) -> None:
        lines: list[str] = []
        with Lights(DEFAULT, simulate=True, report=lines.append) as shown:
            assert shown.simulated
            for signal in (
                Signal.IDLE,
                Signal.PASS,
                Signal.PASS,
                Signal.STOP,
                Signal.ALARM,
                Signal.ALARM,
                Signal.FAULT,
            ):
                shown.show(signal)
        assert lines == [
            "○ green  ○ red",
            "● green  ○ red",
            "○ green  ● red",
            "○ green  ● red  ♪ buzzer",
            "○ green  ◐ red blinking",
            "○ green  ○ red",
        ]

    def test_works_without_a_report_function(self) -> None:
        with Lights(DEFAULT, simulate=True) as shown:
            shown.show(Signal.ALARM)

    def test_two_simulations_have_separate_pins(self) -> None:
        with Lights(DEFAULT, simulate=True), Lights(DEFAULT, simulate=True):
            pass

    def test_leaves_gpiozeros_global_pin_factory_alone(self) -> None:
        with Lights(DEFAULT, simulate=True):
            assert gpiozero.Device.pin_factory is None

    def test_is_used_without_a_gpio_chip(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))
        lines: list[str] = []
        with Lights(DEFAULT, report=lines.append) as shown:
            assert shown.simulated
            shown.show(Signal.PASS)
        assert "no GPIO chip" in lines[0]
        assert lines[1] == "● green  ○ red"

    def test_is_used_on_a_pc_with_a_gpio_chip(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "gpiochip0").touch()
        monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))

        def get_pi_revision() -> int:
            raise gpiozero.PinUnknownPi("no revision")

        monkeypatch.setattr(gpiozero.pins.local, "get_pi_revision", get_pi_revision)
        lines: list[str] = []
        with Lights(DEFAULT, report=lines.append) as shown:
            assert shown.simulated
        assert "not a Raspberry Pi" in lines[0]
