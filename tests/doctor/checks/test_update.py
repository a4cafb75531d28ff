"""Check `update`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import __version__
from support.doctor import FakeMachine, only, write_settings

RESULT = '{"kept": %s, "version": "0.2.0", "previous_version": "0.1.0", "bundle": "", "time": "2026-11-27T03:20:00Z", "reason": "%s"}'
TRIAL = (
    '{"phase": "%s", "version": "0.2.0", "release": "b", "previous_version": "0.1.0", "previous_release": "a", "bundle": "", '
    '"boot": "x", "began": "2026-11-27T03:20:00Z", "began_s": 1}'
)


@pytest.fixture
def installed(machine: FakeMachine) -> FakeMachine:
    """A machine with version 0.2.0, and 0.1.0 before."""
    for name, version in (("a", "0.1.0"), ("b", "0.2.0")):
        machine.add_file(f"opt/doorlight/releases/{name}/.complete")
        machine.add_file(
            f"opt/doorlight/releases/{name}/lib/python3.11/site-packages/doorlight-{version}.dist-info/METADATA"
        )
    machine.add_file("opt/doorlight/update/undo/etc/doorlight/defaults.toml")
    (machine.root / "opt/doorlight/current").symlink_to("/opt/doorlight/releases/b")
    (machine.root / "opt/doorlight/update/previous").symlink_to("/opt/doorlight/releases/a")
    machine.install_service(MainPID="7")
    machine.add_file(
        "proc/7/cmdline", "/opt/doorlight/releases/b/bin/python\0/opt/doorlight/current/bin/doorlight\0run\0"
    )
    return machine


def test_a_checkout(machine: FakeMachine) -> None:
    assert only(machine.check("update"))[:2] == ("ok", f"version {__version__}, not installed as a service")


def test_the_version_that_runs(installed: FakeMachine) -> None:
    finding = only(installed.check("update"))
    assert finding[:2] == ("ok", "version 0.2.0 runs; version 0.1.0 can come back: sudo doorlight update --rollback")


def test_an_older_door_still_runs(installed: FakeMachine) -> None:
    installed.add_file("proc/7/cmdline", "/opt/doorlight/releases/a/bin/python\0x")
    assert "version 0.1.0 runs; version 0.2.0 starts with the next restart" in only(installed.check("update")).message


@pytest.mark.parametrize(
    ("kept", "reason", "severity", "says"),
    [
        ("true", "", "ok", "last update: 2026-11-27T03:20:00Z, from 0.1.0 to 0.2.0: kept"),
        ("false", "it ended by itself", "note", "taken back to 0.1.0, because: it ended by itself"),
        ("false", "by hand", "ok", "because: by hand"),
    ],
)
def test_the_last_result(installed: FakeMachine, kept: str, reason: str, severity: str, says: str) -> None:
    installed.add_file("opt/doorlight/update/result.json", RESULT % (kept, reason))
    finding = only(installed.check("update"))
    assert finding.severity == severity
    assert says in finding.message


@pytest.mark.parametrize(
    ("phase", "says"),
    [("trying", "on trial since"), ("switching", "is being installed"), ("back", "version 0.1.0 is coming back")],
)
def test_a_trial(installed: FakeMachine, phase: str, says: str) -> None:
    installed.add_file("opt/doorlight/update/trial.json", TRIAL % phase)
    finding = only(installed.check("update"))
    assert finding.severity == "note"
    assert says in finding.message


def test_damaged_state(installed: FakeMachine) -> None:
    installed.add_file("opt/doorlight/update/result.json", "{")
    assert only(installed.check("update")).severity == "ok", "an old result is not worth a word"
    installed.add_file("opt/doorlight/update/trial.json", "{")
    finding = only(installed.check("update"))
    assert finding.severity == "bad"
    assert "trial.json: is damaged" in finding.message


def test_what_the_nightly_update_lacks(installed: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timer = installed.root / "etc/systemd/system/timers.target.wants/doorlight-update.timer"
    timer.parent.mkdir(parents=True)
    timer.symlink_to("/etc/systemd/system/doorlight-update.timer")
    monkeypatch.setenv("PATH", str(installed.bin))
    messages = [finding.message for finding in installed.check("update")[1:]]
    assert [message.split(": ")[-1] for message in messages] == [
        "the nightly update has no source",
        "there is no such file, so no update is trusted",
        "ssh-keygen is not installed, which checks updates",
    ]
    installed.add_file("etc/doorlight/update-keys", "doorlight ssh-ed25519 x")
    installed.add_command("ssh-keygen")
    path = write_settings(tmp_path, '[update]\nsource = "https://example.org/doorlight"\n')
    assert len(installed.check("update", config=path)) == 1
