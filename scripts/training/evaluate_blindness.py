"""Measure how often the door takes a real scene for a blind picture, and misses a blind one.

Real scenes are photographs of a data set, as eight kinds of camera show them in good and in bad light. Blind pictures
are simulated: covered lenses, fog, failing decoders, "no signal" screens, test pictures (see
rendering/blind_pictures.py). One half of the photographs is for choosing `camera.min_detail`, the other half gives the
error rates that are reported, with 95 % intervals.

  python -m training.evaluate_blindness --data DATA DATA2
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import cv2
import numpy as np
from tqdm import tqdm

from edge import config
from edge.imaging.blindness import confirmed, detail, find_blindness
from edge.imaging.cells import cells
from edge.imaging.noise import NoiseDetector
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.records import Frame
from training.arrays import Picture
from training.command_line import print_error
from training.dataset import Dataset
from training.metrics import wilson
from training.records import DataError, Record
from training.rendering.blind_pictures import (
    BLIND,
    CHANGING,
    NIGHT,
    SCENES,
    SCREENS,
    SHAKEN,
    SIZES,
    TWO_TEXTS,
    blind_frames,
    blind_picture,
    scene_frames,
)

#: Sources by what they show. The rates of textures, which fill the picture without any object, are a limit and no
#: forecast.
GROUPS = {
    "rooms, doors, streets": ("doors", "rooms", "scenes", "bikes"),
    "people": ("wild", "crowds", "ilc", "maks"),
    "textures": ("textures",),
}
SCENE_KINDS = (*SCENES, NIGHT, SHAKEN)
BLIND_KINDS = (*BLIND, TWO_TEXTS, *SCREENS, *CHANGING, "missing part")
#: Maximum number of frames of each case, at FPS. More than one is needed only if it looks like noise.
FRAMES, FPS = 4, 10
#: Values of `min_detail` to compare.
CANDIDATES = (1.0, 1.4, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.2)


class Judged(NamedTuple):
    """One picture: its kind, its group ("" if blind), whether it is for choosing, its detail, and the door's finding.

    `reason` is why the door takes it for blind whatever `min_detail` is; None if detail decides. `has_face` is whether
    the detector finds a face in a picture with little detail.
    """

    kind: str
    group: str
    is_for_choosing: bool
    detail: float
    reason: str | None
    has_face: bool

    def is_blind(self, min_detail: float) -> bool:
        return self.reason is not None or (self.detail < min_detail and not self.has_face)


class Judge:
    """Applies the rules of the door to pictures."""

    def __init__(self) -> None:
        settings = config.load()
        self._new_score = settings.tracker.new_score
        self._perception = Perception(settings, manifest.load())

    def judge(self, frames: Iterator[Picture], kind: str, group: str, is_for_choosing: bool) -> Judged:
        """Return the result for the first of `frames`, or for the last that serves to tell noise from a texture."""
        noise = NoiseDetector()
        is_noise = False
        for k, picture in enumerate(itertools.islice(frames, FRAMES)):
            grid = cells(picture)
            is_noise = noise.update(grid, k / FPS)
            if not noise.is_undecided:
                break
        found = find_blindness(grid, 0)
        seen = 0.0 if is_noise else detail(grid)
        has_face = False
        if (found is not None and not found.is_certain) or seen < max(CANDIDATES):
            faces = self._perception.detect(Frame(0, 0.0, picture))
            has_face = any(face.score >= self._new_score for face in faces)
        found = confirmed(found, has_face)
        return Judged(kind, group, is_for_choosing, seen, found.reason if found else None, has_face)


def judge_all(data: Dataset, records: Sequence[tuple[str, Record]]) -> Iterator[Judged]:
    """Yield the result for each photograph under all conditions, and for each kind of blind picture made from it."""
    judge = Judge()
    for number, (group, record) in enumerate(tqdm(records, unit="photograph", file=sys.stderr, mininterval=2)):
        digest = hashlib.sha256(record.file.encode()).digest()
        rng = np.random.default_rng(list(digest[:8]))
        is_for_choosing = digest[8] % 2 == 0
        size = SIZES[number % len(SIZES)]
        photograph = cast(Picture, cv2.resize(data.picture(record), size, interpolation=cv2.INTER_CUBIC))
        for kind in SCENE_KINDS:
            yield judge.judge(scene_frames(kind, photograph, rng), kind, group, is_for_choosing)
        for kind in BLIND_KINDS:
            if kind in CHANGING:
                frames = blind_frames(kind, photograph, rng)
            else:
                frames = iter([blind_picture(kind, photograph, rng)])
            yield judge.judge(frames, kind, "", is_for_choosing)


def choose(data: Dataset, limit: int) -> list[tuple[str, Record]]:
    """Return (group, record) of at most `limit` photographs a source. Raises DataError if there are none."""
    by_source: dict[str, list[Record]] = defaultdict(list)
    for record in data.records:
        if not record.crop:
            by_source[record.source].append(record)
    chosen = [
        (group, record)
        for group, sources in GROUPS.items()
        for source in sources
        for record in sorted(by_source[source], key=lambda r: hashlib.sha256(r.file.encode()).digest())[:limit]
    ]
    if not chosen:
        raise DataError(f"no photographs of {', '.join(name for names in GROUPS.values() for name in names)}")
    return chosen


def candidates_table(results: Sequence[Judged]) -> str:
    """Return the error rates of CANDIDATES on the half for choosing, as a Markdown table."""
    half = [result for result in results if result.is_for_choosing]
    covered = [result for result in half if result.kind in BLIND]
    lines = [
        "| min_detail | " + " | ".join(f"{group}: blind" for group in GROUPS) + " | covered: missed |",
        "|---" * 5 + "|",
    ]
    for value in CANDIDATES:
        rates = [_rate([r.is_blind(value) for r in half if r.group == group]) for group in GROUPS]
        missed = _rate([not r.is_blind(value) for r in covered])
        lines.append(f"| {value:g} | " + " | ".join([*rates, missed]) + " |")
    return "\n".join(lines)


def report_table(results: Sequence[Judged], min_detail: float) -> str:
    """Return the error rates on the half for reporting, by kind, as a Markdown table."""
    half = [result for result in results if not result.is_for_choosing]
    lines = ["| real scenes taken for blind | " + " | ".join(GROUPS) + " |", "|---" * (1 + len(GROUPS)) + "|"]
    for kind in SCENE_KINDS:
        rates = [
            _rate([r.is_blind(min_detail) for r in half if r.group == group and r.kind == kind], counts=True)
            for group in GROUPS
        ]
        lines.append(f"| {kind} | " + " | ".join(rates) + " |")
    lines += ["", "| blind pictures | missed |", "|---|---|"]
    for kind in BLIND_KINDS:
        missed = [not r.is_blind(min_detail) for r in half if r.kind == kind]
        lines.append(f"| {kind} | {_rate(missed, counts=True)} |")
    return "\n".join(lines)


def _rate(errors: Sequence[bool], counts: bool = False) -> str:
    """Return a rate in per cent with its 95 % interval; with `counts`, also the two numbers."""
    interval = wilson(sum(errors), len(errors))
    if interval is None:
        return "–"
    text = f"{100 * sum(errors) / len(errors):.1f} % ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
    return f"{sum(errors)} of {len(errors)}: {text}" if counts else text


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate_blindness",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders with index.jsonl and the pictures")
    parser.add_argument("--limit", type=int, default=200, help="photographs a source (default: %(default)s)")
    parser.add_argument("--min-detail", type=float, help="default: that of default.toml")
    args = parser.parse_args(argv)
    try:
        data = Dataset(*args.data)
        results = list(judge_all(data, choose(data, args.limit)))
    except (DataError, OSError) as error:
        return print_error("evaluate_blindness", error)
    min_detail = config.load().camera.min_detail if args.min_detail is None else args.min_detail
    print(f"Half for choosing:\n\n{candidates_table(results)}\n")
    print(f"Half for reporting, min_detail = {min_detail:g}:\n\n{report_table(results, min_detail)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
