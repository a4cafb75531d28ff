"""The header's chip, on a kernel of our own: linux/gpio.h written down once more, by ctypes, and its rules kept."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from edge import gpio
from edge.errors import LightsError

u8, u32, u64, s32 = ctypes.c_char, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32


class ChipInfo(ctypes.Structure):
    _fields_ = (("name", u8 * 32), ("label", u8 * 32), ("lines", u32))


class Attribute(ctypes.Structure):
    _fields_ = (("id", u32), ("padding", u32), ("values", u64))


class LineInfo(ctypes.Structure):
    _fields_ = (
        ("name", u8 * 32), ("consumer", u8 * 32), ("offset", u32), ("num_attrs", u32), ("flags", u64),
        ("attrs", Attribute * 10), ("padding", u32 * 4),
    )  # fmt: skip


class ConfigAttribute(ctypes.Structure):
    _fields_ = (("attr", Attribute), ("mask", u64))


class LineConfig(ctypes.Structure):
    _fields_ = (("flags", u64), ("num_attrs", u32), ("padding", u32 * 5), ("attrs", ConfigAttribute * 10))


class LineRequest(ctypes.Structure):
    _fields_ = (
        ("offsets", u32 * 64), ("consumer", u8 * 32), ("config", LineConfig), ("num_lines", u32),
        ("event_buffer_size", u32), ("padding", u32 * 5), ("fd", s32),
    )  # fmt: skip


def call(direction: int, number: int, of: type[ctypes.Structure]) -> int:
    """As _IOR (2) and _IOWR (3) make it for the GPIO devices, whose letter is 0xB4."""
    return direction << 30 | ctypes.sizeof(of) << 16 | 0xB4 << 8 | number


class Kernel:
    """Chips in a folder; `held` maps pins to their holders; `driven` collects (pin, level) as they are requested."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels: dict[str, str] = {}
        self.held: dict[int, str] = {}
        self.driven: list[tuple[int, bool]] = []
        self.lines: list[int] = []
        self.denied: set[str] = set()

    def plug(self, name: str, label: str) -> str:
        path = self.folder / name
        path.touch()
        self.labels[str(path)] = label
        return str(path)

    def open(self, path: str, flags: int) -> int:
        if path in self.denied:
            raise PermissionError(errno.EACCES, "Permission denied")
        assert flags & os.O_CLOEXEC
        return os.open(path, flags)

    def ioctl(self, device: int, number: int, buffer: bytearray) -> int:
        path = os.path.realpath(f"/proc/self/fd/{device}")
        if path not in self.labels:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        if number == call(2, 1, ChipInfo):
            info = ChipInfo.from_buffer(buffer)
            info.name, info.label, info.lines = os.path.basename(path).encode(), self.labels[path].encode(), 54
        elif number == call(3, 5, LineInfo):
            line = LineInfo.from_buffer(buffer)
            assert not any(line.padding)
            line.name = f"GPIO{line.offset}".encode()
            line.flags = 8 | (line.offset in self.held)
            line.consumer = self.held.get(line.offset, "")[:31].encode()
        elif number == call(3, 7, LineRequest):
            request = LineRequest.from_buffer(buffer)
            # Everything that is not said must be zero, or the kernel refuses.
            if request.num_lines != 1 or any(request.padding) or any(request.config.padding):
                raise OSError(errno.EINVAL, "Invalid argument")
            asked = request.config.attrs[0]
            assert (request.config.flags, request.config.num_attrs, asked.attr.id, asked.mask) == (8, 1, 2, 1)
            assert request.consumer == b"doorlight"
            if request.offsets[0] in self.held:
                raise OSError(errno.EBUSY, "Device or resource busy")
            self.driven.append((request.offsets[0], bool(asked.attr.values & 1)))
            request.fd, kept = os.pipe()
            os.close(kept)
            self.lines.append(request.fd)
        else:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kernel:
    made = Kernel(tmp_path)
    monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))
    monkeypatch.setattr(gpio.fcntl, "ioctl", made.ioctl)

    class Os:
        """os, but for open."""

        open = staticmethod(made.open)

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    monkeypatch.setattr(gpio, "os", Os())
    return made


PI5_OLD = {"gpiochip0": "gpio-brcmstb@107d508500", "gpiochip4": "pinctrl-rp1"}
PI5_NEW = {"gpiochip0": "pinctrl-rp1", "gpiochip10": "gpio-brcmstb@107d508500"}
PI5_NEWEST = {"gpiochip11": "gpio-brcmstb@107d508500", "gpiochip15": "pinctrl-rp1"}
PI4 = {"gpiochip0": "pinctrl-bcm2711", "gpiochip1": "raspberrypi-exp-gpio"}
ZERO = {"gpiochip0": "pinctrl-bcm2835", "gpiochip1": "raspberrypi-exp-gpio"}


