"""What happens in each scene, and which lights are right when; the file that holds it.

A person at the door *may* be decided from the first sight of the face until the light of a person who has left must be
off. They *must* be decided once their face was near and clear for long enough, until they turn away or leave. When a
mask is put on or taken off, both labels may be shown for a time: the grace interval. Between, IDLE is never wrong: the
door may need longer, and green waits for people who are not decided.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge.counted import counted
from edge.errors import InputError
from edge.records import Signal

from ..arrays import Box
from ..dataset import CORRECTIONS
from ..files import replace_text
from ..records import DataError, read_corrections

FILE = "truth.json"
VERSION = 2
MASKED, UNMASKED, AGITATED = "masked", "unmasked", "agitated"
LABELS = (MASKED, UNMASKED, AGITATED)
#: The roles of people: at the door, and far behind.
VISITOR, BACKGROUND = "visitor", "background"
#: A face is near from this share of the frame's height on, and seen from the second.
NEAR, SEEN = 0.12, 0.05
#: The least part of a face, 0..1, that must be in view to be judged.
MIN_VISIBLE = 0.6
#: A face that was near and clear for this time (seconds), and in this many frames, must be decided.
DECIDE_S, DECIDE_FRAMES = 2.0, 6
#: The same after a mask was put on or taken off: the light changes slowly, so that a hand does not change it.
CHANGE_S, CHANGE_FRAMES = 3.2, 9
#: The light of a person who has left must be off after this time (seconds).
HOLD_S = 2.0

Interval = tuple[float, float]


class Claim(msgspec.Struct, frozen=True):
    """What a person wears, and when (seconds) a light for it may be shown, and must be."""

    label: str
    may: list[Interval]
    must: list[Interval]


class Person(msgspec.Struct, frozen=True):
    """A person of a scene: number, role, picture, and claims on the light (none for a person in the background)."""

    id: int
    role: str
    file: str
    claims: list[Claim] = []


class SceneTruth(msgspec.Struct, frozen=True):
    """One video: the file beside the truth, what happens in it, and the people.

    `boxes` has for each frame (person, x1, y1, x2, y2, visible) of every face, in pixels; `visible` is the share of the
    face, 0..1, that nobody nearer hides and that is in the frame. `tags` say what makes the scene hard.
    """

    file: str
    kind: str
    fps: float
    seconds: float
    width: int
    height: int
    tags: list[str]
    people: list[Person]
    boxes: list[list[tuple[int, float, float, float, float, float]]]


class Truth(msgspec.Struct, frozen=True):
    """The truth of a folder of scenes. `codec` names what compressed the videos."""

    version: int
    split: str
    seed: int
    codec: str
    scenes: list[SceneTruth]


class Sight(NamedTuple):
    """How a person is seen in one frame: time, height of the face (a share of the frame), visible share, and whether
    it is clear: not turned away, and no hand in front."""

    t: float
    height: float
    visible: float
    is_clear: bool


class Worn(NamedTuple):
    """What a person wears from `from_s` to `until_s`, in seconds. Intervals overlap while a mask is put on or taken
    off."""

    label: str
    from_s: float
    until_s: float


def claims(sights: Sequence[Sight], worn: Sequence[Worn], fps: float) -> list[Claim]:
    """Return a person's claims on the light, given how each frame of a video with `fps` shows them."""
    out = []
    for k, (label, from_s, until_s) in enumerate(worn):
        is_last = k == len(worn) - 1
        # The light of a label that has changed may stay as long as a change may take.
        after_s = HOLD_S if is_last else max(CHANGE_S, CHANGE_FRAMES / fps)
        seen = [s.t for s in sights if s.height >= SEEN and s.visible > 0.1 and from_s <= s.t <= until_s]
        may = _joined([(t, t + after_s) for t in seen])
        decide_s = max(CHANGE_S, CHANGE_FRAMES / fps) if k else max(DECIDE_S, DECIDE_FRAMES / fps)
        begin_s = worn[k - 1].until_s if k else from_s
        end_s = until_s if is_last else worn[k + 1].from_s
        own = [s for s in sights if begin_s <= s.t <= end_s]
        out.append(Claim(label, may, _must(own, decide_s, 1 / fps)))
    return out


def _must(sights: Iterable[Sight], decide_s: float, frame_s: float) -> list[Interval]:
    """Return when the label must be decided: once it was clear for `decide_s`, while the face is near and visible."""
    out: list[Interval] = []
    clear_s = 0.0
    since: float | None = None
    last = 0.0
    for s in sights:
        is_near = s.height >= NEAR and s.visible >= MIN_VISIBLE
        if not is_near:
            if since is not None:
                out.append((since, last))
            since = None
            clear_s = 0.0  # after a longer absence the person is new
            continue
        clear_s += frame_s if s.is_clear else 0.0
        if clear_s >= decide_s and since is None:
            since = s.t
        last = s.t
    if since is not None:
        out.append((since, last))
    return [(round(a, 3), round(b, 3)) for a, b in out if b > a]


