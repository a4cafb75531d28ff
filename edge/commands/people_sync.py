"""`doorlight people sync`: bring the people of this door and of a shared database together."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, UnavailableError
from ..system.terminal import printable
from . import options, people_files
from .options import Subparsers

if TYPE_CHECKING:
    from ..fleet.database import Address, Database
    from ..people.store import Content, Place
    from ..people.transfer import Received

DESCRIPTION = """\
Bring the people of this door and of a shared PostgreSQL together: who was added
or removed at one door is added or removed at the others. The database has them
encrypted with a passphrase and signed, and can neither read nor change them. Each
door keeps its own copy, and knows its people without a network.

  sudo doorlight people sync --database postgresql://door@db.example/people \\
      --passphrase-file /etc/doorlight/people.passphrase --sign /etc/doorlight/people-key

Without --sign, a door only takes over what the database has. Only those count who
may sign here, as for `people import` (/etc/doorlight/people.signers).
edge/people/README.md says how to run it every hour.
"""
#: Another door may write at the same time; this often it is tried again.
ATTEMPTS = 5


def add_parser(actions: Subparsers) -> None:
    """Add the parser of `people sync`."""
    parser = actions.add_parser("sync", help="share people with other doors by a database", description=DESCRIPTION)
    options.add_database(parser)
    parser.add_argument(
        "--sign", metavar="KEY", type=options.local_file, help="private SSH key that signs this door's changes"
    )
    people_files.add_trust(parser)
    options.add_config(parser)


def run(args: argparse.Namespace, place: Place) -> int:
    """Synchronise, and return the exit code."""
    if find_spec("psycopg") is None:
        raise UnavailableError(
            "psycopg: is not installed, and people sync needs it", "see 'By a database' in edge/people/README.md"
        )
    from ..fleet import people_table
    from ..fleet.database import Address, connect
    from ..people import store

    address = Address(args.database)
    before = store.read(place)
    passphrase = people_files.passphrase(args.passphrase_file)
    with connect(address) as database:
        if args.sign is not None:
            people_table.prepare(database, address)
        for _ in range(ATTEMPTS):
            theirs = _load(database, address, passphrase, args.signers)
            content = _joined(place, theirs, address, may_add=args.sign is not None)
            if args.sign is None or _is_sent(database, address, place, content, theirs, passphrase, args):
                return _report(before, content, theirs, has_sent=args.sign is not None)
    raise UnavailableError(f"{address}: other doors write all the time", "try again in a moment")


def _load(database: Database, address: Address, passphrase: str, signers: Path | None) -> Received | None:
    """Return what the database has; None if it is empty."""
    from ..fleet import people_table
    from ..people import transfer

    stored = people_table.load(database, address)
    if stored is None:
        return None
    received = transfer.unpack(stored.content, str(address), passphrase, signers or transfer.SIGNERS)
    if received.revision != stored.revision:
        raise InputError(f"{address}: its number is not the one that was signed", "restore a backup of the database")
    return received


def _joined(place: Place, theirs: Received | None, address: Address, may_add: bool) -> Content:
    """Take over what the database has, and return the content of the store."""
    from ..people import store, sync
    from .people import require_people

    if theirs is not None:
        received = theirs
        return store.change(place, lambda content: sync.joined(content, received, str(address)))
    if not may_add:
        raise InputError(f"{address}: nobody is in it", "sync with --sign at the door where people are enrolled")
    return require_people(place)


def _is_sent(
    database: Database,
    address: Address,
    place: Place,
    content: Content,
    theirs: Received | None,
    passphrase: str,
    args: argparse.Namespace,
) -> bool:
    """Send this door's changes, if there are any. Return False if another door came first."""
    from ..fleet import people_table
    from ..people import store, sync, transfer

    if not sync.is_ahead(content, None if theirs is None else theirs.content):
        return True
    known = content.installation.synced
    if theirs is None and known is not None:
        raise InputError(
            f"{address}: is empty, and this door knows revision {known.revision}", "restore a backup of the database"
        )
    revision = 1 if theirs is None else theirs.revision + 1
    packed = transfer.pack(content, passphrase, args.sign, revision)
    # A door that sends what nobody trusts would lock out the others, and itself.
    transfer.unpack(packed, str(args.sign), passphrase, args.signers or transfer.SIGNERS)
    if not people_table.store(database, address, packed, revision):
        return False
    store.change(place, lambda latest: sync.noted(latest, content, revision))
    return True


def _report(before: Content | None, after: Content, theirs: Received | None, has_sent: bool) -> int:
    from ..people import sync

    old, new = ({p.id for p in content.people} if content else set() for content in (before, after))
    signer = f", signed by {printable(theirs.signer)}" if theirs is not None else ""
    print(f"{len(new - old)} added, {len(old - new)} removed; {len(new)} people are enrolled{signer}")
    if not has_sent and theirs is not None and sync.is_ahead(after, theirs.content):
        print("note: this door has changes that the database lacks: sync with --sign", file=sys.stderr)
    return 0
