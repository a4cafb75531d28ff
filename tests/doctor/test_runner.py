"""The child process that runs the checks: hanging, crashing and failing checks; rendering; the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.doctor import host as host_module
from edge.doctor import runner
from edge.doctor.checks import camera
from edge.doctor.finding import Finding
from edge.doctor.host import Host
from edge.doctor.runner import Check, render, run_checks
from support.doctor import FakeMachine, only
from support.paths import CLIP, ROOT

STILL = CLIP.with_name("still.jpg")


def select(monkeypatch: pytest.MonkeyPatch, *names: str, timeout_s: float = 60.0) -> None:
    """Run only these checks."""
    checks = {name: runner.CHECKS[name]._replace(timeout_s=timeout_s) for name in names}
    monkeypatch.setattr(runner, "CHECKS", checks)


def replace_module(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, code: str) -> None:
    """Make the child process import this code in place of the module `name`."""
    (folder / "modules").mkdir()
    (folder / "modules" / f"{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder / "modules"))


def test_every_check_runs_and_its_start_is_announced(machine: FakeMachine) -> None:
    started: list[str] = []
    found = list(run_checks(machine.host(source=str(STILL), simulate=True), started.append))
    assert started == list(runner.CHECKS)
    assert list(dict.fromkeys(name for name, _ in found)) == started
    messages = [finding.message for _, finding in found]
    assert not [text for text in messages if "check failed" in text or "cannot be checked" in text]
    assert {finding.severity for _, finding in found} <= {"ok", "note"}


def test_a_check_that_hangs_is_stopped_and_the_next_one_runs(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replace_module(monkeypatch, tmp_path, "picamera2", "import time\ntime.sleep(600)")
    select(monkeypatch, "python", "camera", "clock")
    monkeypatch.setitem(runner.CHECKS, "camera", Check(camera.check, 4.0))
    found = dict(run_checks(machine.host()))
    assert found["camera"][:2] == ("bad", "no answer within 4 s: a driver or a library hangs")
    assert found["clock"].severity in ("ok", "note")


def test_a_check_that_ends_its_process_is_reported_and_the_next_one_runs(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    crash = "import os, signal, sys\nprint('FATAL default', file=sys.stderr, flush=True)\nos.kill(os.getpid(), signal.SIGILL)"
    replace_module(monkeypatch, tmp_path, "picamera2", crash)
    select(monkeypatch, "camera", "clock")
    found = dict(run_checks(machine.host()))
    assert found["camera"].severity == "bad"
    assert "killed by SIGILL: FATAL default" in found["camera"].message
    assert found["clock"].severity in ("ok", "note")


def test_a_broken_numpy_is_reported_and_the_other_checks_run(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    replace_module(monkeypatch, tmp_path, "numpy", "raise ImportError('numpy was built for another processor')")
    select(monkeypatch, "libraries", "models", "journal")
    found = list(run_checks(machine.host()))
    bad = next(finding for name, finding in found if name == "libraries")
    assert "numpy cannot be imported: ImportError: numpy was built for another processor" in bad.message
    assert f"{sys.executable} -m pip install --force-reinstall numpy" in bad.fix
    assert dict(found)["models"].severity == "bad"
    assert dict(found)["journal"].severity == "note"


def test_a_check_that_raises_keeps_its_findings(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Host) -> Iterator[Finding]:
        yield Finding("ok", "first finding")
        raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(runner.CHECKS, "clock", Check(fail, 1))
    first, second = machine.check("clock")
    assert first == Finding("ok", "first finding")
    assert second[:2] == ("bad", "the check failed: ZeroDivisionError: division by zero")


def test_a_command_that_hangs_is_stopped(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.add_command("systemctl", first="sleep 600")
    monkeypatch.setattr(host_module, "COMMAND_TIMEOUT_S", 0.5)
    assert "systemctl: no answer within 0.5 s" in only(machine.check("service")).message


def test_render_wraps_a_fix_but_not_a_command_in_it() -> None:
    fix = "with a network: sudo timedatectl set-ntp true; without: add a clock chip with a battery"
    lines = render("clock", Finding("note", "not set", fix), 66).splitlines()
    assert lines == [
        "  note  clock         not set",
        f"{'':22}→ with a network:",
        f"{'':24}sudo timedatectl set-ntp true; without:",
        f"{'':24}add a clock chip with a battery",
    ]
    assert all(
        len(line) <= 80 for line in render("camera", Finding("bad", "x", "use another camera " * 9), 80).splitlines()
    )


def test_render_wraps_the_message_but_not_a_long_command() -> None:
    finding = Finding("bad", "several words " * 12, "sudo " + "x" * 100)
    lines = render("camera", finding, 60).splitlines()
    assert lines[0].startswith("  bad   camera        several words")
    assert all(len(line) <= 60 for line in lines[:-1])
    assert lines[-1].strip() == "→ sudo " + "x" * 100, "in one piece, to be copied"
    assert "\x1b[1;31mbad  \x1b[0m camera" in render("camera", finding, 60, colour=True)


def test_the_worst_severity_counts() -> None:
    assert runner.worst(["ok", "note", "ok"]) == "note"
    assert runner.worst(["bad", "note", "ok"]) == "bad"
    assert runner.worst([]) == "ok"


def test_the_command_prints_json(machine: FakeMachine) -> None:
    command = [sys.executable, "-m", "edge", "doctor", "--json", "--source", "/dev/video97", "--simulate"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"PYTHONPATH": path}
    )
    report = json.loads(done.stdout)
    assert (done.returncode, done.stderr, report["severity"]) == (69, "", "bad")
    assert {frozenset(check) for check in report["checks"]} == {frozenset({"name", "severity", "message", "fix"})}
    bad = [check for check in report["checks"] if check["severity"] == "bad" and check["name"] == "camera"]
    assert [check["message"] for check in bad] == ["/dev/video97: no such camera"]
