"""A file that carries enrolled people to another door: encrypted with a passphrase, and signed with an SSH key.

The signature is checked before anything else is read. Only keys count that the receiving door trusts for this purpose.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from ..errors import InputError, OutputError, UnavailableError, UsageError
from ..system.files import read_regular
from ..update import signature
from ..update.signature import Purpose
from . import private_file, store
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


def check_passphrase(passphrase: str) -> str:
    """Return the passphrase. Raises UsageError if it is too short."""
    if len(passphrase) < MIN_PASSPHRASE:
        raise UsageError(f"the passphrase is shorter than {MIN_PASSPHRASE} characters", "use four words or more")
    return passphrase


def write(path: Path, content: Content, passphrase: str, signing_key: Path) -> int:
    """Write the people whose consent holds, and return how many. Raises OutputError, InputError and UnavailableError."""
    expired = store.expired(content)
    people = tuple(person for person in content.people if person not in expired)
    salt = os.urandom(SALT_BYTES)
    exported = msgspec.msgpack.encode(_Exported(content.installation, people))
    sealed = seal(key_from_passphrase(passphrase, salt), exported, _PLACE)
    envelope = _Envelope(salt, sealed, _sign(_MAGIC + salt + sealed, signing_key))
    try:
        private_file.replace(path, _MAGIC + msgspec.msgpack.encode(envelope))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", f"ls -ld {path.parent}") from None
    return len(people)


def read(path: Path, passphrase: str, signers: Path) -> tuple[Content, str]:
    """Return the content of a file, and who signed it.

    Raises InputError if it is no such file, damaged, not signed by a trusted key, or encrypted with another passphrase.
    """
    try:
        data = read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}", "check the path and the permissions") from None
    again = "copy it again, or export it again"
    if not data.startswith(_MAGIC):
        raise InputError(f"{path}: is not a file of enrolled people", "make one with: doorlight people export")
    try:
        envelope = msgspec.msgpack.decode(data.removeprefix(_MAGIC), type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(f"{path}: is damaged", again) from None
    if len(envelope.salt) != SALT_BYTES:
        raise InputError(f"{path}: is damaged", again)
    signer = signature.check(_MAGIC + envelope.salt + envelope.sealed, envelope.signature, signers, purpose=PURPOSE)
    try:
        plain = unseal(key_from_passphrase(passphrase, envelope.salt), envelope.sealed, _PLACE)
        exported = msgspec.msgpack.decode(plain, type=_Exported)
    except WrongKeyError:
        raise InputError(f"{path}: the passphrase is wrong", "ask who exported it") from None
    except msgspec.DecodeError:
        raise InputError(f"{path}: was written by another version", "update Doorlight on both doors") from None
    return Content(exported.installation, exported.people), signer


def merged(mine: Content, theirs: Content, replace: bool) -> Content:
    """Return the people of both stores, of one person the newer consent; with `replace` theirs alone.

    A store without people joins the other installation, so that its cards count here. Raises InputError if two people
    have one name, or if there are too many.
    """
    theirs = theirs._replace(people=tuple(p for p in theirs.people if p not in store.expired(theirs)))
    if replace or not mine.people:
        return Content(theirs.installation, theirs.people)
    people = {person.id: person for person in mine.people}
    for person in theirs.people:
        other = next((p for p in people.values() if is_same_name(p.name, person.name) and p.id != person.id), None)
        if other is not None:
            raise InputError(
                f"{person.name}: is enrolled here and in the file, by two enrolments",
                f"doorlight people remove {person.name!r}, or import with --replace",
            )
        known = people.get(person.id)
        if known is None or person.consent.at > known.consent.at:
            people[person.id] = person
    if len(people) > MAX_PEOPLE:
        raise InputError(f"{len(people)} people would be enrolled, more than {MAX_PEOPLE}", "remove some first")
    return mine._replace(people=tuple(people.values()))


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
