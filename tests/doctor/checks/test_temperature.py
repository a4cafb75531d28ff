"""Check `temperature`."""

from __future__ import annotations

import pytest

from support.doctor import FakeMachine, only


@pytest.mark.parametrize(
    ("bits", "severity", "message"),
    [
        ("0x0", "ok", "power supply and processor frequency OK since boot"),
        ("0x1", "bad", "now: under-voltage"),
        ("0x50005", "bad", "now: under-voltage, throttled"),
        ("0x50000", "note", "since boot: under-voltage, throttled"),
        ("0x80008", "note", "now: soft temperature limit"),
        ("0x20000", "note", "since boot: processor frequency capped"),
        ("0xe0006", "bad", "now: processor frequency capped, throttled; since boot: soft temperature limit"),
    ],
)
def test_the_bits_of_get_throttled(machine: FakeMachine, bits: str, severity: str, message: str) -> None:
    machine.become_pi()
    machine.add_command("vcgencmd", f"throttled={bits}")
    finding = only(machine.check("temperature"))
    assert finding[:2] == (severity, message)
    assert ("power supply" in finding.fix) == ("under-voltage" in message)


@pytest.mark.parametrize(
    ("millidegrees", "on_pi", "severity"),
    [(51000, True, "ok"), (74000, True, "note"), (83100, True, "bad"), (90000, False, "ok")],
)
def test_the_highest_temperature_counts(machine: FakeMachine, millidegrees: int, on_pi: bool, severity: str) -> None:
    if on_pi:
        machine.become_pi()
    machine.add_file("sys/class/thermal/thermal_zone0/temp", "31000\n")
    machine.add_file("sys/class/thermal/thermal_zone1/temp", f"{millidegrees}\n")
    machine.add_file("sys/class/thermal/thermal_zone2/temp", "")
    finding = machine.check("temperature")[0]
    assert finding[:2] == (severity, f"{millidegrees / 1000:.0f} °C")


def test_a_pi_whose_firmware_does_not_answer(machine: FakeMachine) -> None:
    machine.become_pi()
    finding = only(machine.check("temperature"))
    assert finding.severity == "note"
    assert "VCHI initialization failed" in finding.message
    machine.add_command("vcgencmd", "error=1")
    assert only(machine.check("temperature")).severity == "note"
