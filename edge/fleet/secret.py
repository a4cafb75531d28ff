"""Read a password from a file that only its owner can read. No message has its content."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from ..system.files import read_regular

_MAX_BYTES = 4096


def read_password(path: Path) -> str:
    """Return the one line of a file. Raises InputError if it cannot be read, others may read it, or it has more lines."""
    try:
        # systemd makes credentials readable for the service only, by means that the mode does not show.
        is_credential = str(path.parent) == os.environ.get("CREDENTIALS_DIRECTORY")
        if path.stat().st_mode & 0o077 and not is_credential:
            raise InputError(f"{path}: others may read the password in it", f"chmod 600 {path}")
        text = read_regular(path, _MAX_BYTES).decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", f"ls -l {path}") from None
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise InputError(f"{path}: has no password: one line of text", "write the password into it")
    return text
