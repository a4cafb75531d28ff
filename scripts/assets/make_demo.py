"""Make the demo clip, and the visitor of `doorlight bench`.

In the clip a person comes to the door with a mask, then without a mask, then agitated: see portrait.py. Corridor and
door are drawn. Only this command needs scikit-image.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from assets import portrait
from edge.errors import OutputError
from training.arrays import Picture, as_floats, as_pixels
from training.files import replacing
from training.rendering import HEIGHT, WIDTH
from training.rendering.corridor import corridor
from training.rendering.people import Sprite
from training.rendering.video import Video
from training.rendering.walks import Walk

FPS = 15
SEED = 20
#: The door is empty for this time: at the start, between two visits, at the end.
START_S, EMPTY_S, END_S = 0.6, 2.5, 0.9
#: The still picture is the frame at this time: the person with a mask is near.
STILL_S = START_S + 3.4


def doorway(scene: Picture) -> Picture:
    """Return the front of a glass door (panel, posts, bar), which is in every frame, (480, 640, 4) uint8 RGBA."""
    h, w = scene.shape[:2]
    front = np.zeros((h, w, 4), np.uint8)
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    wood = np.array([96, 70, 50], np.float32)
    grain = np.random.default_rng(2).normal(0, 1, (h, w // 8)).astype(np.float32)
    grain = cv2.resize(cv2.GaussianBlur(grain, (0, 0), 1.2), (w, h), interpolation=cv2.INTER_LINEAR) * 5
    paint = np.clip(wood * (1.05 - 0.25 * y)[:, :, None] + grain[:, :, None], 0, 255).astype(np.uint8)
    front[..., :3] = paint
    panel = 408
    front[panel:, :, 3] = 255
    front[:, :22, 3] = 255
    front[:, w - 22 :, 3] = 255
    front[:14, :, 3] = 255
    for a, b, c in ((panel, panel + 3, 1.5), (panel + 3, panel + 6, 0.7)):
        front[a:b, :, :3] = np.clip(front[a:b, :, :3] * c, 0, 255)
    front[:panel, 20:22, :3] = front[:panel, w - 22 : w - 20, :3] = (60, 44, 32)
    for a, shade in ((436, (168, 168, 172)), (440, (214, 214, 218)), (446, (140, 140, 146)), (450, (92, 92, 98))):
        front[a : a + 6, 70 : w - 70, :3] = shade
    return front


def _reflection() -> npt.NDArray[np.float32]:
    """Return the light on the glass, (480, 640, 1)."""
    light = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.fillPoly(light, [np.array([(60, 408), (190, 14), (250, 14), (120, 408)], np.int32)], (1.0,))
    cv2.fillPoly(light, [np.array([(140, 408), (270, 14), (285, 14), (155, 408)], np.int32)], (0.8,))
    return as_floats(cv2.GaussianBlur(light, (0, 0), 6)[:, :, None] * 9)


def _visits() -> list[tuple[str, Sprite]]:
    """Return the person of each visit, with the name of the visit."""
    bare = portrait.enlarged()
    outline = portrait.matte(bare)
    with_mask = portrait.masked(bare)
    # The mask reaches a little beyond the face.
    drawn = np.where(cv2.absdiff(with_mask, bare).max(2) > 40, 255, 0).astype(np.uint8)
    masked_outline = as_pixels(cv2.max(outline, cv2.GaussianBlur(drawn, (0, 0), 1.0)))
    return [
        ("masked", Sprite(portrait.person(with_mask, masked_outline))),
        ("unmasked", Sprite(portrait.person(bare, outline))),
        ("agitated", Sprite(portrait.person(portrait.agitated(bare), outline))),
    ]


def clip() -> Iterator[tuple[str, Picture]]:
    """Yield (name of what is shown, frame), the frames (480, 640, 3) uint8 RGB."""
    scene = corridor(np.random.default_rng(8))
    front = doorway(scene)
    posts = front[..., 3].astype(np.float32) / 255
    reflection = _reflection()

    def behind_glass(frame: Picture) -> Picture:
        lit = np.clip(frame.astype(np.float32) + reflection, 0, 255).astype(np.uint8)
        return as_pixels(cv2.blendLinear(np.ascontiguousarray(front[..., :3]), lit, posts, 1 - posts))

    empty = behind_glass(scene)
    for _ in range(round(START_S * FPS)):
        yield "empty", empty
    for k, (name, sprite) in enumerate(_visits()):
        side = (-1, 1, -1)[k]
        walk = Walk(
            seconds=4.7, far=0.125, near=0.44, start_x=0.5 - side * 0.16, end_x=0.5 + side * 0.02,
            start_y=0.43, end_y=0.49, arrive=0.56, leave_s=0.6, leave_to=0.5 + side * 1.15,
            sway=0.03, step_hz=1.7, roll=1.5, jitter=0.002, phase=0.3 * k, fade_s=0.3,
        )  # fmt: skip
        for pose in walk.poses(FPS, np.random.default_rng((SEED, k))):
            yield name, behind_glass(sprite.into(scene, pose))
        for _ in range(round((EMPTY_S if k < 2 else END_S) * FPS)):
            yield "empty", empty


def save(picture: Picture, path: Path, quality: int) -> None:
    """Write `picture`, (H, W, 3) uint8 RGB, as a JPEG. Raises OSError."""
    with replacing(path) as part:
        if not cv2.imwrite(str(part), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]):
            raise OSError(f"{path}: cannot be written")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    here = Path(__file__).resolve().parent / "demo"
    visitor = Path(__file__).resolve().parents[2] / "edge/bench/visitor.jpg"
    parser = argparse.ArgumentParser(
        prog="python -m assets.make_demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=here / "door.mp4", help="clip to write (default: %(default)s)")
    parser.add_argument("--still", type=Path, default=here / "still.jpg", help="one frame of it (default: %(default)s)")
    parser.add_argument("--visitor", type=Path, default=visitor, help="head and shoulders (default: %(default)s)")
    args = parser.parse_args(argv)
    count = 0
    try:
        with Video(args.out, FPS) as video, tqdm(unit="frames", file=sys.stderr) as bar:
            for _, frame in clip():
                video.write(frame)
                if count == round(STILL_S * FPS):
                    save(frame, args.still, 90)
                count += 1
                bar.update()
        save(portrait.original()[12:242, 134:318], args.visitor, 85)
    except OSError as error:
        print(f"make_demo: {error}", file=sys.stderr)
        return OutputError.exit_code
    size = args.out.stat().st_size
    print(f"{args.out}: {count / FPS:.1f} s, {size / 1e6:.2f} MB; {args.still}; {args.visitor}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
