"""A person, their template and their consent, as they are stored, exported and compared."""

from __future__ import annotations

import os
import unicodedata
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from ..errors import UsageError
from ..system.terminal import printable

#: Length of a template, and the values of each component.
DIMENSIONS, MAX_COMPONENT = 128, 127
MAX_NAME_LENGTH = 100
#: The year 5138: `datetime` cannot show every number.
MAX_TIME_S = 1e11

#: An embedding: (128,) float32 of length 1.
Vector = npt.NDArray[np.float32]


class Consent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A consent: who agreed to what, and until when.

    `by` is who agreed: the person, or who may decide for them. `recorded_by` is the user who ran the command. `at` is the
    moment, in seconds since 1970. `until` is the last day (ISO 8601 date) on which the template may be used. `text` is
    what they agreed to.
    """

    by: str
    recorded_by: str
    at: Annotated[float, Meta(ge=0, lt=MAX_TIME_S)]
    until: str
    text: str


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An enrolled person.

    `id` is a random pseudonym, which says nothing about the person. `template` has 128 components, one signed byte each.
    `model` is the start of the SHA-256 of the model that made it: templates of different models cannot be compared.
    """

    id: Annotated[str, Meta(pattern="^[0-9a-f]{8}$")]
    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
    template: Annotated[bytes, Meta(min_length=DIMENSIONS, max_length=DIMENSIONS)]
    model: str
    consent: Consent


class IssuedCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A card that was printed, without its template: what it takes to refuse it when it is lost.

    `number` is random. `person` is the pseudonym of who carries it, "" once they are removed. `until` is its last day.
    """

    number: Annotated[str, Meta(pattern="^[0-9a-f]{8}$")]
    person: str
    until: str
    is_revoked: bool = False


class Synced(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the shared database had when this door looked last: its revision, and the pseudonyms of the people in it.

    `digest` is that of the revision's content, see `transfer.digest`; b"" if it is not known.
    """

    revision: int
    people: tuple[str, ...]
    digest: bytes = b""


def new_id() -> str:
    """Return a random pseudonym, or the number of a card."""
    return os.urandom(4).hex()


def to_template(vector: Vector) -> bytes:
    """Return a vector (128,) as 128 signed bytes. The cosine with the original is above 0.9999."""
    scale = MAX_COMPONENT / max(float(np.abs(vector).max()), 1e-9)
    return bytes(np.round(vector * scale).astype(np.int8).tobytes())


def to_vector(template: bytes) -> Vector:
    """Return the template as a vector (128,) float32 of length 1."""
    return normalized(np.frombuffer(template, np.int8).astype(np.float32))


def normalized(vector: npt.NDArray[np.float32]) -> Vector:
    """Return the vector with length 1; zeros stay zeros."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)


def normal_form(text: str) -> str:
    """Return a name as it is stored: a letter with an accent is one character, and one space is between two words."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def checked_name(text: str, where: str = "NAME") -> str:
    """Return a name in its normal form. Raises UsageError if it is none; `where` says where it was given."""
    name = normal_form(text)
    shown = printable(name, 60)
    if not name or not name.isprintable():
        raise UsageError(f"{where}: {shown!r} is not a name", "write it with letters, on one line")
    if len(name) > MAX_NAME_LENGTH:
        raise UsageError(f"{where}: is longer than {MAX_NAME_LENGTH} characters", "shorten it")
    return name


def is_same_name(one: str, other: str) -> bool:
    """Return whether two names differ at most in upper and lower case."""
    return one.casefold() == other.casefold()
