"""Measure what a face that never moves looks like to the door, and the smallest motion that it notices.

A picture of a face is shown still, then shifted by a part of a pixel, with the noise of sensors and, if the program ffmpeg
is installed, through H.264. Prints the largest shift (cells of a patch) and change (standard deviations) that the still
picture shows, and the smallest shift that is measured after the motion. The limits in `edge/still_things.py` lie between.

  python -m training.evaluate_stillness --picture edge/bench/visitor.jpg
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.imaging.images import Picture
from edge.records import Box
from edge.still_things import Patch, change_and_shift, grey_patch, normalized
from training.arrays import as_pixels
from training.command_line import parser_for

SIDE, FPS, FRAMES, REFERENCE = 160, 10, 100, 8
#: Noise (grey levels), and the constant rate factor of H.264 (None: not compressed).
CAMERAS = ((1.0, None), (4.0, None), (9.0, None), (2.0, 23), (4.0, 28), (9.0, 33))
SIZES_PX, SHIFTS_PX = (45, 75), (0.25, 0.5, 1.0)
#: The face's share of the height of the picture, and where its centre is.
FACE_SHARE, FACE_CENTRE = 0.55, 0.45


def frames(picture: Picture, size: int, shift: float, noise: float, crf: int | None) -> list[Picture]:
    """Return FRAMES pictures of a face of `size` pixels; in the second half it is shifted."""
    rng = np.random.default_rng(1)
    scale = size / (FACE_SHARE * picture.shape[0])
    out = []
    for k in range(FRAMES):
        x = SIDE / 2 + (shift if k >= FRAMES // 2 else 0) - scale * picture.shape[1] / 2
        move = np.array([[scale, 0, x], [0, scale, SIDE / 2 - scale * picture.shape[0] * FACE_CENTRE]], np.float32)
        light = cv2.warpAffine(picture, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        out.append(as_pixels(np.clip(light + rng.normal(0, noise, light.shape), 0, 255).astype(np.uint8)))
    return out if crf is None else compressed(out, crf)


def compressed(pictures: Sequence[Picture], crf: int) -> list[Picture]:
    """Return pictures after H.264, with a key frame every two seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mkv"
        size, rate = f"{SIDE}x{SIDE}", str(FPS)
        given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", rate, "-i", "-"]
        coded = ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-crf", str(crf), "-g", str(2 * FPS)]
        command = ["ffmpeg", "-loglevel", "error", *given, *coded, "-pix_fmt", "yuv420p", str(path)]
        subprocess.run(command, input=b"".join(p.tobytes() for p in pictures), check=True)
        video = cv2.VideoCapture(str(path))
        out = []
        while (read := video.read())[0]:
            out.append(as_pixels(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)))
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = parser_for("evaluate_stillness", __doc__)
    parser.add_argument("--picture", type=Path, required=True, help="head and shoulders of one person")
    args = parser.parse_args(argv)
    read = cv2.imread(str(args.picture))
    if read is None:
        parser.error(f"{args.picture}: cannot be read")
    picture = as_pixels(cv2.cvtColor(read, cv2.COLOR_BGR2RGB))
    for size in SIZES_PX:
        half = Box(SIDE / 2 - 0.39 * size, SIDE / 2 - size / 2, SIDE / 2 + 0.39 * size, SIDE / 2 + size / 2)
        for noise, crf in CAMERAS:
            if crf is not None and shutil.which("ffmpeg") is None:
                continue
            for shift in SHIFTS_PX:
                patches = [normalized(grey_patch(p, half)) for p in frames(picture, size, shift, noise, crf)]
                reference: Patch = np.mean(patches[:REFERENCE], axis=0, dtype=np.float32)
                seen = np.array([change_and_shift(reference, patch) for patch in patches[REFERENCE:]])
                still, moved = seen[: FRAMES // 2 - REFERENCE], seen[FRAMES // 2 - REFERENCE :]
                codec = "not compressed" if crf is None else f"H.264 crf {crf}"
                print(
                    f"face {size} px, noise {noise:g}, {codec}: still: shift {still[:, 1].max():.3f}, change "
                    f"{still[:, 0].max():.2f}; moved by {shift} px: shift {moved[:, 1].min():.3f}",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
