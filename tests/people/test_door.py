"""The whole door with enrolled people: off, nothing of it is loaded; on, the demo's person is known."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge import config
from edge.cli import main
from edge.drawing import Drawing
from edge.imaging.images import Picture
from edge.inference.perception import Perception
from edge.people import enrolment, gallery_keeper, record, store
from edge.people.gallery_keeper import GalleryKeeper
from edge.people.store import Place
from edge.pipeline import Decision
from support.command import environment
from support.embedder import THRESHOLD, make_models_without
from support.paths import CLIP
from support.people import FUTURE, MODEL, PAST, enrol, person, place, remove


@pytest.fixture
def where(tmp_path: Path) -> Place:
    (tmp_path / "state").mkdir()
    return place(tmp_path / "state")


def enrol_the_person_of_the_clip(where: Place, perception: Perception, pictures: Path) -> str:
    embedder = perception.embedder
    assert embedder is not None
    look = enrolment.Enroller(perception, embedder, 0.8, THRESHOLD)
    found = look.from_pictures([pictures / "good.png", pictures / "again.png"], config.load().camera)
    ada = record.Person(record.new_id(), "Ada", record.to_template(found), embedder.version, person("Ada").consent)
    enrol(where, ada)
    return ada.id


def run(tmp_path: Path, models: Path, text: str, source: Path = CLIP) -> tuple[int, list[dict[str, object]]]:
    """Play the demo clip, or a picture, with settings; return the exit code and the events."""
    settings, log = tmp_path / "door.toml", tmp_path / "events.jsonl"
    settings.write_text(text)
    arguments = ["--source", str(source), "--models", str(models), "--events", str(log), "--simulate"]
    code = main(["run", "--config", str(settings), *arguments])
    return code, [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_a_known_person_is_let_in_with_a_mask(
    tmp_path: Path,
    where: Place,
    models: Path,
    perception: Perception,
    pictures: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The clip is a file, so the relay is simulated, and it says what it would do."""
    pseudonym = enrol_the_person_of_the_clip(where, perception, pictures)
    code, events = run(
        tmp_path,
        models,
        f'[people]\nenabled = true\nfile = "{where.file}"\nlog = "id"\nmay_open = true\n'
        '[relay]\npin = 23\nwhen = "PASS and known"\n',
    )
    assert code == 0
    assert {event.get("enrolled") for event in events if event["event"] == "cleared"} == {pseudonym}
    lines = [line.strip() for line in capfd.readouterr().out.splitlines() if "relay" in line]
    green = [line for line in lines if "● green" in line]
    assert green[:2] == ["● green  ○ red  relay off (locked)", "● green  ○ red  relay on (unlocked)"], lines
    assert all("locked" in line and "unlocked" not in line for line in lines if "○ green" in line)


