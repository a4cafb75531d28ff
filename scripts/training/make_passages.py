"""Render a video of people who walk up to a door, from a folder of labelled pictures, and write its truth.

Each passage is one person, masked, unmasked or agitated (unmasked with an angry or disgusted face), who comes from
about 3 m to arm's length and leaves. Between passages the door is empty. The same seed and data give the same video.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from training import augment
from training.arrays import Picture, as_pixels
from training.command_line import add_data, parser_for, print_error
from training.dataset import SPLITS, Dataset
from training.files import replacing
from training.records import DataError, Face, Record
from training.rendering import HEIGHT, WIDTH
from training.rendering.corridor import corridor
from training.rendering.people import Sprite, cut_out
from training.rendering.video import Video
from training.rendering.walks import random_walk

#: Default sources of people and of places.
PEOPLE_SOURCES = ("mux", "ilc", "maks", "chand")
SCENE_SOURCES = ("bikes", "ilc")
KINDS = ("masked", "unmasked", "agitated")
CALM = ("neutral", "happy", "sad", "surprise")
AGITATED = ("angry", "disgust")
#: The empty time between passages.
GAP_S = 1.5
#: The minimum height of a face. A smaller one is blurred when it is enlarged to 45 % of the frame.
MIN_FACE_PX = 60.0
#: The share of passages in front of a place from a picture, and of tries to find a part without a face.
PICTURE_SCENES, SCENE_TRIES = 0.7, 30


@dataclass(frozen=True)
class Candidate:
    """A face that can be shown."""

    record: Record
    face: Face


def prominent(record: Record) -> Face | None:
    """Return the face if the picture shows one prominent, trusted face; otherwise None."""
    faces = sorted((f for f in record.faces or () if f.label != "ignore"), key=lambda f: -f.height)
    if not faces or not faces[0].trusted or faces[0].height < MIN_FACE_PX:
        return None
    first = faces[0]
    x1, y1, x2, y2 = first.box
    w, h = x2 - x1, y2 - y1
    # Cut off by the border by more than a crop usually is, or a profile: no classifier is expected to know these.
    if x1 < -0.12 * w or x2 > record.width + 0.12 * w or y1 < -0.15 * h or y2 > record.height + 0.15 * h:
        return None
    if not 0.5 < w / h < 1.25:
        return None
    for other in faces[1:]:
        a1, b1, a2, b2 = other.box
        # Another face inside the cut-out would walk along.
        if a2 > x1 - 1.0 * w and a1 < x2 + 1.0 * w and b2 > y1 - 0.6 * h and b1 < y2 + 1.0 * h:
            return None
    return first


def kind_of(record: Record, face: Face) -> str | None:
    """Return the kind of a passage with this face; None if the labels do not tell."""
    label = record.label or face.label
    if record.label is not None and face.by == "human" and record.label != face.label:
        return None
    if label == "mask":
        return "masked"
    if record.expression is not None:
        return "agitated" if record.expression in AGITATED else "unmasked" if record.expression in CALM else None
    return "unmasked" if label == "no_mask" else None


def find_people(records: Sequence[Record]) -> dict[str, list[Candidate]]:
    """Return all faces that can be shown, by kind."""
    out: dict[str, list[Candidate]] = {k: [] for k in KINDS}
    for record in records:
        if record.crop or record.source == "fer2013":
            continue
        face = prominent(record)
        kind = kind_of(record, face) if face is not None else None
        if face is not None and kind is not None:
            out[kind].append(Candidate(record, face))
    return out


def choose(people: dict[str, list[Candidate]], count: int, rng: np.random.Generator) -> list[tuple[str, Candidate]]:
    """Return (kind, face) of `count` passages, shuffled.

    All kinds that occur are equally frequent. No face is repeated until all of its kind were shown.
    """
    decks: dict[str, list[Candidate]] = {k: [] for k in KINDS}
    out = []
    kinds = [k for k in KINDS if people[k]]
    for k in range(count):
        kind = kinds[k % len(kinds)]
        if not decks[kind]:
            decks[kind] = in_turns(people[kind], rng)
        out.append((kind, decks[kind].pop()))
    order = rng.permutation(count)
    return [out[int(k)] for k in order]


def in_turns(people: Sequence[Candidate], rng: np.random.Generator) -> list[Candidate]:
    """Return the faces so that `pop` takes those of all sources in turn."""
    by_source: dict[str, list[Candidate]] = {}
    for k in rng.permutation(len(people)):
        by_source.setdefault(people[int(k)].record.source, []).append(people[int(k)])
    turns = [(n, s, c) for s, cs in by_source.items() for n, c in enumerate(cs)]
    return [c for _, _, c in sorted(turns, key=lambda t: (t[0], t[1]), reverse=True)]


class Scenes:
    """Draws places without a face: parts of pictures, or a painted corridor."""

    def __init__(self, data: Dataset, records: Sequence[Record]) -> None:
        self.data = data
        # A picture without a list of faces may show one.
        self.records = [r for r in records if r.faces is not None and not r.crop]

    def draw(self, rng: np.random.Generator) -> Picture:
        """Return a place, (480, 640, 3) uint8 RGB."""
        if self.records and rng.random() < PICTURE_SCENES:
            for _ in range(SCENE_TRIES):
                if (scene := self._from_picture(rng)) is not None:
                    return scene
        return corridor(rng)

    def _from_picture(self, rng: np.random.Generator) -> Picture | None:
        """Return a random part of a random picture, blurred; None if it is too small or shows a person."""
        record = self.records[int(rng.integers(len(self.records)))]
        height = rng.uniform(0.55, 1.0) * min(record.height, record.width * 0.75)
        width = height * 4 / 3
        if height < 110:
            return None
        x, y = rng.uniform(0, record.width - width), rng.uniform(0, record.height - height)
        if any(self._meets(f, x, y, width, height) for f in record.faces or ()):
            return None
        picture = self.data.picture(record)
        part = picture[int(y) : int(y + height) + 1, int(x) : int(x + width) + 1]
        scene = cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        return as_pixels(cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.6, 3.0)))

    @staticmethod
    def _meets(face: Face, x: float, y: float, width: float, height: float) -> bool:
        """Return True if the part at (x, y) shows a part of the face's person."""
        x1, y1, x2, y2 = face.box
        w, h = x2 - x1, y2 - y1
        return x1 - w < x + width and x2 + w > x and y1 - 0.7 * h < y + height and y2 + 3 * h > y


