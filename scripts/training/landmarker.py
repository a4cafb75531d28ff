"""Train the landmark model: five points of a face, also of a face with a mask.

The points that it learns are a larger detector's (YuNet); those under a mask are that detector's guess. Masks are drawn
on bare faces, whose points are known.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.imaging import images

from . import augment
from .arrays import Floats, Picture, Rng, as_floats, as_pixels
from .dataset import CROP_MARGIN, Dataset, require
from .drawing import masks, occluders
from .landmarks import Example, error, examples, pose
from .nets import conv, normalise
from .records import Record

LABELS = ("left eye", "right eye", "nose tip", "left mouth corner", "right mouth corner")
#: Side of the network's input in pixels, and of a crop in units of the longer side of the face's box.
SIZE, MARGIN = 64, CROP_MARGIN
#: Side of the region that is kept around a face for augmentation, in units of the longer side of its box.
AROUND = 1.9
#: The largest side of that region in pixels: a crop of it has about SIZE.
MAX_REGION = 144
#: How often a mask or another thing is drawn on a bare face.
DRAWN, OCCLUDED = 0.45, 0.1
#: Share of each source in a batch, before they are made to sum to 1: larger where more faces are different.
MIXTURE = {"fer2013": 0.15, "mux": 0.2, "chand": 0.15, "ilc": 0.15, "rwmfd2": 0.1, "wild": 0.08, "crowds": 0.03}
MIXTURE |= {"bikes": 0.01}
OTHERS = 0.07
#: Crops that are cut from each picture of a batch (Hoffer et al. 2020): drawing and light cost more than a cut.
CUTS = 4
#: How much a face is turned in the picture (degrees), moved and scaled (in units of the crop) in a cut: standard
#: deviations. A detector's boxes differ as much.
ROLL, SHIFT, SCALE = 9.0, 0.04, 0.08
#: Where the loss turns from quadratic to linear, in units of the distance between the eyes.
BETA = 0.02
#: The smallest distance between the eyes that divides the loss, in units of the crop: profiles must not outweigh.
MIN_EYES = 0.15
#: Side of a heat map in cells. A map covers the crop.
CELLS = 8
#: Standard deviation of the wanted heat around a point, in units of the crop, and the weight of this part of the loss.
#: Without it, training is several times slower: every cell learns from every face.
HEAT_SIGMA, HEAT_WEIGHT = 0.06, 0.2
#: The order of the points in the mirror image.
MIRRORED = [1, 0, 2, 4, 3]


class LandmarkModel(nn.Module):
    """A small network that draws a heat map of CELLS x CELLS cells for each point, and answers with its mean place, the
    soft argmax (Sun et al. 2018): (B, 1, 64, 64) grey to (B, 10) x, y of five points in units of the crop.

    The Edge TPU has no softmax over the cells of several maps at once: each map has layers of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.to8 = nn.Sequential(conv(1, 16, 3, 2), conv(16, 24, 3, 2), conv(24, 56, 3, 2), conv(56, 56, 3))
        self.to16 = nn.Sequential(conv(56, 64, 3, 2), conv(64, 56, 3))
        self.mix = conv(56, 56, 3)
        self.heat = nn.ModuleList([nn.Conv2d(56, 1, 1) for _ in range(5)])
        self.mean_place = nn.Linear(CELLS * CELLS, 2)
        # Distances from the middle: what 8 bits lose of the heat then moves a point little.
        centres = (torch.arange(CELLS) + 0.5) / CELLS - 0.5
        self.mean_place.weight.data = torch.stack([centres.repeat(CELLS), centres.repeat_interleave(CELLS)])
        self.mean_place.bias.data.fill_(0.5)
        self.mean_place.requires_grad_(False)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Return the heat maps of the points, each (B, CELLS * CELLS) logits, row by row."""
        x8 = self.to8(x)
        x = self.mix(x8 + F.interpolate(self.to16(x8), scale_factor=2.0, mode="nearest"))
        return [layer(x).permute(0, 2, 3, 1).flatten(1) for layer in self.heat]

    def places(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the points (B, 10) of heat maps."""
        return torch.cat([self.mean_place(m.softmax(1)) for m in maps], 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.places(self.maps(x))


def wanted_heat(points: Tensor) -> Tensor:
    """Return the heat that maps of points (B, 10) should have, (B, 5, CELLS * CELLS) with sum 1: a Gaussian."""
    cells = (torch.arange(CELLS, device=points.device) + 0.5) / CELLS
    x, y = (-(((cells - v[..., None]) / HEAT_SIGMA) ** 2) / 2 for v in points.reshape(-1, 5, 2).unbind(2))
    return (y[..., :, None] + x[..., None, :]).flatten(2).softmax(2)


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

    def draw(self, seed: Sequence[int], cuts: int = 1) -> list[tuple[Picture, Floats]]:
        """Return `cuts` crops (SIZE, SIZE) uint8 grey of one face, and its points (5, 2) float32 in units of each
        crop."""
        rng = np.random.default_rng(seed)
        pool = self.pools[self.names[rng.choice(len(self.names), p=self.weights)]]
        e = pool[rng.integers(len(pool))]
        x1, y1, x2, y2 = e.box
        longer = max(x2 - x1, y2 - y1)
        size = int(np.clip(longer * AROUND, 48, MAX_REGION))
        picture = self.data.picture(e.record, cache=e.record.source != "fer2013")
        region = images.crop_square(picture, e.box, size, AROUND)
        left, top, right, _ = images.square_around(e.record.width, e.record.height, e.box, AROUND)
        points = as_floats((e.points - np.array([left, top], np.float32)) * np.float32(size / (right - left)))
        if not e.masked:
            region = _disguised(region, points, rng)
        region = augment.lens_and_light(region, rng, 0.7)
        if rng.random() < 0.15:
            region = augment.coarse(region, rng, 40, 110)
        if rng.random() < 0.05:
            region = augment.motion(region, rng)
        region = images.grey(region)[:, :, 0]
        return [_cut(region, points, rng) for _ in range(cuts)]

    def calibration(self, n: int, seed: int) -> Tensor:
        return torch.stack([torch.from_numpy(self.draw((seed, 10**6, k))[0][0]) for k in range(n)])[:, None]

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        drawn = [cut for k in range(-(-size // CUTS)) for cut in self.draw((seed, step, k), CUTS)][:size]
        return {
            "pictures": torch.from_numpy(np.stack([p for p, _ in drawn]))[:, None],
            "points": torch.from_numpy(np.stack([q for _, q in drawn]).reshape(size, 10)),
        }

    def loss(self, net: torch.nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        """Return the smooth L1 loss (Girshick 2015) in units of the eye distance, and the cross entropy of the heat."""
        assert isinstance(net, LandmarkModel)
        device = next(net.parameters()).device
        wanted = batch["points"].to(device)
        x = normalise(batch["pictures"].to(device))
        maps = net.maps(x.contiguous(memory_format=torch.channels_last))
        between = (wanted[:, 0:2] - wanted[:, 2:4]).norm(dim=1).clamp(min=MIN_EYES)[:, None]
        distance = F.smooth_l1_loss(net.places(maps) / between, wanted / between, beta=BETA)
        heat = -(wanted_heat(wanted) * torch.stack(maps, 1).log_softmax(2)).sum(2).mean()
        return distance + HEAT_WEIGHT * heat

    def crops(self, faces: Sequence[Example]) -> Picture:
        """Return the crops of faces as the door cuts them, (n, SIZE, SIZE, 1) uint8 grey."""
        return np.stack(
            [images.grey(images.crop_square(self.data.picture(e.record), e.box, SIZE, MARGIN)) for e in faces]
        )

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        """Return the mean distance of the points from the teacher's, divided by the distance between the eyes."""
        device = next(net.parameters()).device
        errors = []
        for start in range(0, len(self.val), 256):
            part = self.val[start : start + 256]
            x = torch.from_numpy(self.crops(part)).permute(0, 3, 1, 2).to(device)
            with torch.no_grad():
                answer = net(normalise(x)).float().cpu().numpy().reshape(-1, 5, 2)
            errors += [error(points_in_picture(a, e), e.points) for a, e in zip(answer, part, strict=True)]
        masked = np.array([e.masked for e in self.val])
        bare, covered = (float(np.mean(np.array(errors)[m])) if m.any() else float("nan") for m in (~masked, masked))
        known = [v for v in (bare, covered) if v == v]
        return {"val score": -float(np.mean(known)), "val bare": bare, "val masked": covered}


def points_in_picture(points: Floats, e: Example) -> Floats:
    """Return points (5, 2) in units of the crop around the face of `e` as pixels of its picture."""
    left, top, right, _ = images.square_around(e.record.width, e.record.height, e.box, MARGIN)
    return as_floats(np.array([left, top], np.float32) + points * np.float32(right - left))


def _cut(region: Picture, points: Floats, rng: Rng) -> tuple[Picture, Floats]:
    """Return a crop (SIZE, SIZE) uint8 of a grey region (S, S), which is AROUND wide, and the points in units of it.

    One warp mirrors, turns, moves, scales and cuts.
    """
    size = len(region)
    side = size / AROUND * MARGIN * np.exp(rng.normal(0, SCALE))
    middle = (size - 1) / 2
    warp = np.asarray(cv2.getRotationMatrix2D((middle, middle), rng.normal(0, ROLL), SIZE / side), np.float64)
    warp[:, 2] += (SIZE - 1) / 2 - middle + rng.normal(0, SHIFT, 2) * SIZE
    crop = as_pixels(
        cv2.warpAffine(region, warp, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )
    # The matrix is for the centres of pixels, points count from the corner of the first one.
    moved = (points - 0.5) @ warp[:, :2].T + warp[:, 2] + 0.5
    if rng.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
        moved = np.stack([SIZE - moved[MIRRORED, 0], moved[MIRRORED, 1]], 1)
    return crop, as_floats(moved.astype(np.float32) / SIZE)


def _disguised(region: Picture, points: Floats, rng: Rng) -> Picture:
    """Return the region, perhaps with a mask or another thing drawn on the face."""
    kind = rng.random()
    if kind > DRAWN + OCCLUDED:
        return region
    face = pose(points)
    draw = masks.draw_mask if kind < DRAWN else occluders.draw_occluder
    return draw(region, face.box, rng, (face.roll, face.yaw))
