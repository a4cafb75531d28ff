"""The store: encrypted, of mode 600, readable after a power cut at any step, and without anything that was removed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import sqlite3
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge import enrolled_paths
from edge.cli import main
from edge.errors import ConfigError, DoorlightError, InputError, OutputError
from edge.people import consent, key_file, private_file, sealed, store
from edge.people.gallery_keeper import GalleryKeeper
from edge.people.record import Person
from edge.people.store import Content, Place
from support.people import MODEL, PAST, enrol, person, place, remove

pytestmark = pytest.mark.filterwarnings("error")
ADA, BOB = person("Ada Lovelace", 1), person("Bob", 2)


@pytest.fixture
def where(tmp_path: Path) -> Place:
    return place(tmp_path)


def names(where: Place) -> list[str]:
    content = store.read(where)
    return [person.name for person in content.people] if content else []


def files(folder: Path) -> bytes:
    """Return the bytes of all files of a folder."""
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_nobody_is_enrolled_before_the_first_one(where: Place) -> None:
    assert store.read(where) is None
    assert not where.file.exists()
    assert not where.key.exists(), "reading makes nothing"


def test_what_is_written_is_read(where: Place) -> None:
    first = enrol(where, ADA)
    second = enrol(where, BOB)
    content = store.read(where)
    assert content == second
    assert content.people == (ADA, BOB)
    assert content.installation.id == first.installation.id
    assert content.named("ada lovelace") == ADA
    assert content.named(BOB.id) == BOB
    assert content.named("Eve") is None


def test_only_the_owner_may_read_whatever_the_umask(where: Place) -> None:
    before = os.umask(0)
    try:
        enrol(where, ADA)
    finally:
        os.umask(before)
    for path in where:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_it_is_an_sqlite_file_without_a_readable_word(where: Place) -> None:
    enrol(where, ADA)
    with sqlite3.connect(where.file) as database:
        rows = database.execute("SELECT * FROM people").fetchall()
    database.close()
    assert len(rows) == 1
    found = files(where.file.parent)
    for secret in (b"Ada", b"Lovelace", b"agrees", ADA.template, ADA.template[:16], ADA.id.encode()):
        assert secret not in found


def ciphertexts(where: Place) -> list[bytes]:
    """Return the middle of each sealed row."""
    with sqlite3.connect(where.file) as database:
        rows = [row[0] for row in database.execute("SELECT sealed FROM people ORDER BY id")]
    database.close()
    return [row[20:60] for row in rows]


def test_remove_leaves_nothing_in_any_file(where: Place) -> None:
    enrol(where, ADA, BOB)
    adas, bobs = ciphertexts(where)
    old_key = where.key.read_bytes().split()[-1]
    assert adas in files(where.file.parent)
    remove(where, BOB.name)
    found = files(where.file.parent)
    assert bobs not in found
    assert adas not in found, "it is encrypted anew"
    assert old_key not in found
    assert {path.name for path in where.file.parent.iterdir()} == {path.name for path in where}
    assert names(where) == [ADA.name]


def test_old_copies_cannot_be_read_with_the_key_of_today(where: Place, tmp_path: Path) -> None:
    enrol(where, ADA, BOB)
    backup = where.file.read_bytes()
    remove(where, BOB.name)
    where.file.write_bytes(backup)
    with pytest.raises(InputError, match="its key does not fit"):
        store.read(where)


def test_remove_leaves_nothing_on_a_disk(tmp_path: Path) -> None:
    """A real file system in an image: all that was ever written of a person is searched in all its blocks.

    Of them are the rows and keys of every change, and of a command that a power cut has ended.
    """
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    if os.geteuid() or not shutil.which("mkfs.ext4"):
        pytest.skip("only root can mount an image")
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True, timeout=60)
    if subprocess.run(["mount", "-o", "loop", image, mount], capture_output=True, timeout=60).returncode:
        pytest.skip("this machine mounts no images")
    written: set[bytes] = set()
    try:
        where = place(mount)

        def note() -> None:
            """Remember what the files have now, and check that the search finds it."""
            found = {*ciphertexts(where), where.key.read_bytes().split()[-1]}
            os.sync()
            content = image.read_bytes()
            assert all(secret in content for secret in found)
            written.update(found)

        for each in (ADA, BOB, person("Eve", 3)):
            enrol(where, each)
            note()
        interrupted = enrolled_paths.unfinished(where.file)
        interrupted.write_bytes(where.file.read_bytes())
        remove(where, BOB.name)
        remove(where, "Eve")
        kept = {*ciphertexts(where), where.key.read_bytes().split()[-1]}
        os.sync()
        subprocess.run(["umount", mount], check=True, timeout=60)
        content = image.read_bytes()
    finally:
        subprocess.run(["umount", mount], capture_output=True, timeout=60)
    assert len(written) == 1 + 2 + 3 + 3, "each change has its key, and encrypts everybody anew"
    assert [secret for secret in written if secret in content] == []
    assert all(secret in content for secret in kept)
    for secret in (BOB.template[:16], BOB.consent.text.encode(), BOB.id.encode()):
        assert secret not in content


class PowerCutError(BaseException):
    """The power fails."""


@pytest.mark.parametrize("step", range(9))
@pytest.mark.parametrize("what", ["open", "rename", "fsync"])
def test_after_a_power_cut_the_store_is_the_old_or_the_new_one(
    where: Place, monkeypatch: pytest.MonkeyPatch, step: int, what: str
) -> None:
    enrol(where, ADA, BOB)
    count = itertools.count()

    def cut(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            if next(count) == step:
                raise PowerCutError
            return function(*args, **options)

        return call

    with monkeypatch.context() as patch:
        where_it_is: object = Path if what == "rename" else os
        patch.setattr(where_it_is, what, cut(getattr(where_it_is, what)))
        with contextlib.suppress(PowerCutError):
            remove(where, BOB.name)
    assert names(where) in (["Ada Lovelace", "Bob"], ["Ada Lovelace"])
    remove(where, BOB.name)
    assert names(where) == ["Ada Lovelace"]
    assert len(where.key.read_text().split()) == 4, "the key before is gone"
    assert {path.name for path in where.file.parent.iterdir()} == {path.name for path in where}


@pytest.mark.parametrize("name", ["people.db", "people.key"])
def test_a_full_disk_changes_nothing(where: Place, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    enrol(where, ADA)
    replace = private_file.replace

    def full(path: Path, content: bytes) -> None:
        if path.name == name:
            raise OSError(28, "No space left on device")
        replace(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(private_file, "replace", full)
        with pytest.raises(OutputError, match="No space left"):
            enrol(where, BOB)
    assert names(where) == ["Ada Lovelace"]


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


def test_a_clock_that_was_in_the_future_once_expires_nobody(
    where: Place, clock_is_set: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(consent.time, "time", lambda: 4e9)
        enrol(where, ADA)
    content = store.read(where)
    assert content is not None
    assert store.expired(content) == []
    clock_is_set[0] = False
    assert store.expired(content) == [ADA], "the clock may be behind"


def test_a_clock_chip_without_a_battery_deletes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent.clock, "is_set", lambda: True)
    monkeypatch.setattr(consent.time, "time", lambda: 100.0)
    assert not consent.may_delete()


def test_a_command_waits_for_another(where: Place) -> None:
    enrol(where, ADA)
    with private_file.locked(where.lock):
        thread = threading.Thread(target=enrol, args=(where, BOB))
        thread.start()
        time.sleep(0.2)
        assert names(where) == ["Ada Lovelace"]
    thread.join(10)
    assert len(names(where)) == 2


def test_two_commands_do_not_write_at_once(where: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_file, "LOCK_TIMEOUT_S", 0.05)
    enrol(where, ADA)
    with private_file.locked(where.lock), pytest.raises(OutputError, match="another command changes"):
        enrol(where, BOB)
    assert names(where) == ["Ada Lovelace"]


def test_an_error_while_editing_changes_nothing(where: Place) -> None:
    enrol(where, ADA)
    before = files(where.file.parent)

    def edit(_: Content) -> Content:
        raise InputError("no")

    with pytest.raises(InputError):
        store.change(where, edit)
    store.change(where, lambda content: content)
    assert files(where.file.parent) == before


@pytest.fixture
def clock_is_set(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    state = [True]
    monkeypatch.setattr(consent, "may_delete", lambda: state[0])
    return state


def test_expired_people_are_deleted(where: Place, clock_is_set: list[bool]) -> None:
    eve: Person = person("Eve", 3, until=PAST)
    enrol(where, ADA, eve)
    assert [p.name for p in store.remove_expired(where)] == ["Eve"]
    assert names(where) == ["Ada Lovelace"]
    before = files(where.file.parent)
    assert store.remove_expired(where) == []
    assert files(where.file.parent) == before


def test_a_clock_that_may_be_wrong_deletes_nobody(where: Place, clock_is_set: list[bool]) -> None:
    clock_is_set[0] = False
    enrol(where, person("Eve", 3, until=PAST))
    assert store.remove_expired(where) == []
    content = store.read(where)
    assert content is not None
    assert store.expired(content) == list(content.people), "but they are not recognised"


def test_a_clock_that_starts_in_1970_revives_nobody(where: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    eve = person("Eve", 3, until=PAST)
    content = enrol(where, eve)
    monkeypatch.setattr(consent.time, "time", lambda: 100.0)
    assert store.is_expired(eve, content.installation)


def test_a_key_from_systemd_is_used_and_never_renewed(
    where: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    enrol(where, ADA)
    where.key.rename(credentials / key_file.CREDENTIAL)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    before = (credentials / key_file.CREDENTIAL).read_bytes()
    enrol(where, BOB)
    remove(where, ADA.name)
    assert names(where) == ["Bob"]
    assert not where.key.exists()
    assert (credentials / key_file.CREDENTIAL).read_bytes() == before


def test_a_first_store_with_a_key_from_systemd(where: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "credentials").mkdir()
    key_file.create(tmp_path / "credentials" / key_file.CREDENTIAL)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    enrol(where, ADA)
    assert names(where) == ["Ada Lovelace"]
    assert not where.key.exists()


def test_what_has_another_name_is_not_overwritten(tmp_path: Path) -> None:
    """A hard link to a file of somebody else must not become zeros."""
    precious, path = tmp_path / "precious", tmp_path / "people.db"
    precious.write_bytes(b"precious")
    os.link(precious, path)
    private_file.replace(path, b"new")
    assert precious.read_bytes() == b"precious"
    assert path.read_bytes() == b"new"


def test_links_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    (tmp_path / "people.db").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        private_file.replace(tmp_path / "people.db", b"new")
    assert precious.read_bytes() == b"precious"


def test_with_root_the_files_belong_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    where = place(folder)
    enrol(where, ADA)
    enrol(where, BOB)
    assert {path.stat().st_uid for path in where} == {65534}


class FailingDisk:
    """A disk that refuses to write files with some names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, *names: str) -> None:
        self._open, self._number, self._names = os.open, number, names
        monkeypatch.setattr(os, "open", self.open)

    def open(self, path: str | Path, flags: int, *args: int, **options: int) -> int:
        if flags & os.O_ACCMODE != os.O_RDONLY and str(path).endswith(self._names):
            raise OSError(self._number, os.strerror(self._number), str(path))
        return self._open(path, flags, *args, **options)


