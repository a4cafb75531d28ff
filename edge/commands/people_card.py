"""`doorlight people card`: print a template as a QR code, and revoke cards that are lost."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DoorlightError, InputError, UsageError
from ..system.terminal import printable
from . import options
from .options import Subparsers

if TYPE_CHECKING:
    from ..config import Config
    from ..people.record import IssuedCard
    from ..people.store import Content, Place

DESCRIPTION = """\
Print the template of a person as a QR code, encrypted, for a door that keeps
nothing: the person holds it up to the camera ([people] cards = true), and only
this template is compared with the face. It is valid until the last day of the
consent, for doors of this installation. Print it 6 cm wide or larger.

  sudo doorlight people card "Ada Lovelace" --out card.svg
  sudo doorlight people remove "Ada Lovelace"    the card alone has it now

Without --out, the code is shown in the terminal. Every card has a number. A lost
card opens nothing without the face; to refuse it from now on:

  sudo doorlight people card "Ada Lovelace" --revoke    all cards of a person
  sudo doorlight people card 5f3a91c2 --revoke          one card, by its number

`people list` and `people show` have the numbers, also those of people who were
removed. Other doors refuse a card after the next `people sync` or import.
"""
KINDS = ("svg", "png")
#: Characters with which segno draws a code in a terminal.
BLOCKS = "█▀▄"


def add_parser(actions: Subparsers) -> None:
    """Add the parser of `people card`."""
    parser = actions.add_parser(
        "card", help="print a template as a QR code, or revoke a lost card", description=DESCRIPTION
    )
    parser.add_argument("name", metavar="NAME", help="name or pseudonym; with --revoke also the number of a card")
    parser.add_argument(
        "--out", metavar="FILE", type=options.local_file, help="file to write, .svg or .png (default: show it)"
    )
    parser.add_argument("--until", metavar="DATE", help="last day (default: the last day of the consent)")
    parser.add_argument("--revoke", action="store_true", help="refuse the cards of NAME from now on, or the card NAME")
    options.add_config(parser)


def run(args: argparse.Namespace, config: Config, place: Place) -> int:
    """Print or revoke a card, and return the exit code."""
    if not args.revoke:
        return _print(args, config, place)
    if args.out or args.until:
        raise UsageError("--revoke: prints no card", "leave out --out and --until")
    return _revoke(args.name.strip(), place)


def _print(args: argparse.Namespace, config: Config, place: Place) -> int:
    from ..people import card, consent, store
    from ..people.record import IssuedCard, new_id
    from .people import require_people, require_person

    if args.out is not None and _kind(args.out) not in KINDS:
        raise UsageError(
            f"{printable(str(args.out))}: a card is an SVG or PNG picture", "end its name with .svg or .png"
        )
    content = require_people(place)
    person = require_person(content, args.name)
    if store.is_expired(person, content.installation):
        raise InputError(f"{person.name}: the consent has expired on {person.consent.until}", "add them again")
    until = min(consent.parse_until(args.until), person.consent.until) if args.until else person.consent.until
    import segno  # may be missing, so it comes before any change

    issued = IssuedCard(new_id(), person.id, until)
    # Its number is kept before it is printed: a card that nobody can revoke must not exist.
    changed = store.change(place, lambda content: _with_cards(content, (*content.installation.cards, issued)))
    code = segno.make_qr(card.encode(person, changed.installation, issued), error="l", mode="alphanumeric")
    if args.out is None:
        # Without these characters, segno draws with colours alone.
        code.terminal(compact=_can_show(BLOCKS), border=2)
    else:
        try:
            _write_code(args.out, code)
        except BaseException:
            _take_back(place, issued)
            raise
    print(f"card {issued.number} of {printable(person.name)} is valid until {until}")
    if not config.people.cards:
        print("note: the door reads no cards: [people] cards is false in the settings", file=sys.stderr)
    return 0


def _take_back(place: Place, issued: IssuedCard) -> None:
    """Remove the number of a card whose file could not be written."""
    from ..people import store

    def without(content: Content) -> Content:
        return _with_cards(content, tuple(c for c in content.installation.cards if c.number != issued.number))

    try:
        store.change(place, without)
    except DoorlightError as error:
        print(f"note: the number {issued.number} is kept, without a card: {printable(str(error))}", file=sys.stderr)


def _revoke(name: str, place: Place) -> int:
    import msgspec

    from ..people import store
    from .people import require_people

    content = require_people(place)
    person = content.named(name)
    wanted = {
        card.number
        for card in content.installation.cards
        if not card.is_revoked and (card.number == name.lower() or (person is not None and card.person == person.id))
    }
    if not wanted:
        raise UsageError(f"{printable(name, 60)}: has no valid card", "doorlight people list shows people and cards")

    def revoked(card: IssuedCard) -> IssuedCard:
        return msgspec.structs.replace(card, is_revoked=True) if card.number in wanted else card

    store.change(place, lambda content: _with_cards(content, tuple(map(revoked, content.installation.cards))))
    print(f"revoked: {', '.join(sorted(wanted))}; a running door refuses it within seconds")
    print("note: other doors refuse it after the next `people sync`, or `export` and `import`", file=sys.stderr)
    return 0


def _with_cards(content: Content, cards: tuple[IssuedCard, ...]) -> Content:
    import msgspec

    return content._replace(installation=msgspec.structs.replace(content.installation, cards=cards))


def _can_show(text: str) -> bool:
    """Return whether standard output can encode `text`."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _kind(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def _write_code(path: Path, code: object) -> None:
    from ..people import private_file

    buffer = io.BytesIO()
    code.save(buffer, kind=_kind(path), scale=8, border=4)  # type: ignore[attr-defined]
    try:
        private_file.replace(path, buffer.getvalue())
    except OSError as error:
        raise private_file.write_error(path, error, f"ls -ld {path.parent}") from None
