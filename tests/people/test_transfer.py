"""`doorlight people export` and `import`: encrypted, signed, and all or nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

from edge.cli import main
from edge.commands import people_files
from edge.errors import ConfigError, InputError
from edge.people import consent, store, transfer
from edge.people.record import IssuedCard
from edge.people.store import Content, Installation, Place
from support.people import FUTURE, PAST, enrol, person, place, signers, ssh_key

pytestmark = pytest.mark.usefixtures("quick_passphrases")

WORDS = "correct horse battery staple"
ADA, BOB = person("Ada", 1), person("Bob", 2)
BOTH = Content(Installation(bytes(8), bytes(32), 0.0), (ADA, BOB))


@pytest.fixture
def here(tmp_path: Path) -> Place:
    (tmp_path / "here").mkdir()
    return place(tmp_path / "here")


@pytest.fixture
def exported(tmp_path: Path, key: Path) -> Path:
    """A file with Ada and Bob of another door."""
    (tmp_path / "there").mkdir()
    path = tmp_path / "clinic.people"
    assert transfer.write(path, enrol(place(tmp_path / "there"), ADA, BOB), WORDS, key) == 2
    return path


def names(where: Place) -> list[str]:
    content = store.read(where)
    return [p.name for p in content.people] if content else []


def test_what_is_exported_is_imported_by_who_trusts_the_key(exported: Path, key: Path) -> None:
    received = transfer.read(exported, WORDS, signers(key))
    assert (received.content.people, received.signer) == ((ADA, BOB), "clinic")
    assert exported.stat().st_mode & 0o777 == 0o600
    data = exported.read_bytes()
    assert not [word for word in (b"Ada", b"agrees", ADA.template[:16]) if word in data]


def test_expired_people_are_not_exported(
    tmp_path: Path, here: Place, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "may_delete", lambda: True)
    content = enrol(here, ADA, person("Eve", 3, until=PAST))
    assert transfer.write(tmp_path / "file", content, WORDS, key) == 1
    assert transfer.read(tmp_path / "file", WORDS, signers(key))[0].people == (ADA,)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("passphrase", "the passphrase is wrong"),
        ("text", "is not a file of enrolled people"),
        ("empty", "is not a file of enrolled people"),
        ("short", "is damaged"),
        ("changed", "is not what was signed"),
        ("missing", "cannot be read"),
    ],
)
def test_files_that_are_no_good(exported: Path, key: Path, how: str, message: str) -> None:
    data = bytearray(exported.read_bytes())
    match how:
        case "text":
            exported.write_bytes(b"hello")
        case "empty":
            exported.write_bytes(b"")
        case "short":
            exported.write_bytes(data[:-400])
        case "changed":
            data[200] ^= 1
            exported.write_bytes(data)
        case "missing":
            exported.unlink()
    with pytest.raises(InputError, match=message) as caught:
        transfer.read(exported, "another passphrase" if how == "passphrase" else WORDS, signers(key))
    assert caught.value.hint


def test_a_key_that_is_not_trusted(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which this box does not trust"):
        transfer.read(exported, WORDS, signers(ssh_key(tmp_path, "stranger")))


def test_a_key_that_may_only_sign_updates(exported: Path, key: Path) -> None:
    path = signers(key)
    path.write_text(path.read_text().replace("clinic ", 'clinic namespaces="doorlight-update" ', 1))
    with pytest.raises(InputError, match=r"must not sign exports now|does not trust"):
        transfer.read(exported, WORDS, path)
    signers(key)


def test_no_file_of_signers(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="so no export is trusted") as caught:
        transfer.read(exported, WORDS, tmp_path / "none")
    assert "edge/people/README.md" in caught.value.hint


def merge(here: Place, theirs: Content, replace: bool = False) -> Content:
    return store.change(here, lambda content: transfer.merged(content, theirs, replace))


def test_an_empty_door_joins_the_installation(exported: Path, key: Path, here: Place) -> None:
    theirs = transfer.read(exported, WORDS, signers(key)).content
    merged = merge(here, theirs)
    assert merged.people == (ADA, BOB)
    assert merged.installation.id == theirs.installation.id
    assert merged.installation.card_key == theirs.installation.card_key


def test_people_of_both_are_kept_and_the_newer_consent_counts(exported: Path, key: Path, here: Place) -> None:
    theirs = transfer.read(exported, WORDS, signers(key)).content
    older, newer = person("Old Ada", 1, at=1.0), person("Bobby", 2, at=2e9)
    eve = person("Eve", 3)
    import msgspec

    mine = enrol(here, eve, msgspec.structs.replace(older, id=ADA.id), msgspec.structs.replace(newer, id=BOB.id))
    merged = merge(here, theirs)
    assert {p.name for p in merged.people} == {"Eve", "Ada", "Bobby"}
    assert merged.installation.id == mine.installation.id


def test_a_door_that_only_has_cards_keeps_their_installation(exported: Path, key: Path) -> None:
    """Its people were removed after their cards were printed."""
    mine = Content(store.Installation(bytes(8), bytes(32), 0.0, (IssuedCard("5f3a91c2", "", FUTURE),)))
    merged = transfer.merged(mine, transfer.read(exported, WORDS, signers(key)).content, replace=False)
    assert merged == Content(mine.installation, (ADA, BOB))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (("5f3a91c2",), "1 card that was printed here does not count any more (5f3a91c2)"),
        (("5f3a91c2", "00000bad"), "2 cards that were printed here do not count any more (5f3a91c2, 00000bad)"),
    ],
)
@pytest.mark.parametrize("is_revoked", [False, True])
@pytest.mark.parametrize("is_same", [False, True], ids=["another installation", "the same"])
def test_cards_that_an_import_makes_void_are_named(
    exported: Path,
    here: Place,
    tmp_path: Path,
    key: Path,
    capfd: pytest.CaptureFixture[str],
    is_same: bool,
    is_revoked: bool,
    numbers: tuple[str, ...],
    expected: str,
) -> None:
    there = store.read(place(tmp_path / "there"))
    assert there is not None
    base = there.installation if is_same else BOTH.installation
    cards = tuple(IssuedCard(number, "", FUTURE, is_revoked) for number in numbers)
    store.change(here, lambda _: Content(msgspec.structs.replace(base, cards=cards), (person("Eve", 3),)))
    settings, words = tmp_path / "door.toml", tmp_path / "words"
    settings.write_text(f'[people]\nfile = "{here.file}"\n')
    words.write_text(WORDS)
    args = ["--config", str(settings), "--passphrase-file", str(words), "--signers", str(signers(key))]
    assert main(["people", "import", str(exported), *args, "--replace"]) == 0
    said = capfd.readouterr().err
    if is_same or is_revoked:
        assert "printed here" not in said
    else:
        assert expected in said


@pytest.mark.parametrize("replace", [True, False])
def test_a_card_that_one_door_has_revoked_stays_so(replace: bool) -> None:
    valid, revoked = IssuedCard("5f3a91c2", "", FUTURE), IssuedCard("5f3a91c2", "", FUTURE, is_revoked=True)
    other = IssuedCard("00c0ffee", "", FUTURE)
    base = store.Installation(b"8 bytes.", bytes(32), 0.0)

    def content(*cards: IssuedCard) -> Content:
        return Content(msgspec.structs.replace(base, cards=cards), (ADA,))

    for mine, theirs in ((content(valid, other), content(revoked)), (content(revoked), content(valid, other))):
        found = {each.number: each.is_revoked for each in transfer.merged(mine, theirs, replace).installation.cards}
        assert found == {"5f3a91c2": True, "00c0ffee": False}
    foreign = content(other)
    foreign = foreign._replace(installation=msgspec.structs.replace(foreign.installation, id=b"elsewhere"[:8]))
    kept = transfer.merged(content(valid), foreign, replace)
    assert kept.installation.cards == (foreign if replace else content(valid)).installation.cards


def test_one_name_of_two_people_is_refused_and_nothing_changed(exported: Path, key: Path, here: Place) -> None:
    enrol(here, person("ADA", 7), person("Zoe", 8))
    theirs = transfer.read(exported, WORDS, signers(key)).content
    with pytest.raises(InputError, match="Ada: is enrolled at two doors, by two enrolments"):
        merge(here, theirs)
    assert names(here) == ["ADA", "Zoe"]
    merge(here, theirs, replace=True)
    assert names(here) == ["Ada", "Bob"]


def test_too_many_people_are_refused(exported: Path, key: Path, here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MAX_PEOPLE", 2)
    enrol(here, person("Eve", 3))
    with pytest.raises(InputError, match="3 people would be enrolled"):
        merge(here, transfer.read(exported, WORDS, signers(key))[0])
    assert names(here) == ["Eve"]


@pytest.mark.parametrize("content", [f"\ufeff{WORDS}\n", f"{WORDS}\r\n", f"\ufeff{WORDS}\r\nnote\r\n", WORDS])
def test_a_passphrase_file_of_any_editor(content: str, tmp_path: Path) -> None:
    (tmp_path / "words").write_text(content, encoding="utf-8", newline="")
    assert people_files.passphrase(tmp_path / "words") == WORDS


def test_the_commands(tmp_path: Path, key: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = tmp_path / "words"
    words.write_text(f"{WORDS}\n")
    doors = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        settings = tmp_path / f"{name}.toml"
        settings.write_text(f'[people]\nfile = "{place(tmp_path / name).file}"\n')
        doors.append(str(settings))
    file = str(tmp_path / "clinic.people")
    enrol(place(tmp_path / "one"), ADA)
    export = ["people", "export", file, "--config", doors[0], "--sign", str(key), "--passphrase-file"]
    assert main([*export, str(words)]) == 0
    taken = ["people", "import", file, "--config", doors[1], "--passphrase-file", str(words)]
    assert main([*taken, "--signers", str(signers(key))]) == 0
    assert "signed by clinic: 1 added, 0 removed; 1 person is enrolled" in capfd.readouterr().out
    assert names(place(tmp_path / "two")) == ["Ada"]
    words.write_text("short\n")
    assert main([*export, str(words)]) == 2
    assert "shorter than 12 characters" in capfd.readouterr().err
    assert main(["people", "export", file, "--config", doors[0], "--sign", os.devnull, "--passphrase-file", file]) == 66
    assert names(place(tmp_path / "one")) == ["Ada"]


@pytest.mark.parametrize("name", ["people.db", "people.key", "notes.txt", "clinic"])
def test_nothing_else_is_overwritten(
    here: Place, key: Path, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The old content of a file is overwritten with zeros: the store, its key and the SSH key must not be named by mistake."""
    enrol(here, ADA)
    (here.file.parent / "notes.txt").write_text("notes")
    (here.file.parent / "clinic").write_bytes(key.read_bytes())
    (tmp_path / "words").write_text(WORDS)
    settings = tmp_path / "door.toml"
    settings.write_text(f'[people]\nfile = "{here.file}"\n')
    file = here.file.parent / name
    before = file.read_bytes()
    common = ["--config", str(settings), "--passphrase-file", str(tmp_path / "words"), "--sign", str(key)]
    assert main(["people", "export", str(file), *common]) == 74
    assert "is not a file of enrolled people" in capfd.readouterr().err
    assert file.read_bytes() == before


