"""The token that opens the page: made once, shown in a link, and stored as a hash only."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from ..errors import OutputError
from ..system.files import read_regular, state_folder

#: The folder of the service's settings. Everyone may read the hash: it does not open the page.
SETTINGS_FOLDER = Path("/etc/doorlight")
FILE_NAME = "web-token"
_MAX_BYTES = 1000


def new_token() -> str:
    """Return a token of 192 random bits that fits into an address."""
    return secrets.token_urlsafe(24)


def token_file() -> Path | None:
    """Return the file of the hash: of the installed service, otherwise of this user; None if there is no folder."""
    if SETTINGS_FOLDER.is_dir():
        return SETTINGS_FOLDER / FILE_NAME
    folder = state_folder()
    return None if folder is None else folder / FILE_NAME


def store(path: Path, token: str) -> None:
    """Write the hash of `token`; the tokens before it are no longer valid. Raises OutputError."""
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(f"{_hash(token)}\n", encoding="ascii")
        new.chmod(0o644)
        os.replace(new, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", "sudo doorlight web --new-link") from error


class TokenCheck:
    """Compares tokens with one that is known, or with the hash in a file, which may be replaced at any time."""

    def __init__(self, token: str | None, path: Path | None) -> None:
        """With `token`, only that one is valid, and `path` is not read."""
        self._hash = None if token is None else _hash(token)
        self._path = path

    @property
    def exists(self) -> bool:
        """Whether there is a token at all."""
        return bool(self._stored())

    def is_valid(self, token: str) -> bool:
        """Return whether `token` opens the page. The time does not depend on where it differs."""
        stored = self._stored()
        return hmac.compare_digest(_hash(token), stored or _hash("")) and bool(stored) and bool(token)

    def form_key(self, token: str) -> str:
        """Return what a form must contain: only a page that was read with `token` knows it."""
        return hmac.new(token.encode("utf-8", "replace"), b"form", hashlib.sha256).hexdigest()

    def _stored(self) -> str:
        if self._hash is not None or self._path is None:
            return self._hash or ""
        try:
            return read_regular(self._path, _MAX_BYTES).decode("ascii", "ignore").strip()
        except OSError:
            return ""


def _hash(token: str) -> str:
    # The token has 192 random bits: a slow hash, as for passwords, would add nothing.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
