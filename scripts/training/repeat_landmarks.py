"""Measure how well the teacher of the landmarks agrees with itself when it looks again.

    python -m training.repeat_landmarks --data DIR DIR2 --yunet yunet_n.onnx --split test

YuNet searches each picture once more: as it is, a little smaller, a little larger, and mirrored. Its new points are
compared with those of points.jsonl, as the model's are: no model can be expected to be much closer.
The last line is one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

from edge.errors import DoorlightError
from edge.imaging import images
from edge.imaging.boxes import iou
from peers.yunet import YuNet

from .arrays import Floats, Picture, as_floats
from .command_line import add_data, parser_for, print_error
from .dataset import Dataset, require
from .landmarks import Example, error, examples
from .metrics import mean_interval
from .records import DataError

#: Longest side (pixels) of a picture that YuNet searches. A larger picture is scaled down.
SIDE_PX = 640
#: A detection belongs to a face if its score, and the IoU of both boxes, are more than these.
MIN_SCORE, MIN_IOU = 0.3, 0.4


class Look(NamedTuple):
    """How a picture is searched again: its scale relative to the first look, and whether it is mirrored."""

    name: str
    scale: float
    is_mirrored: bool = False


LOOKS = (Look("again", 1.0), Look("smaller", 0.85), Look("larger", 1.2), Look("mirrored", 1.0, True))


class Teacher(Protocol):
    """A detector with landmarks: `peers.yunet.YuNet`."""

    def candidates(self, picture: Picture, /) -> tuple[Floats, Floats, Floats]:
        """Return boxes (n, 4), scores (n,) and landmarks (n, 5, 2) in pixels."""
        ...


def look_again(teacher: Teacher, picture: Picture, e: Example, look: Look) -> Floats | None:
    """Return the teacher's landmarks (5, 2) of the face `e` in pixels of its picture (H, W, 3) RGB; None if not found."""
    height, width = picture.shape[:2]
    scale = look.scale * min(1.0, SIDE_PX / max(height, width))
    looked_at = images.resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))
    size = np.array([looked_at.shape[1] / width, looked_at.shape[0] / height], np.float32)
    if look.is_mirrored:
        looked_at = np.ascontiguousarray(looked_at[:, ::-1])
    boxes, scores, points = teacher.candidates(looked_at)
    if look.is_mirrored:
        right = np.float32(looked_at.shape[1])
        boxes = np.stack([right - boxes[:, 2], boxes[:, 1], right - boxes[:, 0], boxes[:, 3]], 1)
        points = points[:, [1, 0, 2, 4, 3]] * np.array([-1, 1], np.float32) + np.array([right, 0], np.float32)
    overlaps = iou(np.array([e.box], np.float32), as_floats(boxes / np.tile(size, 2)))[0]
    scores = np.where(overlaps > MIN_IOU, scores, 0)
    best = int(scores.argmax())
    return as_floats(points[best] / size) if scores[best] > MIN_SCORE else None


def repeat_figures(faces: Sequence[Example], found: Sequence[Floats | None]) -> dict[str, Any]:
    """Return count, mean error with its interval, and share found, for bare and masked faces."""
    figures: dict[str, Any] = {}
    for kind, is_masked in (("bare", False), ("masked", True)):
        pairs = [(e, points) for e, points in zip(faces, found, strict=True) if e.masked is is_masked]
        errors = [error(points, e.points) for e, points in pairs if points is not None]
        if not errors:
            continue
        interval = mean_interval(np.array(errors))
        figures |= {
            kind: round(float(np.mean(errors)), 4),
            f"{kind}_95": interval and [round(v, 4) for v in interval],
            f"{kind}_median": round(float(np.median(errors)), 4),
            f"{kind}_n": len(pairs),
            f"{kind}_found": round(len(errors) / len(pairs), 4),
        }
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = parser_for("repeat_landmarks", __doc__)
    add_data(parser)
    parser.add_argument("--yunet", type=Path, required=True, help="yunet_n.onnx")
    parser.add_argument("--split", choices=("train", "val", "test"), default="val", help="default: val")
    parser.add_argument("--faces", type=int, default=500, help="number of faces, drawn by chance (default: 500)")
    args = parser.parse_args(argv)
    try:
        data, teacher = Dataset(*args.data), YuNet(args.yunet)
        faces = [e for e in examples(data.splits()[args.split]) if not e.record.crop]
        require(faces, args.split, "face with landmarks in a whole picture")
        chosen = np.random.default_rng(0).permutation(len(faces))[: args.faces]
        faces = [faces[k] for k in np.sort(chosen)]
        found: dict[str, list[Floats | None]] = {look.name: [] for look in LOOKS}
        for e in tqdm(faces, desc="looking again", unit="face"):
            picture = data.picture(e.record)
            for look in LOOKS:
                found[look.name].append(look_again(teacher, picture, e, look))
    except (DataError, DoorlightError, OSError) as problem:
        return print_error("repeat_landmarks", problem)
    print(json.dumps({name: repeat_figures(faces, points) for name, points in found.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
