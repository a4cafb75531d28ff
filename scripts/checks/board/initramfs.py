"""Write the kernel's initial file system: BusyBox and the few modules that the SD card needs, in a second.

Debian's own, with every module of the kernel, takes a quarter of an hour under qemu-user, and half a minute of each boot.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

#: What is not built into Debian's kernel: the card's controllers (Pi 3, and Pi 4), and the file system with its checksums.
MODULES = ("drivers/mmc/host/bcm2835", "drivers/mmc/host/sdhci-iproc", "crypto/crc32c_generic", "fs/ext4/ext4")
INIT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc none /proc
$b mount -t devtmpfs none /dev
exec </dev/console >/dev/console 2>&1
for module in $($b cat /modules/order); do $b insmod "/modules/$module" || echo "initial file system: $module fails"; done
tries=0
until [ -b /dev/mmcblk0 ] || [ -b /dev/mmcblk1 ] || [ "$tries" = 300 ]; do $b sleep 0.2; tries=$((tries + 1)); done
card=/dev/mmcblk0
[ -b "$card" ] || card=/dev/mmcblk1
for word in $($b cat /proc/cmdline); do case "$word" in init=*) init="${word#init=}" ;; esac; done
$b mount -t ext4 "$card" /root || echo "initial file system: there is no SD card"
$b mount --move /dev /root/dev
$b umount /proc
exec $b switch_root /root "$init"
"""


def write(guest: Path, target: Path) -> None:
    """Write the initial file system for the kernel of a guest's folder, which has the package busybox-static."""
    modules = next(guest.glob("usr/lib/modules/*"))
    order = in_order(MODULES, (modules / "modules.dep").read_text())
    with target.open("wb") as file:
        archive = _Archive(file)
        for folder in ("bin", "dev", "modules", "proc", "root"):
            archive.add(folder, stat.S_IFDIR | 0o755)
        archive.add("bin/busybox", stat.S_IFREG | 0o755, (guest / "usr/bin/busybox").read_bytes())
        archive.add("init", stat.S_IFREG | 0o755, INIT.encode())
        for path in order:
            archive.add(f"modules/{name_of(path)}", stat.S_IFREG | 0o644, (modules / path).read_bytes())
        archive.add("modules/order", stat.S_IFREG | 0o644, "".join(f"{name_of(path)}\n" for path in order).encode())
        archive.close()


def name_of(path: str) -> str:
    """Return the file name of a module from its path, "kernel/fs/ext4/ext4.ko.xz". The kernel decompresses it."""
    return path.rpartition("/")[2]


def in_order(wanted: Iterable[str], dependencies: str) -> list[str]:
    """Return the paths of modules and of all that they need, each after what it needs. `dependencies` is modules.dep."""
    needs = {
        line.partition(":")[0]: line.partition(":")[2].split() for line in dependencies.splitlines() if ":" in line
    }

    def expand(path: str) -> Iterator[str]:
        for needed in needs[path]:
            yield from expand(needed)
        yield path

    found: dict[str, None] = {}
    for name in wanted:
        path = next(path for path in needs if path.startswith(f"kernel/{name}.ko"))
        found |= dict.fromkeys(expand(path))
    return list(found)


class _Archive:
    """A cpio archive in the format that the kernel reads ("newc"). Everything belongs to root."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0

    def add(self, name: str, mode: int, content: bytes = b"") -> None:
        self._number += 1
        encoded = name.encode() + b"\0"
        fields = (self._number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        self._write(b"070701" + b"".join(b"%08X" % field for field in fields) + encoded)
        self._write(content)

    def close(self) -> None:
        self.add("TRAILER!!!", 0)

    def _write(self, data: bytes) -> None:
        self._file.write(data + b"\0" * (-len(data) % 4))
