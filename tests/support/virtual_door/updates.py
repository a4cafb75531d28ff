"""A door that is updated with `doorlight update`, also with its root on a disk that logs all writes."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from support.virtual_door.versions import SourceChange, Versions
from virtual_door import logwrites
from virtual_door.agent_client import MachineError
from virtual_door.door import CONFIG, Door
from virtual_door.lab import Lab

#: The version of the image is that of the checkout.
NEWER = "99.0.0"
KEYS = "/etc/doorlight/update-keys"
TRIAL = "/opt/doorlight/update/trial.json"
#: Building a program takes long in an emulated machine, and a boot on a busy host.
INSTALL_S, BOOT_S = 1200.0, 240.0
#: The trial, its timer, and a busy host.
TRIAL_S = 900.0
LOG_MB = 4000
#: Init of a machine whose root is on a logged disk: the image, as the machine's fourth disk, with the log on the third.
INIT = """\
mount -t proc proc /proc
dmsetup create --noudevsync root --table "0 $(blockdev --getsz /dev/ubdd) log-writes /dev/ubdd /dev/ubdc"
mount -o rw /dev/dm-0 /media
exec switch_root /media /sbin/init
"""
#: What a door says of its version, one fact a line.
FACTS = f"""
doorlight update --status
echo "command: $(doorlight --version)"
pid=$(systemctl show -P MainPID doorlight)
echo "process: $(grep -o '/opt/doorlight/releases/[0-9]*' /proc/$pid/maps | sort -u | paste -sd ' ')"
echo "current: $(readlink /opt/doorlight/current)"
echo "unit: $(tail -1 /etc/systemd/system/doorlight.service)"
echo "settings: $(cksum <{CONFIG})"
test ! -e {TRIAL} || echo "trial: $(cat {TRIAL})"
"""


@dataclass(frozen=True)
class Facts:
    """What a door says of its version: the lines of --status, and the other facts by name."""

    status: list[str]
    others: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The version that runs, from "version 0.1.0 runs"."""
        words = self.status[0].split() if self.status else []
        return words[1] if len(words) == 3 and (words[0], words[2]) == ("version", "runs") else ""

    def faults(self, settings: str) -> list[str]:
        """Return what contradicts that one whole version runs, and that it is the one that is named."""
        found = []
        if not self.version:
            found.append(f"--status: {self.status}")
        if self.others["command"] != f"doorlight {self.version}":
            found.append(f"the command is of {self.others['command']}")
        if self.others["process"] != self.others["current"]:
            found.append(f"the process is of {self.others['process']}, the service of {self.others['current']}")
        is_newer = "unit" in self.others and self.others["unit"] == f"# of {NEWER}"
        if is_newer != (self.version == NEWER):
            found.append(f"the unit ends with {self.others['unit']!r}")
        if self.others["settings"] != settings:
            found.append("the settings have changed")
        if "trial" in self.others:
            found.append(f"a trial is pending: {self.others['trial']}")
        return [f"{fault} ({'; '.join(self.status)})" for fault in found]


def facts(door: Door) -> Facts:
    """Wait until the door runs and no version is on the way back, and return what it says."""
    door.wait_ready(BOOT_S)

    def is_back() -> bool:
        trial = door.run(["cat", TRIAL])
        return bool(trial.code) or json.loads(trial.out)["phase"] != "back"

    door.wait_until(is_back, BOOT_S, "the version before did not come back")
    door.wait_ready(BOOT_S)
    return now(door)


def now(door: Door) -> Facts:
    """Return what the door says of its version now."""
    status, others = [], {}
    for line in door.sh(FACTS, 60).splitlines():
        name, colon, value = line.partition(": ")
        if colon and name in ("command", "process", "current", "unit", "settings", "trial"):
            others[name] = value
        else:
            status.append(line)
    return Facts(status, others)


class Updates:
    """Signed bundles for a door, and the update to one of them."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._versions = Versions(door)
        self._key = door.session / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._key], check=True)

    def make(self, number: str, change: SourceChange | None = None) -> str:
        """Make a signed bundle of this checkout under another number, and return its folder in the guest."""
        self._versions.make(number, change)
        return self._versions.make_bundle(number, self._key)

    def trust(self) -> None:
        """Let the door trust the bundles."""
        public = self._key.with_name("key.pub").read_text().split()[:2]
        self._door.write(KEYS, f'doorlight namespaces="doorlight-update" {" ".join(public)}\n')


class LoggedRoot:
    """A machine whose root file system is on a disk of its own, with a log of all its writes."""

    def __init__(self, lab: Lab, door: Door) -> None:
        self._lab = lab
        self._session = door.session
        self._log = self._session / "writes.log"
        (self._session / "init.sh").write_text(INIT)
        with self._log.open("wb") as file:
            file.truncate(LOG_MB << 20)

    def boot(self, door: Door) -> None:
        """Boot with the logged root. Call it once: a second boot would begin a new log."""
        folder = self._session
        disks = f"ubd2={self._log} ubd3={folder}/logged.cow,{folder}/root.ext4"
        init = '"mount -t hostfs none /mnt && exec sh /mnt/init.sh"'
        door.boot(data="", kernel=f"{disks} ro init=/bin/sh -- -c '{init}'", within_s=BOOT_S)
        if "/dev/dm-0 / ext4" not in door.read("/proc/mounts"):
            raise MachineError(f"the root is not on the logged disk: {door.read('/proc/mounts')}")

    @property
    def log(self) -> Path:
        return self._log

    def moments(self) -> dict[int, str]:
        """Return the moments at which writes became durable, with the phase of the update."""
        return {number: mark for number, mark in logwrites.durable_moments(self._log).items() if mark}
