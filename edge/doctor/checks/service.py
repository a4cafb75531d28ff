"""Check `service`: report the state of doorlight.service, and whether the kernel enforces its memory limits."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Finding
from ..host import UNIT, Host

SHOW_JOURNAL = f"sudo journalctl -u {UNIT} -b -e"
#: Controllers of the kernel's cgroups, version 2; there is no such file with version 1. (/proc/cgroups is about version
#: 1.)
CONTROLLERS = "sys/fs/cgroup/cgroup.controllers"
#: The device tree of a Raspberry Pi disables the controller. Only its kernels have the option cgroup_enable, which
#: works because cmdline.txt comes after the device tree.
ENABLE_ON_PI = "add cgroup_enable=memory to the line in /boot/firmware/cmdline.txt, then: sudo reboot"
ENABLE_ELSEWHERE = "remove cgroup_disable=memory from the kernel's command line, then: sudo reboot"


def check(host: Host) -> Iterator[Finding]:
    """Yield the state of the service, and a note if it is installed and its memory limits have no effect."""
    yield _state(host)
    if host.unit_property("LoadState") and not _has_memory_controller(host):
        swap = "; pictures in memory may be swapped to the disk" if _swaps_to_disk(host) else ""
        message = f"the kernel's memory controller is off: MemoryMax= and MemorySwapMax= have no effect{swap}"
        yield Finding("note", message, ENABLE_ON_PI if host.is_pi else ENABLE_ELSEWHERE)


def _state(host: Host) -> Finding:
    unit = host.unit
    if "error" in unit:
        return Finding("note", f"systemd does not answer: {unit['error']}")
    state, restarts = unit.get("ActiveState", ""), unit.get("NRestarts", "0")
    restarted = f"restarted {restarts} time{'' if restarts == '1' else 's'}"
    if unit.get("LoadState") != "loaded":
        return Finding("note", f"not installed ({UNIT}: {unit.get('LoadState')})", "sudo scripts/install.sh")
    if state == "active":
        message = f"running; status: {unit.get('StatusText') or 'none'}; watchdog {unit.get('WatchdogUSec')}"
        if restarts == "0":
            return Finding("ok", message)
        return Finding("note", f"{message}; {restarted}", SHOW_JOURNAL)
    if state == "inactive":
        return Finding("note", "installed, but not running", f"sudo systemctl enable --now {UNIT}")
    reason = f"{unit.get('Result')}, exit code {unit.get('ExecMainStatus')}, {restarted}"
    return Finding("bad", f"{state} ({unit.get('SubState')}): {reason}", SHOW_JOURNAL)


def _has_memory_controller(host: Host) -> bool:
    """Return False if the kernel lacks the controller. Unknown kinds of cgroups count as having it."""
    controllers = host.read(CONTROLLERS)
    return not controllers or "memory" in controllers.split()


def _swaps_to_disk(host: Host) -> bool:
    """Return whether the machine swaps to a disk.

    zram swaps to compressed memory, but may write that back to a disk.
    """
    areas = [line.split()[0] for line in host.read("proc/swaps").splitlines()[1:] if line]
    return any(
        not area.startswith("/dev/zram")
        or host.read(f"sys/block/{area.removeprefix('/dev/')}/backing_dev") not in ("", "none")
        for area in areas
    )
