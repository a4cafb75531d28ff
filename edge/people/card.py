"""A card: the template of one person in a QR code, for a door that keeps nothing (1:1).

Only doors with the same card key can read it: it is encrypted and authenticated. The text is "DOORLIGHT1" and base 32
letters, which a QR code packs as densely as letters allow:

    installation id (8 bytes), then sealed: last day (4 bytes, days since 0001-01-01), start of the model's checksum (8 bytes),
    number of the card (4 bytes), template (128 bytes)

A lost card is revoked by its number: the store keeps the numbers of all cards until their last day.
"""

from __future__ import annotations

import base64
from datetime import date
from typing import NamedTuple

from . import consent
from .record import DIMENSIONS, IssuedCard, Person, Vector, to_vector
from .sealed import WrongKeyError, seal, unseal
from .store import Installation

PREFIX = "DOORLIGHT1"
_PLACE = b"doorlight card "
_ID_BYTES, _DAY_BYTES, _MODEL_BYTES, _NUMBER_BYTES = 8, 4, 8, 4


class CardError(ValueError):
    """The card does not count; the message is a sentence about it."""


class _Content(NamedTuple):
    """The plain content of a card. `model` is the start of the model's checksum."""

    until: str
    model: bytes
    number: str
    template: bytes


def encode(person: Person, installation: Installation, issued: IssuedCard) -> str:
    """Return the text of the card `issued` of a person."""
    day = date.fromisoformat(issued.until).toordinal().to_bytes(_DAY_BYTES, "big")
    model, number = bytes.fromhex(person.model)[:_MODEL_BYTES], bytes.fromhex(issued.number)
    content = day + model + number + person.template
    sealed = seal(installation.card_key, content, _PLACE + installation.id)
    return PREFIX + base64.b32encode(installation.id + sealed).decode().rstrip("=")


def decode(text: str, installation: Installation, model: str, now_s: float) -> Vector:
    """Return the template (128,) of a card. Raises CardError if it has expired, was revoked, or is of another
    installation or model."""
    if not text.startswith(PREFIX):
        raise CardError("it is no card of a door")
    letters = text.removeprefix(PREFIX)
    try:
        raw = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except ValueError:  # binascii.Error is one, and b32decode raises another for letters outside of ASCII
        raise CardError("it is damaged") from None
    if raw[:_ID_BYTES] != installation.id:
        raise CardError("it is a card of another installation")
    try:
        content = unseal(installation.card_key, raw[_ID_BYTES:], _PLACE + installation.id)
    except WrongKeyError:
        raise CardError("it is damaged or forged") from None
    found = _parsed(content)
    if consent.is_expired(found.until, now_s):
        raise CardError(f"it has expired on {found.until}")
    if any(card.number == found.number and card.is_revoked for card in installation.cards):
        raise CardError(f"it was revoked (number {found.number})")
    if found.model != bytes.fromhex(model)[:_MODEL_BYTES]:
        raise CardError("it was made for another model: print it again")
    return to_vector(found.template)


def _parsed(content: bytes) -> _Content:
    if len(content) != _DAY_BYTES + _MODEL_BYTES + _NUMBER_BYTES + DIMENSIONS:
        raise CardError("it was made by another version")
    day, rest = content[:_DAY_BYTES], content[_DAY_BYTES:]
    model, rest = rest[:_MODEL_BYTES], rest[_MODEL_BYTES:]
    try:
        until = date.fromordinal(int.from_bytes(day, "big")).isoformat()
    except (ValueError, OverflowError):
        raise CardError("it was made by another version") from None
    return _Content(until, model, rest[:_NUMBER_BYTES].hex(), rest[_NUMBER_BYTES:])
