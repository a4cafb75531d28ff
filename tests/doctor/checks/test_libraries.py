"""Check `libraries`. A library that cannot be imported is tested in test_runner.py, in a child process."""

from __future__ import annotations

import pytest

from edge.doctor.checks import libraries
from edge.system.libraries import LibraryProblem
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


def test_versions_that_do_not_work_together_are_named(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """They can be imported. Only a model shows that they fail."""
    problem = LibraryProblem("tflite-runtime 2.14.0 and numpy 2.2.6 do not work together", "pip install ai-edge-litert")
    monkeypatch.setattr(libraries, "conflicts", lambda: [problem])
    pair, versions = machine.check("libraries")
    assert pair == ("bad", *problem)
    assert versions.severity == "ok"


def test_camera_library_that_the_venv_does_not_see(machine: FakeMachine) -> None:
    machine.add_file("usr/lib/python3/dist-packages/picamera2/__init__.py")
    finding = machine.check("libraries")[-1]
    assert finding.severity == "bad"
    assert finding.message.startswith("picamera2 is installed in /usr/lib/python3/dist-packages, but ")
    assert len(machine.check("libraries", source="/dev/video0")) == 1, "a USB camera does not need it"
