"""Check `lights`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import RelaySettings
from edge.errors import LightsError
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


def test_the_relay_is_explained_and_its_pin_looked_at(machine: FakeMachine, kernel: Kernel, tmp_path: Path) -> None:
    machine.install_service()
    kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.held = {17: "lg", 27: "lg", 24: "lg"}
    config = tmp_path / "door.toml"
    config.write_text('[relay]\npin = 23\nfail = "safe"\nseconds = 3\n')
    meaning, pins = machine.check("lights", config=str(config))
    assert meaning.severity == "ok"
    assert "for 3 s at most when PASS begins; unlocked in FAULT" in meaning.message
    assert pins.severity == "note"
    assert "GPIO23 (relay) held by no process" in pins.message
    kernel.held[23] = "lg"
    assert machine.check("lights", config=str(config))[1].severity == "ok"


def test_a_relay_whose_pin_is_held_is_bad(
    machine: FakeMachine, raspberry_pi: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    held = LightsError("GPIO23 ('relay.pin') cannot be used: GPIO busy", "stop the holder")

    def open_lights(*_: object, relay: RelaySettings, **__: object) -> None:
        assert relay.pins == {"relay": 23}
        raise held

    monkeypatch.setattr("edge.lights.lights.Lights", open_lights)
    config = tmp_path / "door.toml"
    config.write_text("[relay]\npin = 23\n")
    finding = machine.check("lights", config=str(config))[-1]
    assert (finding.severity, finding.message) == ("bad", str(held))


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