@pytest.mark.parametrize("name", ["people.lock", "people.key.new", "people.db.new"])
@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (
            errno.EROFS,
            "the disk is read-only, as a failing card makes itself (sudo dmesg | tail): sudo mount -o remount,rw /",
        ),
        (errno.ENOSPC, "make room on the disk: df -h "),
        (errno.EACCES, "for the service's people: sudo"),
        (errno.EIO, "doorlight doctor"),
    ],
)
def test_a_disk_that_cannot_be_written_says_what_to_do(
    where: Place, monkeypatch: pytest.MonkeyPatch, name: str, number: int, hint: str
) -> None:
    enrol(where, ADA)
    FailingDisk(monkeypatch, number, name)
    with pytest.raises(OutputError) as caught:
        enrol(where, BOB)
    assert caught.value.hint.startswith(hint)
    assert os.strerror(number) in str(caught.value)
    assert str(where.file.parent) in str(caught.value)
    assert names(where) == ["Ada Lovelace"]


def test_people_are_listed_from_a_disk_that_is_read_only(
    where: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Expired ones cannot be deleted there."""
    settings = tmp_path / "door.toml"
    settings.write_text(f'[people]\nfile = "{where.file}"\n')
    monkeypatch.setattr(consent, "may_delete", lambda: True)
    enrol(where, ADA, person("Late", 3, until=PAST))
    FailingDisk(monkeypatch, errno.EROFS, "people.lock", ".new")
    assert main(["people", "list", "--config", str(settings)]) == 0
    said = capfd.readouterr()
    assert "Ada Lovelace" in said.out
    assert "note: expired people cannot be deleted: " in said.err
    assert "the disk is read-only" in said.err
