"""The areas that were set on the page: a file in the state folder that replaces zone and ignore of [door].

It counts only for the settings file that it names, and only while `[web] may_configure` is true there. The page's service
cannot write it: the door does, see view/areas_process.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .config import Config, Polygon, replaced
from .errors import ConfigError, OutputError
from .system.files import SERVICE_STATE, WrongEncodingError, read_toml, replace_file, state_folder
from .zone import Zone

FILE_NAME = "areas.toml"
_ADVICE = "delete it, and restart the door"
_HEADER = """\
# Written by the door for its page Set up. These areas replace zone and ignore of [door] in the settings file below, while
# may_configure of its section [web] is true. To go back to those of the settings file, delete this file and restart the door.
"""


class Areas(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where faces count: as [door] zone and ignore."""

    zone: Polygon = ()
    ignore: tuple[Polygon, ...] = ()

    @property
    def share(self) -> float:
        """The share of the picture in which faces count, 0 to 1."""
        return Zone(self.zone, self.ignore).share


class AreasFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file. Areas that are None are those of the settings file.

    `settings` is the path of the settings file, `changed` the time in UTC. `before` is what "undo" brings back.
    """

    settings: str
    changed: str
    areas: Areas | None = None
    before: Areas | None = None


def path_for(settings: Path | None, is_service: bool) -> Path | None:
    """Return the file for a door with these settings; None if there is no folder for it, or no settings file.

    `is_service` says whether these are the settings of the installed service.
    """
    if settings is None:
        return None
    folder = SERVICE_STATE if is_service else state_folder()
    return None if folder is None else folder / FILE_NAME


def read(path: Path, settings: Path) -> AreasFile | None:
    """Return the content of the file; None if there is none for these settings. Raises ConfigError if it is damaged."""
    try:
        found = msgspec.convert(read_toml(path), AreasFile)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", _ADVICE) from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, WrongEncodingError, ValueError) as error:
        raise ConfigError(f"{path}: is damaged: {error}", _ADVICE) from None
    return found if found.settings == os.path.abspath(settings) else None


def applied(config: Config, path: Path | None, settings: Path | None) -> tuple[Config, str]:
    """Return the settings with the areas of the file at `path`, and a note about it; "" if the file changes nothing.

    A file that is damaged, or whose areas are wrong, is ignored: the door must start.
    """
    if path is None or settings is None:
        return config, ""
    try:
        found = read(path, settings)
        if found is None or found.areas is None:
            return config, ""
        if not config.web.may_configure:
            return config, f"{path} is ignored: web.may_configure is false"
        return with_areas(config, found.areas), f"door.zone and door.ignore were set on the page ({path})"
    except ConfigError as error:
        return config, f"{error}; it is ignored: {error.hint}"


def with_areas(config: Config, areas: Areas) -> Config:
    """Return the settings with other areas. Raises ConfigError if `check-config` would refuse them."""
    return replaced(config, "door", zone=areas.zone, ignore=areas.ignore)


def write(path: Path, content: AreasFile) -> None:
    """Write the file: after a power cut it is the old one or the new one. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, to_toml(content).encode())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}", "doorlight doctor") from error


def to_toml(content: AreasFile) -> str:
    """Return the text of the file."""
    lines = [_HEADER, f"settings = {_quoted(content.settings)}", f"changed = {_quoted(content.changed)}"]
    for name, areas in (("areas", content.areas), ("before", content.before)):
        if areas is not None:
            ignore = "".join(f"\n  {_corners(area)}," for area in areas.ignore)
            lines += ["", f"[{name}]", f"zone = {_corners(areas.zone)}", f"ignore = [{ignore}]"]
    return "\n".join(lines) + "\n"


def _corners(polygon: Sequence[tuple[float, float]]) -> str:
    return "[" + ", ".join(f"[{float(x)!r}, {float(y)!r}]" for x, y in polygon) + "]"


def _quoted(text: str) -> str:
    """Return a TOML string. JSON escapes what TOML does not allow, with one exception: DEL."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")
