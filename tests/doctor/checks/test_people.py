"""Check `people`."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="the extra `people` is not installed")

from edge.doctor.checks import people as check
from edge.inference import embedder, manifest
from edge.people.store import Place
from support.doctor import FakeMachine, only, write_settings
from support.embedder import make_models, make_models_without
from support.people import PAST, enrol, person, place


@pytest.fixture
def where(tmp_path: Path) -> Place:
    (tmp_path / "state").mkdir()
    return place(tmp_path / "state")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models") / "models")


def settings(folder: Path, where: Place, models: Path, more: str = "enabled = true\n") -> str:
    return write_settings(folder, f'[models]\ndirectory = "{models}"\n[people]\nfile = "{where.file}"\n{more}')


def test_off(machine: FakeMachine, tmp_path: Path, where: Place, models: Path) -> None:
    path = settings(tmp_path, where, models, "")
    finding = only(machine.check("people", config=path))
    assert finding[:2] == ("ok", "off: [people] enabled is false, and nobody is enrolled")
    enrol(where, person("Ada"))
    finding = only(machine.check("people", config=path))
    assert finding[:2] == ("note", f"off, but people are enrolled in {where.file}")


def test_without_the_library(
    machine: FakeMachine, tmp_path: Path, where: Place, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "find_spec", lambda _: None)
    assert only(machine.check("people", config=settings(tmp_path, where, models, ""))).severity == "ok"
    assert only(machine.check("people", config=settings(tmp_path, where, models))).severity == "bad"


def test_nobody_is_enrolled(machine: FakeMachine, tmp_path: Path, where: Place, models: Path) -> None:
    finding = only(machine.check("people", config=settings(tmp_path, where, models)))
    assert finding == ("note", "on, but nobody is enrolled", "doorlight people add --help")


def test_people_and_what_needs_attention(machine: FakeMachine, tmp_path: Path, where: Place, models: Path) -> None:
    model = manifest.load(models)[embedder.NAME].sha256[:16]
    soon = (date.today() + timedelta(days=5)).isoformat()
    enrol(
        where,
        person("Ada", 1, model=model),
        person("Bob", 2, model=model, until=soon),
        person("Eve", 3, model=model, until=PAST),
        person("Zoe", 4),
    )
    first, *others = machine.check("people", config=settings(tmp_path, where, models))
    assert first.severity == "ok"
    assert "4 people" in first.message
    assert "opens nothing" in first.message
    assert "a printed picture or a screen may pass" in first.message
    assert [finding.severity for finding in others] == ["note"] * 3
    texts = " ".join(finding.message for finding in others)
    assert "consent of 1 person has expired" in texts
    assert "1 person ends before" in texts
    assert "1 person was enrolled with another model" in texts
    assert "Ada" not in str((first, *others)), "no names in a report that is passed on"


@pytest.mark.parametrize(
    ("how", "message"), [("mode", "others may read"), ("key", "the key of the enrolled people is missing")]
)
def test_a_store_that_is_no_good(
    machine: FakeMachine, tmp_path: Path, where: Place, models: Path, how: str, message: str
) -> None:
    enrol(where, person("Ada"))
    if how == "mode":
        where.file.chmod(0o644)
    else:
        where.key.unlink()
    finding = only(machine.check("people", config=settings(tmp_path, where, models)))
    assert finding.severity == "bad"
    assert message in finding.message
    assert finding.fix


def test_no_model(machine: FakeMachine, tmp_path: Path, where: Place) -> None:
    models = make_models_without(tmp_path / "without")
    first, _ = machine.check("people", config=settings(tmp_path, where, models))
    assert first.severity == "bad"
    assert "no model 'face_embedding', which [people] enabled = true needs" in first.message