@pytest.mark.parametrize(
    ("chips", "number"), [(PI5_OLD, 4), (PI5_NEW, 0), (PI5_NEWEST, 15), (PI4, 0), (ZERO, 0)],
    ids=["Pi 5, Linux 6.6.20", "Pi 5, Linux 6.6.47", "Pi 5, Linux 6.12.96", "Pi 4", "Zero 2 W"],
)  # fmt: skip
def test_the_chip_is_known_by_its_label(kernel: Kernel, chips: dict[str, str], number: int) -> None:
    for name, label in chips.items():
        kernel.plug(name, label)
    found = gpio.header_chip()
    assert found is not None
    assert gpio.chip_number(found) == number


def test_the_old_name_of_a_chip_leads_to_it(kernel: Kernel, tmp_path: Path) -> None:
    kernel.plug("gpiochip0", "pinctrl-rp1")
    (tmp_path / "gpiochip4").symlink_to("gpiochip0")
    assert gpio.header_chip() == str(tmp_path / "gpiochip0")


def test_no_chip_of_a_pi(kernel: Kernel, tmp_path: Path) -> None:
    assert gpio.header_chip() is None
    kernel.plug("gpiochip0", "INT34C5:00")  # a PC
    (tmp_path / "gpiochip1").touch()  # no chip at all
    (tmp_path / "gpiochip2").mkdir()
    assert gpio.header_chip() is None
    assert "nothing to switch off" in gpio.switch_off({17: False})


def test_a_chip_that_may_not_be_opened(kernel: Kernel) -> None:
    kernel.denied = {kernel.plug("gpiochip0", "pinctrl-bcm2711")}
    with pytest.raises(LightsError, match=r"gpiochip0\) cannot be opened: Permission denied") as caught:
        gpio.header_chip()
    assert "usermod -aG gpio" in caught.value.hint


def test_another_chip_may_be_shut(kernel: Kernel) -> None:
    kernel.denied = {kernel.plug("gpiochip0", "gpio-brcmstb@107d508500")}
    there = kernel.plug("gpiochip4", "pinctrl-rp1")
    assert gpio.header_chip() == there


def test_a_line(kernel: Kernel) -> None:
    chip = kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.held = {17: "lg"}
    assert gpio.line(chip, 17) == (True, "lg")
    assert gpio.line(chip, 27) == (False, "")
    kernel.held = {17: "x" * 40}
    assert gpio.line(chip, 17) == (True, "x" * 31)


def test_who_holds_a_pin(kernel: Kernel, tmp_path: Path) -> None:
    chip = kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.held = {17: "lg", 24: ""}
    assert gpio.holder(chip, 27) == ""
    assert gpio.holder(str(tmp_path / "gone"), 17) == ""
    assert gpio.holder(chip, 24) == '"the kernel"'
    code = f"import sys; file = open({chip!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        found = gpio.holder(chip, 17)
        other.communicate()
    assert found.startswith('"lg" (python')
    assert found.endswith(f"process {other.pid})")


def test_off(kernel: Kernel) -> None:
    kernel.plug("gpiochip0", "gpio-brcmstb@107d508500")
    kernel.plug("gpiochip4", "pinctrl-rp1")
    assert gpio.switch_off({17: True, 27: True, 24: False}) == "lights and buzzer are off"
    assert kernel.driven == [(17, True), (27, True), (24, False)]
    for line in kernel.lines:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(line)


def test_one_held_pin_keeps_no_other_lit(kernel: Kernel) -> None:
    kernel.plug("gpiochip0", "pinctrl-bcm2711")
    kernel.held = {17: "lg"}
    with pytest.raises(
        LightsError, match='GPIO17 cannot be switched off: Device or resource busy; it is held by "lg"'
    ) as e:
        gpio.switch_off({17: False, 27: False, 24: False})
    assert "systemctl stop doorlight" in e.value.hint
    assert kernel.driven == [(27, False), (24, False)]


def test_the_header_is_numbered_as_gpiozero_numbers_it() -> None:
    factory = MockFactory()
    for bcm, pin in gpio.PIN.items():
        assert f"BOARD{pin}" in factory.pin(bcm).info.names


def test_it_needs_neither_gpiozero_nor_numpy() -> None:
    code = "import sys, edge.gpio, edge.config; print(*{'gpiozero', 'lgpio', 'numpy'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == ""
