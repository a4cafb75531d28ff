"""What the settings say about the connection to the broker, with the secrets read."""

from __future__ import annotations

from ..link_settings import LinkSettings, parse_broker
from .mqtt import Login, tls_context
from .secret_files import read_text_secret, secret_path


def broker_login(settings: LinkSettings, client_id: str) -> Login:
    """Return the login of a client for the broker. Raises InputError if a secret or a certificate cannot be used."""
    key = secret_path("link.key", settings.key) if settings.key else None
    has_tls = parse_broker(settings.broker).has_tls
    return Login(
        client_id,
        settings.username,
        read_text_secret("link.password", settings.password) if settings.password else "",
        tls_context(settings.ca, settings.certificate, key) if has_tls else None,
    )
