"""The areas that were set on the page: what counts, what is ignored, and what a power cut leaves."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from edge import areas_file, config
from edge.areas_file import Areas, AreasFile
from edge.errors import OutputError

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
POSTER = ((0.6, 0.1), (0.9, 0.1), (0.9, 0.4))
AREAS = Areas(LEFT, (POSTER,))
OPEN = "[web]\nmay_configure = true\n"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "door.toml"
    path.write_text(OPEN)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "areas.toml"


def content(settings: Path, areas: Areas | None = AREAS, before: Areas | None = None) -> AreasFile:
    return AreasFile(str(settings), "2026-11-27T16:00:00.000Z", areas, before)


def zone_of(settings: Path, path: Path | None) -> tuple[object, str]:
    """Return the zone of the door, and the note."""
    found, note = areas_file.applied(config.load(settings), path, settings)
    return found.door.zone, note


def test_what_is_written_is_read(settings: Path, path: Path) -> None:
    for written in (content(settings), content(settings, None, AREAS), content(settings, AREAS, Areas())):
        areas_file.write(path, written)
        assert areas_file.read(path, settings) == written
    assert [each.name for each in path.parent.iterdir()] == ["areas.toml"]


@pytest.mark.parametrize("name", ['a "b"', "ä\\n", "tab\there", "del\x7f", "new\nline"])
def test_a_settings_file_of_any_name(tmp_path: Path, path: Path, name: str) -> None:
    written = content(tmp_path / name)
    areas_file.write(path, written)
    assert areas_file.read(path, tmp_path / name) == written


@pytest.mark.parametrize("value", [0.0, 1.0, 1 / 3, 1e-7, 0.1 + 0.2, 5e-324])
def test_numbers_are_kept(settings: Path, path: Path, value: float) -> None:
    written = content(settings, Areas(((value, 0.0), *LEFT)))
    areas_file.write(path, written)
    assert areas_file.read(path, settings) == written


def test_the_areas_replace_those_of_the_settings_and_nothing_else(settings: Path, path: Path) -> None:
    settings.write_text(OPEN + "[door]\nzone = [[0.9, 0.9], [1.0, 0.9], [1.0, 1.0]]\nignore_still_s = 5\n")
    areas_file.write(path, content(settings))
    found, note = areas_file.applied(config.load(settings), path, settings)
    assert (found.door.zone, found.door.ignore, found.door.ignore_still_s) == (LEFT, (POSTER,), 5.0)
    assert note == f"door.zone and door.ignore were set on the page ({path})"


def test_the_file_counts_only_where_it_may(settings: Path, path: Path, tmp_path: Path) -> None:
    assert zone_of(settings, path) == ((), ""), "there is none"
    assert zone_of(settings, None) == ((), "")
    areas_file.write(path, content(settings))
    settings.write_text("")
    assert zone_of(settings, path) == ((), f"{path} is ignored: web.may_configure is false")
    other = tmp_path / "other.toml"
    other.write_text(OPEN)
    assert zone_of(other, path) == ((), ""), "it is of another door"
    areas_file.write(path, content(other, None, AREAS))
    assert zone_of(other, path) == ((), ""), "everything was undone"


DAMAGED = {
    "text": b"hello",
    "empty": b"",
    "half": b'settings = "/x"\nchanged = "now"\n[areas]\nzone = [[0.1,',
    "binary": bytes(range(256)),
    "utf-16": 'settings = "/x"'.encode("utf-16"),
    "unknown key": b'settings = "S"\nchanged = ""\nevil = 1\n',
    "type": b'settings = 1\nchanged = ""\n',
    "nested": b"a = " + b"[" * 5000,
    "digits": b"a = " + b"9" * 5000,
    "large": b"#" * (2 << 20),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_ignored_and_named(data: bytes, settings: Path, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(data)
    zone, note = zone_of(settings, path)
    assert zone == ()
    assert str(path) in note
    assert "it is ignored: delete it" in note


@pytest.mark.parametrize(
    "areas",
    [
        "zone = [[0.1, 0.1], [0.2, 0.2]]",
        "zone = [[0.1, 0.1], [0.2, 0.2], [2.0, 0.1]]",
        "zone = [[0.1, 0.1], [0.2, 0.2], [nan, 0.1]]",
        "zone = [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]",
        "ignore = [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]]",
        "zone = 5",
    ],
)
def test_wrong_areas_are_ignored_as_in_the_settings(areas: str, settings: Path, path: Path) -> None:
    path.parent.mkdir()
    path.write_text(f'settings = "{settings}"\nchanged = ""\n[areas]\n{areas}\n')
    zone, note = zone_of(settings, path)
    assert zone == ()
    assert "it is ignored" in note


def test_a_folder_or_a_pipe_in_its_place(settings: Path, path: Path) -> None:
    path.mkdir(parents=True)
    assert "it is ignored" in zone_of(settings, path)[1]
    path.rmdir()
    os.mkfifo(path)
    assert "it is ignored" in zone_of(settings, path)[1]


def test_a_failed_write_leaves_the_old_file(settings: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    areas_file.write(path, content(settings))

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        areas_file.write(path, content(settings, None))
    assert areas_file.read(path, settings) == content(settings)
    assert [each.name for each in path.parent.iterdir()] == ["areas.toml"]


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert areas_file.path_for(Path("/etc/doorlight/doorlight.toml"), is_service=True) == Path(
        "/var/lib/doorlight/areas.toml"
    )
    assert areas_file.path_for(tmp_path / "door.toml", is_service=False) == tmp_path / "areas.toml"
    assert areas_file.path_for(None, is_service=False) is None


def test_the_share_of_the_picture() -> None:
    assert Areas().share == 1.0
    assert Areas(LEFT).share == 0.5
    assert 0.95 < Areas((), (POSTER,)).share < 0.96
    assert Areas((), (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),)).share == 0.0


def test_the_share_agrees_with_the_test_of_a_point() -> None:
    from edge.zone import GRID, Zone

    chance = random.Random(15)
    for _ in range(20):
        corners = [(chance.random(), chance.random()) for _ in range(chance.randrange(3, 9))]
        zone = Zone(corners, [[(x / 2, y / 2) for x, y in corners]])
        centres = [(k + 0.5) / GRID for k in range(GRID)]
        assert zone.share == sum(zone.contains(x, y) for x in centres for y in centres) / GRID**2
