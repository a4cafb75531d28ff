"""The door's processes end, hang or use too much memory: the lamps are safe in time, and systemd restarts the service.

A masked person stands at the door all the time, so that green is on when it happens. As on Raspberry Pi OS, the pins of
a process that has ended keep their levels.
"""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from support.virtual_door import messages
from support.virtual_door.processes import (
    FAULT_AT_START_FILE,
    MAX_DEAD_S,
    MAX_HANG_S,
    SIGCONT,
    SIGKILL,
    SIGSTOP,
    check_failure,
    inject,
    install_faults,
    pids,
    send_signal,
    wait_green,
)
from virtual_door.door import CONFIG, INSTANT_S, Door
from virtual_door.lab import Lab
from virtual_door.report import Report

pytestmark = pytest.mark.virtual_door

STARTS = 4
#: Limits for the time until green is back, after the watchdog (WatchdogSec=20) and without it.
MAX_BACK_AFTER_HANG_S, MAX_BACK_S = 60.0, 40.0
#: Each fault that makes the main thread hang, and what the journal must contain.
HANGS = {
    "loop": "in loop",
    "deadlock": "in deadlock",
    "inference_hangs_without_gil": "in <lambda>",
    "inference_hangs_with_gil": "in <lambda>",
}


def test_process_killed_stopped_leaking(lab: Lab, report: Report) -> None:
    """SIGKILL: lamps off at once. SIGSTOP: red blinks after 3 s, green after SIGCONT. A memory leak: the OOM killer."""
    with lab.door() as door:
        door.boot(camera={"show": "masked"}, service=False)
        install_faults(door)
        _check_start(door, report)
        _check_stop_and_continue(door, report)
        check_failure(
            door, report, "killed (SIGKILL)", lambda: send_signal(door, SIGKILL, pids(door)[0]),
            result="signal", safe_within_s=MAX_DEAD_S, back_within_s=MAX_BACK_S,
        )  # fmt: skip
        _check_memory_leak(door, report)


def _check_start(door: Door, report: Report) -> None:
    """Start the service on a machine that has booted: time to READY, processor time, memory."""
    service = door.start_service()
    used = door.properties("CPUUsageNSec", "TasksCurrent")
    report.measure("start to READY", float(service["ready"]) - float(service["started"]), "s", at_most=40)
    # On a busy host, the time in which the machine waits for a processor counts, too.
    report.measure("processor time until READY", int(used["CPUUsageNSec"]) / 1e9, "s", at_most=15)
    wait_green(door)
    usage = door.properties("MemoryCurrent", "TasksCurrent")
    report.measure("memory in use, of 256", int(usage["MemoryCurrent"]) / 2**20, "MiB", at_most=200)
    report.measure("processes and threads, of 64", int(usage["TasksCurrent"]), "", at_most=32)
    private_kib = [
        int(line.split()[1])
        for line in door.read(f"/proc/{pids(door)[1]}/smaps_rollup").splitlines()
        if line.startswith("Private")
    ]
    report.measure("private memory of the pin process", sum(private_kib) / 1024, "MiB", at_most=20)


def _check_stop_and_continue(door: Door, report: Report) -> None:
    """Stop the main process for 6 s, less than the watchdog's time."""
    wait_green(door)
    main = pids(door)[0]
    stopped = send_signal(door, SIGSTOP, main)
    red = door.wait_for_lamps("red", 10, since=stopped)
    door.wait_until(lambda: door.now() > stopped + 6, 10)
    continued = send_signal(door, SIGCONT, main)
    back = door.wait_for_lamps("green", 10, since=continued)
    lamps = [c.lamps for c in door.pin_changes(red.t + INSTANT_S) if c.t < back.t]
    report.check(
        set(lamps) == {"red", "off"} and lamps.count("red") >= 2,
        "stopped (SIGSTOP) for 6 s: the lamps",
        "red blinks",
        f"{lamps.count('red')} times red, and {', '.join(sorted(set(lamps) - {'red'}))}",
    )
    report.equal(pids(door)[0], main, "stopped for 6 s, then SIGCONT: the PID")
    report.measure("stopped: FAULT after", red.t - stopped, "s", at_most=MAX_HANG_S)
    report.measure("SIGCONT: green is back after", back.t - continued, "s", at_most=2)


def _check_memory_leak(door: Door, report: Report) -> None:
    """The control group's limit ends the door; nothing else is killed.

    The result is not "oom-kill", because the unit goes on when a child process is killed for its memory (OOMPolicy=).
    """
    journal = check_failure(
        door, report, "memory leak (2 MiB every 20 ms)", lambda: inject(door, "leak"),
        result="signal", safe_within_s=30, back_within_s=70,
    )  # fmt: skip
    was_killed = "killed by the OOM killer" in journal
    report.check(was_killed, "memory leak: the journal", "killed by the OOM killer", journal[-300:])
    meminfo = door.read("/proc/meminfo").splitlines()
    free_mib = next(int(line.split()[1]) >> 10 for line in meminfo if "MemAvailable" in line)
    report.note(
        f"After the leak the machine had {free_mib} MiB of 1024 available: the service's own limit was reached."
    )


