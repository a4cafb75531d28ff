"""`doorlight people sync`: bring the people of this door and of a shared database together."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..counted import counted
from ..errors import InputError, UnavailableError, UsageError
from ..system.terminal import printable
from . import options, people_files
from .options import Subparsers

if TYPE_CHECKING:
    from ..config import Config
    from ..fleet.database import Address, Database
    from ..people.store import Content, Place
    from ..people.transfer import Received

DESCRIPTION = """\
Bring the people of this door and of a shared PostgreSQL together: who was added
or removed at one door is added or removed at the others. The database has them
encrypted with a passphrase and signed, and can neither read nor change them. Each
door keeps its own copy, and knows its people without a network.

  sudo doorlight people sync --database postgresql://door@db.example/people

Without a signing key, a door only takes over what the database has. Only signers in
/etc/doorlight/people.signers count, as for `people import`.
doorlight-people.timer runs it every hour, if you enable it: see 'By a database' in
edge/people/README.md.
"""
#: Number of attempts to send: another door may write at the same time.
ATTEMPTS = 5
#: Where the secrets are that no option names: passphrase, signing-key (only at doors where people are enrolled), and password (of
#: the database's user). doorlight-people.service passes the folder as credentials.
SECRETS = Path("/etc/doorlight/people-sync")
CREDENTIAL_PREFIX = "sync_"


def add_parser(actions: Subparsers) -> None:
    """Add the parser of `people sync`."""
    parser = actions.add_parser("sync", help="share people with other doors by a database", description=DESCRIPTION)
    parser.add_argument(
        "--database",
        metavar="ADDRESS",
        help="as in postgresql://USER@HOST/NAME, without a password (default: [people] database of the settings)",
    )
    parser.add_argument(
        "--sign",
        metavar="KEY",
        type=options.local_file,
        help=f"private SSH key that signs this door's changes (default: {SECRETS}/signing-key, if there is one)",
    )
    parser.add_argument(
        "--rejoin",
        action="store_true",
        help="forget what this door knows of the database, which was lost or replaced: who was removed may come back",
    )
    people_files.add_trust(parser)
    options.add_config(parser)


def run(args: argparse.Namespace, config: Config, place: Place) -> int:
    """Synchronise, and return the exit code."""
    if find_spec("psycopg") is None:
        raise UnavailableError(
            "psycopg: is not installed, and people sync needs it", "see 'By a database' in edge/people/README.md"
        )
    from ..fleet.database import Address, connect
    from ..people import store

    address = _with_password(Address(*_named_address(args, config)))
    before = store.read(place)
    passphrase = people_files.passphrase(args.passphrase_file or _secret("passphrase"))
    key = args.sign or _secret("signing-key")
    with connect(address) as database:
        door = _Sync(database, address, place, passphrase, args.signers, key, args.rejoin)
        content, theirs = door.run()
    return _report(before, content, theirs, has_sent=key is not None)


def _named_address(args: argparse.Namespace, config: Config) -> tuple[str, str]:
    """Return the address of the database, and the option or setting that has it. Raises UsageError without an address.

    The address may be empty if variables of libpq name the database.
    """
    if args.database is None and config.people.database:
        return config.people.database, "'people.database'"
    if args.database is None and not {"PGHOST", "PGDATABASE", "PGSERVICE"} & os.environ.keys():
        raise UsageError("no database is named", "set [people] database in the settings, or give --database")
    return args.database or "", "--database"


def _secret(name: str) -> Path | None:
    """Return the file of a secret that no option names; None if it is missing or cannot be read."""
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(credentials) / f"{CREDENTIAL_PREFIX}{name}" if credentials else SECRETS / name
    # Only root can read it. Without it, the command asks for the passphrase, or reports what is missing.
    return path if os.access(path, os.R_OK) else None


def _with_password(address: Address) -> Address:
    """Add the password of the database's user to the address, if there is one, and return it. Raises InputError."""
    path = _secret("password")
    if path is not None:
        address.parameters["password"] = people_files.first_line(path, "the password")
    return address


