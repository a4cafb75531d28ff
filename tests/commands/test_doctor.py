"""`doorlight doctor`: the form of its output. The checks are tested in tests/doctor."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge.commands import doctor
from edge.doctor import report
from edge.doctor.host import Host
from support.command import doorlight, write_settings
from support.paths import CLIP


def test_lines_and_exit_code_agree() -> None:
    """The findings differ from machine to machine, so this checks their form only."""
    done = doorlight("doctor", "--simulate", "--source", CLIP.with_name("still.jpg"))
    assert done.stderr == ""
    assert "1 face in view" in " ".join(done.stdout.split())
    assert "\x1b" not in done.stdout, "no colours and no progress if the output is not a terminal"
    *lines, _, summary = done.stdout.splitlines()
    severities = [line.split()[0] for line in lines if line[2] != " "]
    assert set(severities) <= {"ok", "note", "bad"}
    bad, note, ok = map(severities.count, ("bad", "note", "ok"))
    assert summary.strip() == f"{bad} bad, {note} to note, {ok} ok"
    assert done.returncode == (69 if bad else 0)


def test_wrong_settings_do_not_stop_the_other_checks(tmp_path: Path) -> None:
    config = tmp_path / write_settings("[lights]\ngreen = 99\n")
    done = doorlight("doctor", "--json", "--simulate", "--source", CLIP, "--config", config)
    report = json.loads(done.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert (done.returncode, report["severity"]) == (69, "bad")
    assert (checks["configuration"]["severity"], checks["camera"]["severity"]) == ("bad", "ok")
    assert "'lights.green' is 99" in checks["configuration"]["message"]


@pytest.mark.parametrize("name", ["", "missing/report.md", "pipe"])
def test_a_report_that_cannot_be_written_is_refused_before_the_checks(tmp_path: Path, name: str) -> None:
    if name == "pipe":
        os.mkfifo(tmp_path / name)
    done = doorlight("doctor", "--simulate", "--report", tmp_path / name)
    assert (done.returncode, done.stdout) == (74, "")
    assert str(tmp_path) in done.stderr


def test_a_report_and_json_exclude_each_other(tmp_path: Path) -> None:
    done = doorlight("doctor", "--json", "--report", tmp_path / "report.md")
    assert done.returncode == 2
    assert "not allowed with" in done.stderr


def test_text_that_is_not_utf8_loses_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer may be typed in another encoding, and the name of a file may be in one."""

    def fail(_: str) -> str:
        raise UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid start byte")

    monkeypatch.setattr(doctor.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", fail)
    monkeypatch.setattr(report, "render", lambda host, found, answer, progress: f"bo\udcee {answer or 'none'}\n")
    doctor._write_report(tmp_path / "report.md", Host(), [])
    assert (tmp_path / "report.md").read_text() == "bo? none\n"
