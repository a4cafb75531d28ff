"""Check `clock`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.system import clock
from support.doctor import FakeMachine, only


@pytest.mark.parametrize(
    ("ntp_synchronized", "set_by_timesyncd", "severity"),
    [("yes", False, "ok"), ("no", True, "ok"), ("no", False, "note"), (None, False, "note")],
)
def test_the_clock(
    machine: FakeMachine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ntp_synchronized: str | None,
    set_by_timesyncd: bool,
    severity: str,
) -> None:
    monkeypatch.setattr(clock, "TIMESYNC_FILE", str(tmp_path / "synchronized"))
    monkeypatch.setattr(clock, "RTC_FILES", "")
    if ntp_synchronized:
        machine.add_command("timedatectl", ntp_synchronized)
    if set_by_timesyncd:
        (tmp_path / "synchronized").touch()
    assert only(machine.check("clock")).severity == severity
