"""Train the mask classifier on crops as the door cuts them, with drawn masks, hands and other things on some faces."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from edge.imaging import boxes, images
from edge.inference import manifest
from edge.inference.interpreter import Model
from edge.inference.perception import FaceDetector

from . import augment
from .arrays import Box, Floats, Picture, Rng, as_pixels
from .dataset import CROP_MARGIN, Dataset, require
from .drawing import masks, occluders
from .landmarks import Pose, pose
from .nets import SMALL_MASK, MaskClassifier, mixed_precision, normalise, stack
from .records import Record

#: Side of the network's input in pixels.
SIZE = 128
#: Side of a crop in units of the longer side of the face's box, and that of the region which is drawn on before.
MARGIN, AROUND = CROP_MARGIN, 1.9
LABELS = ("no_mask", "mask")
#: Share of masked faces among the training crops, before masks are drawn on bare ones.
MASKED = 0.42
#: How often a crop is cut so close that it shows nothing but the face.
TIGHT = 0.15
#: How often a face is blurred by its movement.
MOVING = 0.12
#: How often a bare face gets a mask, a mask worn wrongly, or another thing in front of the mouth.
DRAWERS = (masks.draw_mask, masks.draw_chin_mask, occluders.draw_occluder)
DRAWN = (0.15, 0.13, 0.11)
#: The same for portraits that cover all ages, sexes and skins but show no mask.
DRAWN_ON_CROPS = (0.40, 0.20, 0.10)
#: How often a hand is drawn on a masked face, and what is to be learned of it.
HAND_ON_MASK, UNDECIDED = 0.05, 0.5
#: With an earlier network (--weights): faces of which it is less sure than HARD_MAX are drawn HARD_TIMES as often, but
#: not those that it contradicts outright (less than HARD_MIN): most of them have a wrong label.
HARD_MIN, HARD_MAX, HARD_TIMES = 0.1, 0.8, 4
#: Share of each source in the crops of one answer.
MIXTURE = {
    "ilc": 0.26, "maks": 0.15, "chand": 0.13, "k12": 0.09, "rwmfd": 0.07, "mux": 0.07, "fer2013": 0.05, "prajna": 0.04,
    "bikes": 0.02, "rwmfd2": 0.07, "wild": 0.08, "utk": 0.07,
}  # fmt: skip
#: Sources whose teacher says "no_mask" where it is not sure.
UNSURE_WHEN_BARE = ("rwmfd", "rwmfd2", "crowds")


@dataclass(frozen=True)
class Example:
    """One face: where it is, and whether it counts as masked. A mask worn wrongly does not."""

    record: Record
    box: Box
    masked: bool
    worn_wrongly: bool = False
    points: Floats | None = field(default=None, compare=False)


def examples(records: Sequence[Record]) -> list[Example]:
    """Return the faces with a label that can be trusted. The label of a picture overrules a teacher's."""
    out = []
    for r in records:
        if r.crop and r.label is not None:
            # The picture is the face: the box that the margin grows back to the whole picture.
            cut_x, cut_y = r.width * (1 - 1 / MARGIN) / 2, r.height * (1 - 1 / MARGIN) / 2
            out.append(
                Example(r, (cut_x, cut_y, r.width - cut_x, r.height - cut_y), r.label == "mask", points=r.points)
            )
            continue
        faces = [f for f in r.faces or () if f.label != "ignore" and f.trusted]
        if r.label is not None:
            faces = sorted(faces, key=lambda f: -f.height)[:1]
        for f in faces:
            if f.height < 12 or (f.by == "teacher" and r.label is None and f.score < 0.9):
                continue
            label = r.label or f.label
            if label == "unknown" or (label == "no_mask" and r.label is None and r.source in UNSURE_WHEN_BARE):
                continue
            out.append(Example(r, f.box, label == "mask", label == "incorrect", f.points))
    return out


def as_detected(data: Dataset, found: Sequence[Example]) -> dict[tuple[str, Box], Box]:
    """Return the box of the shipped detector for each face that it finds (IoU of 0.4 or more), by file and labelled
    box."""
    detector = FaceDetector(Model(manifest.load(), "face_detector"), max_faces=100)
    by_picture: dict[str, list[Example]] = {}
    for e in found:
        if not e.record.crop:
            by_picture.setdefault(e.record.file, []).append(e)
    out: dict[tuple[str, Box], Box] = {}
    for here in tqdm(by_picture.values(), desc="faces as detected", unit="picture", leave=False, disable=None):
        seen = [d.box for d in detector.detect(data.picture(here[0].record))]
        if seen:
            corners = np.array([(b.x1, b.y1, b.x2, b.y2) for b in seen], np.float32)
            overlap = boxes.iou(np.array([e.box for e in here], np.float32), corners)
            for e, row in zip(here, overlap, strict=True):
                if row.max() >= 0.4:
                    x1, y1, x2, y2 = (float(v) for v in corners[row.argmax()])
                    out[e.record.file, e.box] = (x1, y1, x2, y2)
    return out


