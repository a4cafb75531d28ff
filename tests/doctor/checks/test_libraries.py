"""Check `libraries`. A library that cannot be imported is tested in test_runner.py, in a child process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge.doctor.checks import libraries
from edge.system import gpio_library
from edge.system.libraries import LibraryProblem
from support.doctor import FakeMachine
from support.lgpio import add_empty_lgpio


@pytest.mark.parametrize(("on_pi", "severity"), [(True, "bad"), (False, "note")])
def test_an_empty_lgpio_is_reported(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on_pi: bool, severity: str
) -> None:
    monkeypatch.syspath_prepend(add_empty_lgpio(tmp_path / "packages"))
    machine.add_file("etc/rpi-issue")
    if on_pi:
        machine.become_pi()
    versions, empty = machine.check("libraries")
    assert versions.severity == "ok"
    assert "numpy " in versions.message
    assert empty.severity == severity
    assert "lgpio 0.0.0.2" in versions.message
    assert "PyPI's empty package" in empty.message
    assert "python3-lgpio" in empty.fix


@pytest.mark.parametrize("on_pi", [True, False])
def test_a_missing_lgpio_is_reported_on_a_raspberry_pi_only(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch, on_pi: bool
) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    monkeypatch.setattr(gpio_library, "_distribution", lambda: None)
    if on_pi:
        machine.become_pi()
    found = [finding for finding in machine.check("libraries") if "lgpio" in finding.message]
    assert [finding.severity for finding in found] == (["bad"] if on_pi else [])


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
