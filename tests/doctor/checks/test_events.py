"""Check `events`."""

from __future__ import annotations

import os
import types
from pathlib import Path

import pytest

from edge.doctor.checks import events
from edge.doctor.finding import Finding
from edge.doctor.runner import run_check
from support.doctor import FakeMachine, only, write_settings


def test_the_write_time_is_measured_and_no_file_remains(machine: FakeMachine, tmp_path: Path) -> None:
    finding = only(machine.check("events", events=str(tmp_path / "e.jsonl")))
    assert finding.severity in ("ok", "note", "bad")  # depends on the disk of this machine
    assert "fsync, median of " in finding.message
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bin", "root"]


def test_a_missing_folder_is_bad(machine: FakeMachine, tmp_path: Path) -> None:
    finding = only(machine.check("events", events="nowhere/e.jsonl"))
    assert finding.severity == "bad"
    assert f"there is no folder {tmp_path / 'nowhere'}" in finding.message


@pytest.mark.parametrize(
    ("limits", "severity", "message"),
    [
        ({"SLOW_S": 60, "TOO_SLOW_S": 60}, "ok", "a line is on the disk in"),
        ({"SLOW_S": -1, "TOO_SLOW_S": 60}, "note", "a line is on the disk in"),
        ({"SLOW_S": -1, "TOO_SLOW_S": -1}, "bad", "a line is on the disk in"),
        ({"MIN_FREE_BYTES": 1e18}, "bad", "the disk is almost full"),
    ],
)
def test_limits_of_disk_space_and_write_time(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, limits: dict[str, float], severity: str, message: str
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(events, name, value)
    finding = machine.check("events")[0]
    assert finding.severity == severity
    assert message in finding.message


def test_too_little_space_for_a_full_log_is_a_note(machine: FakeMachine, tmp_path: Path) -> None:
    path = write_settings(tmp_path, "[events]\nrotate_bytes = 1000000000000000000")
    finding = machine.check("events", config=path)[0]
    assert finding.severity == "note"
    assert "a full log takes" in finding.message


def test_a_read_only_disk_is_bad(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: types.SimpleNamespace(f_flag=os.ST_RDONLY))
    finding = only(machine.check("events"))
    assert finding.severity == "bad"
    assert "read-only" in finding.message


def test_a_log_of_another_user_is_bad(machine: FakeMachine, tmp_path: Path) -> None:
    """`sudo doorlight run` leaves such a log, and the service cannot write it."""
    tmp_path.chmod(0o777)
    log = tmp_path / "e.jsonl"
    log.touch(0o644)
    host = machine.host_with_user({54321}, events=str(log))
    assert only(run_check("events", host)) == Finding(
        "bad", f"{log}: door has no write access", f"sudo chown door: {log}"
    )


def test_a_folder_of_another_user_is_bad(machine: FakeMachine, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    host = machine.host_with_user({54321}, events=str(tmp_path / "e.jsonl"))
    assert only(run_check("events", host)).fix == f"sudo chown door: {tmp_path}"
