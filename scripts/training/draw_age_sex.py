"""Draw what the laboratory model of age and sex says about the faces of a picture. The product does not know it.

The door's detector finds the faces. Look at single answers only to understand the model: age_sex.md says why.

    python -m training.draw_age_sex crowd.jpg crowd-age-sex.png --model runs/age_sex/age_sex.tflite
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from edge import config
from edge.errors import DoorlightError, InputError
from edge.imaging import image_file, image_writer
from edge.inference import manifest
from edge.inference.interpreter import Model
from edge.inference.perception import FaceDetector
from edge.records import Box
from training.age_sex_model import AgeSexModel, Person, face_crop
from training.arrays import Picture
from training.command_line import parser_for, print_error

COLOUR, BACKGROUND = (255, 220, 0), (0, 0, 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    try:
        model = AgeSexModel(args.model)
        picture = _read(args.picture)
        settings = config.load().detector
        detector = FaceDetector(
            Model(manifest.load(), "face_detector"), settings.threshold, settings.nms_iou, settings.max_faces
        )
        boxes = [found.box for found in detector.detect(picture)]
        people = [model.answer(face_crop(picture, box)) for box in boxes]
        image_writer.write(draw(picture, boxes, people), args.out)
    except (DoorlightError, OSError) as error:
        return print_error("draw_age_sex", error)
    print("\n".join(text_of(person) for person in people) or "no face found")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for("draw_age_sex", __doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("out", type=Path, help="picture to write, .png or .jpg")
    parser.add_argument("--model", type=Path, default=Path("runs/age_sex/age_sex.tflite"), help="default: %(default)s")
    args = parser.parse_args(argv)
    if args.out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        parser.error("OUT must end with .png or .jpg")
    return args


def _read(path: Path) -> Picture:
    """Return a picture (H, W, 3) uint8 RGB, upright. Raises InputError or OSError."""
    try:
        return image_file.decode(path).picture
    except ValueError as error:
        raise InputError(f"{path}: {error}", "use a JPEG or PNG picture") from None


def text_of(person: Person) -> str:
    """Return what is written at a face, such as "female 93 %, 34 years"."""
    return f"{person.sex_name} {100 * float(person.sex.max()):.0f} %, {person.years:.0f} years"


def draw(picture: Picture, boxes: Sequence[Box], people: Sequence[Person]) -> Picture:
    """Return a copy of the picture (H, W, 3) uint8 RGB with a box and a line of text for each face."""
    out = picture.copy()
    for box, person in zip(boxes, people, strict=True):
        x1, y1, x2, y2 = (round(v) for v in box)
        cv2.rectangle(out, (x1, y1), (x2, y2), COLOUR, 2)
        scale = max(0.35, (x2 - x1) / 320)
        at = (max(x1, 0), max(y1 - 5, 12))
        for shade, width in ((BACKGROUND, 3), (COLOUR, 1)):
            cv2.putText(out, text_of(person), at, cv2.FONT_HERSHEY_SIMPLEX, scale, shade, width, cv2.LINE_AA)
    return out


if __name__ == "__main__":
    sys.exit(main())
