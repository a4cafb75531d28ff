"""`doorlight people add`: enrol one person, with consent."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from typing import TYPE_CHECKING

from ..counted import counted
from ..errors import InputError, UsageError
from ..system.terminal import printable
from . import options
from .options import Parser, Subparsers

if TYPE_CHECKING:
    from ..config import Config
    from ..inference.embedder import Embedder
    from ..people.enrolment import Enroller
    from ..people.record import Consent, Vector
    from ..people.store import Content, Place

DESCRIPTION = """\
Enrol a person. The command shows what they agree to, asks who agrees and until
when, and then looks three times with the door's camera, without a mask. Stop
the door meanwhile: only one program can use a camera.

  sudo systemctl stop doorlight
  sudo doorlight people add "Ada Lovelace"
  sudo systemctl start doorlight

With pictures in place of the camera. Each must show this face alone, from the
front, without a mask; two or three different ones are better than one:

  sudo doorlight people add "Ada Lovelace" --picture ada1.jpg --picture ada2.jpg

In a script, after the person has signed the text (--show-text prints it):

  doorlight people add "Ada Lovelace" --picture ada.jpg \\
      --consent-by "Ada Lovelace" --until 2027-12-31

To renew a consent or a template, add the same name again with --replace.
"""


def add_parser(actions: Subparsers) -> Parser:
    """Add the parser of `people add`."""
    parser = actions.add_parser("add", help="enrol a person", description=DESCRIPTION)
    parser.add_argument("name", metavar="NAME", help="name of the person, as you will search for it")
    parser.add_argument(
        "--picture",
        type=options.local_file,
        action="append",
        metavar="FILE",
        help="use this picture, once or several times (default: the camera)",
    )
    options.add_source(parser)
    parser.add_argument(
        "--consent-by", metavar="WHO", help="who has agreed: the person, or who may decide for them (default: ask)"
    )
    parser.add_argument(
        "--until", metavar="DATE", help="last day of the consent, such as 2027-12-31 (default: ask; a year)"
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace the person of this name (default: refuse a name that exists)"
    )
    parser.add_argument("--show-text", action="store_true", help="print what the person agrees to, and end")
    options.add_config(parser)
    options.add_models(parser)
    return parser


def run(args: argparse.Namespace, config: Config, place: Place) -> int:
    """Enrol a person, and return the exit code."""
    from ..people import consent, record, store

    name = record.checked_name(args.name)
    if args.show_text:
        until = consent.parse_until(args.until) if args.until else "DATE"
        print(consent.text(config, until), end="")
        return 0
    if args.picture and args.source:
        raise UsageError("--picture and --source: one of them is enough", "leave one out")
    if (args.consent_by is None) is not (args.until is None):
        raise UsageError("--consent-by and --until belong together", "give both, or none: then the command asks")
    content = store.read(place)
    _check_room(content, name, args.replace)
    enroller, embedder, threshold = _enroller(args, config)
    given = _consent(args, config, name)
    vector = _vector(args, config, enroller)

    def edit(content: Content) -> Content:
        from ..people.enrolment import check_new
        from ..people.matching import Gallery

        _check_room(content, name, args.replace)
        replaced = next((person for person in content.people if record.is_same_name(person.name, name)), None)
        others = tuple(person for person in content.people if person is not replaced)
        check_new(Gallery(others, embedder.version, threshold), vector, name)
        # Who is renewed keeps the pseudonym, so that other doors and cards know whom it is about.
        number = replaced.id if replaced is not None else record.new_id()
        person = record.Person(number, name, record.to_template(vector), embedder.version, given)
        return content._replace(people=(*others, person))

    changed = store.change(place, edit)
    total = counted(len(changed.people), "person", "people")
    print(f"{printable(name)} is enrolled until {given.until} ({total}); a running door knows it soon")
    if not config.people.enabled:
        print("note: the door recognises nobody: [people] enabled is false in the settings", file=sys.stderr)
    return 0


def _check_room(content: Content | None, name: str, may_replace: bool) -> None:
    """Raise UsageError if the name is taken, and InputError if the store is full."""
    from ..people.record import is_same_name
    from ..people.store import MAX_PEOPLE

    people = content.people if content is not None else ()
    if any(is_same_name(person.name, name) for person in people):
        if may_replace:
            return
        raise UsageError(f"{printable(name)}: is enrolled already", "to renew it: --replace; else add a second name")
    if len(people) >= MAX_PEOPLE:
        raise InputError(
            f"{MAX_PEOPLE} people are enrolled: more would be confused too often", "remove some: doorlight people list"
        )


def _enroller(args: argparse.Namespace, config: Config) -> tuple[Enroller, Embedder, float]:
    """Load the models. Return what looks at pictures, the embedder, and the threshold."""
    import msgspec

    from ..inference import manifest
    from ..inference.perception import Perception
    from ..people.enrolment import Enroller

    people = msgspec.structs.replace(config.people, enabled=True)
    expression = msgspec.structs.replace(config.expression, enabled=False)
    config = msgspec.structs.replace(config, people=people, expression=expression)
    perception = Perception(config, manifest.load(options.models_folder(args, config)))
    assert perception.embedder is not None
    threshold = people.threshold or perception.embedder.threshold
    enroller = Enroller(perception, perception.embedder, config.tracker.new_score, threshold)
    return enroller, perception.embedder, threshold


def _vector(args: argparse.Namespace, config: Config, enroller: Enroller) -> Vector:
    import msgspec

    if args.picture:
        return enroller.from_pictures(args.picture, config.camera)
    from ..camera.factory import open_source

    camera = msgspec.structs.replace(config.camera, wait=False)
    source = open_source(camera, args.source)
    print("look into the camera, without a mask and without other people", flush=True)
    with source:
        return enroller.from_camera(source, lambda line: print(f"  {printable(line)}", flush=True))


def _consent(args: argparse.Namespace, config: Config, name: str) -> Consent:
    """Return the consent of the options, or ask for it. Raises UsageError if it is refused or cannot be asked for."""
    from ..people import consent
    from ..people.record import Consent, checked_name

    if not config.privacy.controller.strip():
        print("note: [privacy] controller is empty: the text does not say who answers for the data", file=sys.stderr)
    if args.consent_by is not None:
        by, until = checked_name(args.consent_by, "--consent-by"), consent.parse_until(args.until)
        return Consent(by, _user(), consent.now(), until, consent.text(config, until))
    if not sys.stdin.isatty():
        raise UsageError(
            "consent cannot be asked for: standard input is no terminal", "give --consent-by WHO and --until DATE"
        )
    default = consent.default_until()
    until = consent.parse_until(_answer(f"until which day (YYYY-MM-DD, empty for {default})? ") or default)
    text = consent.text(config, until)
    print(f"\n{printable(name)} agrees to this:\n\n{text}")
    by = checked_name(_answer(f"who agrees (empty for {printable(name)} in person)? ") or name, "who agrees")
    if _answer("read and agreed (yes/no)? ").lower() != "yes":
        raise UsageError(f"{printable(name)}: has not agreed; nothing was looked at or kept", 'to agree, answer "yes"')
    return Consent(by, _user(), consent.now(), until, text)


def _answer(question: str) -> str:
    """Return what is typed, "" for the end of the input. Raises UsageError if it is no text."""
    try:
        return input(question).strip()
    except EOFError:
        return ""
    except UnicodeDecodeError:
        raise UsageError("the answer is not UTF-8 text", "set the terminal to UTF-8, or use the options") from None


def _user() -> str:
    """Return who runs the command, with sudo who called it."""
    try:
        return printable(os.environ.get("SUDO_USER") or getpass.getuser(), 100)
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
