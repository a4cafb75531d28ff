"""What an attacker could do who controls the door's process.

A probe (guest/intruder.py) runs in place of the door, as its user, with the settings of its unit. It tries to reach a
network, to read other users' files, to gain privileges, to load code into the kernel; it walks the file system and
tries to write everywhere. The same probe, run as root without the unit's settings, must succeed, or its failures would
prove nothing. The sockets of the real door are checked from outside.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from virtual_door.door import Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = pytest.mark.virtual_door

#: Where the door may write: its log, its runtime folder, its private /tmp, shared memory.
FOLDERS = {"/var/lib/doorlight", "/run/doorlight", "/tmp", "/var/tmp", "/dev/shm"}
#: Devices that every program may use, and those of the door.
DEVICES = {
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts/ptmx"),
    *("/dev/video0", "/dev/gpiochip0", "/dev/dma_heap/system"),  # libcamera takes its buffers from the last
}
#: The kernel's files about the process itself.
OWN = ("/proc/self/", "/proc/thread-self/")
PROBE = "/usr/local/lib/vdoor-intruder.py"
UNIT = f"""\
[Service]
Type=oneshot
ExecStart=
ExecStart=/usr/bin/python3 -I -B {PROBE} /var/lib/doorlight/found.json
ExecStopPost=
WatchdogSec=0
Restart=no
"""
PREPARE = f"""
install -m 755 /root/vdoor/guest/intruder.py {PROBE}
install -m 4755 /usr/bin/id /usr/local/bin/vdoor-id
mkdir -p /home/user; echo secret | tee /home/user/secret >/root/secret
chmod 644 /home/user/secret /root/secret
"""
SOCKET_TABLES = " ".join(f"/proc/net/{name}" for name in ("tcp", "tcp6", "udp", "udp6", "raw", "packet"))


def test_intruder(lab: Lab, report: Report) -> None:
    """The probe with the unit's settings, and as root without them."""
    with lab.door() as door:
        door.boot(wait_for="ready", camera={"show": "masked"})
        door.wait_for_lamps("green", 60, since=0)
        _check_sockets(door, report)
        door.sh(PREPARE)
        confined = _probe_as_service(door)
        left = door.sh("find /tmp /var/tmp -name '.intruder*' -o -name 'intruder*'")
        report.equal(left, "", "files of the probe in the machine's own /tmp and /var/tmp")
        free = _probe_as_root(door)
    successes = [name for name, result in free["tries"].items() if result.startswith("GOT")]
    report.check(
        len(successes) >= 20 and len(free["folders"]) > 100,
        "the probe as root, without the unit's settings",
        "succeeds nearly everywhere",
        f"{len(successes)} of {len(free['tries'])} attempts; could create files in {len(free['folders'])} folders",
    )
    for name, result in confined["tries"].items():
        report.check(result.startswith("denied"), f"with the unit's settings: {name}", "denied", result)
    _check_writable(report, confined)
    status = confined["status"]
    capabilities = {int(status[name], 16) for name in ("CapEff", "CapBnd", "CapAmb")}
    report.equal(capabilities, {0}, "capabilities (effective, bounding, ambient)")
    report.equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), "no new privileges; system call filter")
    report.equal(confined["sees"], [], "visible processes of other users")


def _check_sockets(door: Door, report: Report) -> None:
    pid = door.properties("MainPID")["MainPID"]
    tables = door.sh(f"cat {SOCKET_TABLES}")
    rows = [line for line in tables.splitlines() if ":" in line.split(" ")[0] or line.lstrip()[:1].isdigit()]
    report.equal(rows, [], "the door at work: IP and packet sockets in the whole machine")
    inodes = door.sh(f"ls -l /proc/{pid}/fd | sed -n 's/.*-> socket:.\\([0-9]*\\)./\\1/p'").split()
    local = door.sh("cat /proc/net/unix /proc/net/netlink").split()
    other = [inode for inode in inodes if inode not in local]
    report.equal(other, [], f"of the door's {len(inodes)} sockets, those that are neither unix nor netlink")


def _probe_as_service(door: Door) -> dict[str, Any]:
    """Run the probe in place of the door."""
    door.sh("mkdir -p /run/systemd/system/doorlight.service.d")
    door.write("/run/systemd/system/doorlight.service.d/zz-intruder.conf", UNIT)
    door.sh("systemctl daemon-reload; systemctl stop doorlight.service; systemctl start doorlight.service", 240)
    found: dict[str, Any] = json.loads(door.read("/var/lib/doorlight/found.json"))
    return found


def _probe_as_root(door: Door) -> dict[str, Any]:
    door.sh(["/usr/bin/python3", "-I", "-B", PROBE, "/root/found.json"], 240)
    found: dict[str, Any] = json.loads(door.read("/root/found.json"))
    return found


def _is_own(path: str) -> bool:
    return path in FOLDERS or any(path.startswith(f"{folder}/") for folder in FOLDERS)


def _check_writable(report: Report, confined: dict[str, Any]) -> None:
    done = f"tried to write to all {confined['seen']} files and folders of the machine"
    folders = sorted(path for path in confined["folders"] if not _is_own(path))
    report.equal(folders, [], f"{done}: other folders in which it could create a file")
    files = [path for path in confined["files"] if not _is_own(path) and not path.startswith(OWN)]
    report.equal(files, [], f"{done}: files that it could open for writing")
    devices = sorted(path for path in confined["devices"] if path not in DEVICES)
    report.equal(devices, [], f"{done}: devices that are not the door's")
