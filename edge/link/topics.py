"""The names of a door in the network: its topics, its client id."""

from __future__ import annotations

import re
import secrets
import socket
from pathlib import Path

from ..errors import OutputError
from ..system.files import read_regular, replace_file

ROOT = "doorlight"
_CLIENT_ID = re.compile(r"doorlight-[A-Za-z0-9_-]{1,64}-[0-9a-f]{8}")


def door_name(setting: str) -> str:
    """Return the name of this door: of the settings, else of this machine."""
    if setting:
        return setting
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname().partition(".")[0]).strip("-_")
    return name[:64] or "door"


class Topics:
    """The topics of the door `name`.

    `availability` is "online" or "offline" (retained; the broker writes "offline" if the link vanishes), `state` JSON
    (retained), `events` a line of the log (QoS 1, not retained), `stats` the last complete hour (JSON, retained), `gap`
    numbers that were lost before they were sent (JSON, QoS 1), `alarm` an alarm of this moment (JSON, for notifications).
    The door reads `command` (JSON), and nothing else.
    """

    def __init__(self, name: str) -> None:
        self.door = name
        base = f"{ROOT}/{name}"
        self.availability = f"{base}/availability"
        self.state = f"{base}/state"
        self.events = f"{base}/events"
        self.stats = f"{base}/stats"
        self.gap = f"{base}/gap"
        self.alarm = f"{base}/alarm"
        self.command = f"{base}/command"

    @property
    def retained(self) -> tuple[str, ...]:
        """The topics whose messages the broker keeps."""
        return self.availability, self.state, self.stats


def client_id(door: str, folder: Path) -> str:
    """Return the id of this client, of its file in `folder`, else a new one.

    It has a random part: a broker disconnects a client if another one connects with its id. It stays the same, so that the
    broker recognises a restarted link, and ends its former connection with its will before the new one begins.

    Raises OutputError if a new one cannot be stored.
    """
    path = folder / "client-id"
    try:
        stored = read_regular(path, 200).decode("ascii", "replace").strip()
    except OSError:
        stored = ""
    if _CLIENT_ID.fullmatch(stored) and stored.startswith(f"doorlight-{door}-"):
        return stored
    return new_client_id(door, folder)


def new_client_id(door: str, folder: Path) -> str:
    """Choose and store a new client id. Raises OutputError."""
    chosen = f"doorlight-{door}-{secrets.token_hex(4)}"
    path = folder / "client-id"
    try:
        replace_file(path, f"{chosen}\n".encode("ascii"))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", f"ls -ld {folder}") from error
    return chosen