def test_an_export_is_replaced(exported: Path, tmp_path: Path, key: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    content = transfer.read(exported, WORDS, signers(key)).content
    for path in (exported, empty):
        assert transfer.write(path, content, WORDS, key) == 2


def test_two_people_of_one_name_are_not_taken_over(here: Place) -> None:
    for mine in (Content(BOTH.installation), BOTH):
        with pytest.raises(InputError, match="two enrolments"):
            transfer.merged(mine, BOTH._replace(people=(ADA, person("ADA", 3))), replace=True)


@pytest.mark.parametrize("at", [1e300, -1.0, float("inf")])
def test_times_that_cannot_be_shown_are_refused(exported: Path, key: Path, at: float) -> None:
    content = BOTH._replace(people=(msgspec.structs.replace(ADA, consent=msgspec.structs.replace(ADA.consent, at=at)),))
    with pytest.raises(InputError, match="another version"):
        transfer.unpack(transfer.pack(content, WORDS, key), "x", WORDS, signers(key))


def test_a_passphrase_that_is_no_text(monkeypatch: pytest.MonkeyPatch, here: Place, key: Path, tmp_path: Path) -> None:
    """A terminal in another encoding: strict, or with surrogates in the C locale."""
    enrol(here, ADA)
    settings = tmp_path / "door.toml"
    settings.write_text(f'[people]\nfile = "{here.file}"\n')
    command = ["people", "export", str(tmp_path / "new"), "--sign", str(key), "--config", str(settings)]
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    def fail(_: str) -> str:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    for typed in (fail, lambda _: "\udcff" * 20):
        monkeypatch.setattr(people_files.getpass, "getpass", typed)
        assert main(command) == 2
