"""What scripts/install.sh --read-only says of files that the settings name and that stay on the root."""

from __future__ import annotations

import pytest

from support.read_only import PROGRAMS, System

LOSSES = {
    "people": "new people are lost at power-off, and removed ones come back",
    "events": "events that are written there are lost at power-off",
}


def mount_at(system: System, point: str) -> None:
    """Let `point` be where every file is mounted."""
    answers = PROGRAMS["findmnt"].replace("*) exit 1", f'"-n -o TARGET --target "*) echo {point} ;;\n*) exit 1')
    system.replace("findmnt", answers)


@pytest.mark.parametrize("section", LOSSES)
@pytest.mark.parametrize("path", ["srv/file", "state/link/file", "state/../srv/new/file", "state/link.file"])
def test_files_that_stay_on_the_root_are_named(system: System, path: str, section: str) -> None:
    """As `doorlight doctor` names them, which follows links. The file need not be there yet."""
    (system.folder / "srv").mkdir()
    (system.folder / "state").mkdir()
    (system.folder / "state/link").symlink_to(system.folder / "srv")
    (system.folder / "state/link.file").symlink_to(system.folder / "srv/file")
    system.add("etc/doorlight.toml", f'[{section}]\nfile = "{system.folder / path}"\n')
    mount_at(system, "/")
    done = system.run()
    assert done.returncode == 0, done.stderr
    named = f"{system.folder / path}, [{section}] file: stays on the root: from the next boot on, {LOSSES[section]}"
    assert f"{named}\nto avoid this, move it to {system.folder}/state: see " in done.stdout


@pytest.mark.parametrize("section", LOSSES)
@pytest.mark.parametrize(
    ("file", "point"), [("", "/"), ("{}/state/file", "/"), ("{}/state/new/file", "/"), ("{}/srv/file", "/media/usb")]
)
def test_files_that_do_not_stay_on_the_root_are_not_named(system: System, file: str, point: str, section: str) -> None:
    (system.folder / "state").mkdir()
    system.add("etc/doorlight.toml", f'[{section}]\nfile = "{file.format(system.folder)}"\n')
    mount_at(system, point)
    done = system.run()
    assert done.returncode == 0, done.stderr
    assert f"[{section}] file" not in done.stdout