@dataclass(frozen=True)
class Light:
    """Light and camera of a passage. `grey` is a camera at night."""

    gain: float
    lift: float
    gamma: float
    noise: float
    blur: float
    grey: bool

    @classmethod
    def random(cls, rng: np.random.Generator, grey: bool) -> Light:
        """Return random light; some is dark, some bright."""
        kind = rng.random()
        dark, bright = kind < 0.15, 0.15 <= kind < 0.3
        return cls(
            gain=rng.uniform(0.30, 0.55) if dark else rng.uniform(1.15, 1.45) if bright else rng.uniform(0.75, 1.1),
            lift=rng.uniform(0, 18),
            gamma=float(np.exp(rng.uniform(-0.2, 0.2))),
            noise=rng.uniform(4, 9) if dark else rng.uniform(0.5, 5),
            blur=rng.uniform(0.8, 1.6) if rng.random() < 0.2 else 0.0,
            grey=grey or rng.random() < 0.10,
        )

    def apply(self, frame: Picture, rng: np.random.Generator) -> Picture:
        """Return the frame in this light."""
        levels = (np.arange(256) / 255.0) ** self.gamma * 255 * self.gain + self.lift
        frame = as_pixels(cv2.LUT(frame, np.clip(levels, 0, 255).astype(np.uint8)))
        if self.blur:
            frame = as_pixels(cv2.GaussianBlur(frame, (0, 0), self.blur))
        frame = augment.noise(frame, rng, self.noise, self.noise)
        return augment.greyscale(frame, rng) if self.grey else frame


def is_grey(picture: Picture) -> bool:
    """Return True if a picture, (H, W, 3) uint8 RGB, has no colour."""
    return bool(np.ptp(picture[::5, ::5].astype(np.int16), axis=2).mean() < 5)


