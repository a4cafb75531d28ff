"""Every way for the process to die: lamps off at once and never green until it is back; bad settings do not restart it.

A crash in C, both processes killed at once (what then darkens the lamps is ExecStopPost=), the process that holds the pins
killed or stopped. As a control, both killed with ExecStopPost= taken away: green must stay lit, or none of this would show
anything. Then a program that crashes at every start, and settings that no restart mends (exit code 78).
"""

from __future__ import annotations

import itertools

from vdoorlab.machine import Machine
from vdoorlab.report import Report
from vdoorlab.runner import Lab
from vdoorlab.scenarios._process import (
    DEAD_S,
    HANGS_S,
    SIGKILL,
    SIGSTOP,
    arm,
    green,
    journal_after,
    order,
    pids,
    send,
    trouble,
)

QUICK = False
STARTS = 4


def run(lab: Lab, report: Report) -> None:
    with lab.door() as door:
        door.boot(camera={"show": "masked"}, service=False)
        arm(door)
        door.start_service()
        for _ in range(3):
            trouble(
                door, report, "killed (SIGKILL)", lambda: send(door, SIGKILL, pids(door)[0]),
                result="signal", safe_within_s=DEAD_S, back_within_s=40,
            )  # fmt: skip
        said = trouble(
            door, report, "a crash in C", lambda: order(door, "segfault"),
            result="signal", safe_within_s=DEAD_S, back_within_s=40,
        )  # fmt: skip
        report.check(
            "Fatal Python error: Segmentation fault" in said, "a crash in C: the journal", "says where", said[-300:]
        )
        trouble(
            door, report, "both processes killed at once", lambda: _kill_both(door),
            result="signal", safe_within_s=8, back_within_s=40,
        )  # fmt: skip
        trouble(
            door, report, "the process that holds the pins killed", lambda: send(door, SIGKILL, pids(door)[1]),
            result="exit-code", safe_within_s=DEAD_S, back_within_s=40,
        )  # fmt: skip
        trouble(
            door, report, "the process that holds the pins stopped", lambda: send(door, SIGSTOP, pids(door)[1]),
            result="exit-code", safe_within_s=HANGS_S, back_within_s=40,
        )  # fmt: skip
        events = door.events()
        report.equal([e for e in events if "damaged" in e], [], "after all this: damaged lines in the event log")
        seqs = [e["seq"] for e in events]
        report.equal(seqs, sorted(set(seqs)), "after all this: the events' numbers rise")
        _control(door, report)
        _crash_loop(door, report)
        _bad_settings(door, report)


def _kill_both(door: Machine) -> float:
    """Stopped first, or the one that lives a millisecond longer would see the other die and darken the pins. The main
    process last: with its death the kernel wakes stopped children."""
    main, keeper = pids(door)
    send(door, SIGSTOP, main, keeper)
    return send(door, SIGKILL, keeper, main)


def _control(door: Machine, report: Report) -> None:
    green(door)
    folder = "/run/systemd/system/doorlight.service.d"
    door.sh(
        f"mkdir -p {folder}; printf '[Service]\\nExecStopPost=\\nRestart=no\\n' >{folder}/control.conf; systemctl daemon-reload"
    )
    t = _kill_both(door)
    door.wait_until(lambda: door.properties("ActiveState")["ActiveState"] == "failed", 20)
    door.wait_until(lambda: door.now() > t + 5, 10)
    report.equal(door.looks(), "green", "control: both killed, without ExecStopPost=: the lamps after 5 s")
    door.sh(f"rm {folder}/control.conf; systemctl daemon-reload; /opt/doorlight/current/bin/doorlight lights --off")
    report.equal(door.wait_for("off", 5, since=t).looks, "off", "doorlight lights --off: the lamps")


def _crash_loop(door: Machine, report: Report) -> None:
    """A crash at every start: it is started again and again, never too often, never given up, and well once mended."""
    door.write("/run/vdoor-fault-at-start", "")
    t = door.now()
    door.sh("systemctl start --no-block doorlight")
    before = int(door.properties("NRestarts")["NRestarts"])
    door.wait_until(
        lambda: int(door.properties("NRestarts")["NRestarts"]) >= before + STARTS,
        90,
        "it was not restarted often enough",
    )
    began = [
        float(line[1:].split("]")[0])
        for line in journal_after(door, t).splitlines()
        if "systemd[1]: Starting doorlight" in line
    ]
    report.equal({c.looks for c in door.changes(t)}, {"off"}, f"a crash at every start, {STARTS} times: the lamps")
    report.check(
        min(b - a for a, b in itertools.pairwise(began)) >= 2,
        "a crash at every start: seconds from one to the next",
        "2 or more",
        ", ".join(f"{b - a:.1f}" for a, b in itertools.pairwise(began)),
    )
    door.sh("rm /run/vdoor-fault-at-start")
    report.equal(door.wait_for("green", 60, since=door.now()).looks, "green", "mended: the lamps")
    report.note(
        "Restarts that come less and less often (restart-backoff.conf) need systemd 254; the virtual door has 252."
    )


def _bad_settings(door: Machine, report: Report) -> None:
    door.sh("echo '[lights]\ngreen = 99' >>/etc/doorlight/doorlight.toml")
    t = door.now()
    door.sh("systemctl restart --no-block doorlight")
    seen = door.wait_until(
        lambda: (
            p
            if (p := door.properties("ActiveState", "ExecMainStatus", "NRestarts"))["ActiveState"] == "failed"
            else None
        ),
        40,
    )
    report.equal((seen["ExecMainStatus"], seen["NRestarts"]), ("78", "0"), "wrong settings: exit code, restarts")
    failed = door.now()
    door.wait_until(lambda: door.now() > failed + 8, 10)
    report.equal(door.properties("ActiveState", "NRestarts"), {"ActiveState": "failed", "NRestarts": "0"}, "8 s later")
    report.equal(door.looks(), "off", "wrong settings: the lamps")
    said = journal_after(door, t)
    report.check(
        "'lights.green' is 99" in said, "wrong settings: the journal names", "'lights.green' is 99", said[-400:]
    )
