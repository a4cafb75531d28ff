"""Measure how well the maps of `doorlight explain` name the pixels that an answer rests on.

Each method's maps are compared with random maps and with one that is strongest in the middle, by deletion and insertion
curves (see explanation_curves.py). The default method is chosen on validation faces; the table and the plot are of
held-back faces. The result of each face is appended to --results: after an interruption the same command continues.

  python -m training.evaluate_explanations --data DATA DATA2 --split val --results runs/explain-val.jsonl
  python -m training.evaluate_explanations --data DATA DATA2 --split test --results runs/explain-test.jsonl \\
      --plot models_tflite/explanations.png
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from edge import config
from edge.errors import DoorlightError
from edge.explain.black_box import BlackBox, expression_box, mask_box
from edge.explain.methods import HEAT_MAPS
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.records import Box, Detection
from training import plots
from training.arrays import Picture
from training.command_line import add_data, parser_for, print_error
from training.dataset import SPLITS, Dataset
from training.evaluation.common import MIN_FACE_HEIGHT, largest, pair
from training.explanation_curves import area, centre_map, curves, random_map
from training.records import DataError, Record

STAGES = ("mask", "expression")
MASK_LABELS = ("mask", "no_mask")
#: The same faces are chosen each time.
SEED = 1
METHODS = tuple(method.value for method in HEAT_MAPS)
#: What a method has to beat.
BASELINES = ("random", "centre")


class Subject(NamedTuple):
    """A face that the detector found. `label` is what it shows."""

    file: str
    picture: Picture
    box: Box
    label: str


def choose(
    data: Dataset, records: Sequence[Record], stage: str, perception: Perception, count: int, rng: random.Random
) -> Iterator[Subject]:
    """Yield up to `count` faces, one of a picture, in random order; for the mask stage half of them masked."""
    if stage == "mask":
        chosen = [r for r in records if r.human or (r.label in MASK_LABELS and not r.crop)]
        room = dict.fromkeys(MASK_LABELS, count // 2)
    else:
        chosen = [r for r in records if r.expression is not None and not r.crop]
        room = dict.fromkeys({r.expression or "" for r in chosen}, count)
    rng.shuffle(chosen)
    yielded = 0
    for record in chosen:
        if yielded == count or not any(room.values()):
            return
        picture = data.picture(record)
        found = perception.detector.detect(picture)
        for label, box in _labelled(record, stage, found):
            if room.get(label, 0):
                room[label] -= 1
                yielded += 1
                yield Subject(record.file, picture, box, label)


def _labelled(record: Record, stage: str, found: Sequence[Detection]) -> Iterator[tuple[str, Box]]:
    """Yield the label and the detector's box of the first labelled face of a picture that is found and large enough."""
    if stage == "expression" or not record.human:
        box = largest(found)
        label = record.expression if stage == "expression" else record.label
        if box is not None and label is not None:
            yield label, box
        return
    faces = record.faces or ()
    for face, owner in zip(faces, pair(faces, found), strict=True):
        is_large = face.height >= MIN_FACE_HEIGHT * record.height
        if owner is not None and face.by == "human" and face.label in MASK_LABELS and is_large:
            yield face.label, found[owner].box
            return


def judge(subject: Subject, stage: str, perception: Perception, agitated: Sequence[str]) -> dict[str, Any]:
    """Return the curves of every map of one face, and the processor time (seconds) of each method, for JSON."""
    if stage == "mask":
        question = mask_box(perception.mask, subject.picture, subject.box)
    else:
        assert perception.expression is not None
        question = expression_box(perception.expression, subject.picture, subject.box, agitated)
    whole = question.score(np.ones((question.size, question.size), np.float32))
    sign = -1 if stage == "mask" and whole < 0 else 1
    maps, seconds = {}, {}
    for method, heat_map in HEAT_MAPS.items():
        begun = time.process_time()
        maps[method.value] = heat_map(question)
        seconds[method.value] = time.process_time() - begun
    maps["random"] = random_map(question.size, int(hashlib.sha256(subject.file.encode()).hexdigest()[:8], 16))
    maps["centre"] = centre_map(question.size)
    return {
        "stage": stage,
        "file": subject.file,
        "label": subject.label,
        "answer": question.answer if sign > 0 else f"not {question.answer}",
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "maps": {name: _rounded(question, heat, sign) for name, heat in maps.items()},
    }


