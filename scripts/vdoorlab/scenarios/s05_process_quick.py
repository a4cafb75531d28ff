"""The process is killed, stopped and eats memory: lamps go safe at once, systemd brings it back; and it starts in time.

Somebody masked stands at the door all the time, so that green is lit when it happens. Killed (SIGKILL): both lamps off at
once. Stopped (SIGSTOP), as a program that hangs: red blinks after 3 s, and green is back as soon as it goes on. A leak: the
control group's limit ends it, nothing else. What takes longer is in s05_process_dies and s05_process_hangs.

Pins of a dead process keep their level here, as on Raspberry Pi OS.
"""

from __future__ import annotations

from vdoorlab.machine import Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._process import (
    DEAD_S,
    HANGS_S,
    INSTANT_S,
    SIGCONT,
    SIGKILL,
    SIGSTOP,
    arm,
    green,
    order,
    pids,
    send,
    trouble,
)

QUICK = True


def run(lab: Lab, report: Report) -> None:
    with lab.door() as door:
        door.boot(camera={"show": "masked"}, service=False)
        arm(door)
        _start(door, report)
        _stopped(door, report)
        trouble(
            door, report, "killed (SIGKILL)", lambda: send(door, SIGKILL, pids(door)[0]),
            result="signal", safe_within_s=DEAD_S, back_within_s=40,
        )  # fmt: skip
        _leak(door, report)


def _start(door: Machine, report: Report) -> None:
    """systemd starts it on a machine that has done booting: how long until READY, and what of it is its own work."""
    service = door.start_service()
    used = door.properties("CPUUsageNSec", "TasksCurrent")
    report.measure("start to READY", float(service["ready"]) - float(service["started"]), "s", at_most=20)
    report.measure("processor time until then", int(used["CPUUsageNSec"]) / 1e9, "s", at_most=5)
    green(door)
    usage = door.properties("MemoryCurrent", "TasksCurrent")
    report.measure("memory in use, of 256", int(usage["MemoryCurrent"]) / 2**20, "MiB", at_most=200)
    report.measure("processes and threads, of 64", int(usage["TasksCurrent"]), "", at_most=32)
    peak = [
        int(line.split()[1]) / 1024
        for line in door.read(f"/proc/{pids(door)[1]}/smaps_rollup").splitlines()
        if line.startswith("Private")
    ]
    report.measure("of it the process that holds the pins, what it shares with nobody", sum(peak), "MiB", at_most=20)


def _stopped(door: Machine, report: Report) -> None:
    """Stopped for 6 s, and let go on."""
    green(door)
    main = pids(door)[0]
    t = send(door, SIGSTOP, main)
    red = door.wait_for("red", 10, since=t)
    door.wait_until(lambda: door.now() > t + 6, 10)
    on = send(door, SIGCONT, main)
    back = door.wait_for("green", 10, since=on)
    looks = [c.looks for c in door.changes(red.t + INSTANT_S) if c.t < back.t]
    report.check(
        set(looks) == {"red", "off"} and looks.count("red") >= 2,
        "stopped (SIGSTOP) for 6 s: the lamps",
        "red blinks",
        f"{looks.count('red')} times red, and {', '.join(sorted(set(looks) - {'red'}))}",
    )
    report.equal(pids(door)[0], main, "stopped for 6 s, and let go on: its process")
    report.measure("stopped: FAULT after", red.t - t, "s", at_most=HANGS_S)
    report.measure("let go on: green again after", back.t - on, "s", at_most=2)


def _leak(door: Machine, report: Report) -> None:
    said = trouble(
        door, report, "memory leak (2 MiB every 20 ms)", lambda: order(door, "leak"),
        result="oom-kill", safe_within_s=30, back_within_s=70,
    )  # fmt: skip
    report.check("killed by the OOM killer" in said, "memory leak: who ended it", "the OOM killer", said[-300:])
    free = next(
        int(line.split()[1]) >> 10 for line in door.read("/proc/meminfo").splitlines() if "MemAvailable" in line
    )
    report.note(f"The machine itself had memory left ({free} MiB of 1024 after it): it was the service's own limit.")
