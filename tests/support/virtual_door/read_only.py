"""A door whose root scripts/install.sh --read-only has made read-only, with its data on the second disk."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import NamedTuple

from releasing.bundle import CHECKOUT_FILES
from support.virtual_door.power_cuts import BOOT_S
from support.virtual_door.versions import replace_line
from virtual_door.build import CHECKOUT, chosen_suite
from virtual_door.door import Door

#: The program, the next update beside it, its bundle, and the log.
DATA_MB = 1800
DATA_DISK = "/dev/ubdb"
#: Copying a program in an emulated machine on a busy host.
CHANGE_S = 600.0
INSTALLER = "/root/vdoor/source/scripts/install.sh"
#: The time after which an update is kept is ten minutes.
HEALTHY_S = 40.0
TRIAL_MODULE = "edge/update/trial.py"
#: Files of the door and of the system that the way back must leave as they were: names, modes, owners, contents, links.
SNAPSHOT = """\
cd /; set -f
files="etc opt/doorlight usr/local -type f ! -path *__pycache__*"
find $files -printf '%p %m %U:%G\\n'; find $files -exec cksum {} +
find etc opt/doorlight -type l -printf '%p %l\\n'
"""


class Written(NamedTuple):
    """What the kernel has written to a disk since boot."""

    requests: int
    sectors: int


def written_to_root(door: Door) -> Written:
    """Return the counters of the root's disk, see Documentation/block/stat.rst of the kernel."""
    fields = door.read("/sys/block/ubda/stat").split()
    return Written(int(fields[4]), int(fields[6]))


def root_digest(door: Door) -> str:
    """Return a digest of all blocks of the root that differ from its image, of a machine that is off."""
    with (door.session / "root.cow").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def boot(door: Door) -> None:
    """Boot a door whose data disk is mounted by its own /etc/fstab, if at all, and wait until it is ready."""
    door.boot(data="", within_s=BOOT_S)
    door.wait_ready(BOOT_S)


def share_installer(door: Door) -> None:
    """Make scripts/install.sh available as INSTALLER."""
    source = door.session / "source"
    for name in CHECKOUT_FILES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", CHECKOUT / name, source / name], check=True)


def shorten_trial(source: Path) -> None:
    """Let a version that is on trial be kept after HEALTHY_S."""
    replace_line(source / TRIAL_MODULE, r"^HEALTHY_S = 600\.0$", f"HEALTHY_S = {HEALTHY_S}")


def shorten_trial_of_installed(door: Door) -> None:
    """The same for the version in use, which looks after the trial of the next one."""
    module = f"/opt/doorlight/current/lib/python{chosen_suite().python}/site-packages/{TRIAL_MODULE}"
    door.sh(
        f"sed -i 's/^HEALTHY_S = 600.0$/HEALTHY_S = {HEALTHY_S}/' {module}; grep -qx 'HEALTHY_S = {HEALTHY_S}' {module}"
    )


def snapshot(door: Door) -> set[str]:
    """Return a line for each property of each file that `--read-write` must bring back."""
    return set(door.sh(SNAPSHOT, 120).splitlines())
