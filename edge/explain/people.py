"""Find and number the people of a picture, and explain the answer about each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import InputError, UsageError
from ..imaging.images import Picture
from ..inference.perception import Perception
from ..records import Box
from .explanation import DEFAULT_METHOD, Explanation, MaskedError, Stage, explain, require_stage
from .methods import Method


@dataclass(frozen=True)
class Person:
    """One person of a picture. People are numbered from 1, from left to right.

    `explanation` is None if there is none; `reason` says why.
    """

    number: int
    box: Box
    explanation: Explanation | None
    reason: str = ""


def find_people(perception: Perception, picture: Picture) -> list[Box]:
    """Return the boxes of the faces in `picture`, (H, W, 3) uint8 RGB, from left to right."""
    found = [detection.box for detection in perception.detector.detect(picture)]
    return sorted(found, key=lambda box: (box.x1 + box.x2, box.y1 + box.y2))


def explain_people(
    perception: Perception,
    picture: Picture,
    name: str,
    stage: Stage = Stage.MASK,
    method: Method = DEFAULT_METHOD,
    agitated: Sequence[str] = (),
    number: int | None = None,
    on_person: Callable[[int, int], None] = lambda number, count: None,
) -> tuple[list[Box], list[Person]]:
    """Explain the answer about everyone in `picture`, (H, W, 3) uint8 RGB, or about person `number` alone.

    Return the boxes of all faces, and the people that were explained or have a reason why not. `name` is the picture's, for
    messages. `on_person` is called with a person's number and the number of faces before that person is explained.

    Raises InputError if there is no face, or if everyone asked for wears a mask and the expression is asked for, and
    UsageError if there is no person `number`, or if the settings turn the stage off.
    """
    require_stage(perception, stage)
    faces = find_people(perception, picture)
    if not faces:
        raise InputError(f"{name}: no face found", "use a picture with a face that is larger or better lit")
    if number is not None and number > len(faces):
        is_alone = len(faces) == 1
        counted = (
            "1 face: leave out --person" if is_alone else f"{len(faces)} faces: use 1 to {len(faces)}, from the left"
        )
        raise UsageError(f"--person {number}: no such person in {name}", f"it has {counted}")
    people = []
    for k in range(len(faces)) if number is None else [number - 1]:
        on_person(k + 1, len(faces))
        try:
            explanation = explain(perception, picture, faces[k], stage, method, agitated)
            people.append(Person(k + 1, faces[k], explanation))
        except MaskedError as error:
            people.append(Person(k + 1, faces[k], None, str(error)))
    if all(person.explanation is None for person in people):
        who = f"person {people[0].number}" if len(people) == 1 else "everyone"
        raise InputError(f"{name}: {who} {people[0].reason}", "use --stage mask")
    return faces, people
