"""The checked door: its options, settings, event log and user."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.doctor import FakeMachine, only


def test_options_are_those_of_the_service_unless_another_file_is_named(machine: FakeMachine) -> None:
    machine.install_service()
    assert machine.host().option("config") == "/etc/no.toml"
    assert machine.host().events_file == Path("/var/e.jsonl")
    assert machine.host(config="/etc/no.toml").events_file == Path("/var/e.jsonl")
    assert machine.host(events="here.jsonl").events_file == Path("/var/lib/doorlight/here.jsonl")
    other = machine.host(config="other.toml")
    assert (other.option("config"), other.events_file) == ("other.toml", Path("doorlight-events.jsonl"))
    assert other.user.name == "nobody"


def test_without_a_service_the_options_are_the_given_ones(machine: FakeMachine) -> None:
    machine.install_service(LoadState="not-found")
    assert machine.host().option("config") == ""
    assert machine.host().user.me


def test_a_wrong_settings_file_leaves_the_defaults(machine: FakeMachine, tmp_path: Path) -> None:
    wrong = tmp_path / "door.toml"
    wrong.write_text("[lights]\ngreen = 99\n")
    assert machine.host(config=str(wrong)).settings.lights.green == 17


@pytest.mark.parametrize("check", ["permissions", "events"])
def test_a_missing_user_of_the_service_is_named(machine: FakeMachine, check: str) -> None:
    machine.install_service(User="nobody-of-this-name")
    assert "nobody-of-this-name" in only(machine.check(check)).message
