"""Find and explain the TLS alert that a server sends before it closes a connection.

With TLS 1.3, a server checks this machine's certificate after the handshake. It may close the connection before the
first message arrives. Then the error here is only that the message cannot be sent, and the alert is still unread.
"""

from __future__ import annotations

import re
import ssl
from typing import Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import LogLevel

from .tls_context import NO_SHARED_CIPHER


class Readable(Protocol):
    """A socket, with TLS or without, or what paho-mqtt has in its place."""

    def recv(self, count: int, /) -> bytes:
        """Return up to `count` bytes."""
        ...


class AlertListener:
    """The first alert that a client of paho-mqtt gets: `alert` is OpenSSL's name of it, "" without one."""

    def __init__(self) -> None:
        self.alert = ""

    def listen(self, client: paho.Client) -> None:
        """Use the client's callbacks for its log and for the end of its socket."""
        client.on_log = self._on_log
        client.on_socket_close = self._on_socket_close

    def _on_log(self, _client: object, _data: object, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self.alert = self.alert or in_text(text)

    def _on_socket_close(self, _client: object, _data: object, sock: Readable) -> None:
        # If a message could not be sent, the alert that explains it is still unread.
        self.alert = self.alert or unread(sock)


def in_text(text: str) -> str:
    """Return OpenSSL's name of the alert in the text of an error, such as "TLSV1_ALERT_UNKNOWN_CA"; "" without one."""
    match = re.search(r"\[SSL: (\w*ALERT\w*)\]", text)
    return match[1] if match is not None else ""


def unread(sock: Readable) -> str:
    """Return the name of the alert that is unread in a non-blocking socket; "" without one."""
    try:
        sock.recv(1)
    except ssl.SSLError as error:
        return in_text(str(error))
    except OSError:
        pass
    return ""


def explain(alert: str, client: str, certificate: str, key: str) -> tuple[str, str] | None:
    """Return what the server does, and a hint, for an alert about versions, ciphers, or the certificate of `client`; None for another.

    `client` is as in "this door"; `certificate` and `key` are the names of the settings. `alert` may also be NO_SHARED_CIPHER.
    """
    # The first is the alert of a server that knows newer versions; one that knows none answers with its own version.
    if "PROTOCOL_VERSION" in alert or "UNSUPPORTED_PROTOCOL" in alert:
        return "speaks only old versions of TLS", "allow TLS 1.2 or 1.3 in the broker"
    if alert == NO_SHARED_CIPHER:
        return f"allows none of {client}'s ciphers", "allow TLS 1.3, or ciphers with ECDHE and AES-GCM, in the broker"
    if "CERTIFICATE_EXPIRED" in alert:
        return f"says that {client}'s certificate has expired", f"renew {certificate}"
    if "CERTIFICATE_REQUIRED" in alert or "HANDSHAKE_FAILURE" in alert:
        return "asks for a certificate", f"set {certificate} and {key}"
    if "ALERT" in alert and ("UNKNOWN_CA" in alert or "CERTIFICATE" in alert):
        return (
            f"does not accept {client}'s certificate ({alert})",
            "use a certificate of the authority that the broker trusts",
        )
    return None
