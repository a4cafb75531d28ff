"""`doorlight explain`: show why the models answered as they did about the faces of a picture."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, UsageError
from ..system.files import is_same_file
from ..system.terminal import printable
from . import options
from .options import Parser, Subparsers

if TYPE_CHECKING:
    from ..config import Config
    from ..explain.people import Person
    from ..imaging.images import Picture

STAGES = ("mask", "expression", "face")
METHODS = ("rise", "lime", "occlusion")

DESCRIPTION = """\
Show why a light is wrong: which pixels of a face speak for an answer, and which
against it. OUT.png shows each face, and beside it a heat map: orange speaks
for the answer, blue against it, grey does not matter. The strongest regions are
printed in words.

  doorlight explain queue.jpg why.png
  doorlight explain queue.jpg why.png --person 2
  doorlight explain queue.jpg why.png --stage expression
  doorlight explain queue.jpg why.png --json

stages:
  mask         does the face wear a mask?
  expression   the most likely expression of a face without a mask; those that
               make an alarm count as one. Of a face with a mask, too, with
               [expression] masked = true: a guess, from what the mask leaves
  face         why is this a face? For a poster or a lamp that gets a box

How to read it: parts of the face are blurred, and the model is asked again.
Where the answer gets weaker, that part speaks for it. The unit is log-odds: 0
is undecided, +3 is 95 %, +7 is 99.9 %. A map shows what the model uses, not
whether it is right. Blue or orange on the wall or on the hair means that the
model looks at the wrong thing: such pictures are worth collecting.

People are numbered from left to right. The same picture gives the same file.
The picture stays on this machine; delete OUT.png when you no longer need it.
"""


def add_parser(subparsers: Subparsers) -> Parser:
    parser = subparsers.add_parser(
        "explain", help="show which pixels of a face speak for and against a mask", description=DESCRIPTION
    )
    options.add_config(parser)
    options.add_models(parser)
    parser.add_argument("picture", metavar="PICTURE", type=options.local_file, help="a JPEG, PNG, BMP or WebP file")
    parser.add_argument("out", metavar="OUT.png", type=Path, help="picture to write")
    parser.add_argument("--stage", choices=STAGES, default="mask", help="what to explain (default: mask)")
    parser.add_argument("--method", choices=METHODS, help="how (default: lime, the best one)")
    parser.add_argument(
        "--person", type=options.count(1, 1000), metavar="N", help="only this person, from the left (default: everyone)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object (default: print words)")
    return parser


def run(args: argparse.Namespace) -> int:
    config = options.load_settings(args.config)
    # Imported after the settings, so that a wrong file is reported at once.
    from ..explain import sheet
    from ..explain.explanation import DEFAULT_METHOD, Stage
    from ..explain.methods import Method
    from ..explain.people import explain_people
    from ..imaging import image_writer
    from ..inference import manifest
    from ..inference.perception import Perception

    stage, method = Stage(args.stage), Method(args.method) if args.method else DEFAULT_METHOD
    picture, notes = _read(args.picture, config)
    _check_output(args.picture, args.out)
    perception = Perception(config, manifest.load(options.models_folder(args, config)))
    faces, people = explain_people(
        perception, picture, str(args.picture), stage, method, config.expression.agitated, args.person, _show_progress
    )
    image_writer.write(sheet.draw(picture, faces, people), args.out)
    if args.json:
        import json

        found: dict[str, Any] = {
            "picture": str(args.picture),
            "out": str(args.out),
            "stage": stage.value,
            "method": method.value,
        }
        found |= {"faces": len(faces), "people": [_as_json(p) for p in people], "notes": notes}
        print(json.dumps(found, ensure_ascii=False))
    else:
        _print_words(args.out, people, notes)
    return 0


def _read(path: Path, config: Config) -> tuple[Picture, list[str]]:
    """Return a picture as the door would see it, and what the user should know about its file."""
    from ..camera.file_kind import FileKind, source_kind_of
    from ..camera.picture_files import PICTURE_HINT, PictureFile
    from ..source_kind import PICTURE_SUFFIXES

    if not os.path.exists(path):
        raise InputError(f"{path}: no such file", PICTURE_HINT)
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder", "give one picture")
    if source_kind_of(path) is FileKind.VIDEO and path.suffix.lower() not in PICTURE_SUFFIXES:
        raise InputError(f"{path}: is not a picture", "for a video, save one frame as a picture first")
    with PictureFile(path, config.camera) as source:
        frame = source.read()
        assert frame is not None  # a picture that opens has at least one frame
        return frame.picture, [note for note in (source.damage, source.note) if note]


def _check_output(picture: Path, out: Path) -> None:
    """Raise UsageError or OutputError if `out` cannot be the output: explaining takes seconds."""
    from ..imaging import image_writer
    from ..source_kind import PICTURE_SUFFIXES

    if out.suffix.lower() not in PICTURE_SUFFIXES:
        raise UsageError(f"{out}: is not the name of a picture", "end it with .png")
    if is_same_file(out, picture):
        raise UsageError(f"{out}: would overwrite the original", "choose another output name")
    image_writer.check_folder(out)


def _show_progress(number: int, count: int) -> None:
    if count > 1 and sys.stderr.isatty():
        print(f"explaining person {number} of {count} …", file=sys.stderr, flush=True)


def _print_words(out: Path, people: Sequence[Person], notes: Sequence[str]) -> None:
    print(f"wrote {printable(str(out))}")
    for person in people:
        explanation = person.explanation
        if explanation is None:
            print(f"person {person.number} {person.reason}")
            continue
        print(
            f"person {person.number}: {explanation.verdict} (log-odds of {explanation.answer}: {explanation.log_odds:+.1f})"
        )
        for line in explanation.sentences:
            print(f"    {line}")
    for note in notes:
        print(f"note: {printable(note)}")


def _as_json(person: Person) -> dict[str, Any]:
    box = [round(v, 1) for v in person.box]
    explanation = person.explanation
    if explanation is None:
        return {"person": person.number, "box": box, "reason": person.reason}
    return {
        "person": person.number,
        "box": box,
        "answer": explanation.answer,
        "probability": round(explanation.probability, 4),
        "log_odds": round(explanation.log_odds, 3),
        "is_bounded": explanation.is_bounded,
        "is_above_mask": explanation.is_above_mask,
        "regions": [{"region": r.value, "log_odds": round(value, 3)} for r, value in explanation.regions],
        "words": explanation.sentences,
    }
