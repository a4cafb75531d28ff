"""`doorlight people card`: cards are printed, numbered and revoked."""

from __future__ import annotations

import io
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge.cli import main
from edge.errors import OutputError
from edge.people import card, consent, store
from edge.people.record import IssuedCard, Person, to_vector
from support.cards import ADA, YESTERDAY, Store
from support.people import FUTURE, MODEL, enrol, person, place

pytestmark = pytest.mark.usefixtures("same_nonces")


@pytest.mark.parametrize("name", ["card.svg", "card.png"])
def test_the_command_writes_a_private_picture(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    where = place(tmp_path)
    content = enrol(where, ADA)
    settings = tmp_path / "door.toml"
    settings.write_text(f'[people]\nfile = "{where.file}"\ncards = true\n')
    out = tmp_path / name
    assert main(["people", "card", "Ada", "--out", str(out), "--config", str(settings)]) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert f"valid until {FUTURE}" in capfd.readouterr().out
    if name.endswith("png"):
        text, _, _ = cv2.QRCodeDetectorAruco().detectAndDecode(cv2.imread(str(out)))
        assert np.array_equal(
            card.decode(text, content.installation, MODEL, time.time()).vector, to_vector(ADA.template)
        )
    assert main(["people", "card", "Ada", "--config", str(settings), "--out", str(tmp_path / "card.pdf")]) == 2
    assert main(["people", "card", "Ada", "--config", str(settings)]) == 0
    assert "█" in capfd.readouterr().out


def test_all_cards_of_a_person_are_revoked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    doors = Store(tmp_path, capfd, ADA, person("Bob", 2))
    for name in ("Ada", "Bob", "Ada"):
        doors.run("card", name)
    first, _, last = (each.number for each in doors.installation.cards)
    assert f"card:      {first}, valid until {FUTURE}" in doors.run("show", "Ada")
    said = doors.run("card", "Ada", "--revoke")
    assert first in said
    assert last in said
    assert doors.states() == [True, False, True]
    assert f"card:      {last}, revoked" in doors.run("show", "Ada")
    assert "Ada: has no valid card" in doors.run("card", "Ada", "--revoke", code=2)


def test_the_card_of_a_person_who_was_removed_is_revoked_by_its_number(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    doors = Store(tmp_path, capfd, ADA)
    doors.run("card", "Ada")
    (issued,) = doors.installation.cards
    assert issued.person == ADA.id
    assert f"doorlight people card {issued.number} --revoke" in doors.run("remove", "Ada")
    (kept,) = doors.installation.cards
    assert kept == IssuedCard(issued.number, "", FUTURE), "it does not say whose it was"
    listed = f"card {issued.number}  valid until {FUTURE}  of a person who was removed"
    assert listed in doors.run("list").splitlines()
    doors.run("card", issued.number.upper(), "--revoke")
    assert doors.states() == [True]
    assert "has no valid card" in doors.run("card", issued.number, "--revoke", code=2)


@pytest.mark.parametrize("is_set", [True, False])
def test_numbers_are_kept_until_the_card_expires(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_set: bool
) -> None:
    """Not longer, and with a clock that may be wrong not shorter."""
    doors = Store(tmp_path, capfd, ADA)
    doors.run("card", "Ada", "--until", date.today().isoformat())
    doors.run("card", "Ada")
    doors.run("card", "Ada", "--revoke")
    with monkeypatch.context() as patch:
        patch.setattr(consent, "now", lambda _=0.0: time.time() + 2 * 86400)
        patch.setattr(consent, "may_delete", lambda: is_set)
        enrol(doors.place, person("Bob", 2))
    assert doors.states() == ([True] if is_set else [True, True])


def test_a_renewed_person_keeps_pseudonym_and_cards(tmp_path: Path) -> None:
    """`people add NAME --replace` is about the same person: tests/people/test_add.py has the command."""
    where = place(tmp_path)
    enrol(where, ADA)
    cards = (IssuedCard("5f3a91c2", ADA.id, FUTURE),)
    store.change(where, lambda old: old._replace(installation=msgspec.structs.replace(old.installation, cards=cards)))
    renewed = msgspec.structs.replace(ADA, template=person("x", 5).template)
    changed = store.change(where, lambda old: old._replace(people=(renewed,)))
    assert changed.installation.cards == cards


def test_a_card_that_cannot_be_written_changes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    doors = Store(tmp_path, capfd, ADA)
    doors.run("card", "Ada", "--out", str(tmp_path / "card.pdf"), code=2)
    doors.run("card", "Eve", code=2)
    doors.run("card", "Ada", "--revoke", "--until", FUTURE, code=2)
    assert doors.states() == []


@pytest.mark.parametrize("before", [0, 1], ids=["first card", "another card"])
@pytest.mark.parametrize("out", ["missing/card.svg", "folder.svg", "file/card.png"])
def test_a_card_whose_file_cannot_be_written_has_no_number(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], out: str, before: int
) -> None:
    doors = Store(tmp_path, capfd, ADA)
    for _ in range(before):
        doors.run("card", "Ada")
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "file").write_text("")
    numbers = doors.installation.cards
    assert "cannot be written" in doors.run("card", "Ada", "--out", str(tmp_path / out), code=74)
    assert doors.installation.cards == numbers


def test_a_number_that_cannot_be_taken_back_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    doors, change, calls = Store(tmp_path, capfd, ADA), store.change, list[int]()

    def once(*args: object) -> object:
        calls.append(1)
        if len(calls) > 1:
            raise OutputError("the disk is full")
        return change(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "change", once)
    found = doors.run("card", "Ada", "--out", str(tmp_path / "no/card.svg"), code=74)
    (issued,) = doors.installation.cards
    assert f"note: the number {issued.number} is kept, without a card: the disk is full" in found
    assert "no/card.svg: cannot be written" in found


def test_without_the_library_for_codes_no_number_is_used(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    doors = Store(tmp_path, capfd, ADA)
    monkeypatch.setitem(sys.modules, "segno", None)
    assert "segno is not installed" in doors.run("card", "Ada", code=69)
    assert doors.installation.cards == ()


def test_a_terminal_without_blocks_gets_colours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Question marks in their place are no card."""
    where, settings, out = place(tmp_path), tmp_path / "door.toml", io.BytesIO()
    settings.write_text(f'[people]\nfile = "{where.file}"\n')
    enrol(where, ADA)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "ascii"))
    assert main(["people", "card", "Ada", "--config", str(settings)]) == 0
    assert b"?" not in out.getvalue().partition(b"card ")[0]
    assert out.getvalue().count(b"\x1b[7m") > 100


def test_a_card_never_outlives_the_consent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    where = place(tmp_path)
    enrol(where, ADA, person("Eve", 2, until=YESTERDAY))
    settings = tmp_path / "door.toml"
    settings.write_text(f'[people]\nfile = "{where.file}"\n')
    later = (date.today() + timedelta(days=900)).isoformat()
    assert main(["people", "card", "Ada", "--until", later, "--config", str(settings)]) == 0
    assert f"valid until {FUTURE}" in capfd.readouterr().out
    assert main(["people", "card", "Eve", "--config", str(settings)]) == 66
    assert f"Eve: the consent has expired on {YESTERDAY}" in capfd.readouterr().err
    content = store.read(where)
    assert content is not None
    assert all(isinstance(each, Person) for each in content.people)
