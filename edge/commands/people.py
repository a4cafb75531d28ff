"""`doorlight people`: enrol people whom the door recognises, and show, remove, move and print what is kept of them."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, OutputError, UsageError
from ..system.terminal import printable
from . import options, people_add, people_card, people_files, people_sync
from .options import SERVICE_SETTINGS, Parser, Subparsers

if TYPE_CHECKING:
    from ..config import Config
    from ..people.record import IssuedCard, Person
    from ..people.store import Content, Place

DESCRIPTION = """\
Enrol people whom the door recognises, with and without a mask. It is off until
[people] enabled = true. What is kept of a person: name, consent, and a template
of the face (128 numbers), encrypted. Never a picture.

  sudo doorlight people add "Ada Lovelace"     ask for consent, look three times
  sudo doorlight people list                   who is enrolled, and until when
  sudo doorlight people show "Ada Lovelace"    what is kept of one person
  sudo doorlight people remove "Ada Lovelace"  delete it, at once and for good
  sudo doorlight people export clinic.people --sign ~/.ssh/id_ed25519
                                               for your other doors
  sudo doorlight people import clinic.people   at another door
  sudo doorlight people sync --help            the same by a database
  sudo doorlight people card "Ada Lovelace"    the template as a QR code instead

Templates of faces are biometric data. In the EU you may keep them only with
explicit consent (GDPR, Article 9), and anyone who refuses needs another way in.
A printed picture or a telephone's screen may pass for a person: this is no
access control. edge/people/README.md says more.

Without sudo, the commands use a store of your own, for trials.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser("people", help="enrol people whom the door recognises", description=DESCRIPTION)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    people_add.add_parser(actions)
    listing = _action(
        actions, "list", "show who is enrolled", "Show who is enrolled: pseudonym, name, and until when.\n"
    )
    listing.add_argument("--json", action="store_true", help="one JSON object for each person (default: a table)")
    shown = _action(
        actions,
        "show",
        "show what is kept of a person",
        "Show what is kept of a person, as they may ask you (GDPR, Article 15).\n",
    )
    shown.add_argument("name", metavar="NAME", help="name or pseudonym")
    removed = _action(
        actions,
        "remove",
        "delete a person",
        "Delete everything that is kept of a person: name, template and consent. The\n"
        "file is written anew with another key, so that old copies of it cannot be read.\n"
        "A card that was printed stays valid until its last day, unless it is revoked\n"
        "(doorlight people card NUMBER --revoke).\n\n"
        '  sudo doorlight people remove "Ada Lovelace"\n',
    )
    removed.add_argument("name", metavar="NAME", help="name or pseudonym")
    people_files.add_parsers(actions)
    people_card.add_parser(actions)
    people_sync.add_parser(actions)
    return parser


def _action(actions: Subparsers, name: str, text: str, description: str) -> Parser:
    parser = actions.add_parser(name, help=text, description=description)
    options.add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    settings = options.settings_file(args.config)
    from ..config import load

    config = load(settings)
    place = store_place(config, settings)
    match args.action:
        case "add":
            return people_add.run(args, config, place)
        case "list":
            return _list(place, args.json)
        case "show":
            return _show(place, args.name)
        case "remove":
            return _remove(place, args.name)
        case "card":
            return people_card.run(args, config, place)
        case "sync":
            return people_sync.run(args, config, place)
    return people_files.run(args, place)


def store_place(config: Config, settings: Path | None) -> Place:
    """Return where the people of a door with these settings are kept. Raises OutputError if there is no place."""
    from ..people.store import place_for

    is_service = settings is not None and os.path.abspath(settings) == str(SERVICE_SETTINGS)
    place = place_for(config.people.file, is_service)
    if place is None:
        raise OutputError("there is no folder for the enrolled people (HOME is not set)", "set [people] file")
    return place


def require_people(place: Place) -> Content:
    """Return the content of the store. Raises InputError if there is none."""
    from ..people import store

    content = store.read(place)
    if content is None:
        raise InputError(f"{place.file}: nobody is enrolled", "doorlight people add NAME")
    return content


def require_person(content: Content, name: str) -> Person:
    """Return the person with a name or pseudonym. Raises UsageError."""
    person = content.named(name.strip())
    if person is None:
        raise UsageError(f"{printable(name, 60)}: nobody of this name is enrolled", "doorlight people list")
    return person


def _list(place: Place, as_json: bool) -> int:
    from ..people import store

    removed = []
    try:
        removed = store.remove_expired(place)
    except OutputError as error:
        # For example, the disk is read-only. The door ignores expired people all the same.
        print(
            f"note: expired people cannot be deleted: {printable(str(error))} ({printable(error.hint)})",
            file=sys.stderr,
        )
    if removed:
        print(f"note: {len(removed)} deleted: their consent has expired", file=sys.stderr)
    content = store.read(place)
    people = sorted(content.people, key=lambda person: person.name.casefold()) if content else []
    if as_json:
        import json

        for person in people:
            print(json.dumps({"id": person.id, "name": person.name, "until": person.consent.until}, ensure_ascii=False))
        return 0
    if not people:
        print("nobody is enrolled")
    for person in people:
        print(f"{person.id}  until {person.consent.until}  {printable(person.name)}")
    for card in content.installation.cards if content else ():
        if not card.person:
            print(f"card {card.number}  {_validity(card)}  of a person who was removed")
    return 0


def _show(place: Place, name: str) -> int:
    from datetime import datetime

    content = require_people(place)
    person = require_person(content, name)
    consent = person.consent
    given = datetime.fromtimestamp(consent.at).astimezone().isoformat(" ", "minutes")
    print(f"name:      {printable(person.name)}")
    print(f"pseudonym: {person.id}")
    print(f"template:  {len(person.template)} numbers, made by the model {person.model}; no picture")
    print(f"consent:   by {printable(consent.by)}, {given}, recorded by {printable(consent.recorded_by)}")
    print(f"until:     {consent.until}; then it is deleted by itself")
    for card in content.installation.cards:
        if card.person == person.id:
            print(f"card:      {card.number}, {_validity(card)}")
    print("agreed to:")
    for line in consent.text.splitlines():
        print(f"  {printable(line)}")
    return 0


def _validity(card: IssuedCard) -> str:
    return "revoked" if card.is_revoked else f"valid until {card.until}"


def _remove(place: Place, name: str) -> int:
    from ..people import store

    content = require_people(place)
    person = require_person(content, name)
    store.change(place, lambda content: content._replace(people=tuple(p for p in content.people if p.id != person.id)))
    print(f"removed {printable(person.name)}: nothing of them is kept in {printable(str(place.file))}")
    print("note: exported files, printed cards and other doors still have the template until its last day")
    cards = [card for card in content.installation.cards if card.person == person.id and not card.is_revoked]
    for card in cards:
        print(
            f"note: card {card.number} is {_validity(card)}; to refuse it: doorlight people card {card.number} --revoke"
        )
    return 0
