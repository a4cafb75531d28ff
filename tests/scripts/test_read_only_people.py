"""What scripts/read_only.sh does with the files of enrolled people: it overwrites them before it deletes them."""

from __future__ import annotations

import os

import pytest

from support.read_only import System


def test_enrolled_people_are_overwritten_before_they_are_deleted(system: System) -> None:
    """Otherwise the free blocks of the root have the old store together with its key."""
    names = ("people.db", "people.key", "people.passphrase")
    for name in (*names, "people.signers", "doorlight.toml"):
        system.add(f"lower/etc/{name}", "secret")
        os.link(system.folder / f"lower/etc/{name}", system.folder / f"still-{name}")
    done = system.run('eval root=$1/lower; ETC=; mkdir -p "$DATA/etc"; empty_on_root /etc', dry="")
    assert done.returncode == 0, done.stderr
    assert list((system.folder / "lower/etc").iterdir()) == []
    blocks = {name: (system.folder / f"still-{name}").read_bytes() for name in names}
    assert all(set(content) == {0} for content in blocks.values()), blocks
    assert (system.folder / "still-doorlight.toml").read_text() == "secret"


@pytest.mark.parametrize("name", ["staff.db", "a [b] *.db", "people.db"])
def test_people_under_the_configured_name_are_overwritten_too(system: System, name: str) -> None:
    system.add("etc/doorlight.toml", f'[people]\nfile = "/var/lib/doorlight/{name}"\n')
    names = (name, f"{name}.new", "people.key", "people.key.new", "people-sync/passphrase")
    for each in (*names, "b.db", "other"):
        system.add(f"lower/state/{each}", "secret")
    done = system.run('eval overwrite_people "$1/lower/state"', dry="")
    assert done.returncode == 0, done.stderr
    blocks = {each: (system.folder / "lower/state" / each).read_bytes() for each in names}
    assert all(set(content) == {0} for content in blocks.values()), blocks
    assert (system.folder / "lower/state/other").read_text() == "secret"
    assert (system.folder / "lower/state/b.db").read_text() == "secret", "the name is no pattern"


@pytest.mark.parametrize("text", ["", "no toml [", "[people]\nfile = 5\n", '[people]\nfile = ""\n'])
def test_settings_without_a_file_of_people(system: System, text: str) -> None:
    system.add("etc/doorlight.toml", text)
    system.add("lower/people.db", "secret")
    assert system.run('eval people_elsewhere; overwrite_people "$1/lower"', dry="").stdout == ""
    assert set((system.folder / "lower/people.db").read_bytes()) == {0}


def test_people_in_another_folder_are_deleted_with_what_lies_beside(system: System) -> None:
    """What `scripts/install.sh --uninstall` does after a yes."""
    file = system.folder / "srv/staff.db"
    system.add("etc/doorlight.toml", f'\ufeffpeople.file = "{file}"\n')
    for name in ("staff.db", "staff.db.new", "people.key", "people.lock", "cat.jpg"):
        system.add(f"srv/{name}", "SQLite format 3\0" if name == "staff.db" else "secret")
        os.link(system.folder / "srv" / name, system.folder / f"still-{name}")
    done = system.run('eval store="$(people_elsewhere)"; delete_people "$store"', dry="")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (system.folder / "srv").iterdir()] == ["cat.jpg"]
    assert set((system.folder / "still-people.key").read_bytes()) == {0}


@pytest.mark.parametrize("content", [None, "root:x:0:0", "SQLite format 4"])
def test_a_wrong_file_of_people_is_not_deleted(system: System, content: str | None) -> None:
    file = system.folder / "srv/passwd"
    system.add("etc/doorlight.toml", f'[people]\nfile = "{file}"\n')
    if content is not None:
        system.add("srv/passwd", content)
    assert system.run("people_elsewhere", dry="").stdout == ""
