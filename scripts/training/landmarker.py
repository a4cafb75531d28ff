"""Train the landmark model: five points of a face, also of a face with a mask.

The points that it learns are a larger detector's (YuNet); those under a mask are that detector's guess. Masks are drawn
on bare faces, whose points are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.imaging import images

from . import augment
from .arrays import Box, Floats, Picture, Rng, as_floats, as_pixels
from .dataset import CROP_MARGIN, Dataset, require
from .drawing import masks, occluders
from .landmarks import pose
from .nets import conv, normalise
from .records import Record

#: Side of the network's input in pixels, and of a crop in units of the longer side of the face's box.
SIZE, MARGIN = 64, CROP_MARGIN
#: Side of the region that is kept around a face for augmentation, in units of the longer side of its box.
AROUND = 1.9
#: Longer side of a detector's box in units of the distance from the eyes to the mouth, for crops, which have no box.
SIDE = 2.75
#: Points are learned and answered in units of the crop, from its corner. The outermost may lie beyond it.
LOW, HIGH = -0.1, 1.1
#: How often a mask or another thing is drawn on a bare face.
DRAWN, OCCLUDED = 0.45, 0.1
#: Faces below this height in pixels have no points that are worth learning.
MIN_HEIGHT = 28
#: Share of each source in a batch.
MIXTURE = {"fer2013": 0.25, "wild": 0.08, "crowds": 0.05}
OTHERS = 0.1
#: Where the loss turns from quadratic to linear, in units of the crop.
BETA = 0.02
#: The order of the points in the mirror image.
MIRRORED = [1, 0, 2, 4, 3]


@dataclass(frozen=True)
class Example:
    """A face with its landmarks (5, 2) float32 in pixels of the picture, and the box that a detector would give."""

    record: Record
    box: Box
    points: Floats
    masked: bool


def examples(records: Sequence[Record]) -> list[Example]:
    """Return all faces with landmarks."""
    out = []
    for r in records:
        if r.crop:
            if r.points is not None:
                out.append(Example(r, box_around(r.points), r.points, r.label == "mask"))
            continue
        for f in r.faces or ():
            if f.points is not None and f.trusted and f.label != "ignore" and f.height >= MIN_HEIGHT:
                label = r.label or f.label
                out.append(Example(r, f.box, f.points, label in ("mask", "incorrect")))
    return out


def box_around(points: Floats) -> Box:
    """Return the square that a detector would draw around a face with these landmarks (5, 2)."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    half = SIDE * float(np.hypot(*(mouth - eyes))) / 2
    x, y = (float(v) for v in (eyes + mouth) / 2)
    return (x - half, y - half, x + half, y + half)


