"""Where the enrolled people may be kept: not in the place of their own key, nor of another file of the door."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import areas_file, config, enrolled_paths
from edge.cli import main
from edge.commands.events import SERVICE_LOG
from edge.errors import ConfigError
from edge.people import store
from edge.system.files import SERVICE_STATE

OTHERS = """
[events]
file = "/srv/door/events.jsonl"
[web]
certificate = "/srv/door/cert.pem"
key = "/srv/door/key.pem"
[link]
broker = "mqtts://broker.example.org"
username = "door"
password = "/srv/door/password"
ca = "/srv/door/ca.pem"
"""


def refused(folder: Path, text: str) -> str:
    """Return why the settings are refused, "" if they are not."""
    settings = folder / "door.toml"
    settings.write_text(text)
    try:
        config.load(settings)
    except ConfigError as error:
        return str(error) if error.hint else "without a hint"
    return ""


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("/srv/people.key", "the name of the key"),
        ("/srv/people.lock", "the name of the key or the lock"),
        ("/srv/people.key.new", "the name of the key"),
        ("/srv/door/../people.key", "the name of the key"),
        ("/", "which is a folder"),
        ("//", "which is a folder"),
        ("/srv/", "which is a folder"),
        ("/srv/..", "which is a folder"),
        ("/srv/" + "x" * 252, "the name is too long"),
        ("/srv/a\\u0000b", "has a NUL character"),
        ("/srv/a\\nb", "has a line break or a control character"),
        ("/srv/a\\u001b[2Jb", "has a line break or a control character"),
        ("/srv/a\\u2028b", "has a line break or a control character"),
        ("/etc/doorlight/secrets/mqtt", "in /etc/doorlight, which has other files"),
        ("/etc/doorlight/doorlight.toml", "in /etc/doorlight"),
        ("/opt/doorlight/current/people.db", "in /opt/doorlight"),
        ("/var/lib/doorlight-link/people.db", "in /var/lib/doorlight-link"),
        ("/srv/door/events.jsonl", "'events.file' has the same files"),
        ("/srv/door/./events.jsonl.3", "'events.file' has the same files"),
        ("/srv/door/.events.jsonl.seq", "'events.file' has the same files"),
        ("/srv/door/hours.jsonl", "'events.file' has the same files"),
        ("/srv/door/cert.pem", "'web.certificate' has the same files"),
        ("/srv/door/key.pem", "'web.key' has the same files"),
        ("/srv/door/password", "'link.password' has the same files"),
        ("/srv/door/ca.pem", "'link.ca' has the same files"),
        ("/var/lib/doorlight/events.jsonl", "the event log of the service has the same files"),
        ("/var/lib/doorlight/.events.jsonl.ahead", "the event log of the service has the same files"),
        ("/var/lib/doorlight/hours.jsonl", "the event log of the service has the same files"),
        ("/var/lib/doorlight/areas.toml", "what is set on the page has the same files"),
    ],
)
def test_a_place_that_is_taken(tmp_path: Path, file: str, problem: str) -> None:
    found = refused(tmp_path, f'[people]\nfile = "{file}"\n{OTHERS}')
    assert "'people.file'" in found
    assert problem in found
    assert found.isprintable()


@pytest.mark.parametrize(
    "file", ["/srv/door/people.db", "/srv/door/cert.pem2", "/srv/people", "/var/lib/doorlight/staff.db"]
)
def test_a_place_that_is_free(tmp_path: Path, file: str) -> None:
    assert refused(tmp_path, f'[people]\nfile = "{file}"\n{OTHERS}') == ""


def test_the_settings_are_no_store(tmp_path: Path) -> None:
    assert "this file has the same files" in refused(tmp_path, f'[people]\nfile = "{tmp_path}/door.toml"\n')


@pytest.mark.parametrize("name", ["people.db", "people.db.new", "people.key", "people.lock"])
@pytest.mark.parametrize("key", ["events.file", "web.certificate"])
def test_other_files_in_the_place_of_the_store(tmp_path: Path, key: str, name: str) -> None:
    section, _, setting = key.partition(".")
    more = 'key = "/srv/key"\n' if section == "web" else ""
    text = f'[{section}]\n{setting} = "/var/lib/doorlight/{name}"\n{more}'
    assert f"'{key}' has the place of the enrolled people" in refused(tmp_path, text)


@pytest.mark.parametrize(
    "key",
    ["camera.source", "models.directory", "events.file", "web.fleet_database", "update.source", "link.ca", "link.key"],
)
def test_no_path_has_a_control_character(tmp_path: Path, key: str) -> None:
    """`"C:\\bin"` between double quotes has one in TOML."""
    section, _, setting = key.partition(".")
    assert f"'{key}' has a" in refused(tmp_path, f'[{section}]\n{setting} = "/srv\\bin"\n')


def test_the_places_are_those_of_the_code() -> None:
    assert {SERVICE_LOG, SERVICE_STATE / areas_file.FILE_NAME} == enrolled_paths.SERVICE_FILES.keys()
    default = store.place_for("", is_service=True)
    assert default is not None
    assert default.file == enrolled_paths.DEFAULT
    assert {*default} <= {*enrolled_paths.of_store(default.file)}


def test_a_folder_without_access_is_an_error_and_no_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "door.toml"
    settings.write_text(f'[people]\nfile = "{tmp_path}/locked/people.db"\n')
    stat = Path.stat

    def refuse(self: Path, **options: bool) -> object:
        if "locked" in str(self):
            raise PermissionError(13, "Permission denied")
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    for action in (["list"], ["show", "Ada"], ["remove", "Ada"], ["card", "Ada"]):
        assert main(["people", *action, "--config", str(settings)]) == 66
        assert "people.db: cannot be read: Permission denied" in capfd.readouterr().err
