"""The socket between the door and those who watch it: where it lies, and the format of its messages.

A client is connected without watching until it sends WATCH, and stops watching with PAUSE. It may send requests: REQUEST,
REQUEST_LENGTH and a JSON object in UTF-8 with an "id" of its own and "ask" (`requests` has what may be asked).

While it watches, it receives messages: HEADER with the lengths of the two parts, the decision as JSON in UTF-8, and the
frame as JPEG. The JPEG is empty if there is no frame. The answer to a request is a message, too: the first length has the
bit ANSWER, the JSON has the request's id as "answer", and the second part belongs to it.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

from ..system.files import state_folder

#: What a client sends: one byte each.
WATCH, PAUSE, REQUEST = b"W", b"P", b"R"
#: Length of a request's JSON, in bytes.
REQUEST_LENGTH = struct.Struct(">I")
#: A longer request closes the connection. 21 areas of 100 corners have some 40 kB.
MAX_REQUEST_BYTES = 64 << 10
#: Lengths of JSON and JPEG, in bytes.
HEADER = struct.Struct(">II")
#: Of the first length: the message is an answer.
ANSWER = 1 << 31
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


def encode_request(request: Mapping[str, object]) -> bytes:
    """Return a request as the door reads it."""
    data = encode_json(request)
    return REQUEST + REQUEST_LENGTH.pack(len(data)) + data


def encode_answer(answer: Mapping[str, object], body: bytes = b"") -> bytes:
    """Return the message of an answer, with the second part that belongs to it."""
    data = encode_json(answer)
    return HEADER.pack(len(data) | ANSWER, len(body)) + data + body


def encode_json(value: object) -> bytes:
    """Return `value` as JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
