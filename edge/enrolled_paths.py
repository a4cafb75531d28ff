"""Name the files of the store of enrolled people, and refuse settings that put them in the place of another file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import config_messages
from .errors import ConfigError
from .system.files import SERVICE_STATE

if TYPE_CHECKING:
    from .config import Config

FILE_NAME, KEY_NAME, LOCK_NAME = "people.db", "people.key", "people.lock"
#: Where the people of the installed service are, without [people] file.
DEFAULT = SERVICE_STATE / FILE_NAME
#: A file is written beside the one that it replaces, under this longer name.
NEW_SUFFIX = ".new"
#: Longest name (bytes) of a file that Linux allows.
MAX_NAME_BYTES = 255
#: Folders in which other parts of Doorlight write, or whose files an update replaces.
FOREIGN_FOLDERS = ("/etc/doorlight", "/opt/doorlight", "/var/lib/doorlight-link")
#: Other files in the service's state folder. Its log is there even if [events] file names another one.
SERVICE_FILES = {
    SERVICE_STATE / "events.jsonl": "the event log of the service",
    SERVICE_STATE / "areas.toml": "what is set on the page",
}


def check(config: Config, name: str) -> None:
    """Raise ConfigError if [people] file cannot be the store, or if another file has its place. `name` is the settings file."""
    if not config.people.file:
        if what := _what_has_place_of(DEFAULT, config, name):
            raise ConfigError(f"{name}: {what} has the place of the enrolled people", "choose another name")
        return
    file, where = config.people.file, f"{name}: 'people.file' is {config_messages.shown(config.people.file)}"
    example = 'write a path such as "/var/lib/doorlight/people.db"'
    if not file.startswith("/"):
        raise ConfigError(
            f"{where}, which does not begin with /", 'write the full path, such as "/var/lib/doorlight/people.db"'
        )
    last = file.rpartition("/")[2]
    if last in ("", ".", ".."):
        raise ConfigError(f"{where}, which is a folder", example)
    if len(os.fsencode(last + NEW_SUFFIX)) > MAX_NAME_BYTES:
        raise ConfigError(f"{where}: the name is too long", example)
    path = Path(os.path.normpath(file))
    if path.name in (KEY_NAME, LOCK_NAME, KEY_NAME + NEW_SUFFIX):
        raise ConfigError(f"{where}, the name of the key or the lock that lie beside it", example)
    if folder := next((folder for folder in FOREIGN_FOLDERS if path.is_relative_to(folder)), None):
        raise ConfigError(f"{where}, in {folder}, which has other files", example)
    if what := _what_has_place_of(path, config, name):
        raise ConfigError(f"{where}: {what} has the same files", example)


def of_store(file: Path) -> tuple[Path, ...]:
    """Return all files that belong to the store `file`: key and lock lie beside it, and new ones while they are written."""
    key = file.with_name(KEY_NAME)
    return (file, unfinished(file), key, unfinished(key), file.with_name(LOCK_NAME))


def unfinished(path: Path) -> Path:
    """Return the file that becomes `path` once it is complete."""
    return path.with_name(path.name + NEW_SUFFIX)


def _what_has_place_of(store: Path, config: Config, name: str) -> str | None:
    """Return what the first other file is that has the place of a file of the store; None without one."""
    for other, what in _other_files(config, name).items():
        if any(_is_file_of(mine, other) for mine in of_store(store)):
            return what
    return None


def _other_files(config: Config, name: str) -> dict[Path, str]:
    """Return the other files that the settings name, and those of the service's state folder, with what each is."""
    named = {
        "events.file": config.events.file,
        "web.certificate": config.web.certificate,
        "web.key": config.web.key,
        "link.ca": config.link.ca,
        "link.certificate": config.link.certificate,
        "link.key": config.link.key,
        "link.password": config.link.password,
    }
    # Relative paths are skipped: their folder depends on the process, or is that of the secrets.
    found = {Path(os.path.normpath(path)): f"'{key}'" for key, path in named.items() if path.startswith("/")}
    return {Path(os.path.abspath(name)): "this file", **SERVICE_FILES, **found}


def _is_file_of(mine: Path, other: Path) -> bool:
    """Return whether `mine` is `other`, or has the name of a file beside an event log: rotated logs, their counter, hours."""
    if mine.parent != other.parent:
        return False
    hours = other.name.replace("events", "hours") if "events" in other.name else f"hours-{other.name}"
    return mine.name in (other.name, hours) or mine.name.startswith((f"{other.name}.", f".{other.name}.", f"{hours}."))
