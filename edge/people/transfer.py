"""A file that carries enrolled people to another door: encrypted with a passphrase, and signed with an SSH key.

The signature is checked before anything else is read. Only keys count that the receiving door trusts for this purpose.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..errors import InputError, OutputError, UnavailableError, UsageError
from ..system.files import open_regular, read_regular
from ..system.terminal import is_utf8
from ..update import signature
from ..update.signature import Purpose
from . import consent, private_file, store
from .record import Person, is_same_name
from .sealed import SALT_BYTES, WrongKeyError, key_from_passphrase, seal, unseal
from .store import MAX_PEOPLE, Content, Installation

MAX_FILE_BYTES = 1 << 20
MIN_PASSPHRASE = 12
SIGNERS = Path("/etc/doorlight/people.signers")
PURPOSE = Purpose(
    "doorlight-people",
    "the file of enrolled people",
    "export",
    "put the public key of who exports your people into it, as for updates: see edge/people/README.md",
)
_MAGIC = b"DOORLIGHT PEOPLE 1\n"
_PLACE = b"doorlight people export"
_TIMEOUT_S = 60.0


class _Envelope(msgspec.Struct, array_like=True, frozen=True):
    salt: bytes
    sealed: bytes
    signature: bytes


class _Exported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    installation: Installation
    people: tuple[Person, ...]
    revision: int = 0
    history: tuple[bytes, ...] = ()


class Received(NamedTuple):
    """The content of a file, who signed it, and the revision that they signed (0 for `people export`).

    `digest` is that of the whole file. `history` has the digests of the revisions before it, the newest last.
    """

    content: Content
    signer: str
    revision: int
    digest: bytes = b""
    history: tuple[bytes, ...] = ()


def check_passphrase(passphrase: str) -> str:
    """Return the passphrase. Raises UsageError if it is too short, or no text that another door can type."""
    if not is_utf8(passphrase):
        raise UsageError("the passphrase is not UTF-8 text", "use letters of your keyboard, or --passphrase-file")
    if len(passphrase) < MIN_PASSPHRASE:
        raise UsageError(f"the passphrase is shorter than {MIN_PASSPHRASE} characters", "use four words or more")
    return passphrase


def write(path: Path, content: Content, passphrase: str, signing_key: Path) -> int:
    """Write the people whose consent holds, and return how many. Raises OutputError, InputError and UnavailableError."""
    check_replaceable(path)
    people = current(content)
    try:
        private_file.replace(path, pack(content, passphrase, signing_key))
    except OSError as error:
        raise private_file.write_error(path, error, f"ls -ld {path.parent}") from None
    return len(people)


def check_replaceable(path: Path) -> None:
    """Raise OutputError if `path` has something else than exported people: what is replaced is overwritten with zeros."""
    try:
        with open_regular(path) as file:
            start = file.read(len(_MAGIC))
    except OSError:
        return  # there is none; and `private_file.replace` says what is wrong with a pipe or a folder
    if start not in (b"", _MAGIC):
        raise OutputError(f"{path}: exists, and is not a file of enrolled people", "choose another name")


def pack(
    content: Content, passphrase: str, signing_key: Path, revision: int = 0, history: tuple[bytes, ...] = ()
) -> bytes:
    """Return the people whose consent holds, encrypted and signed. Raises InputError and UnavailableError.

    `revision` and `history` are for a database: see `Received`.
    """
    salt = os.urandom(SALT_BYTES)
    installation = msgspec.structs.replace(content.installation, synced=None)
    exported = msgspec.msgpack.encode(_Exported(installation, current(content), revision, history))
    sealed = seal(key_from_passphrase(passphrase, salt), exported, _PLACE)
    envelope = _Envelope(salt, sealed, _sign(_MAGIC + salt + sealed, signing_key))
    packed = _MAGIC + msgspec.msgpack.encode(envelope)
    if len(packed) > MAX_FILE_BYTES:
        # No door would read it, and in a database it would lock out all of them.
        raise InputError("people and cards are too large for another door", "remove people, or print fewer cards")
    return packed


def read(path: Path, passphrase: str, signers: Path) -> Received:
    """Return what a file has.

    Raises InputError if it is no such file, damaged, not signed by a trusted key, or encrypted with another passphrase.
    """
    try:
        data = read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", "check the path and the permissions") from None
    return unpack(data, str(path), passphrase, signers)


def unpack(data: bytes, where: str, passphrase: str, signers: Path) -> Received:
    """Return what `pack` has packed. `where` names the data in messages. Raises InputError as `read`."""
    again = "copy it again, or export it again"
    if not data.startswith(_MAGIC):
        raise InputError(f"{where}: is not a file of enrolled people", "make one with: doorlight people export")
    try:
        envelope = msgspec.msgpack.decode(data.removeprefix(_MAGIC), type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(f"{where}: is damaged", again) from None
    if len(envelope.salt) != SALT_BYTES:
        raise InputError(f"{where}: is damaged", again)
    signer = signature.check(_MAGIC + envelope.salt + envelope.sealed, envelope.signature, signers, purpose=PURPOSE)
    try:
        plain = unseal(key_from_passphrase(passphrase, envelope.salt), envelope.sealed, _PLACE)
        exported = msgspec.msgpack.decode(plain, type=_Exported)
    except WrongKeyError:
        raise InputError(f"{where}: the passphrase is wrong", "ask who exported it") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(f"{where}: was written by another version", "update Doorlight on both doors") from None
    content = Content(exported.installation, exported.people)
    return Received(content, signer, exported.revision, digest(data), exported.history)


def digest(data: bytes) -> bytes:
    """Return a digest of a file, 16 bytes."""
    return hashlib.sha256(data).digest()[:16]


def merged(mine: Content, theirs: Content, replace: bool) -> Content:
    """Return the people of both stores, of one person the newer consent; with `replace` theirs alone.

    A store without people and cards joins the other installation, so that its cards count here. Raises InputError if two
    people have one name, or if there are too many.
    """
    theirs = theirs._replace(people=current(theirs))
    if replace or not (mine.people or mine.installation.cards):
        check(theirs.people, "at the door of the export, and export again")
        joined = with_cards_of(theirs.installation, mine.installation)
        return Content(msgspec.structs.replace(joined, synced=mine.installation.synced), theirs.people)
    people = {person.id: person for person in mine.people}
    for person in theirs.people:
        known = people.get(person.id)
        if known is None or person.consent.at > known.consent.at:
            people[person.id] = person
    check(tuple(people.values()), "or import with --replace")
    return Content(with_cards_of(mine.installation, theirs.installation), tuple(people.values()))


def check(people: Sequence[Person], advice: str) -> None:
    """Raise InputError if two people have one name, or if there are too many. `advice` is what to do instead of a removal."""
    for k, person in enumerate(people):
        if any(is_same_name(person.name, other.name) for other in people[:k]):
            raise InputError(
                f"{person.name}: is enrolled at two doors, by two enrolments",
                f"doorlight people remove {person.name!r}, {advice}",
            )
    if len(people) > MAX_PEOPLE:
        raise InputError(f"{len(people)} people would be enrolled, more than {MAX_PEOPLE}", "remove some first")


def current(content: Content) -> tuple[Person, ...]:
    """Return the people whose consent holds; all of them while the clock may be wrong.

    A door that leaves people out removes them at the other doors, and those know the time.
    """
    if not consent.may_delete():
        return content.people
    expired = store.expired(content)
    return tuple(person for person in content.people if person not in expired)


def with_cards_of(kept: Installation, other: Installation) -> Installation:
    """Return the installation with the cards of both. A card that one of them has revoked stays so."""
    if kept.id != other.id:
        return kept
    cards = {card.number: card for card in other.cards}
    for card in kept.cards:
        is_revoked = card.is_revoked or (card.number in cards and cards[card.number].is_revoked)
        cards[card.number] = msgspec.structs.replace(card, is_revoked=is_revoked)
    return msgspec.structs.replace(kept, cards=tuple(cards.values()))


def _sign(content: bytes, key: Path) -> bytes:
    """Return the signature by ssh-keygen. It may ask for the passphrase of the key."""
    if shutil.which("ssh-keygen") is None:
        raise UnavailableError("ssh-keygen: is not installed", "sudo apt install openssh-client")
    if not key.is_file():
        raise InputError(f"{key}: there is no such key", f"make one: ssh-keygen -t ed25519 -f {key}")
    with tempfile.TemporaryDirectory(prefix="doorlight-") as folder:
        file = Path(folder) / "people"
        file.write_bytes(content)
        command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", PURPOSE.namespace, str(file)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(f"ssh-keygen: cannot be run: {error}", "is the key protected by a device?") from None
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise InputError(f"{key}: cannot sign: {lines[-1]}", "give the private key of a pair made by ssh-keygen")
        return file.with_name("people.sig").read_bytes()