@pytest.mark.slow
def test_process_ends(lab: Lab, report: Report) -> None:
    """Killed, a crash in C, both processes killed at once, the pin process killed or stopped; then a crash loop.

    After both processes were killed, ExecStopPost= switches the lamps off. In the control experiment both are killed
    without ExecStopPost=: green must stay on, or this test would prove nothing. At the end, wrong settings (exit code
    78) must not cause a restart.
    """
    with lab.door() as door:
        door.boot(camera={"show": "masked"}, service=False)
        install_faults(door)
        door.start_service()
        for _ in range(3):
            check_failure(
                door, report, "killed (SIGKILL)", lambda: send_signal(door, SIGKILL, pids(door)[0]),
                result="signal", safe_within_s=MAX_DEAD_S, back_within_s=MAX_BACK_S,
            )  # fmt: skip
        journal = check_failure(
            door, report, "a crash in C", lambda: inject(door, "segfault"),
            result="signal", safe_within_s=MAX_DEAD_S, back_within_s=MAX_BACK_S,
        )  # fmt: skip
        has_stack = "Fatal Python error: Segmentation fault" in journal
        report.check(has_stack, "a crash in C: the journal", "the Python stack", journal[-300:])
        check_failure(
            door, report, "both processes killed at once", lambda: _kill_both(door),
            result="signal", safe_within_s=8, back_within_s=MAX_BACK_S,
        )  # fmt: skip
        check_failure(
            door, report, "pin process killed", lambda: send_signal(door, SIGKILL, pids(door)[1]),
            result="exit-code", safe_within_s=MAX_DEAD_S, back_within_s=MAX_BACK_S,
        )  # fmt: skip
        check_failure(
            door, report, "pin process stopped", lambda: send_signal(door, SIGSTOP, pids(door)[1]),
            result="exit-code", safe_within_s=MAX_HANG_S, back_within_s=MAX_BACK_S,
        )  # fmt: skip
        events = door.events()
        report.equal([e for e in events if "damaged" in e], [], "after all failures: damaged lines in the event log")
        seqs = [e["seq"] for e in events]
        report.equal(seqs, sorted(set(seqs)), "after all failures: seq increases")
        _control_without_stop_post(door, report)
        _check_crash_loop(door, report)
        _check_wrong_settings(door, report)


def _kill_both(door: Door) -> float:
    """Kill both processes. They are stopped first: otherwise the one that lives a millisecond longer would see the
    other end, and switch the pins off. The main process is killed last: its end makes the kernel continue stopped
    children."""
    main, pin_process = pids(door)
    send_signal(door, SIGSTOP, main, pin_process)
    return send_signal(door, SIGKILL, pin_process, main)


def _control_without_stop_post(door: Door, report: Report) -> None:
    wait_green(door)
    folder = "/run/systemd/system/doorlight.service.d"
    settings = "[Service]\\nExecStopPost=\\nRestart=no\\n"
    door.sh(f"mkdir -p {folder}; printf '{settings}' >{folder}/control.conf; systemctl daemon-reload")
    t = _kill_both(door)
    door.wait_until(lambda: door.properties("ActiveState")["ActiveState"] == "failed", 20)
    door.wait_until(lambda: door.now() > t + 5, 10)
    report.equal(door.lamps(), "green", "control: both killed, without ExecStopPost=: the lamps after 5 s")
    door.sh(f"rm {folder}/control.conf; systemctl daemon-reload; /opt/doorlight/current/bin/doorlight lights --off")
    report.equal(door.wait_for_lamps("off", 5, since=t).lamps, "off", "doorlight lights --off: the lamps")


def _check_crash_loop(door: Door, report: Report) -> None:
    """A crash at every start: systemd restarts with a pause, does not give up, and the door works after the repair."""
    door.write(FAULT_AT_START_FILE, "")
    t = door.now()
    door.sh("systemctl start --no-block doorlight")
    before = door.restarts()
    door.wait_until(lambda: door.restarts() >= before + STARTS, 90, "too few restarts")
    starts = [
        float(line[1:].split("]")[0])
        for line in door.journal_after(t).splitlines()
        if "systemd[1]: Starting doorlight" in line
    ]
    lamps = {c.lamps for c in door.pin_changes(t)}
    report.equal(lamps, {"off"}, f"a crash at every start, {STARTS} times: the lamps")
    pauses_s = [b - a for a, b in itertools.pairwise(starts)]
    done = "a crash at every start: seconds from one start to the next"
    report.check(min(pauses_s) >= 2, done, "2 or more", ", ".join(f"{s:.1f}" for s in pauses_s))
    door.sh(f"rm {FAULT_AT_START_FILE}")
    report.equal(door.wait_for_lamps("green", 60).lamps, "green", "repaired: the lamps")
    if len(door.properties("RestartUSecNext")) == 0:
        report.note("The growing pauses of restart-backoff.conf need systemd 254; this one has less.")
    else:
        growth = [after - before for before, after in itertools.pairwise(pauses_s)]
        done = "a crash at every start: each pause is longer than the one before (restart-backoff.conf)"
        report.check(min(growth) > 0.5, done, "longer", ", ".join(f"{s:.1f}" for s in pauses_s))


