"""Make the demo clip: one person comes to the door masked, then bare-faced, then agitated; and the bench's visitor.

The person is Eileen Collins, from the NASA portrait that ships inside scikit-image (public domain). The corridor and
the door are painted here, the mask is drawn, and the scowl is a local warp of her smile; nothing else goes into it.
scikit-image is needed to make it, not to play it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from training.arrays import Box
from training.drawing import masks
from training.rendering.corridor import corridor
from training.rendering.files import Video, replacing
from training.rendering.people import Person, Sprite
from training.rendering.walks import Walk

Picture = npt.NDArray[np.uint8]

FPS = 15
SEED = 20
EMPTY_S = 2.5
#: Her face in the portrait, hairline to chin.
FACE: Box = (178.0, 72.0, 271.0, 181.0)
#: Everything is done at this many times the portrait's size: she comes nearer than the portrait shows her.
FINER = 3


@dataclass(frozen=True)
class Scowl:
    """How a smile is turned into anger; lengths in pixels of the portrait (the face is 109 high)."""

    brow_down: float = 6.0  # inner ends of the brows
    brow_in: float = 3.5
    brow_outer_up: float = 1.5  # outer ends
    brow_dark: float = 0.42  # how strongly the brows are drawn over, 0..1
    brow_thick: float = 2.4
    lid_down: float = 2.2  # upper lids, towards a narrow slit
    lid_up: float = 1.2  # lower lids
    corner_down: float = 10.5  # corners of the mouth
    corner_in: float = 3.0
    lip_up: float = 2.5  # middle of the upper lip: teeth bared
    lip_down: float = 3.2  # middle of the lower lip
    nose_wide: float = 1.5
    frown: float = 0.42  # the two upright lines between the brows, 0..1
    wrinkle: float = 0.35  # beside nose and mouth, 0..1
    shade: float = 0.25  # shadow over the eyes, 0..1


# Landmarks of the portrait, (x, y), left and right as seen.
BROWS = (((190, 90), (199, 88), (206, 89.5), (213, 93)), ((262, 96), (253, 91.5), (245, 91.5), (238, 93.5)))
EYES = (  # inner, outer, upper lid, lower lid
    ((211, 104), (192, 100), (202, 97), (202, 105)),
    ((236, 104.5), (260, 104), (247, 98.5), (246, 107)),
)
WINGS = ((210, 128), (237, 128))
CORNERS = ((202, 139), (246.5, 140.5))
UPPER_LIP = ((212, 141.5), (223, 142.5), (235, 142.5))
LOWER_LIP = ((211, 148), (223, 154), (236, 149))
UPPER_TEETH, LOWER_TEETH = ((223, 144),), ((223, 150),)
ANCHORS = (
    (170, 60), (195, 66), (222, 66), (250, 66), (280, 66), (160, 100), (176, 110), (178, 85), (268, 85), (274, 112),
    (290, 100), (180, 135), (268, 138), (188, 156), (260, 156), (205, 172), (223, 178), (242, 172), (223, 127),
    (223, 105), (180, 190), (265, 190), (223, 200), (223, 165), (150, 150), (300, 150),
)  # fmt: skip


def _moves(s: Scowl) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Where points of the portrait are, and where they go."""
    was: list[tuple[float, float]] = []
    now: list[tuple[float, float]] = []

    def move(point: tuple[float, float], dx: float, dy: float) -> None:
        was.append(point)
        now.append((point[0] + dx, point[1] + dy))

    for side, brow in zip((1, -1), BROWS, strict=True):
        for k, point in enumerate(brow):
            inner = k / (len(brow) - 1)
            move(point, side * s.brow_in * inner, s.brow_down * inner - s.brow_outer_up * (1 - inner))
    for side, (inner_, outer, upper, lower) in zip((1, -1), EYES, strict=True):
        move(inner_, 0.3 * side, 0.8)
        move(outer, 0, -0.3)
        move(upper, 0, s.lid_down)
        move(lower, 0, -s.lid_up)
    for side, wing in zip((-1, 1), WINGS, strict=True):
        move(wing, side * s.nose_wide, -s.nose_wide)
    for side, corner in zip((1, -1), CORNERS, strict=True):
        move(corner, side * s.corner_in, s.corner_down)
    for point in (*UPPER_LIP, *UPPER_TEETH):
        move(point, 0, -s.lip_up if point[0] == 223 else -s.lip_up * 0.3 + s.corner_down * 0.25)
    for point in (*LOWER_LIP, *LOWER_TEETH):
        move(point, 0, s.lip_down if point[0] == 223 else s.lip_down * 0.7 + s.corner_down * 0.35)
    for point in ANCHORS:
        move(point, 0, 0)
    return np.array(was, float), np.array(now, float)


