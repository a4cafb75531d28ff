"""The socket between the door and those who watch it: where it lies, and the format of its messages.

A client is connected without watching until it sends WATCH, and stops watching with PAUSE. While it watches, it receives
messages: HEADER with the lengths of the two parts, the decision as JSON in UTF-8, and the frame as JPEG. The JPEG is
empty if there is no frame.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path

from ..system.files import state_folder

#: What a client sends: one byte.
WATCH, PAUSE = b"W", b"P"
#: Lengths of JSON and JPEG, in bytes.
HEADER = struct.Struct(">II")
#: Longer parts are an error.
MAX_PART_BYTES = 4 << 20
#: The folder of the service's socket: RuntimeDirectory= in systemd/doorlight.service.
RUNTIME_FOLDER = Path("/run/doorlight")
SOCKET_NAME = "view.sock"


def socket_of_door(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the path at which a door with this environment offers the socket; None if there is no folder for it."""
    if service := environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        return Path(service) / SOCKET_NAME
    base = environ.get("XDG_RUNTIME_DIR", "")
    folder = Path(base) / "doorlight" if base.startswith("/") else state_folder(environ)
    return None if folder is None else folder / SOCKET_NAME


def sockets_to_try(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return where a client looks for a door: the service first, then a door that this user runs."""
    own = socket_of_door(environ)
    return [path for path in (RUNTIME_FOLDER / SOCKET_NAME, own) if path is not None]


def encode(decision: bytes, jpeg: bytes) -> bytes:
    """Return the message of a decision (JSON) and a frame (JPEG, may be empty)."""
    return HEADER.pack(len(decision), len(jpeg)) + decision + jpeg
