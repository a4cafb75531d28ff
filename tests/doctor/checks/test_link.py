"""Check `link`."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from edge.doctor.checks import link
from edge.doctor.finding import Finding
from edge.events.record import utc_text
from edge.events.writer import EventLog
from edge.link.status import TargetStatus
from edge.records import Event
from support.doctor import FakeMachine, only, write_settings
from support.link import write_log
from support.wait import wait_until


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(autouse=True)
def with_paho(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "find_spec", lambda name: object())


def check(machine: FakeMachine, tmp_path: Path, *lines: str, state: str = "active", **fields: object) -> list[Finding]:
    """Check a machine with some lines of [link]. `fields` is what the service reports about its broker."""
    machine.add_command("systemctl", state)
    if fields:
        status = dataclasses.asdict(TargetStatus("broker", "b:1", is_connected=True)) | fields
        machine.add_file("run/doorlight-link/status.json", json.dumps([status]))
    settings = write_settings(tmp_path, "\n".join(["[link]", *lines]) + "\n")
    return machine.check("link", config=settings, events=str(tmp_path / "events.jsonl"))


def address(port: int) -> str:
    return f'broker = "mqtt://127.0.0.1:{port}"'


def test_off(machine: FakeMachine, tmp_path: Path) -> None:
    assert only(check(machine, tmp_path)) == Finding(
        "ok", "off: [link] names no broker, no webhook and no metrics_listen"
    )


def test_connected_and_how_far_behind(machine: FakeMachine, tmp_path: Path, port: int) -> None:
    write_log(tmp_path / "events.jsonl", range(1, 31))
    reachable, target = check(machine, tmp_path, address(port), seq=20)
    assert reachable == Finding("ok", f"broker 127.0.0.1:{port}: can be reached")
    assert target == Finding("ok", "broker: b:1, 10 events behind")
    write_log(tmp_path / "events.jsonl", range(31, 301))
    _, target = check(machine, tmp_path, address(port), seq=20, last_problem="was away", last_problem_at="then")
    assert target == Finding("note", "broker: b:1, 280 events behind; last problem then: was away")


def test_what_the_service_says_is_shown(machine: FakeMachine, tmp_path: Path, port: int) -> None:
    fields: dict[str, Any] = {
        "problem": "b:1: no",
        "hint": "do that",
        "missing": "11 to 500",
        "skipped": 3,
        "is_connected": False,
    }
    _, target, missing, skipped = check(machine, tmp_path, address(port), **fields)
    assert target == Finding("bad", "b:1: no (0 events behind)", "do that")
    assert (missing.severity, "11 to 500" in missing.message, "keep_files" in missing.fix) == ("note", True, True)
    assert "3 events" in skipped.message


def test_nothing_listens(machine: FakeMachine, tmp_path: Path, port: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        found = check(machine, tmp_path, address(unused.getsockname()[1]), seq=0)[0]
    assert (found.severity, "cannot be reached: Connection refused" in found.message) == ("bad", True)


def test_the_service_does_not_run(machine: FakeMachine, tmp_path: Path, port: int) -> None:
    found = check(machine, tmp_path, address(port), state="inactive", seq=3)[-1]
    assert found.fix == "sudo systemctl enable --now doorlight-link.service"


@pytest.mark.parametrize("text", ["", "[]", "{", '[{"name": 1, "x": 2}]', '{"a": 1}', "[3]"])
def test_no_status(text: str, machine: FakeMachine, tmp_path: Path, port: int) -> None:
    machine.add_file("run/doorlight-link/status.json", text)
    assert "says nothing" in check(machine, tmp_path, address(port))[-1].message


def test_without_the_library(machine: FakeMachine, tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "find_spec", lambda name: None)
    assert check(machine, tmp_path, address(port), seq=0)[0].severity == "bad"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks at the secrets")
def test_a_secret_that_others_may_read(machine: FakeMachine, tmp_path: Path, port: int) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "password").write_text("hunter2")
    (tmp_path / "password").chmod(0o644)
    lines = (address(port), 'username = "d"', f'password = "{tmp_path}/password"')
    found = check(machine, tmp_path, *lines, seq=0)[0]
    assert (found.severity, "others may read" in found.message) == ("bad", True)
    assert "hunter2" not in str(found)


def test_a_silenced_buzzer_is_noted(machine: FakeMachine, tmp_path: Path, port: int) -> None:
    log = tmp_path / "events.jsonl"
    commands = [address(port), "commands = true"]
    assert "may silence the buzzer" in check(machine, tmp_path, *commands, seq=0)[1].message
    until = time.time() + 600
    with EventLog(log, 1_000_000, 4) as door:
        door.write(Event("buzzer_silenced", 1.0, {"minutes": 10, "until": utc_text(until)}))
        wait_until(lambda: b"buzzer" in log.read_bytes())
        finding = check(machine, tmp_path, *commands, seq=0)[1]
        assert finding.severity == "note"
        assert f"silenced until {datetime.fromtimestamp(until).astimezone():%H:%M}" in finding.message
        assert finding.fix == "to end it: sudo systemctl restart doorlight.service"
    assert check(machine, tmp_path, *commands, seq=0)[1].severity == "ok", "the door does not run any more"


def test_the_metrics_are_not_behind(machine: FakeMachine, tmp_path: Path) -> None:
    write_log(tmp_path / "events.jsonl", range(1, 300))
    found = check(
        machine, tmp_path, 'metrics_listen = "127.0.0.1:9187"', name="metrics", address="127.0.0.1:9187", seq=None
    )
    assert only(found) == Finding("ok", "metrics: 127.0.0.1:9187, answers when it is asked")