class Crops:
    """Draw training crops, with the same share of masked faces whatever the sources contain."""

    def __init__(self, data: Dataset, found: Sequence[Example]) -> None:
        self.data = data
        self.detected = as_detected(data, found)
        self.pools: dict[tuple[str, bool], list[Example]] = {}
        for e in found:
            self.pools.setdefault((e.record.source, e.masked), []).append(e)
            if e.worn_wrongly:
                # Masks worn wrongly are rare in the data and important at the door.
                self.pools[e.record.source, False] += [e, e, e]
        self._require_both()

    def _require_both(self) -> None:
        for masked in (False, True):
            found = [e for (_, m), pool in self.pools.items() if m == masked for e in pool]
            require(found, "train", f"face with masked={masked}")

    def without(self, source: str) -> Crops:
        """Return the same without the pictures of `source`."""
        crops = copy.copy(self)
        crops.pools = {key: pool for key, pool in self.pools.items() if key[0] != source}
        crops._require_both()
        return crops

    def draw(self, seed: Sequence[int]) -> tuple[Picture, float]:
        """Return a crop (SIZE, SIZE, 3) uint8 RGB and the probability of a mask that the network is to learn for it."""
        rng = np.random.default_rng(seed)
        example = self._choose(rng)
        region, box, face = self._around(example, rng)
        region, masked = _disguise(region, box, face, example, rng)
        size = region.shape[0]
        if rng.random() < 0.6:
            # People lean over, and cameras hang askew.
            angle = rng.normal(0, 8 if rng.random() < 0.85 else 20)
            turn = cv2.getRotationMatrix2D((size / 2, size / 2), angle, 1)
            region = as_pixels(cv2.warpAffine(region, turn, (size, size), borderMode=cv2.BORDER_REPLICATE))
        if rng.random() < 0.5:
            region = np.ascontiguousarray(region[:, ::-1])
        crop = images.crop_square(region, _as_a_detector_would(box, example, rng), SIZE, MARGIN)
        if rng.random() < 0.3:
            crop = augment.coarse(crop, rng)
        if rng.random() < MOVING:
            crop = augment.motion(crop, rng)
        if rng.random() < 0.06:
            crop = augment.writing(crop, rng)
        return augment.lens_and_light(crop, rng), masked

    def _choose(self, rng: Rng) -> Example:
        masked = bool(rng.random() < MASKED)
        names = [s for s, m in self.pools if m == masked]
        weights = np.array([MIXTURE.get(s, 0.05) for s in names])
        pool = self.pools[names[rng.choice(len(names), p=weights / weights.sum())], masked]
        return pool[rng.integers(len(pool))]

    def _around(self, example: Example, rng: Rng) -> tuple[Picture, Box, Pose | None]:
        """Return a square around a face, of at most 280 pixels, with the face's box and pose in it."""
        picture = self.data.picture(example.record, cache=example.record.source != "fer2013")
        found = example.box
        if rng.random() < 0.6:
            found = self.detected.get((example.record.file, found), found)
        x1, y1, x2, y2 = found
        longer = max(x2 - x1, y2 - y1)
        size = int(np.clip(longer * AROUND, 32, 280))
        region = images.crop_square(picture, found, size, AROUND)
        scale = size / (longer * AROUND)
        half_w, half_h = (x2 - x1) * scale / 2, (y2 - y1) * scale / 2
        box = (size / 2 - half_w, size / 2 - half_h, size / 2 + half_w, size / 2 + half_h)
        if example.points is None:
            return region, box, None
        middle = np.array([x1 + x2, y1 + y2], np.float32) / 2
        return region, box, pose((example.points - middle) * np.float32(scale) + np.float32(size / 2))


def _disguise(region: Picture, box: Box, face: Pose | None, example: Example, rng: Rng) -> tuple[Picture, float]:
    """Return the region, perhaps with a mask or a thing drawn on the face, and the probability of a mask to learn."""
    masked = float(example.masked)
    where, turn = (box, None) if face is None else (face.box, (face.roll, face.yaw))
    kind = rng.random()
    if example.masked:
        if kind < HAND_ON_MASK:
            # What is behind the hand cannot be known.
            return occluders.draw_hand(region, where, rng, turn), UNDECIDED
    elif not example.worn_wrongly:
        drawn = DRAWN_ON_CROPS if example.record.source == "utk" else DRAWN
        for chance, draw, result in zip(np.cumsum(drawn), DRAWERS, (1.0, 0.0, 0.0), strict=True):
            if kind < chance:
                return draw(region, where, rng, turn), result
    return region, masked


