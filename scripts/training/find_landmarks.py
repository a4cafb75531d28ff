"""Find the landmarks of face crops that have none, with YuNet, and write them as points.jsonl has them.

    python -m training.find_landmarks --data DIR --yunet yunet_n.onnx --out utk_points.jsonl

The file then goes among the folders of --data.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
from tqdm import tqdm

from edge.errors import DoorlightError
from peers.yunet import YuNet

from .arrays import Picture, as_pixels
from .command_line import add_data, parser_for, print_error
from .dataset import Dataset
from .records import DataError

#: Longer side in pixels of what YuNet searches: a face that fills it needs no more.
SIDE_PX = 320
#: A crop gets a border of this share of its longer side: a face that fills its picture is found less often.
BORDER = 0.25
MIN_SCORE = 0.6


def with_border(picture: Picture) -> tuple[Picture, int]:
    """Return the picture with its edge pixels repeated around it, and the width of that border."""
    border = round(BORDER * max(picture.shape[:2]))
    return as_pixels(cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_REPLICATE)), border


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = parser_for("find_landmarks", __doc__)
    add_data(parser)
    parser.add_argument("--yunet", type=Path, required=True, help="yunet_n.onnx")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    args = parser.parse_args(argv)
    found = 0
    try:
        data, yunet = Dataset(*args.data), YuNet(args.yunet)
        yunet.side_px = SIDE_PX
        crops = [r for r in data.records if r.crop and r.points is None and r.source != "fer2013"]
        with args.out.open("w", encoding="utf-8") as out:
            for record in tqdm(crops, desc="landmarks", unit="picture"):
                picture, border = with_border(data.picture(record))
                points, score = yunet.landmarks(picture)
                if score >= MIN_SCORE:
                    rounded = [[round(float(v) - border, 1) for v in point] for point in points]
                    face = {"box": [0, 0, record.width, record.height], "points": rounded, "score": round(score, 3)}
                    out.write(json.dumps({"file": record.file, "faces": [face]}) + "\n")
                    found += 1
    except (DataError, DoorlightError, OSError) as error:
        return print_error("find_landmarks", error)
    print(f"{args.out}: landmarks of {found} of {len(crops)} pictures", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