class LandmarkModel(nn.Module):
    """A small network of separable convolutions (Howard et al. 2017): (B, 1, 64, 64) grey to (B, 10) x, y of five
    points in units of the crop."""

    def __init__(self) -> None:
        super().__init__()

        def block(i: int, o: int, stride: int) -> nn.Sequential:
            return nn.Sequential(conv(i, i, 3, stride, groups=i), conv(i, o))

        self.features = nn.Sequential(
            conv(1, 16, 3, 2),
            block(16, 32, 2),
            block(32, 32, 1),
            block(32, 64, 2),
            block(64, 64, 1),
            block(64, 64, 1),
            block(64, 128, 2),
            block(128, 128, 1),
        )
        self.shrink = conv(128, 32)
        self.points = nn.Linear(32 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shrink(self.features(x)).permute(0, 2, 3, 1)
        return self.points(x.reshape(-1, 32 * 16))


class LandmarkTask:
    """The landmark model's part of the training loop (`loop.Task`)."""

    name = "face_landmarks"
    metric = "val score"

    def __init__(self, data: Dataset, splits: dict[str, list[Record]]) -> None:
        self.data = data
        self.pools: dict[str, list[Example]] = {}
        for e in examples(splits["train"]):
            self.pools.setdefault(e.record.source, []).append(e)
        require([e for pool in self.pools.values() for e in pool], "train", "face with landmarks")
        self.names = list(self.pools)
        weights = np.array([MIXTURE.get(s, OTHERS) for s in self.names])
        self.weights = weights / weights.sum()
        self.val = [e for e in examples(splits["val"]) if e.record.source != "fer2013"]
        require(self.val, "val", "face with landmarks")

    def build(self) -> LandmarkModel:
        return LandmarkModel()

    def learn_from(self, earlier: torch.nn.Module) -> None:
        """Nothing is learned from an earlier network but its weights."""

    def draw(self, seed: Sequence[int]) -> tuple[Picture, Floats]:
        """Return a crop (SIZE, SIZE) uint8 grey and its points (5, 2) float32 in units of the crop."""
        rng = np.random.default_rng(seed)
        pool = self.pools[self.names[rng.choice(len(self.names), p=self.weights)]]
        e = pool[rng.integers(len(pool))]
        x1, y1, x2, y2 = e.box
        longer = max(x2 - x1, y2 - y1)
        size = int(np.clip(longer * AROUND, 48, 200))
        region = images.crop_square(
            self.data.picture(e.record, cache=e.record.source != "fer2013"), e.box, size, AROUND
        )
        middle = np.array([x1 + x2, y1 + y2], np.float32) / 2
        points = (e.points - middle) * np.float32(size / (longer * AROUND)) + np.float32(size / 2)
        if not e.masked:
            region = _disguised(region, points, rng)
        if rng.random() < 0.5:
            region = np.ascontiguousarray(region[:, ::-1])
            points = np.stack([size - 1 - points[MIRRORED, 0], points[MIRRORED, 1]], 1)
        region = augment.lens_and_light(region, rng)
        if rng.random() < 0.25:
            region = augment.coarse(region, rng, 24, 90)
        if rng.random() < 0.1:
            region = augment.motion(region, rng)
        # One warp turns, moves, scales and cuts.
        side = size / AROUND * MARGIN * np.exp(rng.normal(0, 0.09))
        warp = cv2.getRotationMatrix2D((size / 2, size / 2), rng.normal(0, 10), SIZE / side)
        warp[:, 2] += SIZE / 2 - size / 2 + rng.normal(0, 0.045, 2) * SIZE
        crop = cv2.warpAffine(region, warp, (SIZE, SIZE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        points = as_floats((points @ warp[:, :2].T + warp[:, 2]).astype(np.float32) / SIZE)
        return images.grey(as_pixels(crop))[:, :, 0], points

    def calibration(self, n: int, seed: int) -> Tensor:
        return torch.stack([torch.from_numpy(self.draw((seed, 10**6, k))[0]) for k in range(n)])[:, None]

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        drawn = [self.draw((seed, step, k)) for k in range(size)]
        return {
            "pictures": torch.from_numpy(np.stack([p for p, _ in drawn]))[:, None],
            "points": torch.from_numpy(np.stack([q for _, q in drawn]).reshape(size, 10)),
        }

    def loss(self, net: torch.nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        """Return the smooth L1 loss (Girshick 2015) in units of the eye distance."""
        device = next(net.parameters()).device
        wanted = batch["points"].to(device)
        answer = net(normalise(batch["pictures"].to(device))).float()
        between = (wanted[:, 0:2] - wanted[:, 2:4]).norm(dim=1).clamp(min=0.12)[:, None]
        return F.smooth_l1_loss(answer / between, wanted / between, beta=BETA)

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        """Return the mean distance of the points from the teacher's, divided by the distance between the eyes."""
        device = next(net.parameters()).device
        errors = []
        for start in range(0, len(self.val), 256):
            part = self.val[start : start + 256]
            crops = [images.grey(images.crop_square(self.data.picture(e.record), e.box, SIZE, MARGIN)) for e in part]
            x = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).to(device)
            with torch.no_grad():
                answer = net(normalise(x)).float().cpu().numpy().reshape(-1, 5, 2)
            errors += [error(points_in_picture(a, e.box), e.points) for a, e in zip(answer, part, strict=True)]
        masked = np.array([e.masked for e in self.val])
        bare, covered = (float(np.mean(np.array(errors)[m])) if m.any() else float("nan") for m in (~masked, masked))
        known = [v for v in (bare, covered) if v == v]
        return {"val score": -float(np.mean(known)), "val bare": bare, "val masked": covered}


def points_in_picture(points: Floats, box: Box) -> Floats:
    """Return points (5, 2) in units of the crop around `box` as pixels of the picture."""
    x1, y1, x2, y2 = box
    side = max(x2 - x1, y2 - y1) * MARGIN
    corner = np.array([(x1 + x2) / 2 - side / 2, (y1 + y2) / 2 - side / 2], np.float32)
    return as_floats(corner + points * np.float32(side))


def error(found: Floats, wanted: Floats) -> float:
    """Return the mean distance of five points (5, 2), divided by the distance between the wanted eyes.

    Of a profile the eyes are close together in the picture. There the distance from the eyes to the mouth takes its
    place, if it is longer.
    """
    eyes = float(np.hypot(*(wanted[0] - wanted[1])))
    down = float(np.hypot(*(wanted[:2].mean(0) - wanted[3:].mean(0))))
    return float(np.hypot(*(found - wanted).T).mean()) / max(eyes, down * 0.9, 1e-3)


def _disguised(region: Picture, points: Floats, rng: Rng) -> Picture:
    """Return the region, perhaps with a mask or another thing drawn on the face."""
    kind = rng.random()
    if kind > DRAWN + OCCLUDED:
        return region
    face = pose(points)
    draw = masks.draw_mask if kind < DRAWN else occluders.draw_occluder
    return draw(region, face.box, rng, (face.roll, face.yaw))
