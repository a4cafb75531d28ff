"""`doorlight people export`, `import` and `card`: files and cards that leave this door, or come to it."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, OutputError, UsageError
from ..system.terminal import printable
from . import options
from .options import Subparsers

if TYPE_CHECKING:
    from ..config import Config
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
CARD = """\
Print the template of a person as a QR code, encrypted, for a door that keeps
nothing: the person holds it up to the camera ([people] cards = true), and only
this template is compared with the face. It is valid until the last day of the
consent, for doors of this installation. Print it 6 cm wide or larger.

  sudo doorlight people card "Ada Lovelace" --out card.svg
  sudo doorlight people remove "Ada Lovelace"    the card alone has it now

A lost card opens nothing without the face, but it cannot be revoked: choose a
near --until. Without --out, the code is shown in the terminal.
"""


def add_parsers(actions: Subparsers) -> None:
    """Add the parsers of `people export`, `import` and `card`."""
    exported = actions.add_parser("export", help="write all people to a file for another door", description=EXPORT)
    exported.add_argument("file", metavar="FILE", type=options.local_file, help="file to write")
    exported.add_argument(
        "--sign", metavar="KEY", type=options.local_file, required=True, help="private SSH key that signs the file"
    )
    imported = actions.add_parser("import", help="take over the people of such a file", description=IMPORT)
    imported.add_argument("file", metavar="FILE", type=options.local_file, help="file of `people export`")
    imported.add_argument(
        "--signers",
        metavar="FILE",
        type=options.local_file,
        help="public keys of those who may sign (default: /etc/doorlight/people.signers)",
    )
    imported.add_argument(
        "--replace", action="store_true", help="remove the people who are not in the file (default: keep them)"
    )
    for parser in (exported, imported):
        parser.add_argument(
            "--passphrase-file",
            metavar="FILE",
            type=options.local_file,
            help="file whose first line is the passphrase (default: ask)",
        )
        options.add_config(parser)
    card = actions.add_parser("card", help="print a template as a QR code", description=CARD)
    card.add_argument("name", metavar="NAME", help="name or pseudonym")
    card.add_argument(
        "--out", metavar="FILE", type=options.local_file, help="file to write, .svg or .png (default: show it)"
    )
    card.add_argument("--until", metavar="DATE", help="last day (default: the last day of the consent)")
    options.add_config(card)


def run(args: argparse.Namespace, config: Config, place: Place) -> int:
    """Run the action, and return the exit code."""
    match args.action:
        case "export":
            return _export(args, place)
        case "import":
            return _import(args, place)
    return _card(args, config, place)


def _export(args: argparse.Namespace, place: Place) -> int:
    from ..people import transfer
    from .people import require_people

    content = require_people(place)
    count = transfer.write(args.file, content, _passphrase(args.passphrase_file, twice=True), args.sign)
    print(f"{printable(str(args.file))}: {count} people; tell the passphrase by another way than the file")
    return 0


def _import(args: argparse.Namespace, place: Place) -> int:
    from ..people import store, transfer

    theirs, signer = transfer.read(args.file, _passphrase(args.passphrase_file), args.signers or transfer.SIGNERS)
    mine = store.read(place)

    def edit(content: Content) -> Content:
        return transfer.merged(content, theirs, args.replace)

    changed = store.change(place, edit)
    before = {person.id for person in mine.people} if mine else set()
    after = {person.id for person in changed.people}
    print(
        f"{printable(str(args.file))}, signed by {printable(signer)}: {len(after - before)} added, "
        f"{len(before - after)} removed; {len(after)} people are enrolled"
    )
    if changed.installation.id != theirs.installation.id:
        print("note: the cards of the other installation do not count here", file=sys.stderr)
    return 0


def _passphrase(file: Path | None, twice: bool = False) -> str:
    """Return the passphrase of a file, or ask for it. Raises UsageError and InputError."""
    from ..people import transfer

    if file is not None:
        from ..system.files import read_regular

        try:
            lines = read_regular(file, 4096).decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise InputError(f"{file}: cannot be read: {reason}", "write the passphrase into its first line") from None
        return transfer.check_passphrase(lines[0] if lines else "")
    if not sys.stdin.isatty():
        raise UsageError("the passphrase cannot be asked for: standard input is no terminal", "use --passphrase-file")
    try:
        passphrase = transfer.check_passphrase(getpass.getpass("passphrase: "))
        again = getpass.getpass("the same again: ") if twice else passphrase
    except EOFError:
        raise UsageError("no passphrase was given", "try again, or use --passphrase-file") from None
    if again != passphrase:
        raise UsageError("the passphrases differ", "try again")
    return passphrase


def _card(args: argparse.Namespace, config: Config, place: Place) -> int:
    from ..people import card, consent, store
    from .people import require_people, require_person

    content = require_people(place)
    person = require_person(content, args.name)
    if store.is_expired(person, content.installation):
        raise InputError(f"{person.name}: the consent has expired on {person.consent.until}", "add them again")
    until = min(consent.parse_until(args.until), person.consent.until) if args.until else person.consent.until
    import segno

    code = segno.make_qr(card.encode(person, content.installation, until), error="l", mode="alphanumeric")
    if args.out is None:
        code.terminal(compact=True, border=2)
    else:
        _write_code(args.out, code)
    print(f"the card of {printable(person.name)} is valid until {until}")
    if not config.people.cards:
        print("note: the door reads no cards: [people] cards is false in the settings", file=sys.stderr)
    return 0


def _write_code(path: Path, code: object) -> None:
    import io

    from ..people import private_file

    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("svg", "png"):
        raise UsageError(f"{printable(str(path))}: a card is an SVG or PNG picture", "end its name with .svg or .png")
    buffer = io.BytesIO()
    code.save(buffer, kind=kind, scale=8, border=4)  # type: ignore[attr-defined]
    try:
        private_file.replace(path, buffer.getvalue())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}", f"ls -ld {path.parent}") from None
