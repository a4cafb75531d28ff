"""What scripts/install.sh does with the files of enrolled people: it overwrites them before it deletes them."""

from __future__ import annotations

import contextlib
import os
import sqlite3

import pytest

from edge.people.store import Place
from support.people import enrol, person
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


@pytest.mark.parametrize(
    "path", ["srv/staff.db", "state/../srv/staff.db", "state/link/staff.db", "state/link/../srv/staff.db"]
)
def test_people_in_another_folder_are_deleted_with_what_lies_beside(system: System, path: str) -> None:
    """What `scripts/install.sh --uninstall` does after a yes."""
    system.add("etc/doorlight.toml", f'\ufeffpeople.file = "{system.folder / path}"\n')
    enrol(Place.of(system.folder / "srv/staff.db"), person("Ann"))
    (system.folder / "state").mkdir()
    (system.folder / "state/link").symlink_to(system.folder / "srv")
    for name in ("staff.db", "staff.db.new", "people.key", "people.lock", "cat.jpg"):
        if not (system.folder / "srv" / name).exists():
            system.add(f"srv/{name}", "secret")
        os.link(system.folder / "srv" / name, system.folder / f"still-{name}")
    done = system.run('eval store="$(people_elsewhere)"; delete_people "$store"', dry="")
    assert done.returncode == 0, done.stderr
    assert [each.name for each in (system.folder / "srv").iterdir()] == ["cat.jpg"]
    assert set((system.folder / "still-staff.db").read_bytes()) == {0}
    assert set((system.folder / "still-people.key").read_bytes()) == {0}


def test_a_file_of_people_that_is_a_link_is_named_and_not_followed(system: System) -> None:
    """Its target may be any file; without a word, people would stay there."""
    system.add("etc/doorlight.toml", f'people.file = "{system.folder / "srv/staff.db"}"\n')
    place = Place.of(system.folder / "disk/staff.db")
    enrol(place, person("Ann"))
    before = place.file.read_bytes()
    (system.folder / "srv").mkdir()
    (system.folder / "srv/staff.db").symlink_to(place.file)
    done = system.run('eval store="$(people_elsewhere)"; delete_people "$store"', dry="")
    assert done.returncode == 0, done.stderr
    assert f"{system.folder}/srv/staff.db: is a link; if {place.file} has enrolled people" in done.stdout
    assert place.file.read_bytes() == before


@pytest.mark.parametrize("path", ["state/staff.db", "srv/../state/staff.db", "etc/staff.db"])
def test_people_in_a_folder_of_doorlight_are_not_elsewhere(system: System, path: str) -> None:
    """What is done with the folder is done with them."""
    (system.folder / "srv").mkdir()
    (system.folder / "state").mkdir()
    system.add("etc/doorlight.toml", f'people.file = "{system.folder / path}"\n')
    enrol(Place.of(system.folder / path), person("Ann"))
    assert system.run("people_elsewhere", dry="").stdout == ""


@pytest.mark.parametrize("content", [None, "root:x:0:0", "SQLite format 3\0"])
def test_a_wrong_file_of_people_is_not_deleted(system: System, content: str | None) -> None:
    file = system.folder / "srv/passwd"
    system.add("etc/doorlight.toml", f'[people]\nfile = "{file}"\n')
    if content is not None:
        system.add("srv/passwd", content)
    assert system.run("people_elsewhere", dry="").stdout == ""


#: Answers the question of --uninstall, and prints what it would remove.
UNINSTALL = (
    'eval rm() { echo "removed $@"; }; shred() { rm "$@"; }; getent() { return 1; }; echo "$untested" | uninstall'
)


@pytest.mark.parametrize(("dry", "answer"), [("yes", ""), ("", "y"), ("", "n"), ("", "")])
def test_uninstalling_names_and_keeps_a_log_in_another_folder(system: System, dry: str, answer: str) -> None:
    log = system.folder / "srv/events.jsonl"
    system.add("etc/doorlight.toml", f'[events]\nfile = "{log}"\n')
    system.add("srv/events.jsonl", "{}")
    system.replace("systemctl", "exit 0")
    done = system.run(UNINSTALL, dry=dry, untested=answer)
    assert done.returncode == 0, done.stderr
    first, _, rest = done.stdout.partition(f"{log}, [events] file: this event log and its rotated files are kept; ")
    assert rest.startswith("delete them yourself")
    assert ("deleted\n" in rest) is (answer == "y")
    assert f"removed -rf {system.folder}/state" in rest or answer != "y"
    assert str(log) not in first + rest


@pytest.mark.parametrize("log", ["", "events.jsonl", "{}/state/events.jsonl", "{}/srv/gone.jsonl"])
def test_a_log_that_is_not_elsewhere_is_not_named(system: System, log: str) -> None:
    system.add("etc/doorlight.toml", f'[events]\nfile = "{log.format(system.folder)}"\n')
    system.add("state/events.jsonl", "{}")
    assert "[events] file" not in system.run("uninstall").stdout


def test_a_dry_uninstallation_names_people_in_another_folder(system: System) -> None:
    file = system.folder / "srv/staff.db"
    system.add("etc/doorlight.toml", f'people.file = "{file}"\n')
    enrol(Place.of(file), person("Ann"))
    assert f"enrolled people ({system.folder}/state, {file}), and" in system.run("uninstall").stdout


def test_a_database_of_another_program_is_not_deleted(system: System) -> None:
    file = system.folder / "photos.db"
    system.add("etc/doorlight.toml", f'[people]\nfile = "{file}"\n')
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE photos (name TEXT)")
    assert system.run("people_elsewhere", dry="").stdout == ""
