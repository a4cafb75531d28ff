"""Check `coral`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.inference.manifest import Manifest
from support.doctor import FakeMachine, only, write_settings
from support.edgetpu import FRESH, READY, Usb


@pytest.mark.parametrize(("mode", "severity"), [("auto", "ok"), ("cpu", "ok"), ("edgetpu", "bad")])
def test_a_missing_coral_is_bad_only_if_it_is_required(
    machine: FakeMachine, tmp_path: Path, mode: str, severity: str
) -> None:
    path = write_settings(tmp_path, f'[models]\naccelerator = "{mode}"')
    finding = only(machine.check("coral", config=path))
    assert finding.severity == severity
    assert "no Coral" in finding.message


def test_missing_models_for_the_coral_are_a_note(machine: FakeMachine, coral: Callable[[str], None]) -> None:
    Usb(machine.root).plug(FRESH)
    finding = only(machine.check("coral"))
    assert finding.severity == "note", "models for the Edge TPU are not shipped, and the door works without them"
    assert "USB 1-1.2 (its firmware is not loaded yet)" in finding.message
    assert "compile_edgetpu.sh" in finding.fix


def test_a_missing_library_is_bad(machine: FakeMachine, compiled: Manifest) -> None:
    Usb(machine.root).plug(READY)
    finding = only(machine.check("coral", models=str(compiled.folder)))
    if "run on it" in finding.message:
        pytest.skip("this machine has a libedgetpu")
    assert finding.severity == "bad"
    assert "USB 1-1.2 (ready)" in finding.message
    assert "libedgetpu" in finding.message + finding.fix


def test_a_coral_that_works_is_ok(machine: FakeMachine, compiled: Manifest, coral: Callable[[str], None]) -> None:
    Usb(machine.root).plug(READY)
    finding = only(machine.check("coral", models=str(compiled.folder)))
    assert finding.severity == "ok"
    assert "the models run on it" in finding.message


@pytest.mark.parametrize(
    ("status", "severity"),
    [
        ("IDLE, 14 frames/s, Edge TPU (tflite_runtime), all well", "ok"),
        ("IDLE, 9 frames/s, CPU (ai_edge_litert), Edge TPU: it hangs", "note"),
    ],
)
def test_a_coral_that_the_service_uses_is_not_opened(machine: FakeMachine, status: str, severity: str) -> None:
    machine.install_service(StatusText=status)
    Usb(machine.root).plug(READY)
    finding = only(machine.check("coral"))
    assert finding.severity == severity
    assert status in finding.message
