"""A card: the template of one person in a QR code, for a door that keeps nothing (1:1).

Only doors with the same card key can read it: it is encrypted and authenticated. The text is "DOORLIGHT1" and base 32
letters, which a QR code packs as densely as letters allow:

    installation id (8 bytes), then sealed: last day (4 bytes, days since 0001-01-01), template (128 bytes)
"""

from __future__ import annotations

import base64
import binascii
from datetime import date

from . import consent
from .record import DIMENSIONS, Person, Vector, to_vector
from .sealed import WrongKeyError, seal, unseal
from .store import Installation

PREFIX = "DOORLIGHT1"
_PLACE = b"doorlight card "
_ID_BYTES, _DAY_BYTES, _MODEL_BYTES = 8, 4, 8


class CardError(ValueError):
    """The card does not count; the message is a sentence about it."""


def encode(person: Person, installation: Installation, until: str) -> str:
    """Return the text of the card of a person, which is valid until the day `until` (ISO 8601)."""
    day = date.fromisoformat(until).toordinal().to_bytes(_DAY_BYTES, "big")
    content = day + bytes.fromhex(person.model)[:_MODEL_BYTES] + person.template
    sealed = seal(installation.card_key, content, _PLACE + installation.id)
    return PREFIX + base64.b32encode(installation.id + sealed).decode().rstrip("=")


def decode(text: str, installation: Installation, model: str, now_s: float) -> Vector:
    """Return the template (128,) of a card. Raises CardError if it has expired or is of another installation or model."""
    if not text.startswith(PREFIX):
        raise CardError("it is no card of a door")
    letters = text.removeprefix(PREFIX)
    try:
        raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except binascii.Error:
        raise CardError("it is damaged") from None
    if raw[:_ID_BYTES] != installation.id:
        raise CardError("it is a card of another installation")
    try:
        content = unseal(installation.card_key, raw[_ID_BYTES:], _PLACE + installation.id)
    except WrongKeyError:
        raise CardError("it is damaged or forged") from None
    if len(content) != _DAY_BYTES + _MODEL_BYTES + DIMENSIONS:
        raise CardError("it was made by another version")
    day = date.fromordinal(int.from_bytes(content[:_DAY_BYTES], "big")).isoformat()
    if consent.is_expired(day, now_s):
        raise CardError(f"it has expired on {day}")
    if content[_DAY_BYTES : _DAY_BYTES + _MODEL_BYTES] != bytes.fromhex(model)[:_MODEL_BYTES]:
        raise CardError("it was made for another model: print it again")
    return to_vector(content[-DIMENSIONS:])
