"""Machine, heat and caveats of a report."""

from __future__ import annotations

import pytest

from edge.bench import environment
from support.doctor import FakeMachine


def test_the_machine_has_no_serial_number(machine: FakeMachine) -> None:
    machine.become_pi()
    machine.add_file("proc/cpuinfo", "processor : 0\nSerial\t\t: 10000000deadbeef\nModel\t\t: Raspberry Pi 4\n")
    machine.add_file("proc/meminfo", "MemTotal:        1893044 kB\n")
    described = environment.describe_machine(machine.host())
    assert (described["model"], described["memory_mb"]) == ("Raspberry Pi 4 Model B Rev 1.5", 1848)
    assert "deadbeef" not in str(described)


def test_the_heat_of_a_warm_raspberry_pi(machine: FakeMachine) -> None:
    machine.become_pi()
    machine.add_file("sys/class/thermal/thermal_zone0/temp", "71500")
    machine.add_command("vcgencmd", "throttled=0x50005")
    for k in range(2):
        machine.add_file(f"sys/devices/system/cpu/cpu{k}/cpufreq/scaling_cur_freq", str(600000 * (k + 1)))
        machine.add_file(f"sys/devices/system/cpu/cpu{k}/cpufreq/cpuinfo_max_freq", "1800000")
    machine.add_file("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand")
    heat = environment.describe_heat(machine.host())
    assert heat[0] in ("71 °C", "72 °C")
    assert "under-voltage, throttled" in heat[1]
    assert heat[2] == "1200 of 1800 MHz (ondemand)"


def test_a_running_service_is_a_caveat(machine: FakeMachine) -> None:
    assert environment.service_caveat(machine.host()) is None
    machine.install_service()
    assert "systemctl stop doorlight" in (environment.service_caveat(machine.host()) or "")


def test_the_home_folder_is_removed_from_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert environment.without_home("/home/anna/models/x.tflite: no such file") == "~/models/x.tflite: no such file"
    monkeypatch.setenv("HOME", "/")
    assert environment.without_home("/opt/x: no such file") == "/opt/x: no such file"
