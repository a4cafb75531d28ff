"""Training the mask classifier: crops as the door cuts them, and what people wear, hold and hide behind."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

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
from .dataset import Dataset, Picture, Record, require
from .drawing import masks, occluders
from .nets import MaskClassifier, normalise, stack

SIZE = 160
#: Side of a crop in units of the face box's longer side.
MARGIN = 1.25
LABELS = ("no_mask", "mask")
#: How often a crop is cut so close that it shows nothing but the face.
TIGHT = 0.15
#: With an earlier network (--weights): training faces of which it is less sure than HARD_MOST are drawn HARD_TIMES as
#: often, but not those it contradicts outright (less than HARD_LEAST): mostly they bear a wrong label.
HARD_LEAST, HARD_MOST, HARD_TIMES = 0.1, 0.8, 4
MIXTURE = {
    "ilc": 0.29,
    "maks": 0.17,
    "chand": 0.14,
    "k12": 0.10,
    "rwmfd": 0.08,
    "mux": 0.08,
    "fer2013": 0.06,
    "prajna": 0.05,
    "bikes": 0.03,
}

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Example:
    """One face: where it is and whether it counts as masked (worn wrongly does not)."""

    record: Record
    box: Box
    masked: bool
    worn_wrongly: bool = False


def examples(records: Sequence[Record]) -> list[Example]:
    """Every face that somebody trustworthy labelled; the picture's label overrules a teacher's."""
    out = []
    for r in records:
        if r.crop and r.label is not None:
            # The picture is the face: the box that the margin grows back to the whole picture.
            cut_x, cut_y = r.width * (1 - 1 / MARGIN) / 2, r.height * (1 - 1 / MARGIN) / 2
            out.append(Example(r, (cut_x, cut_y, r.width - cut_x, r.height - cut_y), r.label == "mask"))
            continue
        faces = [f for f in r.faces or () if f.label != "ignore" and f.trusted]
        if r.label is not None:
            faces = sorted(faces, key=lambda f: -f.height)[:1]
        for f in faces:
            if f.height < 12 or (f.by == "teacher" and r.label is None and f.score < 0.9):
                continue
            label = r.label or f.label
            if label == "unknown":
                continue
            out.append(Example(r, f.box, label == "mask", label == "incorrect"))
    return out


def as_detected(data: Dataset, found: Sequence[Example]) -> dict[tuple[str, Box], Box]:
    """Where the shipped detector sees these faces, by file and labelled box, for those it finds (IoU of 0.4 or more)."""
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
    """Draws training crops; half of them masked, whatever the sources hold."""

    def __init__(self, data: Dataset, found: Sequence[Example]) -> None:
        self.data = data
        self.detected = as_detected(data, found)
        self.pools: dict[tuple[str, bool], list[Example]] = {}
        for e in found:
            self.pools.setdefault((e.record.source, e.masked), []).append(e)
            if e.worn_wrongly:
                # Rare and important: a mask under the nose is no mask.
                self.pools[e.record.source, False] += [e, e, e]
        self._require_both()

    def _require_both(self) -> None:
        for masked in (False, True):
            found = [e for (_, m), pool in self.pools.items() if m == masked for e in pool]
            require(found, "train", f"face with masked={masked}")

    def without(self, source: str) -> Crops:
        """The same, drawing from the other sources alone."""
        crops = copy.copy(self)
        crops.pools = {key: pool for key, pool in self.pools.items() if key[0] != source}
        crops._require_both()
        return crops

    def draw(self, seed: Sequence[int]) -> tuple[Picture, bool]:
        """One crop (160, 160, 3) uint8 RGB and whether it counts as masked."""
        rng = np.random.default_rng(seed)
        masked = bool(rng.random() < 0.42)
        names = [s for s, m in self.pools if m == masked]
        weights = np.array([MIXTURE.get(s, 0.05) for s in names])
        pool = self.pools[names[rng.choice(len(names), p=weights / weights.sum())], masked]
        example = pool[rng.integers(len(pool))]
        picture = self.data.picture(example.record, cache=example.record.source != "fer2013")
        # A generous region around the face, at most 280 pixels: everything below works on that alone.
        found = example.box
        if rng.random() < 0.6:
            found = self.detected.get((example.record.file, found), found)
        x1, y1, x2, y2 = found
        longer = max(x2 - x1, y2 - y1)
        size = int(np.clip(longer * 1.9, 32, 280))
        region = images.crop_square(picture, found, size, 1.9)
        scale = size / (longer * 1.9)
        half_w, half_h = (x2 - x1) * scale / 2, (y2 - y1) * scale / 2
        box = (size / 2 - half_w, size / 2 - half_h, size / 2 + half_w, size / 2 + half_h)
        if not masked and not example.worn_wrongly:
            kind = rng.random()
            if kind < 0.15:
                region, masked = masks.draw_mask(region, box, rng), True
            elif kind < 0.26:
                region = masks.draw_chin_mask(region, box, rng)
            elif kind < 0.38:
                region = occluders.draw_occluder(region, box, rng)
        if rng.random() < 0.6:
            # Now and then somebody leans over.
            angle = rng.normal(0, 8 if rng.random() < 0.85 else 20)
            turn = cv2.getRotationMatrix2D((size / 2, size / 2), angle, 1)
            region = cv2.warpAffine(region, turn, (size, size), borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < 0.5:
            region = np.ascontiguousarray(region[:, ::-1])
        # Boxes of a detector are never quite where a human would draw them.
        dx, dy = rng.normal(0, 0.05, 2) * 2 * half_h
        grow_w, grow_h = np.exp(rng.normal(0, 0.08, 2))
        if not example.record.crop and rng.random() < TIGHT:
            close = rng.uniform(0.68, 0.92)
            grow_w, grow_h = close * grow_w, close * grow_h
        jittered = (
            size / 2 + dx - half_w * grow_w,
            size / 2 + dy - half_h * grow_h,
            size / 2 + dx + half_w * grow_w,
            size / 2 + dy + half_h * grow_h,
        )
        crop = images.crop_square(region, jittered, SIZE, MARGIN)
        if rng.random() < 0.3:
            crop = augment.coarse(crop, rng)
        if rng.random() < 0.06:
            crop = augment.writing(crop, rng)
        return augment.lens_and_light(crop, rng), masked


class MaskTask:
    """What the training loop needs to know about the mask classifier."""

    name = "mask_classifier"
    metric = "val mean"

    def __init__(self, data: Dataset, splits: dict[str, list[Record]]) -> None:
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
        """The same task, never having seen a picture of `source`, neither to learn from nor to choose by."""
        task = copy.copy(self)
        task.crops = self.crops.without(source)
        task.val = {s: pool for s, pool in self.val.items() if s != source}
        return task

    def build(self) -> MaskClassifier:
        return MaskClassifier()

    def learn_from(self, earlier: torch.nn.Module) -> None:
        """Draw the faces that an earlier network finds hard more often (Shrivastava et al. 2016)."""
        for (source, masked), pool in self.crops.pools.items():
            if source == "fer2013":
                continue  # 28,000 bare faces, most of them easy: not worth the look
            faces = list(dict.fromkeys(pool))
            p = self.probabilities(earlier, faces)
            sure = p if masked else 1 - p
            hard = (sure >= HARD_LEAST) & (sure < HARD_MOST)
            pool += [face for face, h in zip(faces, hard, strict=True) if h] * (HARD_TIMES - 1)

    def calibration(self, n: int, seed: int) -> Tensor:
        return stack([self.crops.draw((seed, 10**6, k))[0] for k in range(n)])

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        drawn = [self.crops.draw((seed, step, k)) for k in range(size)]
        return {
            "pictures": stack([p for p, _ in drawn]),
            "masked": torch.tensor([m for _, m in drawn], dtype=torch.long),
        }

    def loss(self, net: torch.nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        device = next(net.parameters()).device
        with torch.autocast(device.type, torch.bfloat16):
            logits = net(normalise(batch["pictures"].to(device)).contiguous(memory_format=torch.channels_last))
        return F.cross_entropy(logits.float(), batch["masked"].to(device), label_smoothing=0.05)

    def probabilities(self, net: torch.nn.Module, found: Sequence[Example]) -> np.ndarray:
        """P(mask) of every example, on its true box."""
        device = next(net.parameters()).device
        out = []
        for start in range(0, len(found), 64):
            crops = [
                images.crop_square(self.data.picture(e.record), e.box, SIZE, MARGIN) for e in found[start : start + 64]
            ]
            x = stack(crops).to(device)
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
                out.append(
                    net(normalise(x).contiguous(memory_format=torch.channels_last))
                    .float()
                    .softmax(1)[:, 1]
                    .cpu()
                    .numpy()
                )
        return np.concatenate(out)

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        """Share of right decisions on true boxes, by source and of masks worn wrongly, and the mean of all these.

        In the mean a handful of faces counts as a handful, so that they alone choose no checkpoint.
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
