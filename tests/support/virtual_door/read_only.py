"""A door whose root scripts/install.sh --read-only has made read-only, with its data on the second disk."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.virtual_door.power_cuts import BOOT_S, CONSOLE, PowerCuts
from virtual_door.build import CHECKOUT
from virtual_door.build_steps import INSTALLED_FILES
from virtual_door.door import STATE, Door
from virtual_door.report import Report

#: The program, the next update beside it, its bundle, and the log.
DATA_MB = 1800
ROOT_DISK, DATA_DISK = "ubda", "/dev/ubdb"
#: Making an initramfs, or copying a program, in an emulated machine on a busy host.
CHANGE_S = 900.0
#: What a kernel's package does: the initramfs of a kernel that has no modules.
MAKE_INITRAMFS = """\
mkdir -p /lib/modules/$(uname -r)
touch /lib/modules/$(uname -r)/modules.order /lib/modules/$(uname -r)/modules.builtin
depmod
update-initramfs -c -k $(uname -r)
cp /boot/initrd.img-$(uname -r) /root/vdoor/initramfs.img
sync
"""
INSTALLER = "/root/vdoor/source/scripts/install.sh"
#: Files of the door and of the system that the way back must leave as they were: names, modes, owners, contents.
SNAPSHOT = """\
cd /; set -f; what="etc usr/local opt/doorlight var/lib/doorlight"
not="-type f ! -path *__pycache__* ! -name *.jsonl*"
find $what $not -printf '%p %m %U:%G\\n' | sort; find $what $not -exec cksum {} + | sort
find etc opt/doorlight -type l -printf '%p %l\\n' | sort; systemctl list-unit-files 'doorlight*' --no-legend | sort
"""


@dataclass(frozen=True)
class Written:
    """What the kernel has written to a disk since boot."""

    requests: int
    sectors: int


def written(door: Door, disk: str = ROOT_DISK) -> Written:
    """Return the counters of a disk, see Documentation/block/stat.rst of the kernel."""
    fields = door.read(f"/sys/block/{disk}/stat").split()
    return Written(int(fields[4]), int(fields[6]))


def root_digest(door: Door) -> str:
    """Return a digest of all blocks of the root that differ from its image, of a machine that is off."""
    with (door.session / "root.cow").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prepare(door: Door) -> None:
    """Make the initramfs, and boot with it from then on. The root is writable. The machine is off before and after."""
    source = door.session / "source"
    for name in INSTALLED_FILES:
        if name not in ("edge", "models_tflite", "pyproject.toml"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", CHECKOUT / name, source / name], check=True)
    door.boot(data="", service=False, within_s=BOOT_S)
    door.sh(MAKE_INITRAMFS, CHANGE_S)
    door.power_off()
    door.initramfs = door.session / "initramfs.img"


def make_read_only(door: Door) -> str:
    """Run --read-only on a machine that is on, and switch it off. Return what it printed."""
    said = door.sh(f"{INSTALLER} --read-only --data {DATA_DISK} --without-start", CHANGE_S)
    # The boot loader loads what is in /boot now.
    door.sh("cp /boot/initrd.img-$(uname -r) /root/vdoor/initramfs.img")
    door.power_off()
    return said


def storage_finding(door: Door) -> str:
    """Return what `doorlight doctor` says about the storage."""
    done = door.run("doorlight doctor --json", 120)
    findings = json.loads(done.out)
    rows = findings["findings"] if isinstance(findings, dict) else findings
    return "; ".join(row["message"] for row in rows if row.get("check") == "storage")


class ReadOnlyPowerCuts(PowerCuts):
    """Power cuts of a door with a read-only root; the machine is prepared and off."""

    def __init__(self, door: Door, report: Report) -> None:
        self.root_writes: list[Written] = []
        super().__init__(door, report)

    def _boot(self, **settings: Any) -> None:
        self._console_offset = (self.door.session / "console.log").stat().st_size if self.cuts else 0
        if self._cut_at is not None:
            self._copy_log()
        self.door.boot(**{"kernel": CONSOLE, "data": "", "within_s": BOOT_S, **settings})

    def _copy_log(self) -> None:
        """Copy the log as the power cut has left it, with the file system's journal replayed as the next mount does it."""
        self.found = self.door.session / "found"
        shutil.rmtree(self.found, ignore_errors=True)
        self.found.mkdir()
        with tempfile.TemporaryDirectory(dir=self.door.session) as scratch:
            image = Path(scratch) / "data.ext4"
            subprocess.run(["cp", "--sparse=always", self.door.session / "data.ext4", image], check=True)
            check = subprocess.run(["e2fsck", "-p", image], capture_output=True, text=True)
            if check.returncode > 1:
                self.records[0].add_fault(f"e2fsck: {check.stdout}{check.stderr}")
            command = f"rdump {STATE} {self.found}"
            subprocess.run(["debugfs", "-R", command, image], capture_output=True, check=True)

    def _check(self) -> None:
        if self._cut_at is not None:
            for record in self.records:
                record.check_after_cut(self._cut_at, self.found / Path(STATE).name)
            self._cut_at = None

    def _cut(self) -> None:
        if self.door.is_on:
            self.root_writes.append(written(self.door))
        super()._cut()
