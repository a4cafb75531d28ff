"""Check `permissions`."""

from __future__ import annotations

import os

import pytest

from edge.doctor.checks.permissions import group_name
from edge.doctor.runner import run_check
from support.doctor import FakeMachine


def test_device_files_without_access_are_bad(machine: FakeMachine) -> None:
    machine.become_pi()
    for name in ("dev/media0", "dev/video0", "dev/gpiochip0", "dev/dma_heap/system"):
        machine.add_file(name).chmod(0o660)
    group = (machine.root / "dev/video0").stat().st_gid
    assert run_check("permissions", machine.host_with_user({group}))[0].severity == "ok"
    finding = run_check("permissions", machine.host_with_user({54321}))[0]
    assert finding.severity == "bad"
    assert "door has no access to " in finding.message
    assert "and 1 more" in finding.message


def test_a_file_whose_group_has_no_access_needs_udev_rules(machine: FakeMachine) -> None:
    machine.become_pi()
    machine.add_file("dev/video0").chmod(0o660)
    machine.add_file("dev/gpiochip0").chmod(0o600)
    group = (machine.root / "dev/video0").stat().st_gid
    findings = run_check("permissions", machine.host_with_user({group}))
    bad = next(finding for finding in findings if finding.severity == "bad")
    assert "gpiochip0" in bad.message
    assert "video0" not in bad.message
    assert "udevadm trigger" in bad.fix


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the group of a file")
def test_the_missing_group_is_named(machine: FakeMachine) -> None:
    node = machine.add_file("dev/video0")
    node.chmod(0o660)
    video = 44  # the group "video" of Debian
    os.chown(node, 0, 1 if group_name(video).isdigit() else video)
    finding = run_check("permissions", machine.host_with_user({54321}))[0]
    group = group_name(node.stat().st_gid)
    assert finding.fix == f"sudo usermod -aG {group} door; then sudo systemctl restart doorlight.service"
