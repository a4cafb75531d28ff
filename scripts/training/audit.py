"""Audit the shipped models for fairness: how often each is wrong, by age, sex and ethnicity.

Two tables, each with 95 % intervals (Wilson). A share is bold if its interval leaves out the share of all people.

  labelled   portraits of UTKFace (split test), whose labels say who is shown: for the detector put into a plain picture,
             for the mask classifier bare and with a mask drawn on. Their expressions are not known; portraits are mostly
             calm, so that a group that is called agitated more often is wronged.
  predicted  faces in whole pictures, whose age and sex the laboratory model estimates (--model; age_sex.md). Its own
             mistakes blur the differences between groups, and can make some: believe only what both tables show.

    python -m training.audit --data DATA DATA2                                          # the labelled people
    python -m training.audit --data DATA DATA2 --model runs/age_sex/age_sex.tflite      # and the predicted ones

The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge import config
from edge.errors import DoorlightError
from edge.inference import manifest
from edge.records import Box
from training.age_sex_model import SURE, AgeSexModel, Person, face_crop
from training.arrays import Picture
from training.command_line import add_data, parser_for, print_error
from training.dataset import SPLITS, Dataset, require
from training.evaluation.common import MIN_FACE_HEIGHT, largest, pair_boxes, progress
from training.evaluation.expression import AGITATED, AGITATED_THRESHOLD
from training.evaluation.stages import ExpressionStage, MaskStage, Stages, open_stages
from training.groups import AGE_GROUPS, age_group, groups
from training.metrics import wilson
from training.records import DataError, Record

#: What can go wrong, in the order of the columns.
MISTAKES = {
    "missed": "detector misses the face",
    "let_through": "bare face called masked",
    "refused": "masked face called bare",
    "alarm": "calm face called agitated",
    "no_alarm": "agitated face called calm",
}
#: A portrait for the detector: the picture (height, width), and the share of its height that the crop has.
SCENE, SCENE_SHARE, SCENE_GREY = (480, 640), 0.4, 110
#: A face counts as found from this IoU.
FOUND_IOU = 0.35


class Outcome(NamedTuple):
    """One answer of a model: which mistake it could be (a key of MISTAKES), if it is one, and about whom."""

    mistake: str
    is_wrong: bool
    groups: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    try:
        figures = audit(args)
    except (DataError, DoorlightError, OSError) as error:
        return print_error("audit", error)
    for name, found in figures.items():
        print(f"{name}:\n\n{table(found)}\n")
    print(json.dumps(figures))
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("audit", __doc__)
    add_data(parser)
    parser.add_argument("--split", choices=SPLITS, default="test", help="default: %(default)s")
    parser.add_argument("--model", type=Path, metavar="FILE", help="the laboratory model, age_sex.tflite of its run")
    parser.add_argument(
        "--models",
        metavar="DIR",
        type=Path,
        help="models to audit: folder with manifest.toml (default: the shipped ones)",
    )
    return parser.parse_args(argv)


def audit(args: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of `count` of the labelled and of the predicted people. Raises DataError or DoorlightError."""
    model = None if args.model is None else AgeSexModel(args.model)
    models, settings = manifest.load(args.models), config.load()
    # The masked expressions' task opens all three models.
    stages = open_stages("masked_expression", settings, models, None)
    data = Dataset(*args.data)
    records = data.splits()[args.split]
    portraits = [r for r in records if r.crop and r.label == "no_mask" and any(groups(r))]
    require(portraits, args.split, "bare face crop with age, sex or ethnicity")
    figures = {"labelled": count(list(_labelled(data, portraits, stages)))}
    if model is not None:
        figures["predicted"] = count(list(_predicted(data, records, stages, model)))
    return figures


def _labelled(data: Dataset, portraits: Sequence[Record], stages: Stages) -> Iterator[Outcome]:
    """Yield the outcomes for bare face crops whose groups are known."""
    from training.age_sex import masked_crop, whole_face

    mask, expression = _classifiers(stages)
    for k, record in enumerate(progress(portraits, "portraits")):
        who, picture = tuple(groups(record)), data.picture(record)
        box = whole_face(record.width, record.height)
        yield Outcome("missed", not stages.detector.detect(_in_a_scene(picture)), who)
        yield Outcome("let_through", mask.probability(picture, Box(*box)) >= mask.threshold, who)
        worn = masked_crop(picture, box, np.random.default_rng((9, k)))
        yield Outcome("refused", (mask.probability_of_crop(worn) or 0.0) < mask.threshold, who)
        yield Outcome("alarm", _is_agitated(expression, picture, Box(*box)), who)


