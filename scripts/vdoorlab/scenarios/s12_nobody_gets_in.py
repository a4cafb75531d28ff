"""Nobody gets in: what somebody could do who had taken over the door's process, tried from inside.

A probe (guest/intruder.py) runs in the door's place, as its user, under the very settings of its unit: only ExecStart is
another. It tries to reach a network, to read what is not its own, to gain rights, to load code into the kernel; it walks
the whole file system and tries to write everywhere. The same probe, run as root without the unit's settings, must get
through, or its failing would prove nothing. The real door's own sockets are looked at from outside.
"""

from __future__ import annotations

import json
from typing import Any

from vdoorlab.machine import Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab

QUICK = True

#: Where it may write: its log, its place in memory, its own /tmp (private, gone with it), shared memory.
FOLDERS = {"/var/lib/doorlight", "/run/doorlight", "/tmp", "/var/tmp", "/dev/shm"}
#: What a program expects of /dev, and what the door is made of.
DEVICES = {
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts/ptmx"),
    *("/dev/video0", "/dev/gpiochip0"),
}
#: The kernel's own files of this very process; writing there concerns nobody else.
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
mkdir -p /home/somebody; echo secret | tee /home/somebody/secret >/root/secret
chmod 644 /home/somebody/secret /root/secret
"""


def run(lab: Lab, report: Report) -> None:
    with lab.door() as door:
        door.boot(wait_for="ready", camera={"show": "masked"})
        door.wait_for("green", 60, since=0)
        _sockets(door, report)
        door.sh(PREPARE)
        under = _probe(door)
        left = door.sh("find /tmp /var/tmp -name '.intruder*' -o -name 'intruder*'")
        report.equal(left, "", "what it left in the machine's own /tmp and /var/tmp")
        free = _control(door)
        got = [name for name, said in free["tries"].items() if said.startswith("GOT")]
        report.check(
            len(got) >= 20 and len(free["folders"]) > 100,
            "the probe as root, without the unit's settings",
            "gets through, nearly everywhere",
            f"{len(got)} of {len(free['tries'])} tries got through; could create files in {len(free['folders'])} folders",
        )
        for name, said in under["tries"].items():
            report.check(said.startswith("denied"), f"under the unit's settings: {name}", "denied", said)
        _everywhere(report, under)
        status = under["status"]
        rights = {name: int(status[name], 16) for name in ("CapEff", "CapBnd", "CapAmb")}
        report.equal(set(rights.values()), {0}, "what is left of root's powers (effective, bounding, ambient)")
        report.equal((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), "no new privileges; system calls filtered")
        report.equal(under["sees"], [], "other users' processes that it sees")


def _sockets(door: Machine, report: Report) -> None:
    """The door at work: what are its sockets?"""
    pid = door.properties("MainPID")["MainPID"]
    listening = door.sh("cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 /proc/net/raw /proc/net/packet")
    rows = [line for line in listening.splitlines() if ":" in line.split(" ")[0] or line.lstrip()[:1].isdigit()]
    report.equal(rows, [], "the door at work: IP and packet sockets in the whole machine")
    links = door.sh(f"ls -l /proc/{pid}/fd | sed -n 's/.*-> socket:.\\([0-9]*\\)./\\1/p'").split()
    local = door.sh("cat /proc/net/unix /proc/net/netlink")
    other = [inode for inode in links if inode not in local.split()]
    report.equal(
        other, [], f"the door's {len(links)} sockets: those that are neither of this machine (unix) nor of udev"
    )


def _probe(door: Machine) -> dict[str, Any]:
    """The probe in the door's place."""
    door.sh("mkdir -p /run/systemd/system/doorlight.service.d")
    door.write("/run/systemd/system/doorlight.service.d/zz-intruder.conf", UNIT)
    door.sh("systemctl daemon-reload; systemctl stop doorlight.service; systemctl start doorlight.service", 240)
    found: dict[str, Any] = json.loads(door.read("/var/lib/doorlight/found.json"))
    return found


def _control(door: Machine) -> dict[str, Any]:
    door.sh(["/usr/bin/python3", "-I", "-B", PROBE, "/root/found.json"], 240)
    found: dict[str, Any] = json.loads(door.read("/root/found.json"))
    return found


def _everywhere(report: Report, under: dict[str, Any]) -> None:
    done = f"tried to write to all {under['seen']} files and folders of the machine"
    more = sorted(f for f in under["folders"] if f not in FOLDERS and not any(f.startswith(d + "/") for d in FOLDERS))
    report.equal(more, [], f"{done}: folders beyond its own in which it could create a file")
    files = [f for f in under["files"] if not any(f.startswith(d + "/") for d in FOLDERS) and not f.startswith(OWN)]
    report.equal(files, [], f"{done}: files that it could open for writing")
    devices = sorted(d for d in under["devices"] if d not in DEVICES)
    report.equal(devices, [], f"{done}: devices that are not the door's")
