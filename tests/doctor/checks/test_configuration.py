"""Check `configuration`."""

from __future__ import annotations

from pathlib import Path

from support.doctor import FakeMachine, only


def test_a_wrong_file_is_one_finding(machine: FakeMachine, tmp_path: Path) -> None:
    wrong = tmp_path / "door.toml"
    wrong.write_text("[lights]\ngreen = 99\n")
    finding = only(machine.check("configuration", config=str(wrong)))
    assert finding.severity == "bad"
    assert "'lights.green' is 99" in finding.message


def test_a_valid_file_and_the_defaults_are_ok(machine: FakeMachine, tmp_path: Path) -> None:
    valid = tmp_path / "door.toml"
    valid.write_text("[lights]\ngreen = 18\n")
    assert only(machine.check("configuration", config=str(valid)))[:2] == ("ok", f"{valid}: OK")
    assert only(machine.check("configuration")).severity == "ok"