@pytest.mark.slow
def test_restarts_are_forgotten(lab: Lab, report: Report) -> None:
    """With systemd 254 or later, the pause before a restart grows, and is short again some time after the last one.

    The ten minutes of doorlight-steady.timer are 40 s here. Each start begins them again.
    """
    with lab.door() as door:
        door.boot(wait_for="ready", camera={"show": "masked"})
        if not door.properties("RestartUSecNext"):
            pytest.skip("this systemd is older than 254")
        folder = "/run/systemd/system/doorlight-steady.timer.d"
        door.sh(
            f"mkdir -p {folder}; printf '[Timer]\\nOnActiveSec=\\nOnActiveSec=40\\nAccuracySec=1\\n' >{folder}/short.conf"
        )
        door.sh("systemctl daemon-reload; systemctl restart doorlight-steady.timer")
        seen = [_pause_before_the_next_restart(door)]
        for _ in range(3):
            wait_green(door)
            t = send_signal(door, SIGKILL, pids(door)[0])
            off = door.wait_for_lamps("off", 10, since=t)
            door.wait_for_lamps("green", MAX_BACK_S, since=off.t + INSTANT_S)
            seen.append(_pause_before_the_next_restart(door))
        growing = "the first one 2 s, then longer each time"
        done = "the pause before the next restart, at first and after 1 to 3 restarts"
        report.check(seen[0] == 2 and seen == sorted(set(seen)), done, growing, seen)
        began = door.now()
        pause = door.wait_until(
            lambda: _pause_before_the_next_restart(door) == 2, 120, "the restarts are not forgotten"
        )
        report.check(pause, "40 s without a restart: the pause before the next one", "2 s", "2 s")
        report.measure("40 s without a restart: the pause is short again after", door.now() - began, "s", at_most=90)
        state = door.properties("ActiveState", "NRestarts")
        report.equal(state, {"ActiveState": "active", "NRestarts": "0"}, "then: state and restarts of the door")


def _pause_before_the_next_restart(door: Door) -> float:
    """Return the seconds in RestartUSecNext, such as "2s", "3.524s", "1min 2s"."""
    words = door.properties("RestartUSecNext")["RestartUSecNext"].split()
    units = {"ms": 0.001, "s": 1.0, "min": 60.0}
    return sum(float(word.rstrip("mins")) * units[word.lstrip("0123456789.")] for word in words)


def _check_wrong_settings(door: Door, report: Report) -> None:
    door.sh(f"echo '[lights]\ngreen = 99' >>{CONFIG}")
    t = door.now()
    door.sh("systemctl restart --no-block doorlight")

    def failed() -> dict[str, str] | None:
        found = door.properties("ActiveState", "ExecMainStatus", "NRestarts")
        return found if found["ActiveState"] == "failed" else None

    found = door.wait_until(failed, 40)
    report.equal((found["ExecMainStatus"], found["NRestarts"]), ("78", "0"), "wrong settings: exit code, restarts")
    failed_at = door.now()
    door.wait_until(lambda: door.now() > failed_at + 8, 10)
    state = door.properties("ActiveState", "NRestarts")
    report.equal(state, {"ActiveState": "failed", "NRestarts": "0"}, "wrong settings, 8 s later: state, restarts")
    report.equal(door.lamps(), "off", "wrong settings: the lamps")
    journal = door.journal_after(t)
    report.check(messages.WRONG_PIN in journal, "wrong settings: the journal", messages.WRONG_PIN, journal[-400:])


@pytest.mark.slow
def test_process_hangs(lab: Lab, report: Report) -> None:
    """Stopped, endless loop, deadlock, inference that does not return: red blinks, the watchdog ends it, the journal
    says where.

    Inference hangs with and without the GIL. The other threads (camera, Edge TPU, event log) continue, and none of them
    pings the watchdog.
    """
    with lab.door() as door:
        door.boot(camera={"show": "masked"}, service=False)
        install_faults(door)
        door.start_service()
        check_failure(
            door, report, "stopped (SIGSTOP)", lambda: send_signal(door, SIGSTOP, pids(door)[0]),
            result="watchdog", safe_within_s=MAX_HANG_S, back_within_s=MAX_BACK_AFTER_HANG_S,
        )  # fmt: skip
        for fault, where in HANGS.items():
            what = fault.replace("_", " ")
            journal = check_failure(
                door, report, what, partial(inject, door, fault),
                result="watchdog", safe_within_s=MAX_HANG_S, back_within_s=MAX_BACK_AFTER_HANG_S,
            )  # fmt: skip
            has_stack = "Fatal Python error: Aborted" in journal and where in journal
            report.check(has_stack, f"{what}: the journal", where, journal[-500:])
