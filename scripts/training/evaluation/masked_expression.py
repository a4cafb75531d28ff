"""Evaluate expressions above a mask: both expression models, on the same faces bare and with a mask drawn on.

Masks of all shapes and colours are drawn by the landmarks of each face; a face without landmarks is left out. A mask is the
same in each run, as it depends on the picture's name only. Labels and votes are of the bare face: what people would say
about the face with a mask is not known.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from edge.imaging import images
from edge.inference.interpreter import load_runtime
from edge.inference.manifest import Manifest

from .. import contact_sheet, landmarks, metrics
from ..arrays import Floats, Picture, as_floats, as_pixels
from ..dataset import Dataset
from ..drawing.masks import draw_mask
from ..manifest_rows import tensor_of
from ..records import DataError, Record
from .common import MAX_MISTAKES, Result, largest, progress
from .expression import ExpressionAnswer, ExpressionResults, answer
from .stages import MASKED_MODEL, ExpressionStage, Stages

#: Of the masks that are drawn.
SEED = 17
#: Small crops are enlarged to about this height (pixels) while a mask is drawn: its edge is then as sharp as the face.
DRAWN_PX = 192
#: The columns of the table: a name, the prefix of the figures, and the title.
COLUMNS = (
    ("bare model, masked faces", "bare_model_"),
    ("masked model, masked faces", ""),
    ("bare model, bare faces", "bare_model_on_bare_"),
    ("masked model, bare faces", "on_bare_"),
)
#: The rows of the table: a figure, its name, and its count.
ROWS = (
    ("labels", "accuracy", "n"),
    ("votes (majority)", "votes_accuracy", "votes_n"),
    ("AUC of agitated, by label", "agitated_auc", "n"),
    ("AUC of agitated, by votes", "votes_agitated_auc", "votes_n"),
)
PEOPLE = (
    "What people reach on faces with a mask is not known: labels and votes were given for whole faces, and no votes for upper "
    "halves exist. Masks are drawn on."
)


@dataclass(frozen=True)
class MaskedFace:
    """The answers about one face, by the prefix of COLUMNS. `is_seen` tells whether the mask classifier sees the mask
    drawn on; None for a crop, which has too little around the face for it, and for a face that is not found."""

    answers: Mapping[str, ExpressionAnswer]
    is_seen: bool | None


def evaluate_masked_expression(data: Dataset, records: Sequence[Record], stages: Stages) -> Result:
    """Evaluate on bare faces with an expression and landmarks. Raises DataError if there is none."""
    wanted = [r for r in records if r.expression is not None or (r.crop and r.votes)]
    used = [r for r in wanted if face_points(r)]
    if not used:
        raise DataError("no face with an expression has landmarks: add the data set that has points.jsonl")
    faces = [_look(record, data.picture(record), stages) for record in progress(used, "masked expressions")]
    figures: dict[str, Any] = {}
    for _, prefix in COLUMNS:
        if prefix in faces[0].answers:
            figures |= _figures([face.answers[prefix] for face in faces], prefix)
    seen = [face.is_seen for face in faces if face.is_seen is not None]
    figures |= {"mask_seen": metrics.share(seen), "mask_seen_n": len(seen), "no_points": len(wanted) - len(used)}

    def draw(out: Path) -> None:
        _draw(out, data, used, faces)
        (out / "table.md").write_text(table(figures), encoding="utf-8")

    return Result(figures, draw, table(figures))


def face_points(record: Record) -> list[Floats]:
    """Return the landmarks of the faces of a picture; [] if the most prominent face has none, or wears a mask."""
    if record.crop:
        return [] if record.points is None or record.label == "mask" else [record.points]
    trusted = sorted((f for f in record.faces or () if f.trusted and f.label != "ignore"), key=lambda f: -f.height)
    if not trusted or trusted[0].points is None or trusted[0].label in ("mask", "incorrect"):
        return []
    return [f.points for f in trusted if f.points is not None]


def with_masks(record: Record, picture: Picture) -> Picture:
    """Return the picture of a record, (H, W, 3) uint8 RGB, with a mask on each face with landmarks."""
    rng = np.random.default_rng((SEED, zlib.crc32(record.file.encode())))
    height, width = picture.shape[:2]
    scale = max(1, math.ceil(DRAWN_PX / height)) if record.crop else 1
    drawn = as_pixels(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
    for points in face_points(record):
        pose = landmarks.pose(as_floats(points * np.float32(scale)))
        drawn = draw_mask(drawn, pose.box, rng, (pose.roll, pose.yaw))
    return images.resize(drawn, width, height)


def _look(record: Record, bare: Picture, stages: Stages) -> MaskedFace:
    masked = with_masks(record, bare)
    models: dict[str, ExpressionStage | None] = {"bare_model_": stages.expression, "": stages.masked_expression}
    answers = {}
    for prefix, model in models.items():
        if model is not None:
            answers[prefix] = answer(record, masked, stages, model)
            answers[f"{prefix}on_bare_"] = answer(record, bare, stages, model)
    assert stages.mask is not None
    is_seen = None
    if not record.crop and (box := largest(stages.detector.detect(masked))) is not None:
        is_seen = stages.mask.probability(masked, box) >= stages.mask.threshold
    return MaskedFace(answers, is_seen)


def _figures(answers: Sequence[ExpressionAnswer], prefix: str) -> dict[str, Any]:
    """Return the figures of one model on one kind of face, with 95 % intervals, named with `prefix`."""
    results = ExpressionResults(answers)
    whole = results.figures()
    chosen = ("accuracy", "macro_f1", "agitated_auc", "n", "no_face", "votes_accuracy", "votes_n", "votes_agitated_auc")
    figures = {name: whole[name] for name in chosen}
    for name in ("accuracy", "votes_accuracy"):
        count = whole["votes_n" if name == "votes_accuracy" else "n"]
        figures[f"{name}_95"] = metrics.wilson(round((whole[name] or 0.0) * count), count)
    figures["agitated_auc_95"] = metrics.auc_interval(*results.by_label)
    figures["votes_agitated_auc_95"] = metrics.auc_interval(*results.by_votes)
    return {prefix + name: value for name, value in figures.items()}


def table(figures: Mapping[str, Any]) -> str:
    """Return the figures as a Markdown table, and what it does not say."""
    lines = [f"| | {' | '.join(title for title, _ in COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for title, name, count in ROWS:
        cells = [_cell(figures, prefix + name, figures.get(f"{prefix}{count}")) for _, prefix in COLUMNS]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    counts = f"{figures['bare_model_n']} faces with a label, {figures['bare_model_votes_n']} with a majority of votes"
    left_out = f"{figures['no_points']} faces without landmarks are left out"
    return "\n".join([*lines, "", f"{counts}; {left_out}. {PEOPLE}"])


def _cell(figures: Mapping[str, Any], name: str, count: int | None) -> str:
    """Return a figure with its interval: "58.1 % (56.4 to 59.7)"; "–" without one."""
    value, interval = figures.get(name), figures.get(f"{name}_95")
    if value is None or not count or interval is None:
        return "–"
    if "auc" in name:
        return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
    return f"{100 * value:.1f} % ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def with_model(models: Manifest, path: Path) -> Manifest:
    """Return `models` with a row for the .tflite file `path`, which no manifest describes, as the model for masked faces.

    It has the labels of the model for bare faces, and no calibration. Raises OSError if the file cannot be read.
    """
    content = path.read_bytes()
    interpreter = load_runtime()[1].Interpreter(model_content=content)
    row = msgspec.structs.replace(
        models["expression_classifier"],
        file=str(path.resolve()),  # an absolute path replaces the folder
        sha256=hashlib.sha256(content).hexdigest(),
        input=tensor_of(interpreter.get_input_details()[0]),
        outputs={"probabilities": tensor_of(interpreter.get_output_details()[0])},
        slope=1.0,
        edgetpu=None,
    )
    return Manifest(models.folder, {**models, MASKED_MODEL: row})


def _draw(out: Path, data: Dataset, used: Sequence[Record], faces: Sequence[MaskedFace]) -> None:
    """Write masks.png: faces with their masks, the label, and the answers."""
    step = max(1, len(used) // MAX_MISTAKES)
    tiles = []
    for record, face in list(zip(used, faces, strict=True))[::step][:MAX_MISTAKES]:
        given = face.answers.get("") or face.answers["bare_model_"]
        best = max(given.probabilities or (0.0,))
        lines = (record.file, f"{record.expression or 'votes'}", f"answer {given.answer or 'no face'} {best:.2f}")
        tiles.append(contact_sheet.tile(with_masks(record, data.picture(record)), given.box, lines))
    contact_sheet.write(out / "masks.png", tiles)
