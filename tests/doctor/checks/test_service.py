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


def test_a_machine_without_systemd(machine: FakeMachine) -> None:
    finding = only(machine.check("service"))
    assert finding.severity == "note"
    assert finding.message == "systemd does not answer: systemctl: System has not been booted with systemd"
