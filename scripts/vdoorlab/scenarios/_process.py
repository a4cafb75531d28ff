"""For the scenarios about the door's process: how it is made to fail, and what becomes of lamps and service then.

Faults that a program has in itself are put into the guest's own copy of Python, never into the product: a .pth file of its
environment loads FAULTS, which does on SIGUSR1 what /run/vdoor-fault says.
"""

from __future__ import annotations

from collections.abc import Callable

from vdoorlab.machine import Change, Machine
from vdoorlab.report import Report

SITE = "/opt/doorlight/current/lib/python3.11/site-packages"
FAULTS = '''\
"""Faults on order, for the virtual door."""
import ctypes, os, signal, threading, time

ORDER = "/run/vdoor-fault"

def loop():
    while True:
        pass

def deadlock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def leak():
    """Memory, in a thread, while the door goes on."""
    def take():
        kept = []
        while True:
            kept.append(b"x" * (2 << 20))
            time.sleep(0.02)
    threading.Thread(target=take, daemon=True).start()

def segfault():
    ctypes.string_at(0)

def inference_hangs(libc):
    """The next call of a model does not come back."""
    from edge.interpreter import Network
    Network.invoke = lambda *_: libc.sleep(1 << 30)

def inference_hangs_alone():
    inference_hangs(ctypes.CDLL(None))

def inference_hangs_and_keeps_the_gil():
    inference_hangs(ctypes.PyDLL(None))

def do(*_):
    with open(ORDER) as file:
        globals()[file.read().strip()]()

signal.signal(signal.SIGUSR1, do)
if os.path.exists(ORDER + "-at-start"):
    segfault()
'''
#: Sends a signal to processes, and says when (CLOCK_BOOTTIME).
KILL = (
    "import os, sys, time; t = time.clock_gettime(time.CLOCK_BOOTTIME); "
    "[os.kill(int(pid), int(sys.argv[1])) for pid in sys.argv[2:]]; print(t)"
)
SIGKILL, SIGUSR1, SIGCONT, SIGSTOP = 9, 10, 18, 19
#: `changes(t)` begins with what was until `t`: this much later, with what came then. Pins are looked at every 4 ms.
INSTANT_S = 0.001
#: By when the lamps of a door that hangs must be safe: camera.timeout_s + 1 s, and what a busy machine takes.
HANGS_S = 4.5
#: By when those of a dead one must be: at once.
DEAD_S = 1.0


def send(door: Machine, number: int, *pids: int) -> float:
    """Send a signal to processes of the guest: when it was sent, in seconds since power-on."""
    return float(door.sh(["python3", "-I", "-c", KILL, str(number), *map(str, pids)]))


def pids(door: Machine) -> tuple[int, int]:
    """The door's main process and the one that holds the pins."""
    main = int(door.properties("MainPID")["MainPID"])
    group = door.read("/sys/fs/cgroup/system.slice/doorlight.service/cgroup.procs").split()
    (keeper,) = [int(p) for p in group if door.read(f"/proc/{p}/comm").strip() == "doorlight-pins"]
    return main, keeper


def arm(door: Machine) -> None:
    """Have every Python of the product's environment that starts from now on take orders."""
    door.write(f"{SITE}/vdoor_faults.py", FAULTS)
    door.write(f"{SITE}/vdoor_faults.pth", "import vdoor_faults\n")


def order(door: Machine, fault: str) -> float:
    """Have the door's main process do one of FAULTS: when, in seconds since power-on."""
    door.write("/run/vdoor-fault", fault)
    return send(door, SIGUSR1, pids(door)[0])


def green(door: Machine) -> None:
    """Wait until green is lit for somebody masked, and settled."""
    lit = door.wait_for("green", 60, since=door.now())
    door.wait_until(lambda: door.now() > lit.t + 1, 10)


def journal_after(door: Machine, t: float) -> str:
    """What the door and systemd have said of the service since `t`."""
    lines = door.journal().splitlines()
    return "\n".join(line for line in lines if line.startswith("[") and float(line[1:].split("]")[0]) >= t)


def trouble(
    door: Machine,
    report: Report,
    what: str,
    cause: Callable[[], float],
    *,
    result: str,
    safe_within_s: float,
    back_within_s: float,
) -> str:
    """Let something happen to a door that shows green: its lamps must be safe in time, and stay so until it is back.

    `cause` gives the time at which it happened; `result` is systemd's word for it. Gives the journal since then.
    """
    green(door)
    restarts = int(door.properties("NRestarts")["NRestarts"])
    t = cause()
    first = door.wait_until(
        lambda: next((c for c in door.changes(t) if c.looks != "green"), None), back_within_s, f"{what}: still green"
    )
    after = first.t + INSTANT_S
    back = door.wait_for("green", back_within_s, since=after)
    between: list[Change] = [c for c in door.changes(after) if c.t < back.t]
    looks = {c.looks for c in between}
    door.wait_service()
    said = journal_after(door, t)
    failed = [line.split("'")[1] for line in said.splitlines() if "Failed with result" in line]
    report.check(
        looks <= {"off", "red"},
        f"{what}: the lamps until it is back",
        "off, or red (blinking)",
        f"{', '.join(sorted(looks))}; red {sum(c.looks == 'red' for c in between)} times",
    )
    report.equal(failed, [result], f"{what}: systemd's verdict")
    report.equal(int(door.properties("NRestarts")["NRestarts"]), restarts + 1, f"{what}: restarts of the service")
    report.measure(f"{what}: green until", first.t - t, "s", at_most=safe_within_s)
    report.measure(f"{what}: back with green after", back.t - t, "s", at_most=back_within_s)
    return said
