"""Check areas that come from the page, and write them, in a child process.

A hundred corners take tens of milliseconds of Python, and a slow card takes seconds: the door's loop must wait for
neither. Reads an Order from stdin, as JSON, and writes a result to stdout: a JSON object with "state":

- "done": "areas" are in force from now on, null for those of the settings; "share" and "share_before" say in which share of
  the picture faces count
- "same": these areas are in force already; "nothing": there is nothing to undo
- "wrong": check-config would refuse the areas; "failed": they could not be written. "problem" says why
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from .. import areas_file
from ..areas_file import Areas, AreasFile
from ..config import Config
from ..errors import ConfigError, OutputError
from ..events.record import utc_text
from ..system import child_process


class Order(msgspec.Struct):
    """What to do: set `areas`, or undo the last change if it is None.

    `config` has the settings of the door without areas of the page, `settings` is their file, and `path` that of the areas.
    """

    config: Config
    path: str
    settings: str
    areas: dict[str, Any] | None


def carry_out(order: Order) -> dict[str, object]:
    """Return the result of an order."""
    path, settings = Path(order.path), os.path.abspath(order.settings)
    try:
        found = areas_file.read(path, Path(settings))
    except ConfigError:
        found = None  # a damaged file is ignored by the door, too, and replaced
    own = Areas(order.config.door.zone, order.config.door.ignore)
    current = found.areas if found is not None else None
    try:
        if order.areas is None:
            if found is None:
                return {"state": "nothing"}
            new = found.before
        else:
            new = msgspec.convert(order.areas, Areas)
            if new == (current or own):
                return {"state": "same"}
        areas_file.with_areas(order.config, new or own)
        areas_file.write(path, AreasFile(settings, utc_text(time.time()), new, current))
    except (msgspec.ValidationError, ConfigError) as error:
        hint = f": {error.hint}" if isinstance(error, ConfigError) and error.hint else ""
        return {"state": "wrong", "problem": f"{error}{hint}"}
    except OutputError as error:
        return {"state": "failed", "problem": str(error)}
    shares = {"share": (new or own).share, "share_before": (current or own).share}
    return {"state": "done", "areas": msgspec.to_builtins(new or own), **shares}


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        os.nice(19)
    child_process.set_up()
    sys.stdout.buffer.write(msgspec.json.encode(carry_out(msgspec.json.decode(sys.stdin.buffer.read(), type=Order))))