def _predicted(data: Dataset, records: Sequence[Record], stages: Stages, model: AgeSexModel) -> Iterator[Outcome]:
    """Yield the outcomes for labelled faces in whole pictures."""
    from training.mask import examples

    mask, expression = _classifiers(stages)
    for record in progress([r for r in records if not r.crop and not any(groups(r))], "pictures"):
        faces = [e for e in examples([record]) if e.box[3] - e.box[1] >= MIN_FACE_HEIGHT * record.height]
        if not faces and record.expression is None:
            continue
        picture = data.picture(record)
        found = stages.detector.detect(picture)
        for face, owner in zip(faces, pair_boxes([e.box for e in faces], found, FOUND_IOU), strict=True):
            who = predicted_groups(model.answer(face_crop(picture, face.box)))
            yield Outcome("missed", owner is None, who)
            if owner is not None and not face.worn_wrongly:
                called = mask.probability(picture, found[owner].box) >= mask.threshold
                yield Outcome("refused" if face.masked else "let_through", called != face.masked, who)
        box = largest(found)
        if record.expression is not None and box is not None:
            who = predicted_groups(model.answer(face_crop(picture, box)))
            agitated = record.expression in AGITATED
            called = _is_agitated(expression, picture, box)
            yield Outcome("no_alarm" if agitated else "alarm", called != agitated, who)


def _classifiers(stages: Stages) -> tuple[MaskStage, ExpressionStage]:
    assert stages.mask is not None
    assert stages.expression is not None
    return stages.mask, stages.expression


def _in_a_scene(crop: Picture) -> Picture:
    """Return a plain picture with the face crop in its middle."""
    from edge.imaging import images

    height, width = SCENE
    side = round(SCENE_SHARE * height)
    out = np.full((height, width, 3), SCENE_GREY, np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    out[top : top + side, left : left + side] = images.resize(crop, side, side)
    return out


def _is_agitated(expression: ExpressionStage, picture: Picture, box: Box) -> bool:
    """Return True if the door would take the face for agitated."""
    given = dict(zip(expression.labels, expression.probabilities(picture, box), strict=True))
    return sum(given[name] for name in AGITATED) >= AGITATED_THRESHOLD


def predicted_groups(person: Person) -> tuple[str, ...]:
    """Return the groups of a person by the model: the sex if it is sure, and the age."""
    sex = person.sex_name if float(person.sex.max()) >= SURE else "sex_unsure"
    return sex, age_group(person.years)


def count(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Return, by mistake and by group ("all" first), how often it happened: "wrong", "n", "share" and its interval."""
    counts: dict[str, dict[str, list[int]]] = {}
    for outcome in outcomes:
        for group in ("all", *outcome.groups):
            own = counts.setdefault(outcome.mistake, {}).setdefault(group, [0, 0])
            own[0] += outcome.is_wrong
            own[1] += 1
    return {
        mistake: {group: _share(*by_group[group]) for group in sorted(by_group, key=_place)}
        for mistake, by_group in ((m, counts[m]) for m in MISTAKES if m in counts)
    }


def _place(group: str) -> tuple[bool, int, str]:
    """Return the place of a group in the table: "all" first, ages last, from the youngest."""
    return group != "all", AGE_GROUPS.index(group) if group in AGE_GROUPS else -1, group


def _share(wrong: int, of: int) -> dict[str, Any]:
    low, high = wilson(wrong, of) or (0.0, 1.0)
    return {"wrong": wrong, "n": of, "share": round(wrong / of, 4), "low": round(low, 4), "high": round(high, 4)}


def table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the output of `count` as Markdown."""
    names = list(dict.fromkeys(group for by_group in figures.values() for group in by_group))
    lines = [f"| people | {' | '.join(MISTAKES[m] for m in figures)} |", "|---|" + "---:|" * len(figures)]
    for name in names:
        cells = [_cell(by_group.get(name), by_group["all"]["share"]) for by_group in figures.values()]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: Mapping[str, Any] | None, of_all: float) -> str:
    if found is None:
        return "–"
    share = f"{found['share']:.1%}"
    if not found["low"] <= of_all <= found["high"]:
        share = f"**{share}**"
    return f"{found['wrong']} of {found['n']}: {share} ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


if __name__ == "__main__":
    sys.exit(main())
