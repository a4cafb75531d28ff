"""The store: encrypted, of mode 600, and without anything that was removed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from edge import enrolled_paths
from edge.errors import InputError, OutputError
from edge.people import key_file, private_file, store
from edge.people.store import Content, Place
from support.people import ciphertexts, enrol, files, names, person, place, remove

ADA, BOB = person("Ada Lovelace", 1), person("Bob", 2)


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
