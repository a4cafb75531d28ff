"""The key of the store: a systemd credential, or a file of mode 600 beside the store.

A key file is renewed with every change of the store: old copies of the store, in a backup or in the worn blocks of a
card, cannot be read with it. While the change is written, the file has the new key and the one before. A credential
(systemd-creds(1)) is never renewed: the door cannot write it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..system.files import read_regular
from . import private_file
from .sealed import new_key

#: The name of the credential, as in the README.
CREDENTIAL = "people-key"
HEADER = "doorlight people key"
_MAX_BYTES = 4096
RESTORE = "restore the key from a backup; without it nobody is known, and everybody must be enrolled again"


class Keys(NamedTuple):
    """The keys that may fit, the newest first. `is_renewable` is False for a credential."""

    keys: tuple[bytes, ...]
    is_renewable: bool


def read(path: Path, environ: Mapping[str, str] = os.environ) -> Keys:
    """Return the keys of the credential, else of the file at `path`.

    Raises InputError if there is none or if it is damaged, and ConfigError if others may read it.
    """
    credential = credential_path(environ)
    source = credential or path
    try:
        content = read_regular(source, _MAX_BYTES) if credential else private_file.read(source)
        lines = content.decode("ascii").split("\n")
    except FileNotFoundError:
        raise InputError(f"{source}: the key of the enrolled people is missing", RESTORE) from None
    except OSError as error:
        hint = "for the service's people: sudo" if isinstance(error, PermissionError) else RESTORE
        raise InputError(f"{source}: cannot be read: {error.strerror}", hint) from None
    except UnicodeDecodeError:
        lines = []
    keys = tuple(bytes.fromhex(line) for line in lines[1:] if re.fullmatch("[0-9a-f]{64}", line))
    if lines[:1] != [HEADER] or not keys:
        raise InputError(f"{source}: is not a key of enrolled people, or is damaged", RESTORE)
    return Keys(keys, credential is None)


def credential_path(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file of the credential; None without one."""
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(folder) / CREDENTIAL
    return path if folder and path.exists() else None


def write(path: Path, *keys: bytes) -> None:
    """Replace the key file. Raises OutputError."""
    try:
        private_file.replace(path, "\n".join([HEADER, *(key.hex() for key in keys), ""]).encode())
    except OSError as error:
        raise private_file.write_error(path, error, "doorlight doctor") from None


def create(path: Path) -> bytes:
    """Write a new key for a store that does not exist yet, and return it. Raises OutputError."""
    key = new_key()
    write(path, key)
    return key
