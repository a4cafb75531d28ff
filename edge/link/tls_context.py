"""The settings of TLS for a connection to a broker: of doors and of collectors."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..system.files import open_regular

#: OpenSSL's name for a handshake without a common cipher, at the server; the client gets an alert that may mean something else.
NO_SHARED_CIPHER = "NO_SHARED_CIPHER"


class Names(NamedTuple):
    """What messages call the three files: keys of the settings, or options."""

    ca: str
    certificate: str
    key: str


def tls_context(ca: Path | None, certificate: Path | None, key: Path | None, names: Names) -> ssl.SSLContext:
    """Return the settings: the authority (None: those of this system), and certificate and key of this client, if any.

    Raises InputError if a file cannot be used.
    """
    for name, path in zip(names, (ca, certificate, key), strict=True):
        try:
            if path is not None:
                open_regular(path).close()  # OpenSSL would wait at a pipe
        except OSError as error:
            raise InputError(f"{name}: {path}: cannot be read: {error.strerror}", f"ls -l {path}") from error
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:
        raise InputError(f"{names.ca}: {ca}: is no certificate", "it must be a PEM file") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _ClosingSocket
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or "it cannot be read, or has a password"
            raise InputError(
                f"{names.certificate}: {certificate}: is no certificate for {names.key}: {reason}",
                "both must be PEM files, and the key without a password",
            ) from error
    return context


class _ClosingSocket(ssl.SSLSocket):
    """A socket that is closed if the handshake fails: paho-mqtt leaves it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except ssl.SSLError as error:
            # With TLS 1.2, a server that asks for a certificate in vain sends the same alert, but after it has chosen a cipher.
            if "HANDSHAKE_FAILURE" in (error.reason or "") and self.cipher() is None:
                error.reason = NO_SHARED_CIPHER
            self.close()
            raise
        except BaseException:
            self.close()
            raise


def _no_password() -> str:
    raise ValueError("the key has a password")
