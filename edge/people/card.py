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


class Card(NamedTuple):
    """The content of a card of the installation with this id. `model` is the start of the model's checksum."""

    installation: bytes
    until: str
    model: bytes
    number: str
    template: bytes

    @property
    def vector(self) -> Vector:
        """The template as a vector (128,)."""
        return to_vector(self.template)


def encode(person: Person, installation: Installation, issued: IssuedCard) -> str:
    """Return the text of the card `issued` of a person."""
    day = date.fromisoformat(issued.until).toordinal().to_bytes(_DAY_BYTES, "big")
    model, number = bytes.fromhex(person.model)[:_MODEL_BYTES], bytes.fromhex(issued.number)
    content = day + model + number + person.template
    sealed = seal(installation.card_key, content, _PLACE + installation.id)
    return PREFIX + base64.b32encode(installation.id + sealed).decode().rstrip("=")


def decode(text: str, installation: Installation, model: str, now_s: float) -> Card:
    """Return the content of a card. Raises CardError if it is damaged or forged, or does not count, see `check`."""
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
    found = _parsed(content, installation.id)
    check(found, installation, model, now_s)
    return found


def check(card: Card, installation: Installation, model: str, now_s: float) -> None:
    """Raise CardError if a card has expired, was revoked, or is of another installation or model."""
    if card.installation != installation.id:
        raise CardError("it is a card of another installation")
    if consent.is_expired(card.until, now_s):
        raise CardError(f"it has expired on {card.until}")
    if any(issued.number == card.number and issued.is_revoked for issued in installation.cards):
        raise CardError(f"it was revoked (number {card.number})")
    if card.model != bytes.fromhex(model)[:_MODEL_BYTES]:
        raise CardError("it was made for another model: print it again")


def _parsed(content: bytes, installation: bytes) -> Card:
    if len(content) != _DAY_BYTES + _MODEL_BYTES + _NUMBER_BYTES + DIMENSIONS:
        raise CardError("it was made by another version")
    day, rest = content[:_DAY_BYTES], content[_DAY_BYTES:]
    model, rest = rest[:_MODEL_BYTES], rest[_MODEL_BYTES:]
    try:
        until = date.fromordinal(int.from_bytes(day, "big")).isoformat()
    except (ValueError, OverflowError):
        raise CardError("it was made by another version") from None
    return Card(installation, until, model, rest[:_NUMBER_BYTES].hex(), rest[_NUMBER_BYTES:])