class _Sync:
    """One synchronisation of this door and the database. `key` signs this door's changes; None sends none.

    With `rejoins`, what this door knows of the database does not count. It is forgotten only with the next change of the
    store: after a failure, who was removed must not come back with the next run.
    """

    def __init__(
        self,
        database: Database,
        address: Address,
        place: Place,
        passphrase: str,
        signers: Path | None,
        key: Path | None,
        rejoins: bool,
    ) -> None:
        from ..people import transfer

        self._database, self._address, self._place, self._key = database, address, place, key
        self._passphrase, self._signers = passphrase, signers or transfer.SIGNERS
        self._rejoins = rejoins

    def run(self) -> tuple[Content, Received | None]:
        """Take over what the database has, and send what it lacks. Return the content of both: here afterwards, and there before."""
        from ..fleet import people_table

        if self._key is not None:
            people_table.prepare(self._database, self._address)
        for _ in range(ATTEMPTS):
            theirs = self._load()
            content = self._join(theirs)
            if self._key is None or self._send(self._key, content, theirs):
                return content, theirs
        raise UnavailableError(f"{self._address}: other doors write all the time", "try again in a moment")

    def _load(self) -> Received | None:
        """Return what the database has; None if it is empty."""
        from ..fleet import people_table

        stored = people_table.load(self._database, self._address)
        if stored is None:
            return None
        received = self._unpack(stored.content, str(self._address))
        if received.revision != stored.revision:
            raise InputError(
                f"{self._address}: its number is not the one that was signed", "restore a backup of the database"
            )
        return received

    def _unpack(self, data: bytes, where: str) -> Received:
        from ..people import transfer

        return transfer.unpack(data, where, self._passphrase, self._signers)

    def _join(self, theirs: Received | None) -> Content:
        """Take over what the database has, and return the content of the store."""
        from ..people import store
        from .people import require_people

        if theirs is not None:
            content = store.change(self._place, lambda content: self._joined(content, theirs))
            self._rejoins = False
            return content
        if self._key is None:
            raise InputError(
                f"{self._address}: nobody is in it", "sync with --sign at the door where people are enrolled"
            )
        return require_people(self._place)

    def _joined(self, content: Content, theirs: Received) -> Content:
        from ..people import sync

        mine = sync.forgotten(content) if self._rejoins else content
        return sync.joined(mine, theirs, str(self._address))

    def _send(self, key: Path, content: Content, theirs: Received | None) -> bool:
        """Send this door's changes, if there are any. Return False if another door came first."""
        from ..fleet import people_table
        from ..people import store, sync, transfer

        if not sync.is_ahead(content, None if theirs is None else theirs.content):
            return True
        known = content.installation.synced
        if theirs is None and known is not None and not self._rejoins:
            raise InputError(
                f"{self._address}: is empty, and this door knows revision {known.revision}",
                "restore a backup of the database; if there is none, fill it again from here: people sync --rejoin",
            )
        revision = 1 if theirs is None else theirs.revision + 1
        packed = transfer.pack(content, self._passphrase, key, revision, sync.next_history(theirs))
        # A door that sends what nobody trusts would lock out the others, and itself.
        digest = self._unpack(packed, str(key)).digest
        if not people_table.store(self._database, self._address, packed, revision):
            return False
        store.change(self._place, lambda latest: sync.noted(latest, content, revision, digest))
        return True


def _report(before: Content | None, after: Content, theirs: Received | None, has_sent: bool) -> int:
    from ..people import sync

    old, new = ({p.id for p in content.people} if content else set() for content in (before, after))
    signer = f", signed by {printable(theirs.signer)}" if theirs is not None else ""
    enrolled = counted(len(new), "person is", "people are")
    print(f"{len(new - old)} added, {len(old - new)} removed; {enrolled} enrolled{signer}")
    if not has_sent and theirs is not None and sync.is_ahead(after, theirs.content):
        print("note: this door has changes that the database lacks: sync with --sign", file=sys.stderr)
    return 0
