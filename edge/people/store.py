"""The enrolled people: an SQLite file of mode 600 in which every row is encrypted.

The file is small (a hundred people are 200 KB). It is read as a whole into memory, and each change writes a new one in
its place: there is no journal, no free page and no row that was deleted. The file before is overwritten, and with a key
file, everything is encrypted with a new key, see key_file.py.

The order of a change keeps it readable after a power cut at any moment: the new key beside the old one, the new store, the
new key alone.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from ..enrolled_paths import FILE_NAME, KEY_NAME, LOCK_NAME, unfinished
from ..errors import InputError
from ..system.files import SERVICE_STATE, state_folder
from . import consent, key_file, private_file
from .record import MAX_TIME_S, IssuedCard, Person, Synced, normal_form
from .sealed import WrongKeyError, new_key, seal, unseal

#: "Door" in ASCII, and the version of the tables below.
APPLICATION_ID, VERSION = 0x446F6F72, 1
#: More people make wrong names more likely: each is another chance to look like a stranger.
MAX_PEOPLE = 100
#: A command replaces the files of the store within milliseconds.
READ_ATTEMPTS = 3
SCHEMA = (
    "CREATE TABLE installation (sealed BLOB NOT NULL)",
    "CREATE TABLE people (id INTEGER PRIMARY KEY, sealed BLOB NOT NULL)",
)
_MAGIC = b"SQLite format 3\0"
_INSTALLATION_PLACE, _PERSON_PLACE = b"doorlight installation", b"doorlight person"
_RESTORE = "restore it from a backup, or remove it and enrol everybody again"


class Installation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all rows have in common. `id`, `card_key` and `cards` (until their last day) belong to the cards of this installation.

    `written_at` is the time of the last change, in seconds since 1970. `synced` is for `people sync`; None without it.
    """

    id: bytes
    card_key: bytes
    written_at: Annotated[float, msgspec.Meta(ge=0, lt=MAX_TIME_S)]
    cards: tuple[IssuedCard, ...] = ()
    synced: Synced | None = None


class Content(NamedTuple):
    """The content of the store."""

    installation: Installation
    people: tuple[Person, ...] = ()

    def named(self, name: str) -> Person | None:
        """Return the person with this name or id; None if there is none."""
        wanted = normal_form(name).casefold()
        return next((p for p in self.people if wanted in (p.name.casefold(), p.id)), None)


class Place(NamedTuple):
    """The files of a store."""

    file: Path
    key: Path
    lock: Path

    @classmethod
    def of(cls, file: Path) -> Place:
        """Return the files that belong to the store `file`: its key and its lock lie beside it."""
        return cls(file, file.with_name(KEY_NAME), file.with_name(LOCK_NAME))


def place_for(file: str, is_service: bool) -> Place | None:
    """Return where the people of a door are kept: `file` is [people] file. None if there is no folder for them.

    `is_service` says whether it is the door of the installed service.
    """
    if file:
        return Place.of(Path(file))
    folder = SERVICE_STATE if is_service else state_folder()
    return None if folder is None else Place.of(folder / FILE_NAME)


def read(place: Place) -> Content | None:
    """Return the content; None if nobody has been enrolled yet.

    Raises InputError if the file or its key is missing, damaged or foreign, and ConfigError if others may read them.
    """
    for _ in range(READ_ATTEMPTS):
        before = _signature(place)
        try:
            return _read(place)[0]
        except InputError:
            # A command may have replaced the store between its two files.
            if _signature(place) == before:
                raise
    return _read(place)[0]


def _signature(place: Place) -> list[tuple[int, int]]:
    """Return what changes when a file of the store is replaced."""
    found = []
    for path in (place.file, place.key):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((status.st_ino, status.st_mtime_ns))
    return found


def change(place: Place, edit: Callable[[Content], Content]) -> Content:
    """Replace the content by what `edit` returns, and return it; nothing is written if it raises or changes nothing.

    Raises what `read` raises, and OutputError.
    """
    with private_file.locked(place.lock):
        _finish(place)
        before, key, is_renewable = _read(place)
        content = before or Content(Installation(os.urandom(8), new_key(), consent.now()))
        changed = _with_current_cards(edit(content))
        if before is not None and changed == content:
            return before
        written_at = consent.now(content.installation.written_at)
        changed = changed._replace(installation=msgspec.structs.replace(changed.installation, written_at=written_at))
        if key is None:
            key = key_file.create(place.key)
            _write(place, changed, key)
        elif is_renewable:
            renewed = new_key()
            key_file.write(place.key, renewed, key)
            _write(place, changed, renewed)
            key_file.write(place.key, renewed)
        else:
            _write(place, changed, key)
        return changed


def remove_expired(place: Place) -> list[Person]:
    """Delete the people whose consent has expired, and return them. Nobody while the clock may be wrong."""
    content = read(place)
    if content is None:
        return []
    late = expired(content) if consent.may_delete() else []
    if not late and not _is_interrupted(place):
        return []
    removed: list[Person] = []

    def edit(content: Content) -> Content:
        removed.extend(expired(content) if late else ())
        return content._replace(people=tuple(p for p in content.people if p not in removed))

    change(place, edit)
    return removed


def expired(content: Content) -> list[Person]:
    """Return the people whose consent has expired."""
    return expired_of(content.people, content.installation)


def expired_of(people: Sequence[Person], installation: Installation) -> list[Person]:
    """Return those of `people` whose consent has expired. A clock that is not set yet does not go behind the last change."""
    now_s = consent.now(installation.written_at)
    return [person for person in people if consent.is_expired(person.consent.until, now_s)]


