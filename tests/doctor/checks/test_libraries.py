"""Check `libraries`. A library that cannot be imported is tested in test_runner.py, in a child process."""

from __future__ import annotations

import pytest

from edge.doctor.checks import libraries
from support.doctor import FakeMachine


@pytest.mark.parametrize(("on_pi", "severity"), [(True, "bad"), (False, "note")])
def test_an_empty_lgpio_is_reported(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, on_pi: bool, severity: str
) -> None:
    real = libraries.installed_version
    monkeypatch.setattr(libraries, "installed_version", lambda name: "0.0.0.2" if name == "lgpio" else real(name))
    if on_pi:
        machine.become_pi()
    versions, empty = machine.check("libraries")
    assert versions.severity == "ok"
    assert "numpy " in versions.message
    assert empty.severity == severity
    assert "python3-lgpio" in empty.fix
