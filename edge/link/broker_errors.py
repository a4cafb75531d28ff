"""Why a broker cannot be used, in words, with one action."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable

from ..errors import UnavailableError
from . import tls_alerts
from .certificates import untrusted
from .reason_codes import REASONS, TAKEN_OVER, describe

#: What to do about a reason code of CONNACK, PUBACK and DISCONNECT.
_HINTS = {
    0x84: "update the broker: Mosquitto from 1.6 on speaks it",
    0x85: "name the door in [link] door as the broker expects it",
    0x86: "check [link] username, and the file of password in /etc/doorlight/secrets",
    0x87: "check the broker's access list (ACL), and [link] username",
    0x8A: "ask the person who runs the broker",
    0x8D: "check the network",
    TAKEN_OVER: "give each door its own [link] door",
    0x90: "check [link] door and the broker's rules",
    0x95: "raise max_packet_size of the broker",
    0x97: "raise the limits of the broker",
    0x98: "ask the person who runs the broker",
    0x99: "ask the person who runs the broker",
    0x9A: "allow retained messages in the broker",
    0x9B: "allow QoS 1 in the broker",
}
#: What to do about a broker that sends what it was asked not to send.
VIOLATION_HINT = "update the broker, or use Mosquitto: this one does not obey MQTT 5"


class BrokerError(UnavailableError):
    """The broker cannot be used now. `is_taken_over` is True if another client uses this client's id.

    `is_lost`: an open connection has ended, and nothing says why.
    """

    def __init__(self, message: str, hint: str = "", *, is_taken_over: bool = False, is_lost: bool = False) -> None:
        super().__init__(message, hint)
        self.is_taken_over = is_taken_over
        self.is_lost = is_lost


def refused(broker: str, code: int, what: str) -> BrokerError:
    """Return the error for a reason code from 0x80 on; `what` the broker was asked to do: "the connection", a topic."""
    text = f"{broker}: the broker refuses {what}: {describe(code)} (0x{code:02x})"
    hint = _HINTS.get(code, "it is tried again" if code in REASONS else "see the log of the broker")
    return BrokerError(text, hint, is_taken_over=code == TAKEN_OVER)


def disconnected(broker: str, code: int) -> BrokerError:
    """Return the error for a broker that ends the connection with a reason code."""
    text = f"{broker}: the broker has ended the connection: {describe(code)} (0x{code:02x})"
    return BrokerError(text, _HINTS.get(code, "it is tried again"), is_taken_over=code == TAKEN_OVER)


def violated(broker: str, violation: str) -> BrokerError:
    """Return the error for a broker that has sent what it was asked not to send; `violation` is in words."""
    return BrokerError(f"{broker}: the broker {violation}", VIOLATION_HINT)


def cannot_connect(broker: str, error: Exception, has_tls: bool) -> BrokerError:
    """Return the error for a connection, perhaps with TLS, that fails with `error`."""
    match error:
        case ssl.SSLEOFError() | ConnectionResetError() if has_tls:
            return _no_tls(broker, "WRONG_VERSION_NUMBER")
        case ssl.SSLCertVerificationError():
            return BrokerError(*untrusted(broker, "the broker", error))
        case ssl.SSLError():
            return _no_tls(broker, str(error.reason or error))
        case socket.gaierror() | UnicodeError():  # no name at all, such as a..b
            return BrokerError(f"{broker}: there is no machine of this name", "check [link] broker, and the network")
        case TimeoutError():
            return BrokerError(f"{broker}: the broker does not answer", "check [link] broker, firewall and network")
        case ConnectionRefusedError():
            return BrokerError(f"{broker}: nothing listens there", "start the broker, or correct [link] broker")
        case OSError():
            return BrokerError(f"{broker}: cannot be reached: {error.strerror or error}", "check the network")
    return BrokerError(f"{broker}: {type(error).__name__}: {error}", "report this message to the authors of Doorlight")


def lost(broker: str, alert: str = "", unacknowledged: Iterable[str] = ()) -> BrokerError:
    """Return the error for a connection that has ended without a reason in MQTT.

    `alert` is the TLS alert, if any; `unacknowledged` are the topics of the messages that the broker has not acknowledged.
    """
    if alert:
        return _no_tls(broker, alert)
    text, hint = f"{broker}: the connection is lost", "check the network, and whether the broker runs"
    if topics := ", ".join(dict.fromkeys(unacknowledged)):
        text += f" before the broker has acknowledged {topics}"
        hint = "check the network, whether the broker runs, and whether its access list (ACL) allows this"
    return BrokerError(text, hint, is_lost=True)


def _no_tls(broker: str, reason: str) -> BrokerError:
    """Return the error for a failed handshake, by OpenSSL's reason, such as "TLSV1_ALERT_UNKNOWN_CA"."""
    words = reason.upper().replace(" ", "_")
    if "WRONG_VERSION_NUMBER" in words or "RECORD_LAYER_FAILURE" in words:
        return BrokerError(
            f"{broker}: the broker speaks no TLS on this port", 'write "mqtt://…", or the port of TLS (8883)'
        )
    explanation = tls_alerts.explain(words, "this door", "[link] certificate", "key")
    if explanation is not None:
        text, hint = explanation
        return BrokerError(f"{broker}: the broker {text}", hint)
    return BrokerError(f"{broker}: TLS fails: {reason}", "check that [link] broker is the port of MQTT with TLS")
