"""`doorlight people add`: what is enrolled, and everything that is refused without a change."""

from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from edge import config
from edge.camera.source import CameraLostError, Source
from edge.cli import main
from edge.commands import people_add
from edge.config import Config
from edge.imaging import image_file
from edge.inference import embedder, manifest
from edge.inference.embedder import Embedder
from edge.inference.perception import Perception
from edge.people import consent, enrolment, store
from edge.records import Frame
from support.embedder import make_models_without
from support.people import FUTURE, enrol, person, place

AGREED = ("--consent-by", "Ada Lovelace", "--until", FUTURE)


class Door:
    """A settings file with its store, and the command line."""

    def __init__(self, folder: Path, models: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.place = place(folder / "state")
        self.settings = folder / "door.toml"
        self._models, self._capfd = models, capfd
        self.settings.write_text(
            f'[people]\nenabled = true\nfile = "{self.place.file}"\n[privacy]\ncontroller = "Dr. Who"\n'
        )

    def run(self, action: str, *args: object) -> tuple[int, str, str]:
        """Run `doorlight people`; return the exit code and what it prints to both streams."""
        more = ("--models", self._models) if action == "add" else ()
        code = main(["people", action, "--config", str(self.settings), *map(str, (*more, *args))])
        found = self._capfd.readouterr()
        return code, found.out, found.err

    def refused(self, code: int, *args: object) -> tuple[str, str]:
        """Run an action that must fail; return error and hint. Nothing may change."""
        before = self.state()
        found, _, err = self.run(*args)  # type: ignore[arg-type]
        assert found == code, err
        assert self.state() == before
        lines = [line for line in err.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 2, lines
        assert lines[0].startswith("doorlight: ")
        return lines[0].removeprefix("doorlight: "), lines[1].strip()

    def state(self) -> dict[str, str]:
        """Return the checksum of every file beside the store."""
        folder = self.place.file.parent
        paths = [path for path in folder.rglob("*") if path.name != "people.lock"] if folder.exists() else []
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    def names(self) -> list[str]:
        content = store.read(self.place)
        return [each.name for each in content.people] if content else []


@pytest.fixture(scope="module")
def loaded(perception: Perception) -> Callable[..., tuple[enrolment.Enroller, Embedder, float]]:
    """What `people_add` loads, once for all tests."""

    def enroller(args: argparse.Namespace, config: Config) -> tuple[enrolment.Enroller, Embedder, float]:
        assert manifest.load(args.models)[embedder.NAME]
        assert perception.embedder is not None
        threshold = config.people.threshold or perception.embedder.threshold
        looks = enrolment.Enroller(perception, perception.embedder, config.tracker.new_score, threshold)
        return looks, perception.embedder, threshold

    return enroller


@pytest.fixture
def door(
    tmp_path: Path,
    models: Path,
    capfd: pytest.CaptureFixture[str],
    loaded: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Door:
    if "loads" not in request.node.name:
        monkeypatch.setattr(people_add, "_enroller", loaded)
    return Door(tmp_path, models, capfd)


def test_a_person_is_enrolled_from_pictures_by_what_the_command_loads(door: Door, pictures: Path) -> None:
    code, out, err = door.run(
        "add", " Ada   Lovelace ", "--picture", pictures / "good.png", "--picture", pictures / "again.png", *AGREED
    )
    assert (code, err) == (0, "")
    assert f"Ada Lovelace is enrolled until {FUTURE}" in out
    content = store.read(door.place)
    assert content is not None
    (ada,) = content.people
    assert ada.name == "Ada Lovelace"
    assert (ada.consent.by, ada.consent.until) == ("Ada Lovelace", FUTURE)
    assert ada.consent.text.startswith("Dr. Who wants to recognise me")
    assert FUTURE in ada.consent.text
    assert ada.consent.recorded_by
    _, shown, _ = door.run("show", ada.id)
    assert "Dr. Who wants to recognise me" in shown
    assert "no picture" in shown
    _, listed, _ = door.run("list")
    assert listed == f"{ada.id}  until {FUTURE}  Ada Lovelace\n"
    code, out, _ = door.run("remove", "ADA LOVELACE")
    assert code == 0
    assert "nothing of them is kept" in out
    assert door.names() == []


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ({}, None),
        ({"may_open": True}, consent.OPENS),
        ({"log": "known"}, None),
        ({"log": "id"}, consent.LOGS_TIMES),
        ({"page": "name"}, consent.SHOWS_NAME),
    ],
)
def test_the_text_says_what_the_settings_let_the_door_do(setting: dict[str, object], line: str | None) -> None:
    text = consent.text(config.replaced(config.load(), "people", **setting), FUTURE)
    for known in (consent.OPENS, consent.LOGS_TIMES, consent.SHOWS_NAME):
        assert (known in text) is (known == line)
    assert max(map(len, text.splitlines())) <= 90


class Camera(Source):
    """A camera that shows pictures, two a second."""

    name, live = "camera", True

    def __init__(self, folder: Path, *names: str) -> None:
        self._pictures = [image_file.decode(folder / f"{name}.png").picture for name in names]
        self._next = 0

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def read(self) -> Frame | None:
        self._next += 1
        if self._next == 2:
            raise CameraLostError("no picture")
        k = self._next - 1
        return Frame(k, k / 2, self._pictures[k]) if k < len(self._pictures) else None


def looks_from(door: Door, pictures: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> tuple[int, list[str], str]:
    """Enrol Ada from a camera that shows these pictures. Return the exit code, the lines and the error."""
    monkeypatch.setattr("edge.camera.factory.open_source", lambda *_: Camera(pictures, *names))
    code, out, err = door.run("add", "Ada", *AGREED)
    return code, [line.strip() for line in out.splitlines()][1:], err


def test_the_camera_looks_three_times_and_says_what_is_wrong(
    door: Door, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ("nobody", "nobody", "masked", "masked", "good", "good", "two", "again", "nobody", "small", "good")
    code, lines, err = looks_from(door, pictures, monkeypatch, *shown)
    assert code == 0, err
    assert [line.partition(":")[0] for line in lines[:-1]] == [
        "no face was found", "the face wears a mask", "look 1 of 3", "there are 2 faces", "look 2 of 3",
        *(line.partition(":")[0] for line in lines[5:-2]), "look 3 of 3",
    ]  # fmt: skip
    assert door.names() == ["Ada"]


def test_somebody_else_in_between_starts_again(door: Door, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = ("good", "good", "good", "good", "other", "other", "other", "nobody")
    code, lines, err = looks_from(door, pictures, monkeypatch, *shown)
    assert code == 66
    assert "this is another person than before: from the beginning" in lines
    assert "1 of 3 good looks; last: no face was found" in err
    assert door.names() == []


@pytest.mark.parametrize(
    ("files", "error", "hint"),
    [
        (["two"], "there are 2 faces", "only the person to enrol"),
        (["nobody"], "no face was found", "from the front"),
        (["masked"], "the face wears a mask", "take it off"),
        (["small"], "the face is too small", "come nearer"),
        (["blurred"], "the face is blurred", "hold still"),
        (["good", "blurred"], "blurred.png: the face is blurred", "hold still"),
        (["good", "other"], "does not show the person of", "one person"),
        (["broken.jpg"], "broken.jpg", ""),
        (["text.jpg"], "text.jpg", ""),
        (["missing"], "no such file", ""),
    ],
)
def test_bad_pictures_are_refused(door: Door, pictures: Path, files: list[str], error: str, hint: str) -> None:
    names = [name if "." in name else f"{name}.png" for name in files]
    args = [word for name in names for word in ("--picture", pictures / name)]
    found, advice = door.refused(66, "add", "Ada", *args, *AGREED)
    assert error in found
    assert names[-1] in found, "the message names the file"
    assert hint in advice


def test_a_turned_face_is_refused(door: Door, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strict = enrolment.quality.ENROLMENT._replace(max_turn=0.5)
    monkeypatch.setattr(enrolment.quality, "ENROLMENT", strict)
    found, advice = door.refused(66, "add", "Ada", "--picture", pictures / "good.png", *AGREED)
    assert "the face is turned to the side" in found
    assert advice == "look into the camera"


def test_the_same_person_under_two_names_is_refused(door: Door, pictures: Path) -> None:
    door.run("add", "Ada", "--picture", pictures / "good.png", *AGREED)
    found, advice = door.refused(66, "add", "Bob", "--picture", pictures / "angry.png", *AGREED)
    assert found.startswith("Bob: looks like Ada, who is enrolled (similarity 0.9")
    assert "people remove 'Ada'" in advice


def test_a_name_twice_is_refused_unless_it_replaces(door: Door, pictures: Path) -> None:
    door.run("add", "Ada", "--picture", pictures / "good.png", *AGREED)
    found, advice = door.refused(2, "add", "aDA", "--picture", pictures / "other.png", *AGREED)
    assert "is enrolled already" in found
    assert "--replace" in advice
    before = store.read(door.place)
    code, _, _ = door.run("add", "Ada", "--picture", pictures / "other.png", "--replace", *AGREED)
    assert code == 0
    assert door.names() == ["Ada"]
    after = store.read(door.place)
    assert before is not None
    assert after is not None
    assert after.people[0].id == before.people[0].id, "other doors and cards know whom it is about"
    assert after.people[0].template != before.people[0].template


def test_other_people_are_no_obstacle(door: Door, pictures: Path) -> None:
    for name in ("good", "other"):
        code, _, err = door.run("add", name, "--picture", pictures / f"{name}.png", *AGREED)
        assert code == 0, err
    assert door.names() == ["good", "other"]


def test_a_full_store_is_refused(door: Door, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_PEOPLE", 2)
    door.place.file.parent.mkdir()
    enrol(door.place, person("Bob", 1), person("Eve", 2))
    found, _ = door.refused(66, "add", "Ada", "--picture", pictures / "good.png", *AGREED)
    assert "2 people are enrolled" in found


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("--consent-by", "Ada"), "--consent-by and --until belong together"),
        (("--until", FUTURE), "--consent-by and --until belong together"),
        (("--consent-by", " ", "--until", FUTURE), "--consent-by: '' is not a name"),
        (("--consent-by", "Ada", "--until", "2020-01-01"), "2020-01-01 is past"),
        (("--consent-by", "Ada", "--until", "tomorrow"), "'tomorrow' is not a date"),
        (("--consent-by", "Ada", "--until", "31.12.2027"), "is not a date"),
        (("--consent-by", "Ada", "--until", "2227-12-31"), "more than five years away"),
        ((), "consent cannot be asked for: standard input is no terminal"),
    ],
)
def test_without_consent_nothing_is_looked_at(
    door: Door, pictures: Path, args: tuple[str, ...], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    found, _ = door.refused(2, "add", "Ada", "--picture", pictures / "good.png", *args)
    assert error in found


class Terminal:
    """A terminal at which somebody answers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("last", "code"), [("yes", 0), ("no", 2), ("", 2)])
def test_consent_is_asked_for(
    door: Door, pictures: Path, monkeypatch: pytest.MonkeyPatch, last: str, code: int
) -> None:
    answers = iter(["", "  Lady Byron ", last])
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    found, out, err = door.run("add", "Ada", "--picture", pictures / "good.png")
    assert found == code
    year = (date.today() + timedelta(days=365)).isoformat()
    assert f"How long: until {year} at most" in out
    assert ("has not agreed; nothing was looked at or kept" in err) is bool(code)
    content = store.read(door.place)
    if code:
        assert content is None
    else:
        assert content is not None
        assert (content.people[0].consent.by, content.people[0].consent.until) == ("Lady Byron", year)


def test_the_text_can_be_printed_for_a_signature(door: Door) -> None:
    code, out, _ = door.run("add", "Ada", "--show-text", "--until", FUTURE)
    assert code == 0
    assert out.startswith("Dr. Who wants to recognise me")
    assert FUTURE in out
    assert not door.place.file.exists()


@pytest.mark.parametrize("name", ["", "   ", "a\x1bb", "x" * 101, "\n"])
def test_names_that_are_none_are_refused(door: Door, name: str) -> None:
    door.refused(2, "add", name, *AGREED)


def test_the_model_that_is_missing_is_named(door: Door, pictures: Path, tmp_path: Path) -> None:
    models = make_models_without(tmp_path / "without")
    found, advice = door.refused(69, "add", "Ada", "--picture", pictures / "good.png", "--models", models, *AGREED)
    assert "no model 'face_embedding', which [people] enabled = true needs" in found
    assert "enabled = false" in advice


def test_a_damaged_store_is_named_before_anybody_is_asked(door: Door, pictures: Path) -> None:
    door.place.file.parent.mkdir()
    door.place.file.write_bytes(b"hello")
    door.place.file.chmod(0o600)
    found, _ = door.refused(66, "add", "Ada", "--picture", pictures / "good.png", *AGREED)
    assert "is not a database of enrolled people" in found


@pytest.mark.parametrize("action", ["show", "remove", "card"])
def test_somebody_who_is_not_enrolled(door: Door, action: str) -> None:
    found, _ = door.refused(66, action, "Eve")
    assert "nobody is enrolled" in found
    door.place.file.parent.mkdir(exist_ok=True)
    enrol(door.place, person("Ada", 1))
    found, _ = door.refused(2, action, "Eve")
    assert "nobody of this name is enrolled" in found


@pytest.mark.parametrize("typed", ["Zoe\u0308  B", " zo\u00eb b ", "ZOE\u0308 B"])
@pytest.mark.parametrize("action", ["show", "card", "remove"])
def test_a_name_is_found_as_it_can_be_typed(door: Door, typed: str, action: str) -> None:
    """A Mac types the dots of an e as a character of their own."""
    enrol(door.place, person("Zo\u00eb B"))
    code, _, err = door.run(action, typed)
    assert code == 0, err


def answer(monkeypatch: pytest.MonkeyPatch, *answers: str | Exception) -> None:
    """Type answers at a terminal."""
    left = list(answers)

    def typed(_: str) -> str:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(people_add.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", typed)


@pytest.mark.parametrize("by", ["a\x1b[31mb", "a\u202eb", "\udce9", "x" * 101])
def test_who_agrees_is_a_name(door: Door, pictures: Path, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = ("--picture", pictures / "good.png")
    door.refused(2, "add", "Ada", *picture, "--consent-by", by, "--until", FUTURE)
    answer(monkeypatch, "", by, "yes")
    assert door.run("add", "Ada", *picture)[0] == 2
    assert door.names() == []


def test_an_answer_in_another_encoding(door: Door, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid start byte"))
    message, _ = door.refused(2, "add", "Ada", "--picture", pictures / "good.png")
    assert message == "the answer is not UTF-8 text"


def test_a_user_whose_name_is_no_text(door: Door, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "\udcffada\x1b")
    assert door.run("add", "Ada", "--picture", pictures / "good.png", *AGREED)[0] == 0
    content = store.read(door.place)
    assert content is not None
    assert content.people[0].consent.recorded_by == "\ufffdada\ufffd"
