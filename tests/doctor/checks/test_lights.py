"""Check `lights`."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.doctor import FakeMachine, only
from support.gpio import Kernel


def test_simulated_lights_are_ok(machine: FakeMachine) -> None:
    assert only(machine.check("lights", simulate=True))[:2] == ("ok", "simulated, as requested")


def test_a_missing_gpio_chip_is_bad_only_on_a_pi(machine: FakeMachine) -> None:
    finding = only(machine.check("lights"))
    assert finding.severity == "note"
    assert "no GPIO chip here" in finding.message
    machine.become_pi()
    assert only(machine.check("lights")).severity == "bad"


def test_pins_that_the_service_holds_are_ok(machine: FakeMachine, kernel: Kernel) -> None:
    machine.install_service()
    kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.held = {17: "lg", 27: "lg", 24: "lg"}
    finding = only(machine.check("lights"))
    assert finding.severity == "ok"
    assert 'GPIO17 (green) held by "lg"' in finding.message


def test_a_pin_that_the_running_service_does_not_hold_is_a_note(machine: FakeMachine, kernel: Kernel) -> None:
    machine.install_service()
    kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.held = {17: "lg", 27: "lg"}
    finding = only(machine.check("lights"))
    assert finding.severity == "note"
    assert "GPIO24 (buzzer) held by no process" in finding.message


def test_absent_lights_are_not_looked_for(machine: FakeMachine, kernel: Kernel, tmp_path: Path) -> None:
    machine.install_service()
    kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.held = {27: "lg"}
    config = tmp_path / "door.toml"
    config.write_text('[lights]\ngreen = "none"\nbuzzer = "none"\n')
    finding = only(machine.check("lights", config=str(config)))
    assert finding.severity == "ok"
    assert "GPIO27 (red)" in finding.message
    assert "green" not in finding.message


def test_gpio0_is_noted_because_it_does_not_mean_no_buzzer(machine: FakeMachine, tmp_path: Path) -> None:
    config = tmp_path / "door.toml"
    config.write_text("[lights]\nbuzzer = 0\n")
    note, _ = machine.check("lights", config=str(config), simulate=True)
    assert note.severity == "note"
    assert "GPIO0" in note.message


def test_a_user_without_access_to_the_pins_of_the_service_is_told_to_use_sudo(
    machine: FakeMachine, kernel: Kernel
) -> None:
    machine.install_service()
    kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.denied = set(kernel.labels)
    finding = only(machine.check("lights"))
    assert (finding.severity, finding.fix) == ("note", "sudo doorlight doctor")


def test_a_chip_without_permission_is_bad(
    machine: FakeMachine, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0xC03115)
    kernel.denied.add(kernel.plug("gpiochip0", "pinctrl-bcm2711"))
    finding = only(machine.check("lights"))
    assert finding.severity == "bad"
    assert "Permission denied" in finding.message
    assert "usermod -aG gpio" in finding.fix
