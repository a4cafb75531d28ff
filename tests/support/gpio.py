"""A fake of the kernel's GPIO character device.

It declares the structures of linux/gpio.h again, with ctypes, and checks requests as the kernel does. So it finds a
mistake in the layouts of `edge.lights.gpio`, which uses struct.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path

import pytest

from edge.lights import gpio

u8, u32, u64, s32 = ctypes.c_char, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32
IOR, IOWR = 2, 3


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


def ioctl_number(direction: int, number: int, structure: type[ctypes.Structure]) -> int:
    """Return the ioctl number that the kernel's macros _IOR and _IOWR compute for GPIO devices, whose type is 0xB4."""
    return direction << 30 | ctypes.sizeof(structure) << 16 | 0xB4 << 8 | number


class Kernel:
    """GPIO chips as files in a folder.

    `held` maps a line to the name of its consumer. `denied` has the paths of chips that cannot be opened. `driven`
    collects the requested (line, level) pairs, `lines` the file descriptors that were handed out.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.labels: dict[str, str] = {}
        self.held: dict[int, str] = {}
        self.driven: list[tuple[int, bool]] = []
        self.lines: list[int] = []
        self.denied: set[str] = set()

    def plug(self, name: str, label: str) -> str:
        """Add a chip and return its path."""
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
        if number == ioctl_number(IOR, 1, ChipInfo):
            info = ChipInfo.from_buffer(buffer)
            info.name, info.label, info.lines = os.path.basename(path).encode(), self.labels[path].encode(), 54
        elif number == ioctl_number(IOWR, 5, LineInfo):
            self._fill_line_info(LineInfo.from_buffer(buffer))
        elif number == ioctl_number(IOWR, 7, LineRequest):
            self._request_line(LineRequest.from_buffer(buffer))
        else:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        return 0

    def _fill_line_info(self, line: LineInfo) -> None:
        assert not any(line.padding)
        line.name = f"GPIO{line.offset}".encode()
        line.flags = 8 | (line.offset in self.held)
        line.consumer = self.held.get(line.offset, "")[:31].encode()

    def _request_line(self, request: LineRequest) -> None:
        # The kernel refuses a request whose unused fields are not zero.
        if request.num_lines != 1 or any(request.padding) or any(request.config.padding):
            raise OSError(errno.EINVAL, "Invalid argument")
        values = request.config.attrs[0]
        assert (request.config.flags, request.config.num_attrs, values.attr.id, values.mask) == (8, 1, 2, 1)
        assert request.consumer == b"doorlight"
        if request.offsets[0] in self.held:
            raise OSError(errno.EBUSY, "Device or resource busy")
        self.driven.append((request.offsets[0], bool(values.attr.values & 1)))
        request.fd, other_end = os.pipe()
        os.close(other_end)
        self.lines.append(request.fd)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kernel:
    """A kernel without GPIO chips; add some with `plug`."""
    fake = Kernel(tmp_path)
    monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))
    monkeypatch.setattr(fcntl, "ioctl", fake.ioctl)

    class Os:
        """The module os with another `open`."""

        open = staticmethod(fake.open)

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    monkeypatch.setattr(gpio, "os", Os())
    return fake


@pytest.fixture
def raspberry_pi(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """The kernel of a Raspberry Pi 4, for gpiozero too."""
    monkeypatch.setattr("gpiozero.pins.local.get_pi_revision", lambda: 0xC03115)
    kernel.plug("gpiochip0", "pinctrl-bcm2711")
    return kernel
