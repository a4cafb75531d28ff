"""Secrets in files: a systemd credential, or a file that only its owner can read. No message ever has their content.

The unit passes the folder /etc/doorlight/secrets, which only root can read, as credentials (LoadCredential=, see
systemd.exec(5)): a file NAME in it becomes `link_NAME` in the folder $CREDENTIALS_DIRECTORY.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError
from ..system.files import read_regular

FOLDER = Path("/etc/doorlight/secrets")
#: As in systemd/doorlight-link.service.
CREDENTIAL_PREFIX = "link_"
_MAX_BYTES = 64 << 10


def secret_path(key: str, name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file of the secret that the setting `key` names, after a look at who may read it. Raises InputError.

    The message has the key, and the path only if it was given as a path: a user may have written the secret in place of
    its name.
    """
    credentials = environ.get("CREDENTIALS_DIRECTORY", "")
    is_path = name.startswith("/")
    if credentials and not is_path:
        path = Path(credentials) / f"{CREDENTIAL_PREFIX}{name}"
        if not path.exists():
            raise InputError(f"{key}: there is no such file in {FOLDER}", f"sudo ls {FOLDER}; restart after a change")
        return path
    path = Path(name) if is_path else FOLDER / name
    shown = str(path) if is_path else f"its file in {FOLDER}"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(f"{key}: {shown} cannot be read: {error.strerror}", f"sudo ls -l {path.parent}") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{key}: {shown} is not a regular file", "name a file")
    # In a folder that only its owner can enter, the mode of a file does not matter.
    if mode & 0o077 and path.parent.stat().st_mode & 0o077:
        hint = f"sudo chmod 600 {path if is_path else FOLDER / '*'}"
        raise InputError(f"{key}: others may read {shown}", hint)
    return path


def read_secret(key: str, name: str, environ: Mapping[str, str] = os.environ) -> bytes:
    """Return the content of a secret, without what editors add: a byte order mark, the end of the last line. Raises InputError."""
    path = secret_path(key, name, environ)
    try:
        content = read_regular(path, _MAX_BYTES).removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")
    except OSError as error:
        raise InputError(f"{key}: its file cannot be read: {error.strerror}", f"sudo ls -l {path.parent}") from None
    if not content:
        raise InputError(f"{key}: its file is empty", "write the secret into it")
    return content


def read_text_secret(key: str, name: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the content of a secret that is one line of text, such as a password. Raises InputError."""
    try:
        text = read_secret(key, name, environ).decode()
    except UnicodeDecodeError:
        raise InputError(f"{key}: its file is not UTF-8 text", "write the secret as text") from None
    if not text.isprintable():
        raise InputError(f"{key}: its file has more than one line", "write the secret in one line")
    return text