def _joined(intervals: Sequence[Interval]) -> list[Interval]:
    """Return the union of intervals that are sorted by their start."""
    out: list[Interval] = []
    for a, b in intervals:
        if out and a <= out[-1][1]:
            out[-1] = (out[-1][0], max(b, out[-1][1]))
        else:
            out.append((a, b))
    return [(round(a, 3), round(b, 3)) for a, b in out]


class Lights(NamedTuple):
    """The lights that are right at a moment: those that are allowed, and those of which one is required (None: any)."""

    allowed: frozenset[Signal]
    required: frozenset[Signal] | None


def lights(scene: SceneTruth, t: float) -> Lights:
    """Return which lights are right at time `t`."""
    may = {c.label for p in scene.people for c in p.claims if _within(t, c.may)}
    must = {c.label for p in scene.people for c in p.claims if _within(t, c.must)}
    allowed = {Signal.IDLE}
    if may & {UNMASKED, AGITATED}:
        allowed.add(Signal.STOP)
    if AGITATED in may:
        allowed.add(Signal.ALARM)
    if MASKED in may and not must & {UNMASKED, AGITATED}:
        allowed.add(Signal.PASS)
    required: set[Signal] | None = None
    if must & {UNMASKED, AGITATED}:
        required = allowed - {Signal.IDLE, Signal.PASS}
    elif may == {MASKED} == must and not _anyone_else(scene, t):
        required = {Signal.PASS}
    elif not may:
        required = {Signal.IDLE}
    return Lights(frozenset(allowed), None if required is None else frozenset(required))


def _anyone_else(scene: SceneTruth, t: float) -> bool:
    """Return True if somebody in view may, but need not yet be decided: green may wait for them."""
    return any(
        any(_within(t, c.may) for c in p.claims) and not any(_within(t, c.must) for c in p.claims) for p in scene.people
    )


def _within(t: float, intervals: Sequence[Interval]) -> bool:
    return any(a - 1e-6 <= t <= b + 1e-6 for a, b in intervals)


def write(folder: Path, truth: Truth) -> None:
    """Write the truth of the scenes in `folder`. Raises OSError."""
    scenes = [msgspec.json.encode(scene).decode() for scene in truth.scenes]
    head = msgspec.json.encode(msgspec.structs.replace(truth, scenes=[])).decode()
    # One scene a line, so that people can look at it.
    replace_text(folder / FILE, head.removesuffix("[]}") + "[\n" + ",\n".join(scenes) + "\n]}\n")


def read(folder: Path) -> Truth:
    """Return the truth of the scenes in `folder`. Raises InputError, or DataError with the field.

    Scenes that were rendered before the label of one of their faces was corrected are left out, with a message.
    """
    path = folder / FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror}", "use a folder of python -m training.make_walkups"
        ) from None
    try:
        truth = msgspec.json.decode(data, type=Truth)
    except msgspec.ValidationError as error:
        what, _, place = str(error).replace("`", "").partition(" - at $")
        raise DataError(f"{path}: field '{place.lstrip('.')}': {what}") from None
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    if truth.version != VERSION:
        raise DataError(f"{path}: field 'version': must be {VERSION}, found {truth.version}")
    if not truth.scenes:
        raise DataError(f"{path}: field 'scenes': must have at least one scene")
    for k, scene in enumerate(truth.scenes):
        where = f"{path}: scene {k}"
        if not (folder / scene.file).is_file():
            raise DataError(f"{where}: field 'file': no such video: {scene.file}")
        for label in (c.label for p in scene.people for c in p.claims):
            if label not in LABELS:
                raise DataError(f"{where}: field 'label': must be one of {', '.join(LABELS)}, found {label!r}")
    corrections = read_corrections(CORRECTIONS)
    right = [s for s in truth.scenes if not any(_is_corrected(p, corrections.get(p.file, {})) for p in s.people)]
    if left_out := len(truth.scenes) - len(right):
        print(
            f"{path}: {counted(left_out, 'scene')} left out: labels of their faces were corrected later",
            file=sys.stderr,
        )
    return msgspec.structs.replace(truth, scenes=right)


def _is_corrected(person: Person, right: Mapping[Box, str]) -> bool:
    """Return whether the claims on a person contradict the right labels of the faces in their picture."""
    labels = set(right.values()) - {"not_a_face"}
    if not labels or not person.claims:
        return False
    shown = "mask" if person.claims[0].label == MASKED else "no_mask"
    return shown not in labels