def _rounded(question: BlackBox, heat: np.ndarray[Any, np.dtype[np.float32]], sign: int) -> dict[str, list[float]]:
    found = curves(question, heat, sign)
    return {name: [round(float(v), 4) for v in curve] for name, curve in found._asdict().items()}


def mean_and_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half of its 95 % interval (normal approximation)."""
    array = np.array(values, np.float64)
    return float(array.mean()), float(1.96 * array.std(ddof=1) / np.sqrt(len(array))) if len(array) > 1 else 0.0


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table of the areas under the curves, with 95 % intervals over the faces."""
    lines = [
        "| stage | map | deletion, lower is better | insertion, higher is better | insertion − deletion | processor time, s |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for stage in STAGES:
        own = [row for row in rows if row["stage"] == stage]
        for name in (*METHODS, *BASELINES) if own else ():
            deletion = [area(np.array(row["maps"][name]["deletion"])) for row in own]
            insertion = [area(np.array(row["maps"][name]["insertion"])) for row in own]
            both = [b - a for a, b in zip(deletion, insertion, strict=True)]
            cells = ["{:.3f} ± {:.3f}".format(*mean_and_interval(values)) for values in (deletion, insertion, both)]
            spent = [row["seconds"][name] for row in own if name in row["seconds"]]
            seconds = f"{np.median(spent):.2f}" if spent else "–"
            lines.append(f"| {stage} ({len(own)} faces) | {name} | {' | '.join(cells)} | {seconds} |")
    return "\n".join(lines)


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of results; a torn last line is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def mean_curves(rows: Sequence[dict[str, Any]], stage: str, what: str) -> dict[str, Any]:
    """Return the mean curve of each map, as (shares, probabilities), for a plot."""
    own = [row for row in rows if row["stage"] == stage]
    found = {}
    for name in (*METHODS, *BASELINES) if own else ():
        mean = np.mean([row["maps"][name][what] for row in own], axis=0)
        found[name] = (np.linspace(0, 1, len(mean)), mean)
    return found


def _measure(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Add the rows of the faces that are not yet in `rows`, and append them to the file of results."""
    settings = config.load()
    perception = Perception(settings, manifest.load(args.models))
    data = Dataset(*args.data)
    records = data.splits()[args.split]
    rng = random.Random(SEED)
    done = {(row["stage"], row["file"]) for row in rows}
    args.results.parent.mkdir(parents=True, exist_ok=True)
    with args.results.open("a", encoding="utf-8") as out:
        for stage in STAGES:
            subjects = choose(data, records, stage, perception, args.faces, rng)
            for subject in tqdm(subjects, desc=stage, total=args.faces, file=sys.stderr, mininterval=1):
                if (stage, subject.file) not in done:
                    rows.append(judge(subject, stage, perception, settings.expression.agitated))
                    out.write(json.dumps(rows[-1]) + "\n")
                    out.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = parser_for("evaluate_explanations", __doc__)
    add_data(parser)
    parser.add_argument("--split", choices=SPLITS, default="test", help="default: %(default)s")
    parser.add_argument("--faces", type=int, default=200, help="faces a stage (default: %(default)s)")
    parser.add_argument(
        "--models", metavar="DIR", type=Path, help="folder with manifest.toml (default: the shipped models)"
    )
    parser.add_argument("--results", metavar="FILE", type=Path, required=True, help="JSON lines, one a face")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="PNG with the mean curves")
    args = parser.parse_args(argv)
    try:
        rows = read_results(args.results)
        _measure(args, rows)
        if args.plot is not None:
            panels = {
                f"{stage}: {what}": mean_curves(rows, stage, what)
                for stage in STAGES
                for what in ("deletion", "insertion")
            }
            plots.draw_panels(args.plot, panels, "share of the pixels", "probability of the answer")
    except (DataError, DoorlightError, OSError) as error:
        return print_error("evaluate_explanations", error)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