def _as_a_detector_would(box: Box, example: Example, rng: Rng) -> Box:
    """Return `box` moved and resized at random: the boxes of a detector are never quite where a human draws them."""
    x1, y1, x2, y2 = box
    x, y, half_w, half_h = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2
    dx, dy = rng.normal(0, 0.05, 2) * 2 * half_h
    grow_w, grow_h = np.exp(rng.normal(0, 0.08, 2))
    if not example.record.crop and rng.random() < TIGHT:
        close = rng.uniform(0.68, 0.92)
        grow_w, grow_h = close * grow_w, close * grow_h
    return (x + dx - half_w * grow_w, y + dy - half_h * grow_h, x + dx + half_w * grow_w, y + dy + half_h * grow_h)


class MaskTask:
    """The mask classifier's part of the training loop (`loop.Task`)."""

    name = "mask_classifier"
    metric = "val mean"

    def __init__(self, data: Dataset, splits: dict[str, list[Record]], hidden: Sequence[int] = SMALL_MASK) -> None:
        self.hidden = hidden
        self.data = data
        self.crops = Crops(data, examples(splits["train"]))
        rng = np.random.default_rng(0)
        self.val: dict[str, list[Example]] = {}
        for e in examples(splits["val"]):
            self.val.setdefault(e.record.source, []).append(e)
        require([e for pool in self.val.values() for e in pool], "val", "labelled face")
        for source, pool in self.val.items():
            if len(pool) > 300:
                self.val[source] = [pool[k] for k in rng.permutation(len(pool))[:300]]

    def without(self, source: str) -> MaskTask:
        """Return the same task without the pictures of `source`, for training and for validation."""
        task = copy.copy(self)
        task.crops = self.crops.without(source)
        task.val = {s: pool for s, pool in self.val.items() if s != source}
        return task

    def build(self) -> MaskClassifier:
        return MaskClassifier(self.hidden)

    def learn_from(self, earlier: torch.nn.Module) -> None:
        """Draw the faces that an earlier network finds hard more often (Shrivastava et al. 2016)."""
        for (source, masked), pool in self.crops.pools.items():
            if source == "fer2013":
                continue  # 28,000 bare faces, most of them easy: not worth the look
            faces = list(dict.fromkeys(pool))
            p = self.probabilities(earlier, faces)
            sure = p if masked else 1 - p
            hard = (sure >= HARD_MIN) & (sure < HARD_MAX)
            pool += [face for face, h in zip(faces, hard, strict=True) if h] * (HARD_TIMES - 1)

    def calibration(self, n: int, seed: int) -> Tensor:
        return stack([self.crops.draw((seed, 10**6, k))[0] for k in range(n)])

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        drawn = [self.crops.draw((seed, step, k)) for k in range(size)]
        return {
            "pictures": stack([p for p, _ in drawn]),
            "masked": torch.tensor([m for _, m in drawn], dtype=torch.float32),
        }

    def loss(self, net: torch.nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        device = next(net.parameters()).device
        with mixed_precision(device):
            logits = net(normalise(batch["pictures"].to(device)).contiguous(memory_format=torch.channels_last))
        masked = batch["masked"].to(device)
        return F.cross_entropy(logits.float(), torch.stack([1 - masked, masked], 1), label_smoothing=0.05)

    def probabilities(self, net: torch.nn.Module, found: Sequence[Example]) -> np.ndarray:
        """Return P(mask) of every example, (n,) float32, on its labelled box."""
        device = next(net.parameters()).device
        out = []
        for start in range(0, len(found), 64):
            crops = [
                images.crop_square(self.data.picture(e.record), e.box, SIZE, MARGIN) for e in found[start : start + 64]
            ]
            x = stack(crops).to(device)
            with torch.no_grad(), mixed_precision(device):
                out.append(
                    net(normalise(x).contiguous(memory_format=torch.channels_last))
                    .float()
                    .softmax(1)[:, 1]
                    .cpu()
                    .numpy()
                )
        return np.concatenate(out)

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        """Return the share of right decisions on labelled boxes, by source and of masks worn wrongly, and their mean.

        In the mean, a source with less than 40 faces has less weight, so that a few faces do not choose the checkpoint.
        """
        figures, refused, faces = {}, [], []
        for source, found in sorted(self.val.items()):
            called = self.probabilities(net, found) >= 0.5
            figures[f"val {source}"] = float((called == np.array([e.masked for e in found])).mean())
            faces.append(len(found))
            refused += [not c for c, e in zip(called, found, strict=True) if e.worn_wrongly]
        if refused:
            figures["val worn wrongly"] = float(np.mean(refused))
            faces.append(len(refused))
        return {"val mean": float(np.average(list(figures.values()), weights=np.minimum(faces, 40))), **figures}
