"""Render scenes at a door, from folders of labelled pictures, and write their truth.

Every scene is a video of 6 to 10 s: somebody alone, several people who arrive one after the other, side by side or
crossing, or nobody, with people far behind and moving things. Heads turn, hands cover mouths, masks are put on and taken
off; the light is good, dim, from behind or infra-red; cameras send 2 to 15 frames/s, with noise, in H.264 (in MPEG-4 if
the program ffmpeg is missing). --out gets the videos and truth.json, which says who is where and which lights are right
when. The same seed, data and ffmpeg give the same scenes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from training.arrays import Picture
from training.command_line import add_data, parser_for, print_error
from training.dataset import SPLITS, Dataset
from training.make_passages import KINDS, Candidate, Scenes, find_people, in_turns
from training.records import DataError, Record
from training.rendering import HEIGHT, WIDTH
from training.walkups import actors, h264, moving_things, script, stage, truth
from training.walkups.script import Role, Script
from training.workers import in_processes

#: Sources of people, of places, and of what moves and is printed on shirts; sources of which only masked people are
#: labelled surely.
PEOPLE_SOURCES = ("mux", "ilc", "maks", "chand", "rwmfd2")
MASKED_ONLY = ("rwmfd2",)
PLACE_SOURCES = ("bikes", "ilc", "doors", "rooms")
ANIMAL_SOURCES, PRINT_SOURCES = ("animals",), ("objects", "animals", "textures")


class Casting:
    """Chooses pictures for roles. No face is repeated until all of its kind were shown."""

    def __init__(self, data: Dataset, records: Sequence[Record], rng: np.random.Generator) -> None:
        self.data = data
        self._rng = rng
        known = {r.source for r in records}
        wanted = set(PEOPLE_SOURCES) & known or known
        self.people = find_people([r for r in records if r.source in wanted])
        for kind in KINDS:
            kept = [c for c in self.people[kind] if kind == truth.MASKED or c.record.source not in MASKED_ONLY]
            self.people[kind] = kept
            if not kept:
                raise DataError(f"no {kind} person with one prominent, trusted face in {', '.join(sorted(wanted))}")
        self._decks: dict[str, list[Candidate]] = {k: [] for k in KINDS}
        self.places = Scenes(data, _of(records, PLACE_SOURCES))
        self._animals, self._prints = (
            [r for r in _of(records, sources) if r.face_free] for sources in (ANIMAL_SOURCES, PRINT_SOURCES)
        )

    def candidate(self, role: Role) -> Candidate:
        """Return the next face for a role."""
        deck = self._decks[role.kind]
        if not deck:
            deck[:] = in_turns(self.people[role.kind], self._rng)
        if role.changes_s is not None:  # a mask is drawn by landmarks
            for k in range(len(deck) - 1, -1, -1):
                if deck[k].face.points is not None:
                    return deck.pop(k)
        return deck.pop()

    def animals(self, rng: np.random.Generator, count: int = 3) -> list[Picture]:
        """Return pictures of animals; none if the data have none."""
        return [self.data.picture(r) for r in self._some(self._animals, rng, count)]

    def shirt(self, rng: np.random.Generator) -> Picture | None:
        """Return a picture for a shirt."""
        return next((self.data.picture(r) for r in self._some(self._prints, rng, 1)), None)

    @staticmethod
    def _some(records: Sequence[Record], rng: np.random.Generator, count: int) -> Iterable[Record]:
        return [records[int(k)] for k in rng.permutation(len(records))[:count]]


def _of(records: Sequence[Record], sources: Sequence[str]) -> list[Record]:
    return [r for r in records if r.source in sources]


class Task(NamedTuple):
    """A scene to render: its script, the faces of its roles, its video, and a generator for all that is random."""

    play: Script
    chosen: list[Candidate]
    out: Path
    rng: np.random.Generator


def cast_for(play: Script, chosen: Sequence[Candidate], casting: Casting, rng: np.random.Generator) -> stage.Cast:
    """Return the actors, the place and the things of a scene."""
    people = []
    for role, candidate in zip(play.roles, chosen, strict=True):
        looks = {actors.Looks(m, h) for m in (False, True) for h in (False, True)}
        looks = {k for k in looks if (role.changes_s is not None or not k.mask)}
        looks = {k for k in looks if (role.changes_s is not None or role.hands or not k.hand)}
        shirt = casting.shirt(rng) if role.has_shirt else None
        picture = casting.data.picture(candidate.record)
        actor = actors.Actor.of(picture, candidate.face, looks, shirt, int(rng.integers(2**31)))
        people.append(actors.shaded(actor, play.camera.people) if play.camera.people < 1 else actor)
    place = casting.places.draw(rng)
    animals = casting.animals(rng) if "animal" in play.things else []
    things = [moving_things.random_thing(kind, play.seconds, (WIDTH, HEIGHT), animals, rng) for kind in play.things]
    return stage.Cast(people, place, things)


def render(casting: Casting, task: Task) -> truth.SceneTruth:
    """Render one scene; return its truth."""
    play, chosen, out, rng = task
    cast = cast_for(play, chosen, casting, rng)
    if any(actor.is_grey for actor in cast.actors):  # a grey person in a coloured frame would be easy to tell
        play = _in_grey(play)
    sights: list[list[truth.Sight]] = [[] for _ in play.roles]
    boxes: list[list[tuple[int, float, float, float, float, float]]] = []
    with h264.open_video(out, play.fps, (WIDTH, HEIGHT), play.camera.crf) as video:
        for t, frame, shown in stage.frames(play, cast, rng):
            video.write(frame)
            row = []
            for s in shown:
                height = (s.box[3] - s.box[1]) / HEIGHT
                sights[s.role].append(truth.Sight(t, height, s.visible, play.roles[s.role].is_clear(t)))
                x1, y1, x2, y2 = (round(v, 1) for v in s.box)
                row.append((s.role + 1, x1, y1, x2, y2, round(s.visible, 2)))
            boxes.append(sorted(row))
    people = []
    for k, (role, candidate) in enumerate(zip(play.roles, chosen, strict=True)):
        claims = truth.claims(sights[k], role.worn(), play.fps) if role.is_visitor else []
        where = truth.VISITOR if role.is_visitor else truth.BACKGROUND
        people.append(truth.Person(k + 1, where, candidate.record.file, claims))
    seconds = round(len(boxes) / play.fps, 3)
    return truth.SceneTruth(out.name, play.kind, play.fps, seconds, WIDTH, HEIGHT, list(play.tags), people, boxes)


def _in_grey(play: Script) -> Script:
    return replace(play, camera=replace(play.camera, grey=True))


def _plan(kinds: Sequence[str], casting: Casting, out: Path, seed: int) -> list[Task]:
    """Return the scenes of these kinds. One after the other: no face is repeated before all were shown."""
    tasks = []
    for number, kind in enumerate(kinds):
        rng = np.random.default_rng((seed, number))
        play = script.write_script(kind, rng)
        chosen = [casting.candidate(role) for role in play.roles]
        tasks.append(Task(play, chosen, out / f"{number:04d}.mp4", rng))
    return tasks


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    try:
        data = Dataset(*args.data)
        rng = np.random.default_rng(args.seed)
        casting = Casting(data, data.splits()[args.split], rng)
        people = ", ".join(f"{len(casting.people[k])} {k}" for k in KINDS)
        print(f"people to choose from: {people}; videos in {h264.codec()}", file=sys.stderr)
        tasks = _plan(script.kinds_of(args.scenes, rng), casting, args.out, args.seed)
        rendered = in_processes(lambda task: render(casting, task), tasks, args.jobs, data.reopen)
        scenes = list(tqdm(rendered, total=len(tasks), unit="scene", file=sys.stderr))
        truth.write(args.out, truth.Truth(truth.VERSION, args.split, args.seed, h264.codec(), scenes))
    except (DataError, OSError) as error:
        return print_error("make_walkups", error)
    print(f"{args.out}: {len(scenes)} scenes, {sum(s.seconds for s in scenes):.0f} s", file=sys.stderr)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("make_walkups", __doc__)
    add_data(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for the videos and truth.json")
    parser.add_argument("--scenes", type=int, default=300, help="number of scenes (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="processes to use (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--split", choices=SPLITS, default="val", help="which part of the data (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.scenes < 1 or args.jobs < 1:
        parser.error("--scenes and --jobs must be at least 1")
    return args


if __name__ == "__main__":
    sys.exit(main())