def test_annotate_recognises_too(
    tmp_path: Path, where: Place, models: Path, perception: Perception, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol_the_person_of_the_clip(where, perception, pictures)
    settings, out = tmp_path / "door.toml", tmp_path / "seen.png"
    settings.write_text(f'[people]\nenabled = true\nfile = "{where.file}"\n')
    drawn: list[Mapping[int, str]] = []
    draw = Drawing.draw

    def recorded(self: Drawing, picture: Picture, decision: Decision) -> Picture:
        drawn.append(decision.known)
        return draw(self, picture, decision)

    monkeypatch.setattr(Drawing, "draw", recorded)
    source = str(pictures / "angry.png")
    assert main(["annotate", source, str(out), "--config", str(settings), "--models", str(models)]) == 0
    assert drawn == [{1: ""}]
    assert out.exists()


def test_a_damaged_store_stops_no_door(
    tmp_path: Path, where: Place, models: Path, pictures: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    where.file.write_bytes(b"hello")
    where.file.chmod(0o600)
    text = f'[people]\nenabled = true\nfile = "{where.file}"\nlog = "known"\n'
    code, events = run(tmp_path, models, text, pictures / "good.png")
    assert code == 0
    assert not [event for event in events if "known" in event]
    assert capfd.readouterr().out.count("is not a database of enrolled people") == 1


def test_without_the_model_it_is_a_clear_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = make_models_without(tmp_path / "models")
    code, events = run(tmp_path, folder, "[people]\nenabled = true\n")
    assert (code, events) == (69, [])
    lines = capfd.readouterr().err.splitlines()
    assert lines[-2].startswith(
        f"doorlight: {folder}/manifest.toml: no model 'face_embedding', which [people] enabled = true"
    )


def test_off_nothing_of_it_is_loaded(tmp_path: Path, pictures: Path) -> None:
    """In a process of its own: this one has imported everything."""
    code = (
        "import sys\n"
        "from edge.cli import main\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        f"assert main(['run', '--source', {str(pictures / 'good.png')!r}, '--simulate', '--events', 'log']) == 0\n"
        "loaded = [name for name in sys.modules if name.startswith(('edge.people', 'cryptography', 'sqlite3', 'segno'))]\n"
        "assert not loaded, loaded\n"
        "assert not {'edge.inference.embedder', 'edge.imaging.alignment'} & sys.modules.keys()\n"
        "assert not [name for name in opened if 'embedding' in name or 'people.' in name], opened\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment()
    )
    assert done.returncode == 0, done.stderr


class TestKeeper:
    """The door's copy of the store."""

    def test_it_follows_the_file(self, where: Place) -> None:
        said: list[str] = []
        keeper = GalleryKeeper(where, MODEL, 0.5, said.append)
        assert keeper.gallery.people == ()
        ada = person("Ada", 1)
        enrol(where, ada)
        keeper.refresh()
        assert keeper.gallery.people == (ada,)
        remove(where, "Ada")
        keeper.refresh()
        assert keeper.gallery.people == ()
        assert said == []

    def test_whoever_has_expired_is_not_known_and_is_deleted(
        self, where: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said: list[str] = []
        enrol(where, person("Ada", 1), person("Eve", 2, until=PAST))
        keeper = GalleryKeeper(where, MODEL, 0.5, said.append)
        assert [p.name for p in keeper.gallery.people] == ["Ada"]
        monkeypatch.setattr(store.consent, "may_delete", lambda: True)
        keeper.expire()
        content = store.read(where)
        assert content is not None
        assert [p.name for p in content.people] == ["Ada"]
        assert said == ["note: 1 enrolled people deleted: their consent has expired"]

    def test_a_consent_that_ends_while_the_door_runs(self, where: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        enrol(where, person("Ada", 1, until=FUTURE))
        keeper = GalleryKeeper(where, MODEL, 0.5, lambda _: None)
        assert len(keeper.gallery.people) == 1
        monkeypatch.setattr(store.consent, "now", lambda *_: 4e9)
        keeper.refresh()
        assert keeper.gallery.people == ()

    def test_a_store_that_is_mended_counts_again(self, where: Place) -> None:
        said: list[str] = []
        enrol(where, person("Ada", 1))
        good = where.file.read_bytes()
        where.file.write_bytes(b"bad")
        keeper = GalleryKeeper(where, MODEL, 0.5, said.append)
        keeper.refresh()
        assert len(said) == 1, "said once"
        assert keeper.problem is not None
        where.file.write_bytes(good)
        keeper.refresh()
        assert keeper.problem is None
        assert len(keeper.gallery.people) == 1

    def test_a_store_that_is_removed_is_no_problem_any_more(self, where: Place) -> None:
        enrol(where, person("Ada", 1))
        where.file.write_bytes(b"bad")
        keeper = GalleryKeeper(where, MODEL, 0.5, lambda _: None)
        where.file.unlink()
        keeper.refresh()
        assert keeper.problem is None

    def test_another_model_is_said(self, where: Place) -> None:
        said: list[str] = []
        enrol(where, person("Ada", 1, model="f" * 16))
        keeper = GalleryKeeper(where, MODEL, 0.5, said.append)
        assert keeper.gallery.people == ()
        assert "1 enrolled with another model" in said[0]

    def test_the_thread_ends(self, where: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gallery_keeper, "CHECK_S", 0.01)
        keeper = GalleryKeeper(where, MODEL, 0.5, lambda _: None)
        keeper.start()
        keeper.close()
        assert not keeper._thread.is_alive()