def _thin_plate(source: npt.NDArray[Any], target: npt.NDArray[Any], x: Any, y: Any) -> tuple[Any, Any]:
    """A thin-plate spline that takes `source` (n, 2) to `target` (n, 2), at the points x, y (any shape)."""

    def kernel(r2: Any) -> Any:
        return r2 * np.log(np.maximum(r2, 1e-9))

    n = len(source)
    k = kernel(((source[:, None] - source[None]) ** 2).sum(2)) + 1e-3 * np.eye(n)
    p = np.hstack([np.ones((n, 1)), source])
    system = np.block([[k, p], [p.T, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.vstack([target, np.zeros((3, 2))]))
    out = weights[n] + np.stack([x, y], -1) @ weights[n + 1 :]
    for point, weight in zip(source, weights[:n], strict=True):
        out = out + kernel((x - point[0]) ** 2 + (y - point[1]) ** 2)[..., None] * weight
    return out[..., 0], out[..., 1]


def _scaled(s: Scowl, strength: float) -> Scowl:
    return Scowl(**{name: value * (strength if name != "brow_thick" else 1) for name, value in vars(s).items()})


def agitated(picture: Picture, strength: float = 1.0, scowl: Scowl | None = None) -> Picture:
    """The portrait (512 FINER, 512 FINER, 3) uint8 RGB with a scowl: 0 is the portrait as it is, 1 is furious."""
    s = _scaled(scowl if scowl is not None else SCOWL, strength)
    finer = picture.shape[0] / 512
    was, now = _moves(s)
    # Only around the face; the field is smooth, so it is solved at the portrait's size.
    x1, y1, x2, y2 = 140, 52, 310, 205
    gx, gy = np.meshgrid(np.arange(x1, x2 + 1, dtype=float), np.arange(y1, y2 + 1, dtype=float))
    sx, sy = _thin_plate(now, was, gx, gy)
    # Fade out to no move at all at the border of the patch.
    edge = np.minimum.reduce([gx - x1, x2 - gx, gy - y1, y2 - gy])
    keep = np.clip(edge / 14, 0, 1)
    dx, dy = (sx - gx) * keep, (sy - gy) * keep
    w, h = round((x2 - x1) * finer), round((y2 - y1) * finer)
    px, py = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    fx, fy = px / finer, py / finer
    move = cv2.remap(np.dstack([dx, dy]).astype(np.float32), fx, fy, cv2.INTER_LINEAR)
    left, top = round(x1 * finer), round(y1 * finer)
    mx, my = px + left + move[..., 0] * finer, py + top + move[..., 1] * finer
    out = picture.copy()
    patch = cv2.remap(picture, mx.astype(np.float32), my.astype(np.float32), cv2.INTER_CUBIC)
    out[top : top + h, left : left + w] = _painted(patch, s, (x1, y1), finer)
    return out


def _painted(patch: Picture, s: Scowl, origin: tuple[float, float], finer: float) -> Picture:
    """Brows, frown lines, wrinkles and a shadow, multiplied over the warped face."""
    ox, oy = origin

    def at(points: Sequence[tuple[float, float]]) -> npt.NDArray[np.int32]:
        return ((np.array(points) - (ox, oy)) * finer * 16).round().astype(np.int32)

    dark = np.zeros(patch.shape[:2], np.float32)

    def stroke(points: Sequence[tuple[float, float]], wide: float, soft: float, much: float) -> None:
        layer = np.zeros(patch.shape[:2], np.uint8)
        cv2.polylines(layer, [at(points)], False, 255, max(1, round(wide * finer)), cv2.LINE_AA, 4)
        np.maximum(dark, cv2.GaussianBlur(layer, (0, 0), soft * finer).astype(np.float32) * (much / 255), out=dark)

    for side, brow in zip((1, -1), BROWS, strict=True):
        moved = []
        for k, (x, y) in enumerate(brow):
            inner = k / 3
            moved.append((x + side * s.brow_in * inner, y + s.brow_down * inner - s.brow_outer_up * (1 - inner)))
        stroke(moved, s.brow_thick, 0.7, s.brow_dark)
        stroke(moved[1:], s.brow_thick * 1.2, 0.8, s.brow_dark)
    for x, lean in ((220.0, -1.2), (228.5, 1.2)):
        stroke([(x + lean, 86), (x, 92), (x + 0.4 * lean, 99)], 1.0, 0.7, s.frown)
    stroke([(217, 101), (224, 103), (231, 101)], 0.8, 0.9, 0.6 * s.frown)
    for side, (x, y) in zip((-1, 1), WINGS, strict=True):
        cheek = [(x + side * 1, y - 5), (x + side * 6, y + 1), (x + side * 13, y + 13), (x + side * 13.5, y + 22)]
        stroke(cheek, 1.0, 0.9, s.wrinkle)
        stroke([(x + side * -5, 116), (x + side * -2, 112)], 0.8, 0.7, 0.8 * s.wrinkle)
    for inner, outer, upper, _ in EYES:
        shadow = [(outer[0], outer[1] - 4), (upper[0], upper[1] - 2 + s.lid_down), (inner[0], inner[1] - 4)]
        stroke(shadow, 5, 2.2, s.shade)
        lid = [(outer[0], outer[1]), (upper[0], upper[1] + 0.5 + s.lid_down), (inner[0], inner[1] + 0.5)]
        stroke(lid, 1.2, 0.5, 1.2 * s.shade)
    tint = np.array([0.80, 0.92, 1.0], np.float32)  # what a shadow takes from skin: least of the red
    kept = 1 - np.clip(dark, 0, 0.85)[:, :, None] * tint
    return np.clip(patch * kept, 0, 255).astype(np.uint8)


#: The scowl of the clip.
SCOWL = Scowl()


def original() -> Picture:
    """The NASA portrait, (512, 512, 3) uint8 RGB; raises SystemExit where scikit-image is not there."""
    try:
        from skimage import data
    except ImportError:
        raise SystemExit("make_demo needs scikit-image for the portrait: pip install scikit-image") from None
    return data.astronaut()  # type: ignore[no-any-return]


def portrait() -> Picture:
    """The NASA portrait, FINER times enlarged."""
    picture = original()
    big = cv2.resize(picture, None, fx=FINER, fy=FINER, interpolation=cv2.INTER_LANCZOS4)
    soft = cv2.GaussianBlur(big, (0, 0), 2.0)
    return cv2.addWeighted(big, 1.5, soft, -0.5, 0)  # type: ignore[return-value]


def matte(picture: Picture) -> npt.NDArray[np.uint8]:
    """Her outline, (H, W) uint8: GrabCut from a rough sketch of head and suit."""
    small = cv2.resize(picture, (512, 512), interpolation=cv2.INTER_AREA)
    mask = np.full((512, 512), cv2.GC_BGD, np.uint8)
    suit = [(118, 205), (135, 160), (180, 150), (262, 172), (305, 235), (345, 262), (362, 330), (368, 512), (22, 512),
            (18, 400), (45, 280), (80, 225)]  # fmt: skip
    hair = cv2.ellipse(np.zeros((512, 512), np.uint8), (227, 82), (82, 74), 0, 0, 360, 255, -1)
    cv2.fillPoly(mask, [np.array(suit, np.int32)], cv2.GC_PR_FGD)  # type: ignore[call-overload]
    mask[hair > 0] = cv2.GC_PR_FGD
    for centre, axes in (((224, 110), (44, 68)), ((227, 68), (62, 46))):
        cv2.ellipse(mask, centre, axes, 0, 0, 360, cv2.GC_FGD, -1)  # type: ignore[call-overload]
    inner = [(140, 205), (185, 160), (255, 178), (296, 240), (335, 275), (345, 330), (350, 512), (45, 512), (40, 400),
             (62, 290)]  # fmt: skip
    cv2.fillPoly(mask, [np.array(inner, np.int32)], cv2.GC_FGD)  # type: ignore[call-overload]
    # What GrabCut takes for background: the pale ring of the collar, the ears, the helmet under her arm.
    clear = (((208, 221), (100, 64), 25), ((176, 124), (6, 9), 0), ((270, 129), (6, 8), 0), ((387, 444), (108, 98), 0))
    for centre, axes, turn in clear:
        cv2.ellipse(mask, centre, axes, turn, 0, 360, cv2.GC_FGD, -1)  # type: ignore[call-overload]
    cv2.setRNGSeed(1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, mask, None, *models, 5, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    found = np.where((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found)
    if count > 1:
        found = np.where(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()), 255, 0).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))  # type: ignore[assignment]
    found = cv2.GaussianBlur(cv2.erode(found, np.ones((3, 3), np.uint8)), (0, 0), 1.0)  # type: ignore[assignment]
    return cv2.resize(found, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)  # type: ignore[return-value]


def _box() -> Box:
    x1, y1, x2, y2 = FACE
    return x1 * FINER, y1 * FINER, x2 * FINER, y2 * FINER


def person(picture: Picture, outline: npt.NDArray[np.uint8]) -> Person:
    return Person(picture, outline, _box())


def masked(picture: Picture) -> Picture:
    """The portrait with a light-blue surgical mask."""
    style = masks.MaskStyle(
        cut="surgical", colour=(146, 196, 228), nose=0.42, side=0.50, chin=1.02, width=0.95, roll=0.035, wobble=0.0,
        blur=0.004,
    )  # fmt: skip
    return masks.paint_mask(picture, _box(), style, np.random.default_rng(4), max_height=400)


def doorway(scene: Picture) -> Picture:
    """A glass door's lower panel, posts and bar, before the camera in every frame: (480, 640, 4) uint8 RGBA."""
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


def clip() -> Iterator[tuple[str, Picture]]:
    """The frames, (480, 640, 3) uint8 RGB, each with what it shows."""
    scene = corridor(np.random.default_rng(8))
    front = doorway(scene)
    posts = front[..., 3].astype(np.float32) / 255
    gleam = np.zeros(scene.shape[:2], np.float32)
    cv2.fillPoly(gleam, [np.array([(60, 408), (190, 14), (250, 14), (120, 408)], np.int32)], 1.0)
    cv2.fillPoly(gleam, [np.array([(140, 408), (270, 14), (285, 14), (155, 408)], np.int32)], 0.8)
    gleam = cv2.GaussianBlur(gleam, (0, 0), 6)[:, :, None] * 9
    bare = portrait()
    outline = matte(bare)
    looks = (("masked", masked(bare)), ("unmasked", bare), ("agitated", agitated(bare)))
    # The mask reaches a little beyond the face.
    drawn = np.where(cv2.absdiff(looks[0][1], bare).max(2) > 40, 255, 0).astype(np.uint8)
    outlines = (cv2.max(outline, cv2.GaussianBlur(drawn, (0, 0), 1.0)), outline, outline)
    stands = [(name, Sprite(person(p, o))) for (name, p), o in zip(looks, outlines, strict=True)]

    def shot(frame: Picture) -> Picture:
        lit = np.clip(frame.astype(np.float32) + gleam, 0, 255).astype(np.uint8)
        return cv2.blendLinear(np.ascontiguousarray(front[..., :3]), lit, posts, 1 - posts)  # type: ignore[return-value]

    empty = shot(scene)
    for _ in range(round(0.6 * FPS)):
        yield "empty", empty
    for k, (name, stand) in enumerate(stands):
        side = (-1, 1, -1)[k]
        walk = Walk(
            seconds=4.7, far=0.125, near=0.44, start_x=0.5 - side * 0.16, end_x=0.5 + side * 0.02,
            start_y=0.43, end_y=0.49, arrive=0.56, leave_s=0.6, leave_to=0.5 + side * 1.15,
            sway=0.03, step_hz=1.7, roll=1.5, jitter=0.002, phase=0.3 * k, fade_s=0.3,
        )  # fmt: skip
        for pose in walk.poses(FPS, np.random.default_rng((SEED, k))):
            yield name, shot(stand.into(scene, pose))
        for _ in range(round((EMPTY_S if k < 2 else 0.9) * FPS)):
            yield "empty", empty


def save(picture: Picture, path: Path, quality: int) -> None:
    """Write `picture`, (H, W, 3) uint8 RGB, as a JPEG. Raises OSError."""
    with replacing(path) as part:
        if not cv2.imwrite(str(part), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]):
            raise OSError(f"{path}: cannot be written")


