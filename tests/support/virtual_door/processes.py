"""Make the processes of a door fail, and check lamps and service until they are back.

Faults inside the program are injected into the guest's Python, not into the product: a .pth file in site-packages
imports FAULTS, which on SIGUSR2 calls the function that /run/vdoor-fault names. The door itself uses SIGUSR1.
"""

from __future__ import annotations

from collections.abc import Callable

from virtual_door.build import chosen_suite
from virtual_door.door import INSTANT_S, Door
from virtual_door.report import Report

SITE_PACKAGES = f"/opt/doorlight/current/lib/python{chosen_suite().python}/site-packages"
FAULT_FILE = "/run/vdoor-fault"
FAULT_AT_START_FILE = f"{FAULT_FILE}-at-start"
FAULTS = f'''\
"""Faults on request, for the virtual door."""
import ctypes, os, signal, threading, time

def loop():
    while True:
        pass

def deadlock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def leak():
    """Allocate memory in a thread, while the door continues to work."""
    def allocate():
        kept = []
        while True:
            kept.append(b"x" * (2 << 20))
            time.sleep(0.02)
    threading.Thread(target=allocate, daemon=True).start()

def segfault():
    ctypes.string_at(0)

def inference_hangs(libc):
    """The next call of a model does not return."""
    from edge.inference.interpreter import CheckedInterpreter
    CheckedInterpreter.invoke = lambda *_: libc.sleep(1 << 30)

def inference_hangs_without_gil():
    inference_hangs(ctypes.CDLL(None))

def inference_hangs_with_gil():
    inference_hangs(ctypes.PyDLL(None))

def call_fault(*_):
    with open("{FAULT_FILE}") as file:
        globals()[file.read().strip()]()

signal.signal(signal.SIGUSR2, call_fault)
if os.path.exists("{FAULT_AT_START_FILE}"):
    segfault()
'''
#: Sends a signal to processes and prints the time (CLOCK_BOOTTIME).
KILL = (
    "import os, sys, time; t = time.clock_gettime(time.CLOCK_BOOTTIME); "
    "[os.kill(int(pid), int(sys.argv[1])) for pid in sys.argv[2:]]; print(t)"
)
SIGKILL, SIGUSR2, SIGCONT, SIGSTOP = 9, 12, 18, 19
#: Limit for safe lamps if the door hangs: camera.timeout_s + 1 s, and a margin for a busy host.
MAX_HANG_S = 4.5
#: Limit for safe lamps if the process has ended.
MAX_DEAD_S = 1.0


def send_signal(door: Door, number: int, *pids: int) -> float:
    """Send a signal to processes of the guest. Return the time in seconds since power-on."""
    return float(door.sh(["python3", "-I", "-c", KILL, str(number), *map(str, pids)]))


def pids(door: Door) -> tuple[int, int]:
    """Return the pids of the door's main process and of the pin process."""
    main = int(door.properties("MainPID")["MainPID"])
    group = door.read("/sys/fs/cgroup/system.slice/doorlight.service/cgroup.procs").split()
    (pin_process,) = [int(p) for p in group if door.read(f"/proc/{p}/comm").strip() == "doorlight-pins"]
    return main, pin_process


def install_faults(door: Door) -> None:
    """Install FAULTS into the guest. They work in processes that start after this."""
    door.write(f"{SITE_PACKAGES}/vdoor_faults.py", FAULTS)
    door.write(f"{SITE_PACKAGES}/vdoor_faults.pth", "import vdoor_faults\n")


def inject(door: Door, fault: str) -> float:
    """Call one of FAULTS in the door's main process. Return the time in seconds since power-on."""
    door.write(FAULT_FILE, fault)
    return send_signal(door, SIGUSR2, pids(door)[0])


def wait_green(door: Door) -> None:
    """Wait for green, and one second more."""
    lit = door.wait_for_lamps("green", 60)
    door.wait_until(lambda: door.now() > lit.t + 1, 10)


def check_failure(
    door: Door,
    report: Report,
    what: str,
    cause: Callable[[], float],
    *,
    result: str,
    safe_within_s: float,
    back_within_s: float,
) -> str:
    """Let a door that shows green fail: the lamps must be safe in time, and stay safe until green is back.

    `cause` makes it fail and returns the time; `result` is the expected result of systemd. Return the journal since
    then.
    """
    wait_green(door)
    # As doorlight-steady.timer does after ten minutes: otherwise the pause would grow with each failure of a scenario.
    door.sh("systemctl reset-failed doorlight")
    restarts = door.restarts()
    t = cause()
    first = door.wait_until(
        lambda: next((c for c in door.pin_changes(t) if c.lamps != "green"), None),
        back_within_s,
        f"{what}: still green",
    )
    after = first.t + INSTANT_S
    back = door.wait_for_lamps("green", back_within_s, since=after)
    between = [c for c in door.pin_changes(after) if c.t < back.t]
    lamps = {c.lamps for c in between}
    door.wait_ready()
    journal = door.journal_after(t)
    results = [line.split("'")[1] for line in journal.splitlines() if "Failed with result" in line]
    report.check(
        lamps <= {"off", "red"},
        f"{what}: the lamps until green is back",
        "off, or red (blinking)",
        f"{', '.join(sorted(lamps))}; red {sum(c.lamps == 'red' for c in between)} times",
    )
    report.equal(results, [result], f"{what}: systemd's result")
    report.equal(door.restarts(), restarts + 1, f"{what}: restarts of the service")
    report.measure(f"{what}: green stays on for", first.t - t, "s", at_most=safe_within_s)
    report.measure(f"{what}: green is back after", back.t - t, "s", at_most=back_within_s)
    return journal
