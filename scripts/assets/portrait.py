"""The portrait of the demo clip: cut out, with a mask, and with an angry face.

It is the NASA portrait of Eileen Collins in scikit-image (public domain), enlarged SCALE times. Pictures are (H, W, 3)
uint8, RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from training.arrays import Box, Layer, Picture, as_pixels
from training.drawing import masks
from training.rendering.people import Person

Points = Sequence[tuple[float, float]]

#: The face in the portrait, hairline to chin, in pixels.
FACE: Box = (178.0, 72.0, 271.0, 181.0)
#: The portrait is enlarged this many times, because the person comes nearer than it shows her.
SCALE = 3
#: Height and width of the portrait.
PORTRAIT_PX = 512
#: The part of the portrait that an angry face changes: x1, y1, x2, y2.
PATCH = (140, 52, 310, 205)


@dataclass(frozen=True)
class Scowl:
    """How an angry face differs from a smile. Lengths are in pixels of the portrait, in which the face is 109 high."""

    brow_down: float = 6.0  # inner ends of the brows
    brow_in: float = 3.5
    brow_outer_up: float = 1.5  # outer ends
    brow_dark: float = 0.42  # how strongly the brows are drawn over, 0..1
    brow_thick: float = 2.4
    lid_down: float = 2.2  # upper lids, towards a narrow slit
    lid_up: float = 1.2  # lower lids
    corner_down: float = 10.5  # corners of the mouth
    corner_in: float = 3.0
    lip_up: float = 2.5  # middle of the upper lip, which shows the teeth
    lip_down: float = 3.2  # middle of the lower lip
    nose_wide: float = 1.5
    frown: float = 0.42  # the two vertical lines between the brows, 0..1
    wrinkle: float = 0.35  # beside nose and mouth, 0..1
    shade: float = 0.25  # shadow over the eyes, 0..1


# Landmarks of the portrait, (x, y). Left and right are those of the picture.
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
    """Return points of the portrait, (n, 2), and where the angry face has them, (n, 2)."""
    before: list[tuple[float, float]] = []
    after: list[tuple[float, float]] = []

    def move(point: tuple[float, float], dx: float, dy: float) -> None:
        before.append(point)
        after.append((point[0] + dx, point[1] + dy))

    for side, brow in zip((1, -1), BROWS, strict=True):
        for point, moved in zip(brow, _moved_brow(s, side, brow), strict=True):
            before.append(point)
            after.append(moved)
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
    return np.array(before, float), np.array(after, float)


def _moved_brow(s: Scowl, side: int, brow: Points) -> list[tuple[float, float]]:
    """Return the points of a brow, from the outer to the inner end, in the angry face.

    `side` is 1 on the left, -1 right.
    """
    moved = []
    for k, (x, y) in enumerate(brow):
        inner = k / (len(brow) - 1)
        moved.append((x + side * s.brow_in * inner, y + (s.brow_down * inner - s.brow_outer_up * (1 - inner))))
    return moved


def _thin_plate(source: npt.NDArray[Any], target: npt.NDArray[Any], x: Any, y: Any) -> tuple[Any, Any]:
    """Return the points x, y (any shape), moved by the thin-plate spline that takes `source` (n, 2) to `target` (n,
    2)."""

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
    """Return the scowl with all lengths and shades multiplied; the brows keep their thickness."""
    return Scowl(**{name: value * (strength if name != "brow_thick" else 1) for name, value in vars(s).items()})


def agitated(picture: Picture, strength: float = 1.0, scowl: Scowl | None = None) -> Picture:
    """Return the portrait, (512 SCALE, 512 SCALE, 3) uint8 RGB, with an angry face; `strength` 0 changes nothing."""
    s = _scaled(scowl if scowl is not None else SCOWL, strength)
    scale = picture.shape[0] / PORTRAIT_PX
    before, after = _moves(s)
    x1, y1, x2, y2 = PATCH
    # The moves are smooth, so they are computed at the portrait's size.
    gx, gy = np.meshgrid(np.arange(x1, x2 + 1, dtype=float), np.arange(y1, y2 + 1, dtype=float))
    sx, sy = _thin_plate(after, before, gx, gy)
    # No move at the border of the patch.
    border = np.minimum.reduce([gx - x1, x2 - gx, gy - y1, y2 - gy])
    keep = np.clip(border / 14, 0, 1)
    dx, dy = (sx - gx) * keep, (sy - gy) * keep
    w, h = round((x2 - x1) * scale), round((y2 - y1) * scale)
    px, py = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    fx, fy = px / scale, py / scale
    move = cv2.remap(np.dstack([dx, dy]).astype(np.float32), fx, fy, cv2.INTER_LINEAR)
    left, top = round(x1 * scale), round(y1 * scale)
    mx, my = px + left + move[..., 0] * scale, py + top + move[..., 1] * scale
    out = picture.copy()
    patch = as_pixels(cv2.remap(picture, mx.astype(np.float32), my.astype(np.float32), cv2.INTER_CUBIC))
    out[top : top + h, left : left + w] = _painted(patch, s, (x1, y1), scale)
    return out


def _painted(patch: Picture, s: Scowl, origin: tuple[float, float], scale: float) -> Picture:
    """Return the warped face with darker brows, frown lines, wrinkles and a shadow over the eyes.

    `origin` is the place of the patch in the portrait.
    """
    dark = np.zeros(patch.shape[:2], np.float32)

    def stroke(points: Points, width: float, softness: float, darkness: float) -> None:
        layer = np.zeros(patch.shape[:2], np.uint8)
        # OpenCV takes points in sixteenths of a pixel.
        sixteenths = ((np.array(points) - origin) * scale * 16).round().astype(np.int32)
        cv2.polylines(layer, [sixteenths], False, (255,), max(1, round(width * scale)), cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(layer, (0, 0), softness * scale).astype(np.float32)
        np.maximum(dark, soft * (darkness / 255), out=dark)

    for side, brow in zip((1, -1), BROWS, strict=True):
        moved = _moved_brow(s, side, brow)
        stroke(moved, s.brow_thick, 0.7, s.brow_dark)
        stroke(moved[1:], s.brow_thick * 1.2, 0.8, s.brow_dark)
    for x, lean in ((220.0, -1.2), (228.5, 1.2)):
        stroke([(x + lean, 86), (x, 92), (x + 0.4 * lean, 99)], 1.0, 0.7, s.frown)
    stroke([(217, 101), (224, 103), (231, 101)], 0.8, 0.9, 0.6 * s.frown)
    for side, (wing_x, wing_y) in zip((-1, 1), WINGS, strict=True):
        cheek = [
            (wing_x + side * 1, wing_y - 5),
            (wing_x + side * 6, wing_y + 1),
            (wing_x + side * 13, wing_y + 13),
            (wing_x + side * 13.5, wing_y + 22),
        ]
        stroke(cheek, 1.0, 0.9, s.wrinkle)
        stroke([(wing_x + side * -5, 116), (wing_x + side * -2, 112)], 0.8, 0.7, 0.8 * s.wrinkle)
    for inner, outer, upper, _ in EYES:
        shadow = [(outer[0], outer[1] - 4), (upper[0], upper[1] - 2 + s.lid_down), (inner[0], inner[1] - 4)]
        stroke(shadow, 5, 2.2, s.shade)
        lid = [(outer[0], outer[1]), (upper[0], upper[1] + 0.5 + s.lid_down), (inner[0], inner[1] + 0.5)]
        stroke(lid, 1.2, 0.5, 1.2 * s.shade)
    tint = np.array([0.80, 0.92, 1.0], np.float32)  # a shadow darkens red less than blue
    kept = 1 - np.clip(dark, 0, 0.85)[:, :, None] * tint
    return np.clip(patch * kept, 0, 255).astype(np.uint8)


#: The angry face of the clip.
SCOWL = Scowl()


def original() -> Picture:
    """Return the NASA portrait, (512, 512, 3) uint8 RGB. Raises SystemExit without scikit-image."""
    try:
        from skimage import data
    except ImportError:
        raise SystemExit("make_demo: needs scikit-image for the portrait (pip install scikit-image)") from None
    return as_pixels(data.astronaut())


def enlarged() -> Picture:
    """Return the NASA portrait, SCALE times enlarged and sharpened."""
    large = cv2.resize(original(), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LANCZOS4)
    soft = cv2.GaussianBlur(large, (0, 0), 2.0)
    return as_pixels(cv2.addWeighted(large, 1.5, soft, -0.5, 0))


def matte(picture: Picture) -> Layer:
    """Return the outline of the person in `picture`, (H, W) uint8: GrabCut, started from a rough sketch of head and
    suit."""
    side = PORTRAIT_PX
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    mask = np.full((side, side), cv2.GC_BGD, np.uint8)
    suit = [(118, 205), (135, 160), (180, 150), (262, 172), (305, 235), (345, 262), (362, 330), (368, 512), (22, 512),
            (18, 400), (45, 280), (80, 225)]  # fmt: skip
    hair = cv2.ellipse(np.zeros((side, side), np.uint8), (227, 82), (82, 74), 0, 0, 360, (255,), -1)
    cv2.fillPoly(mask, [np.array(suit, np.int32)], (cv2.GC_PR_FGD,))
    mask[hair > 0] = cv2.GC_PR_FGD
    for centre, axes in (((224, 110), (44, 68)), ((227, 68), (62, 46))):
        cv2.ellipse(mask, centre, axes, 0, 0, 360, (cv2.GC_FGD,), -1)
    inner = [(140, 205), (185, 160), (255, 178), (296, 240), (335, 275), (345, 330), (350, 512), (45, 512), (40, 400),
             (62, 290)]  # fmt: skip
    cv2.fillPoly(mask, [np.array(inner, np.int32)], (cv2.GC_FGD,))
    # GrabCut takes these for background: the pale ring of the collar, the ears, the helmet under the arm.
    clear = (((208, 221), (100, 64), 25), ((176, 124), (6, 9), 0), ((270, 129), (6, 8), 0), ((387, 444), (108, 98), 0))
    for centre, axes, turn in clear:
        cv2.ellipse(mask, centre, axes, turn, 0, 360, (cv2.GC_FGD,), -1)
    cv2.setRNGSeed(1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, mask, (0, 0, 0, 0), *models, 5, cv2.GC_INIT_WITH_MASK)
    found = _largest_part(np.where((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), 255, 0).astype(np.uint8))
    closed = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    soft = cv2.GaussianBlur(cv2.erode(closed, np.ones((3, 3), np.uint8)), (0, 0), 1.0)
    return as_pixels(cv2.resize(soft, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC))


def _largest_part(layer: Layer) -> Layer:
    """Return only the largest connected part of a layer of 0 and 255."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(layer)
    if count <= 1:
        return layer
    return np.where(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()), 255, 0).astype(np.uint8)


def _box() -> Box:
    """Return the box of the face in the enlarged portrait."""
    x1, y1, x2, y2 = FACE
    return x1 * SCALE, y1 * SCALE, x2 * SCALE, y2 * SCALE


def person(picture: Picture, outline: Layer) -> Person:
    """Return the person of an enlarged portrait, cut out at `outline`."""
    return Person(picture, outline, _box())


def masked(picture: Picture) -> Picture:
    """Return the enlarged portrait with a light-blue surgical mask."""
    style = masks.MaskStyle(
        cut="surgical", colour=(146, 196, 228), nose=0.42, side=0.50, chin=1.02, width=0.95, roll=0.035, wobble=0.0,
        blur=0.004,
    )  # fmt: skip
    return masks.paint_mask(picture, _box(), style, np.random.default_rng(4), max_height=400)