def is_expired(person: Person, installation: Installation) -> bool:
    """Return whether the consent of a person has expired."""
    return bool(expired_of((person,), installation))


def _with_current_cards(content: Content) -> Content:
    """Return the content without expired cards; those of people who are removed do not say any more whose they are."""
    installation, ids = content.installation, {person.id for person in content.people}
    now_s, may_delete = consent.now(installation.written_at), consent.may_delete()
    cards = tuple(
        card if card.person in ids else msgspec.structs.replace(card, person="")
        for card in installation.cards
        # A clock that is wrong must not forget that a card was revoked.
        if not (may_delete and consent.is_expired(card.until, now_s))
    )
    return content._replace(installation=msgspec.structs.replace(installation, cards=cards))


def _read(place: Place) -> tuple[Content | None, bytes | None, bool]:
    """Return the content, the key that fits, and whether it is renewable; (None, None or a credential, …) without a file."""
    try:
        data = private_file.read(place.file)
    except FileNotFoundError:
        if key_file.credential_path() is None:
            return None, None, True
        return None, key_file.read(place.key).keys[0], False
    except OSError as error:
        hint = "for the service's people: sudo" if isinstance(error, PermissionError) else _RESTORE
        raise InputError(f"{place.file}: cannot be read: {error.strerror}", hint) from None
    rows = _rows(place.file, data)
    keys, is_renewable = key_file.read(place.key)
    for key in keys:
        with contextlib.suppress(WrongKeyError):
            first = unseal(key, rows[0], _INSTALLATION_PLACE)
            break
    else:
        raise InputError(
            f"{place.file}: its key does not fit: {place.key} belongs to another store, or the file is damaged",
            key_file.RESTORE,
        )
    try:
        others = [unseal(key, row, _PERSON_PLACE) for row in rows[1:]]
    except WrongKeyError:
        raise InputError(f"{place.file}: a row is damaged, or was put in by another program", _RESTORE) from None
    try:
        installation = msgspec.msgpack.decode(first, type=Installation)
        people = tuple(msgspec.msgpack.decode(row, type=Person) for row in others)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The rows are authentic: a version with other fields has written them, as before an update was taken back.
        raise InputError(f"{place.file}: was written by another version", "update Doorlight") from None
    return Content(installation, people), key, is_renewable


def _is_interrupted(place: Place) -> bool:
    """Return whether a power cut has left the key before, or an unfinished file."""
    return any(map(Path.exists, _unfinished(place))) or (place.key.exists() and len(key_file.read(place.key).keys) > 1)


def _finish(place: Place) -> None:
    """Remove what an interrupted change has left: the key that does not fit any more, and unfinished files."""
    try:
        for path in _unfinished(place):
            private_file.delete(path)
    except OSError as error:
        raise private_file.write_error(place.file, error, "doorlight doctor") from None
    if place.file.exists() and place.key.exists() and len(key_file.read(place.key).keys) > 1:
        _, key, is_renewable = _read(place)
        if key is not None and is_renewable:
            key_file.write(place.key, key)


def _unfinished(place: Place) -> list[Path]:
    return [unfinished(path) for path in (place.file, place.key)]


def _rows(path: Path, data: bytes) -> list[bytes]:
    """Return the sealed rows of an SQLite file, that of the installation first. Raises InputError."""
    if not data.startswith(_MAGIC):
        raise InputError(f"{path}: is not a database of enrolled people", _RESTORE)
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        try:
            database.deserialize(data)
            # A file in WAL mode would look for its log beside a database in memory.
            (found,) = database.execute("PRAGMA application_id").fetchone()
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if found != APPLICATION_ID:
                raise InputError(f"{path}: is a database of another program", "name the right file in [people] file")
            if version > VERSION:
                raise InputError(f"{path}: was written by a newer Doorlight", "update Doorlight")
            tables = {row[0] for row in database.execute("SELECT sql FROM sqlite_master")}
            (intact,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            if tables != set(SCHEMA) or intact != "ok":
                raise InputError(f"{path}: is damaged", _RESTORE)
            rows = [row[0] for row in database.execute("SELECT sealed FROM installation")]
            rows += [row[0] for row in database.execute("SELECT sealed FROM people ORDER BY id LIMIT 1001")]
        except sqlite3.Error as error:
            raise InputError(f"{path}: is damaged: {error}", _RESTORE) from None
        except UnicodeDecodeError:
            # SQLite's message quotes a damaged name, and Python cannot decode it.
            raise InputError(f"{path}: is damaged", _RESTORE) from None
    if not rows or not all(isinstance(row, bytes) for row in rows):
        raise InputError(f"{path}: is damaged", _RESTORE)
    return rows


def _write(place: Place, content: Content, key: bytes) -> None:
    data = _serialized(
        seal(key, msgspec.msgpack.encode(content.installation), _INSTALLATION_PLACE),
        [seal(key, msgspec.msgpack.encode(person), _PERSON_PLACE) for person in content.people],
    )
    try:
        private_file.replace(place.file, data)
    except OSError as error:
        raise private_file.write_error(place.file, error, "doorlight doctor") from None


def _serialized(installation: bytes, people: Sequence[bytes]) -> bytes:
    """Return a new SQLite file with these rows."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
        for statement in SCHEMA:
            database.execute(statement)
        database.execute("INSERT INTO installation VALUES (?)", (installation,))
        database.executemany("INSERT INTO people (sealed) VALUES (?)", [(row,) for row in people])
        database.commit()
        return database.serialize()
