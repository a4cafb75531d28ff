"""The boards that QEMU emulates, and their device trees."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from virtual_door.build import UnsupportedHostError, run_program


class Board(NamedTuple):
    """A board that QEMU emulates."""

    #: Name of the machine in QEMU.
    machine: str
    #: File name of the device tree in the image's folder.
    tree: str
    #: File name of the device tree in Debian's kernel package.
    source: str
    #: Beginning of the model's name, as Doorlight reports it.
    model: str
    #: Name of the GPIO driver, as Doorlight reports it.
    gpio: str
    #: The revision code that a Raspberry Pi's firmware adds to the tree; gpiozero recognizes the model by it.
    revision: str
    #: Physical address of the GPIO block.
    registers: int
    #: The kernel's name of the serial console.
    console: str
    #: QEMU's options that connect the serial console to standard output.
    serial: tuple[str, ...]
    #: Nodes of the tree that QEMU's machine does not have. Debian's kernel crashes on some, and waits for others for ever.
    missing: tuple[str, ...] = ()


_RASPI3B = Board(
    machine="raspi3b",
    tree="pi-3b.dtb",
    source="bcm2837-rpi-3-b.dtb",
    model="Raspberry Pi 3 Model B",
    gpio="pinctrl-bcm2835",
    revision="a02082",
    registers=0x3F200000,
    console="ttyS1",
    serial=("-serial", "null", "-serial", "stdio"),
)
_RASPI4B = Board(
    machine="raspi4b",
    tree="pi-4b.dtb",
    source="bcm2711-rpi-4-b.dtb",
    model="Raspberry Pi 4 Model B",
    gpio="pinctrl-bcm2711",
    revision="c03111",
    registers=0xFE200000,
    console="ttyAMA0",
    serial=("-serial", "stdio"),
    missing=(
        *("/soc/interrupt-controller@7ef00100", "/soc/i2c@7ef04500", "/soc/i2c@7ef09500", "/soc/hdmi@7ef00700"),
        *("/soc/hdmi@7ef05700", "/soc/clock@7ef00000", "/soc/avs-monitor@7d5d2000", "/soc/hvs@7e400000"),
        *("/soc/vec@7ec13000", "/soc/pixelvalve@7e206000", "/soc/pixelvalve@7e207000", "/soc/pixelvalve@7e20a000"),
        *("/soc/pixelvalve@7e216000", "/soc/pixelvalve@7ec12000", "/soc/csi@7e800000", "/soc/csi@7e801000"),
        *("/gpu", "/emmc2bus/mmc@7e340000"),
    ),
)
BOARDS = {board.machine: board for board in (_RASPI3B, _RASPI4B)}


def check_machine(board: Board) -> None:
    """Raise UnsupportedHostError, with a hint, if this computer's QEMU does not emulate the board."""
    if not shutil.which("qemu-system-aarch64"):
        raise UnsupportedHostError(
            "there is no qemu-system-aarch64: sudo apt install --no-install-recommends qemu-system-arm"
        )
    machines = subprocess.run(["qemu-system-aarch64", "-M", "help"], capture_output=True, text=True, check=False).stdout
    if not any(line.split()[:1] == [board.machine] for line in machines.splitlines()):
        raise UnsupportedHostError(f"this QEMU does not emulate {board.machine}: Debian 13's does")


def write_trees(guest: Path, folder: Path, log: Path) -> None:
    """Copy the boards' device trees from a guest's kernel into `folder`, and adapt them to QEMU's machines."""
    for board in BOARDS.values():
        tree = folder / board.tree
        shutil.copy(next(guest.glob(f"usr/lib/linux-image-*/broadcom/{board.source}")), tree)
        run_program(["fdtput", "-c", tree, "/system"], log)
        run_program(["fdtput", "-t", "x", tree, "/system", "linux,revision", board.revision], log)
        for node in board.missing:
            run_program(["fdtput", "-t", "s", tree, node, "status", "disabled"], log)
    _connect_card_of_raspi4b(folder / _RASPI4B.tree, log)


def _connect_card_of_raspi4b(tree: Path, log: Path) -> None:
    """Let the kernel find the SD card at the first controller, where QEMU connects it.

    A real Raspberry Pi 4 has its wireless chip there, and the card at the second one, which QEMU does not have.
    """
    controller = "/soc/mmc@7e300000"
    wireless = ("mmc-pwrseq", "non-removable", "pinctrl-0", "pinctrl-names")
    run_program(["fdtput", "-d", tree, controller, *wireless], log)
    run_program(["fdtput", "-r", tree, f"{controller}/wifi@1"], log)
