"""Check `service`."""

from __future__ import annotations

import pytest

from support.doctor import FakeMachine, only

FAILED = {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "ExecMainStatus": "78"}
RESTARTING = {"ActiveState": "activating", "SubState": "auto-restart", "Result": "watchdog"}


@pytest.mark.parametrize(
    ("changes", "severity", "message", "fix"),
    [
        ({}, "ok", "IDLE, 14.8 frames/s", ""),
        ({"NRestarts": "3"}, "note", "restarted 3 times", "journalctl"),
        ({"NRestarts": "1"}, "note", "restarted 1 time", "journalctl"),
        ({"ActiveState": "inactive", "SubState": "dead"}, "note", "not running", "systemctl enable --now"),
        (FAILED, "bad", "exit code 78", "journalctl"),
        (RESTARTING, "bad", "watchdog", "journalctl"),
        ({"LoadState": "not-found"}, "note", "not installed", "scripts/install.sh"),
    ],
)
def test_the_state_of_the_service(
    machine: FakeMachine, changes: dict[str, str], severity: str, message: str, fix: str
) -> None:
    machine.install_service(**changes)
    finding = only(machine.check("service"))
    assert finding.severity == severity
    assert message in finding.message
    assert fix in finding.fix


SWAPS = "Filename\tType\tSize\tUsed\tPriority\n"
SWAP_FILE = f"{SWAPS}/var/swap file 102396 0 -2\n"
ZRAM = f"{SWAPS}/dev/zram0 partition 102396 0 100\n"


@pytest.mark.parametrize(
    ("swaps", "backing", "is_swapping"),
    [(SWAPS, "", False), (SWAP_FILE, "", True), (ZRAM, "none", False), (ZRAM, "/dev/loop0", True), (ZRAM, "", False)],
)
def test_memory_limits_without_the_memory_controller(
    machine: FakeMachine, swaps: str, backing: str, is_swapping: bool
) -> None:
    machine.install_service()
    machine.become_pi()
    machine.add_file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")
    machine.add_file("proc/swaps", swaps)
    if backing:
        machine.add_file("sys/block/zram0/backing_dev", f"{backing}\n")
    state, limits = machine.check("service")
    assert state.severity == "ok"
    assert limits.severity == "note"
    assert "MemorySwapMax" in limits.message
    assert ("swapped to the disk" in limits.message) is is_swapping
    assert "cgroup_enable=memory to the line in /boot/firmware/cmdline.txt" in limits.fix


def test_memory_limits_on_a_pc_name_no_file_of_a_pi(machine: FakeMachine) -> None:
    machine.install_service(ActiveState="inactive")
    machine.add_file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu")
    _, limits = machine.check("service")
    assert limits.fix.startswith("remove cgroup_disable=memory from the kernel's command line")


@pytest.mark.parametrize("controllers", ["cpuset cpu io memory pids\n", None])
def test_no_note_with_the_memory_controller_or_other_cgroups(machine: FakeMachine, controllers: str | None) -> None:
    machine.install_service()
    if controllers is not None:
        machine.add_file("sys/fs/cgroup/cgroup.controllers", controllers)
    assert only(machine.check("service")).severity == "ok"


def test_no_note_without_the_service(machine: FakeMachine) -> None:
    machine.install_service(LoadState="not-found")
    machine.add_file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu")
    assert "not installed" in only(machine.check("service")).message


def test_a_machine_without_systemd(machine: FakeMachine) -> None:
    finding = only(machine.check("service"))
    assert finding.severity == "note"
    assert finding.message == "systemd does not answer: systemctl: System has not been booted with systemd"
