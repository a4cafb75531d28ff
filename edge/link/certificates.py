"""Why a certificate is not trusted, in words: a clock that is not set is blamed before the certificate is."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime

from ..system.clock import EARLIEST_TIME_S, is_set

_UNKNOWN_CA = ("is of an authority that this machine does not know", "name its certificate in [link] ca")
_OTHER_NAME = ("is for another name", "write the name in the settings that the certificate has")
#: OpenSSL's codes of a failed verification, X509_V_ERR_…: not yet valid, expired, self-signed, no issuer, host, address.
_NOT_YET_VALID, _EXPIRED = 9, 10
_VERIFY_REASONS = {
    _NOT_YET_VALID: ("is not valid yet", "check the clock of the machine that made it"),
    _EXPIRED: ("has expired", "renew it"),
    **dict.fromkeys((18, 19, 20, 21), _UNKNOWN_CA),
    **dict.fromkeys((62, 64), _OTHER_NAME),
}


def untrusted(address: str, owner: str, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """Return a sentence and a hint: the certificate of `owner` ("the broker"), at `address`, is not trusted."""
    code = error.verify_code
    if code in (_NOT_YET_VALID, _EXPIRED) and (time.time() < EARLIEST_TIME_S or not is_set()):
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
        doubt = "is wrong" if time.time() < EARLIEST_TIME_S else "is not set, and may be wrong"
        looks = "expired" if code == _EXPIRED else "not valid yet"
        return (
            f"{address}: the clock of this machine {doubt}: it shows {now} UTC, and the certificate of {owner} looks {looks}",
            "connect to a time server (sudo timedatectl set-ntp true), or add a clock chip",
        )
    reason, hint = _VERIFY_REASONS.get(code, (f"is refused: {error.verify_message}", _UNKNOWN_CA[1]))
    return f"{address}: the certificate of {owner} {reason}", hint


def client_context(ca: str = "") -> ssl.SSLContext:
    """Return settings that trust the authorities of this system, and `ca` (a PEM file) in addition.

    Raises OSError or ssl.SSLError if the file cannot be used.
    """
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
