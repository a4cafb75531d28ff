"""A damaged or foreign store: an error names it, and nothing is changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from edge.errors import ConfigError, DoorlightError, InputError
from edge.people import key_file, sealed, store
from edge.people.gallery_keeper import GalleryKeeper
from edge.people.store import Place
from support.people import MODEL, ciphertexts, enrol, files, person

ADA, BOB = person("Ada Lovelace", 1), person("Bob", 2)


def break_file(where: Place, how: str) -> None:
    data = bytearray(where.file.read_bytes())
    match how:
        case "empty":
            data.clear()
        case "text":
            data[:] = b"hello\n"
        case "short":
            del data[5000:]
        case "one byte":
            data[data.index(ciphertexts(where)[0]) + 5] ^= 1
        case "foreign":
            where.file.unlink()
            with sqlite3.connect(where.file) as database:
                database.execute("CREATE TABLE notes (text)")
            database.close()
            where.file.chmod(0o600)
            return
        case "newer":
            with sqlite3.connect(where.file) as database:
                database.execute("PRAGMA user_version = 2")
            database.close()
            return
        case "another table":
            with sqlite3.connect(where.file) as database:
                database.execute("CREATE TABLE more (text)")
            database.close()
            return
        case "a row of another program":
            with sqlite3.connect(where.file) as database:
                database.execute("INSERT INTO people (sealed) VALUES (?)", (b"x" * 300,))
            database.close()
            return
        case "another key":
            key_file.create(where.key)
            return
        case "no key":
            where.key.unlink()
            return
        case "damaged key":
            where.key.write_text("doorlight people key\nabc\n")
            return
        case "binary key":
            where.key.write_bytes(bytes(range(200, 256)))
            return
    where.file.write_bytes(data)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("empty", "is not a database of enrolled people"),
        ("text", "is not a database of enrolled people"),
        ("short", "is damaged"),
        ("one byte", "damaged"),
        ("foreign", "is a database of another program"),
        ("newer", "was written by a newer Doorlight"),
        ("another table", "is damaged"),
        ("a row of another program", "a row is damaged, or was put in by another program"),
        ("another key", "its key does not fit"),
        ("no key", "the key of the enrolled people is missing"),
        ("damaged key", "is not a key of enrolled people, or is damaged"),
        ("binary key", "is not a key of enrolled people, or is damaged"),
    ],
)
def test_a_damaged_or_foreign_store_is_named_and_left_alone(where: Place, how: str, message: str) -> None:
    enrol(where, ADA)
    break_file(where, how)
    before = files(where.file.parent)
    for action in (lambda: store.read(where), lambda: enrol(where, BOB)):
        with pytest.raises(InputError, match=message) as caught:
            action()
        assert str(where.file.parent) in str(caught.value)
        assert caught.value.hint
    assert files(where.file.parent) == before, "nothing is changed"


@pytest.mark.parametrize("name", ["file", "key"])
def test_files_that_others_may_read_are_refused(where: Place, name: str) -> None:
    enrol(where, ADA)
    path: Path = getattr(where, name)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read or change it") as caught:
        store.read(where)
    assert caught.value.hint == f"sudo chmod 600 {path}"


def test_every_byte_that_is_damaged_is_noticed_or_means_nothing(where: Place) -> None:
    """A flipped bit gives an error or the same people, never others."""
    enrol(where, ADA)
    data = where.file.read_bytes()
    for at in range(0, len(data), 97):
        changed = bytearray(data)
        changed[at] ^= 0x10
        where.file.write_bytes(changed)
        try:
            content = store.read(where)
        except DoorlightError:
            continue
        assert content is not None
        assert content.people == (ADA,)


@pytest.mark.parametrize("at", range(24))
def test_a_damaged_name_of_a_table(where: Place, at: int) -> None:
    """SQLite quotes the name in its message: Python cannot decode it."""
    enrol(where, ADA)
    data = bytearray(where.file.read_bytes())
    data[data.index(b"CREATE TABLE people") + at] = 0xDA
    where.file.write_bytes(data)
    with pytest.raises(InputError, match="is damaged"):
        store.read(where)


@pytest.mark.parametrize("is_person", [True, False])
def test_a_store_of_another_version_stops_no_door(where: Place, is_person: bool) -> None:
    """An update that is taken back leaves a store that may have fields of the newer version."""
    content = enrol(where, ADA)
    key = key_file.read(where.key).keys[0]
    rows = [msgspec.to_builtins(row, builtin_types=(bytes,)) for row in (content.installation, ADA)]
    rows[is_person]["new"] = 1
    first, second = (msgspec.msgpack.encode(row) for row in rows)
    where.file.write_bytes(
        store._serialized(
            sealed.seal(key, first, store._INSTALLATION_PLACE), [sealed.seal(key, second, store._PERSON_PLACE)]
        )
    )
    with pytest.raises(InputError, match="written by another version"):
        store.read(where)
    lines: list[str] = []
    assert GalleryKeeper(where, MODEL, 0.8, lines.append).gallery.people == ()
    assert len(lines) == 1


def test_a_store_that_is_removed_is_no_problem_any_more(where: Place) -> None:
    enrol(where, ADA)
    where.key.unlink()
    keeper = GalleryKeeper(where, MODEL, 0.8, lambda _: None)
    assert keeper.problem
    where.file.unlink()
    keeper.refresh()
    assert keeper.problem is None
