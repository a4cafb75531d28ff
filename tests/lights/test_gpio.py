"""The kernel interface of the header's chip, on a fake kernel that checks every request."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from edge.errors import LightsError
from edge.lights import gpio
from support.command import environment
from support.gpio import Kernel

PI5_OLD = {"gpiochip0": "gpio-brcmstb@107d508500", "gpiochip4": "pinctrl-rp1"}
PI5_NEW = {"gpiochip0": "pinctrl-rp1", "gpiochip10": "gpio-brcmstb@107d508500"}
PI5_NEWEST = {"gpiochip11": "gpio-brcmstb@107d508500", "gpiochip15": "pinctrl-rp1"}
PI4 = {"gpiochip0": "pinctrl-bcm2711", "gpiochip1": "raspberrypi-exp-gpio"}
ZERO = {"gpiochip0": "pinctrl-bcm2835", "gpiochip1": "raspberrypi-exp-gpio"}


class TestHeaderChip:
    @pytest.mark.parametrize(
        ("chips", "number"), [(PI5_OLD, 4), (PI5_NEW, 0), (PI5_NEWEST, 15), (PI4, 0), (ZERO, 0)],
        ids=["Pi 5, Linux 6.6.20", "Pi 5, Linux 6.6.47", "Pi 5, Linux 6.12.96", "Pi 4", "Zero 2 W"],
    )  # fmt: skip
    def test_is_found_by_its_label(self, kernel: Kernel, chips: dict[str, str], number: int) -> None:
        for name, label in chips.items():
            kernel.plug(name, label)
        path = gpio.header_chip()
        assert path is not None
        assert gpio.chip_number(path) == number

    def test_a_symbolic_link_to_the_chip_is_no_second_chip(self, kernel: Kernel, tmp_path: Path) -> None:
        kernel.plug("gpiochip0", "pinctrl-rp1")
        (tmp_path / "gpiochip4").symlink_to("gpiochip0")
        assert gpio.header_chip() == str(tmp_path / "gpiochip0")

    def test_is_none_on_other_machines(self, kernel: Kernel, tmp_path: Path) -> None:
        assert gpio.header_chip() is None
        kernel.plug("gpiochip0", "INT34C5:00")  # a PC
        (tmp_path / "gpiochip1").touch()  # not a chip
        (tmp_path / "gpiochip2").mkdir()
        assert gpio.header_chip() is None
        assert "nothing to switch off" in gpio.switch_off({17: False})

    def test_no_permission(self, kernel: Kernel) -> None:
        kernel.denied = {kernel.plug("gpiochip0", "pinctrl-bcm2711")}
        with pytest.raises(LightsError, match=r"gpiochip0\) cannot be opened: Permission denied") as caught:
            gpio.header_chip()
        assert "usermod -aG gpio" in caught.value.hint

    def test_no_permission_for_another_chip(self, kernel: Kernel) -> None:
        kernel.denied = {kernel.plug("gpiochip0", "gpio-brcmstb@107d508500")}
        path = kernel.plug("gpiochip4", "pinctrl-rp1")
        assert gpio.header_chip() == path


def test_line_info(kernel: Kernel) -> None:
    chip = kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.held = {17: "lg"}
    assert gpio.line_info(chip, 17) == (True, "lg")
    assert gpio.line_info(chip, 27) == (False, "")
    kernel.held = {17: "x" * 40}
    assert gpio.line_info(chip, 17) == (True, "x" * 31)


def test_holder(kernel: Kernel, tmp_path: Path) -> None:
    chip = kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.held = {17: "lg", 24: ""}
    assert gpio.holder(chip, 27) == ""
    assert gpio.holder(str(tmp_path / "gone"), 17) == ""
    assert gpio.holder(chip, 24) == '"the kernel"'
    code = f"import sys; file = open({chip!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        holder = gpio.holder(chip, 17)
        other.communicate()
    assert holder.startswith('"lg" (python')
    assert holder.endswith(f"process {other.pid})")


class TestSwitchOff:
    def test_drives_each_pin_and_releases_it(self, kernel: Kernel) -> None:
        kernel.plug("gpiochip0", "gpio-brcmstb@107d508500")
        kernel.plug("gpiochip4", "pinctrl-rp1")
        assert gpio.switch_off({17: True, 27: True, 24: False}) == "lights and buzzer are off"
        assert kernel.driven == [(17, True), (27, True), (24, False)]
        for line in kernel.lines:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(line)

    def test_names_what_is_off(self, kernel: Kernel) -> None:
        kernel.plug("gpiochip0", "pinctrl-bcm2711")
        assert gpio.switch_off({23: True, 27: False}, "lights and relay") == "lights and relay are off"
        assert kernel.driven == [(23, True), (27, False)]

    def test_a_held_pin_does_not_keep_the_others_on(self, kernel: Kernel) -> None:
        kernel.plug("gpiochip0", "pinctrl-bcm2711")
        kernel.held = {17: "lg"}
        message = 'GPIO17 cannot be switched off: Device or resource busy; it is held by "lg"'
        with pytest.raises(LightsError, match=message) as caught:
            gpio.switch_off({17: False, 27: False, 24: False})
        assert "systemctl stop doorlight" in caught.value.hint
        assert kernel.driven == [(27, False), (24, False)]


def test_header_pins_are_numbered_as_in_gpiozero() -> None:
    factory = MockFactory()
    for bcm, pin in gpio.HEADER_PIN.items():
        assert f"BOARD{pin}" in factory.pin(bcm).info.names


def test_importing_the_module_imports_neither_gpiozero_nor_numpy() -> None:
    code = "import sys, edge.lights.gpio, edge.config; print(*{'gpiozero', 'lgpio', 'numpy'} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment()
    )
    assert ran.stdout.strip() == ""