def main(arguments: Sequence[str] | None = None) -> int:
    here = Path(__file__).resolve().parent / "demo"
    parser = argparse.ArgumentParser(
        prog="python -m assets.make_demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=here / "door.mp4", help="clip to write (default: %(default)s)")
    parser.add_argument("--still", type=Path, default=here / "still.jpg", help="one frame of it (default: %(default)s)")
    visitor = Path(__file__).resolve().parents[2] / "edge/bench/visitor.jpg"
    parser.add_argument("--visitor", type=Path, default=visitor, help="head and shoulders (default: %(default)s)")
    args = parser.parse_args(arguments)
    still: Picture | None = None
    count = 0
    try:
        with Video(args.out, FPS) as video, tqdm(unit="frames", file=sys.stderr) as bar:
            for name, frame in clip():
                video.write(frame)
                if name == "masked" and count == round((0.6 + 3.4) * FPS):
                    still = frame
                count += 1
                bar.update()
        assert still is not None
        save(still, args.still, 90)
        save(original()[12:242, 134:318], args.visitor, 85)
    except OSError as error:
        print(f"make_demo: {error}", file=sys.stderr)
        return 74
    size = args.out.stat().st_size
    print(f"{args.out}: {count / FPS:.1f} s, {size / 1e6:.2f} MB; {args.still}; {args.visitor}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