def render(
    data: Dataset,
    scenes: Scenes,
    passages: Sequence[tuple[str, Candidate]],
    out: Path,
    seed: int,
    fps: float,
    seconds: float,
) -> list[dict[str, object]]:
    """Render the video of passages, (kind, face) each, `seconds` long; return the truth."""
    truth: list[dict[str, object]] = []
    frames = 0
    with Video(out, fps) as video, tqdm(total=len(passages), unit="people", file=sys.stderr) as bar:
        for number, (kind, candidate) in enumerate(passages):
            # A generator for each passage: how a person looks does not depend on the ones before.
            rng = np.random.default_rng((seed, number))
            picture = data.picture(candidate.record)
            light = Light.random(rng, is_grey(picture))
            scene = scenes.draw(rng)
            sprite = Sprite(cut_out(picture, candidate.face.box, rng))
            for _ in range(round(GAP_S * fps)):
                video.write(light.apply(scene, rng))
                frames += 1
            start = frames
            for pose in random_walk(rng, seconds).poses(fps, rng):
                video.write(light.apply(sprite.into(scene, pose), rng))
                frames += 1
            span = {"start_s": round(start / fps, 3), "end_s": round(frames / fps, 3)}
            truth.append({"kind": kind, **span, "file": candidate.record.file})
            bar.update()
        for _ in range(round(GAP_S * fps)):
            video.write(light.apply(scene, rng))
    return truth


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    try:
        data, people, scenes = _choose_pictures(args)
        args.truth.parent.mkdir(parents=True, exist_ok=True)
        print("people to choose from:", ", ".join(f"{len(people[k])} {k}" for k in KINDS), file=sys.stderr)
        passages = choose(people, args.people, np.random.default_rng(args.seed))
        truth = render(data, scenes, passages, args.out, args.seed, args.fps, args.seconds)
        with replacing(args.truth) as part:
            part.write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    except (DataError, OSError) as error:
        return print_error("make_passages", error)
    print(f"{args.out}: {len(truth)} passages, {truth[-1]['end_s']} s", file=sys.stderr)
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("make_passages", __doc__)
    add_data(parser)
    parser.add_argument("--out", type=Path, required=True, help="video to write (.mp4)")
    parser.add_argument("--truth", type=Path, required=True, help="JSON to write: kind, start_s, end_s of each passage")
    parser.add_argument("--people", type=int, default=60, help="number of passages (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--fps", type=float, default=10.0, help="(default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.5, help="length of one passage (default: %(default)s)")
    parser.add_argument("--split", choices=SPLITS, default="val", help="which part of the data (default: %(default)s)")
    parser.add_argument(
        "--sources",
        nargs="+",
        metavar="NAME",
        help=f"sources of the people (default: those of {', '.join(PEOPLE_SOURCES)} that exist, otherwise all)",
    )
    parser.add_argument("--scenes-from", type=Path, metavar="DIR", help="data folder for places (default: --data)")
    args = parser.parse_args(argv)
    if args.people < 1 or args.fps <= 0 or args.seconds < 1:
        parser.error("--people must be at least 1, --fps above 0, --seconds at least 1")
    return args


def _choose_pictures(args: argparse.Namespace) -> tuple[Dataset, dict[str, list[Candidate]], Scenes]:
    """Return the data set, the people of each kind, and the places. Raises DataError if there is none of a kind."""
    folders = ", ".join(map(str, args.data))
    data = Dataset(*args.data)
    split = data.splits()[args.split]
    known = {r.source for r in data.records}
    wanted = set(args.sources) if args.sources else (set(PEOPLE_SOURCES) & known or known)
    if missing := wanted - known:
        raise DataError(f"{folders}: no picture of source {', '.join(sorted(missing))}")
    people = find_people([r for r in split if r.source in wanted])
    for kind in KINDS:
        if not people[kind]:
            raise DataError(
                f"split '{args.split}' of {folders} has no {kind} person with one prominent, trusted face of at least "
                f"{MIN_FACE_PX:.0f} px in sources {', '.join(sorted(wanted))}"
            )
    if args.scenes_from is not None:
        other = Dataset(args.scenes_from)
        return data, people, Scenes(other, other.splits()[args.split])
    return data, people, Scenes(data, [r for r in split if r.source in SCENE_SOURCES])


if __name__ == "__main__":
    sys.exit(main())
