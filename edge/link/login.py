"""What the settings say about the connection to the broker, with the secrets read."""

from __future__ import annotations

from pathlib import Path

from ..link_settings import LinkSettings, parse_broker
from .mqtt import Login
from .secret_files import read_text_secret, secret_path
from .tls_context import Names, tls_context

_NAMES = Names("link.ca", "link.certificate", "link.key")


def broker_login(settings: LinkSettings, client_id: str) -> Login:
    """Return the login of a client for the broker. Raises InputError if a secret or a certificate cannot be used."""
    key = secret_path("link.key", settings.key) if settings.key else None
    has_tls = parse_broker(settings.broker).has_tls
    return Login(
        client_id,
        settings.username,
        read_text_secret("link.password", settings.password) if settings.password else "",
        tls_context(_path(settings.ca), _path(settings.certificate), key, _NAMES) if has_tls else None,
    )


def _path(text: str) -> Path | None:
    return Path(text) if text else None
