"""Check `configuration`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import areas_file
from edge.areas_file import Areas, AreasFile
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


def test_areas_that_were_set_on_the_page_are_named(
    machine: FakeMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    settings = tmp_path / "door.toml"
    settings.write_text("[web]\nmay_configure = true\n")
    zone = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.5))
    areas_file.write(tmp_path / "state" / "areas.toml", AreasFile(str(settings), "now", Areas(zone)))
    found = machine.check("configuration", config=str(settings))
    assert [finding.severity for finding in found] == ["ok", "note"]
    assert found[1].message.startswith("door.zone and door.ignore were set on the page (")
    settings.write_text("")
    assert "is ignored: web.may_configure is false" in machine.check("configuration", config=str(settings))[1].message
