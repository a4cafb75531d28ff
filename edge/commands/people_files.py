"""`doorlight people export` and `import`: files that leave this door, or come to it."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..counted import counted
from ..errors import InputError, UsageError
from ..system.terminal import printable
from . import options
from .options import Parser, Subparsers

if TYPE_CHECKING:
    from ..people.store import Content, Place

EXPORT = """\
Write all enrolled people to a file for another door. It is encrypted with a
passphrase, which you are asked for, and signed with your SSH key.

  ssh-keygen -t ed25519 -f ~/.ssh/people-key           once
  sudo doorlight people export clinic.people --sign ~/.ssh/people-key
"""
IMPORT = """\
Take over the people of a file that another door has exported. Only files count
that are signed by a key in the file of signers (ssh-keygen(1), ALLOWED SIGNERS):

  echo "clinic $(cat people-key.pub)" | sudo tee /etc/doorlight/people.signers
  sudo doorlight people import clinic.people

Of a person who is in both, the newer consent counts. With --replace, this door
has the people of the file and no others: use it to pass on removals. The first
import into an empty store also makes the cards of the other door valid here.
"""


def add_parsers(actions: Subparsers) -> None:
    """Add the parsers of `people export` and `import`."""
    exported = actions.add_parser("export", help="write all people to a file for another door", description=EXPORT)
    exported.add_argument("file", metavar="FILE", type=options.local_file, help="file to write")
    exported.add_argument(
        "--sign", metavar="KEY", type=options.local_file, required=True, help="private SSH key that signs the file"
    )
    imported = actions.add_parser("import", help="take over the people of such a file", description=IMPORT)
    imported.add_argument("file", metavar="FILE", type=options.local_file, help="file of `people export`")
    imported.add_argument(
        "--replace", action="store_true", help="remove the people who are not in the file (default: keep them)"
    )
    _add_passphrase(exported)
    add_trust(imported)
    for parser in (exported, imported):
        options.add_config(parser)


def add_trust(parser: Parser) -> None:
    """Add the options for what comes from another door: passphrase and trusted keys."""
    _add_passphrase(parser)
    parser.add_argument(
        "--signers",
        metavar="FILE",
        type=options.local_file,
        help="public keys of those who may sign (default: /etc/doorlight/people.signers)",
    )


def _add_passphrase(parser: Parser) -> None:
    parser.add_argument(
        "--passphrase-file",
        metavar="FILE",
        type=options.local_file,
        help="file whose first line is the passphrase (default: ask)",
    )


def run(args: argparse.Namespace, place: Place) -> int:
    """Run the action, and return the exit code."""
    return _export(args, place) if args.action == "export" else _import(args, place)


def _export(args: argparse.Namespace, place: Place) -> int:
    from ..people import transfer
    from .people import require_people

    content = require_people(place)
    transfer.check_replaceable(args.file)  # before it asks for the passphrase
    count = transfer.write(args.file, content, passphrase(args.passphrase_file, twice=True), args.sign)
    written = counted(count, "person", "people")
    print(f"{printable(str(args.file))}: {written}; tell the passphrase by another way than the file")
    return 0


def _import(args: argparse.Namespace, place: Place) -> int:
    from ..people import store, transfer

    received = transfer.read(args.file, passphrase(args.passphrase_file), args.signers or transfer.SIGNERS)
    theirs = received.content
    replaced: list[Content] = []

    def edit(content: Content) -> Content:
        replaced.append(content)
        return transfer.merged(content, theirs, args.replace)

    changed = store.change(place, edit)
    (mine,) = replaced
    before = {person.id for person in mine.people}
    after = {person.id for person in changed.people}
    print(
        f"{printable(str(args.file))}, signed by {printable(received.signer)}: {len(after - before)} added, "
        f"{len(before - after)} removed; {counted(len(after), 'person is', 'people are')} enrolled"
    )
    if changed.installation.id != theirs.installation.id:
        print("note: the cards of the other installation do not count here", file=sys.stderr)
    if changed.installation.id != mine.installation.id:
        _note_void_cards(mine)
    return 0


def _note_void_cards(mine: Content) -> None:
    """Print which cards of this door no longer count because it has joined another installation."""
    cards = [card.number for card in mine.installation.cards if not card.is_revoked]
    if cards:
        void = counted(len(cards), "card that was printed here does", "cards that were printed here do")
        print(
            f"note: this door has joined the installation of the file: {void} not count any more ({', '.join(cards)}); "
            "print again: doorlight people card NAME",
            file=sys.stderr,
        )


def passphrase(file: Path | None, twice: bool = False) -> str:
    """Return the passphrase of a file, or ask for it. Raises UsageError and InputError."""
    from ..people import transfer

    if file is not None:
        return transfer.check_passphrase(first_line(file, "the passphrase"))
    if not sys.stdin.isatty():
        raise UsageError("the passphrase cannot be asked for: standard input is no terminal", "use --passphrase-file")
    try:
        typed = transfer.check_passphrase(getpass.getpass("passphrase: "))
        again = getpass.getpass("the same again: ") if twice else typed
    except UnicodeDecodeError:
        raise UsageError(
            "the passphrase is not UTF-8 text", "set the terminal to UTF-8, or use --passphrase-file"
        ) from None
    except EOFError:
        raise UsageError("no passphrase was given", "try again, or use --passphrase-file") from None
    if again != typed:
        raise UsageError("the passphrases differ", "try again")
    return typed


def first_line(file: Path, what: str) -> str:
    """Return the first line of a file, "" if it is empty. `what` is in the hint of the error. Raises InputError."""
    from ..system.files import read_regular

    try:
        lines = read_regular(file, 4096).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(f"{file}: cannot be read: {reason}", f"write {what} into its first line") from None
    return lines[0] if lines else ""
