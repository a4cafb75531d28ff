"""A laboratory model that estimates age and sex of a face, to audit the other models. It is not in the product.

age_sex.md says why, and how good it is. It starts from the shipped mask classifier (--pretrained) and learns from
UTKFace, with masks drawn on half of the faces. UTKFace is small. Therefore a regression on dlib's vectors of its faces
(embeddings.npz beside an index) also answers for the bare faces of the other sources, which widens the data fivefold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import augment
from .age_sex_model import AGE_CLASSES, SEXES, SIZE, YEARS_A_CLASS, Person, expected_years, face_crop
from .arrays import Box, Floats, Picture, Rng, as_pixels
from .dataset import CROP_MARGIN, Dataset, require
from .drawing import masks, occluders
from .groups import AGE_GROUPS, groups
from .metrics import mean_interval, plain, wilson
from .nets import MaskClassifier, mixed_precision, normalise, stack
from .records import Record

NAME = "age_sex"
#: Younger people are not judged by sex: children look alike.
ADULT = 18
#: The file with dlib's vectors beside an index, and the share of its faces in the batches.
VECTORS, VECTORS_SHARE = "embeddings.npz", 0.5
#: How often a face gets a mask, or another thing in front of the mouth.
MASKED, OCCLUDED = 0.5, 0.05
#: Weight of the age in the loss.
AGE_WEIGHT = 0.5
#: Inverse strength of the regression's penalty.
REGRESSION_C = 10.0
CHUNK = 64


@dataclass(frozen=True)
class Portrait:
    """A bare face with the probabilities to learn: of SEXES, (2,), and of the classes of age, (AGE_CLASSES,)."""

    record: Record
    box: Box
    sex: Floats
    age: Floats


class AgeSexNet(nn.Module):
    """The shipped mask classifier's network with two outputs, logits of SEXES (B, 2) and of age (B, AGE_CLASSES)."""

    def __init__(self) -> None:
        super().__init__()
        body = MaskClassifier(outputs=1)
        self.features = nn.Sequential(body.front, body.blocks, body.last)
        self.dropout = nn.Dropout(0.3)
        self.sex, self.age = nn.Linear(1280, len(SEXES)), nn.Linear(1280, AGE_CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.dropout(self.features(x).mean((2, 3)))
        return self.sex(x), self.age(x)


def age_class(years: float) -> int:
    """Return the class of an age.

    >>> [age_class(y) for y in (9, 10, 116)]
    [0, 1, 8]
    """
    return min(int(years // YEARS_A_CLASS), AGE_CLASSES - 1)


def whole_face(width: int, height: int) -> Box:
    """Return the box that the margin grows back to the whole of a face crop."""
    x, y = width * (1 - 1 / CROP_MARGIN) / 2, height * (1 - 1 / CROP_MARGIN) / 2
    return x, y, width - x, height - y


def portraits(records: Sequence[Record]) -> list[Portrait]:
    """Return the bare face crops whose age and sex are known."""
    out = []
    for r in records:
        if r.crop and r.label == "no_mask" and r.sex in SEXES and r.age is not None:
            sex, age = np.zeros(len(SEXES), np.float32), np.zeros(AGE_CLASSES, np.float32)
            sex[SEXES.index(r.sex)] = 1
            age[age_class(r.age)] = 1
            out.append(Portrait(r, whole_face(r.width, r.height), sex, age))
    return out


def read_vectors(folders: Sequence[Path]) -> dict[str, list[tuple[Box, Floats]]]:
    """Return dlib's vectors (128,) of bare faces with their boxes, by the picture's file; empty without a file."""
    out: dict[str, list[tuple[Box, Floats]]] = {}
    for folder in folders:
        if (folder / VECTORS).is_file():
            with np.load(folder / VECTORS) as kept:
                for name, box, vector in zip(kept["name"], kept["box"], kept["vector"], strict=True):
                    x1, y1, x2, y2 = (float(v) for v in box)
                    out.setdefault(str(name), []).append(((x1, y1, x2, y2), vector.astype(np.float32)))
    return out


def taught(
    known: Sequence[Portrait], records: Sequence[Record], vectors: Mapping[str, list[tuple[Box, Floats]]]
) -> list[Portrait]:
    """Return the faces of `records` that have a vector and no known age, with the answers of a regression on `known`."""
    from sklearn.linear_model import LogisticRegression

    learned = [(p, vectors[p.record.file][0][1]) for p in known if p.record.file in vectors]
    names = {p.record.file for p in known}
    asked = [(r, *found) for r in records if r.file not in names for found in vectors.get(r.file, ())]
    sexes = {int(p.sex.argmax()) for p, _ in learned}
    if len(sexes) < len(SEXES) or not asked:
        return []
    x, unknown = np.stack([v for _, v in learned]), np.stack([v for _, _, v in asked])
    sex = _answers(LogisticRegression(C=REGRESSION_C, max_iter=1000), x, [p.sex for p, _ in learned], unknown)
    age = _answers(LogisticRegression(C=REGRESSION_C, max_iter=1000), x, [p.age for p, _ in learned], unknown)
    return [Portrait(r, box, s, a) for (r, box, _), s, a in zip(asked, sex, age, strict=True)]


def _answers(regression: object, x: Floats, targets: Sequence[Floats], unknown: Floats) -> Floats:
    """Return the regression's probabilities for `unknown`, (n, classes), after it has learned `targets` of `x`."""
    fitted = regression.fit(x, [int(t.argmax()) for t in targets])  # type: ignore[attr-defined]
    out = np.zeros((len(unknown), len(targets[0])), np.float32)
    out[:, fitted.classes_] = fitted.predict_proba(unknown)
    return out


def masked_crop(picture: Picture, box: Box, rng: Rng) -> Picture:
    """Return the same crop with a mask drawn on the face."""
    return face_crop(masks.draw_mask(picture, box, rng), box)


class AgeSexTask:
    """The laboratory model's part of the training loop (`loop.Task`)."""

    name = NAME
    metric = "val score"

    def __init__(self, data: Dataset, splits: Mapping[str, list[Record]], folders: Sequence[Path]) -> None:
        """`folders` may hold VECTORS."""
        self.data = data
        self.known = portraits(splits["train"])
        require(self.known, "train", "bare face crop with age and sex")
        self.taught = taught(self.known, splits["train"], read_vectors(folders))
        val = portraits(splits["val"])
        require([p for p in val if is_adult(p)], "val", "adult with a known sex")
        self.val = [(face_crop(data.picture(p.record), p.box), p) for p in val]
        rngs = [np.random.default_rng((3, k)) for k in range(len(val))]
        self.val_masked = [
            (masked_crop(data.picture(p.record), p.box, rng), p) for p, rng in zip(val, rngs, strict=True)
        ]

    def build(self) -> AgeSexNet:
        return AgeSexNet()

    def learn_from(self, earlier: nn.Module) -> None:
        """Nothing is learned from an earlier network but its weights."""

    def _draw(self, seed: Sequence[int]) -> tuple[Picture, Portrait]:
        """Return a crop (SIZE, SIZE, 3) uint8 RGB as a door's camera may show it, and its portrait."""
        rng = np.random.default_rng(seed)
        pool = self.taught if self.taught and rng.random() < VECTORS_SHARE else self.known
        portrait = pool[int(rng.integers(len(pool)))]
        picture, box = self.data.picture(portrait.record, cache=True), portrait.box
        kind = rng.random()
        if kind < MASKED:
            picture = masks.draw_mask(picture, box, rng)
        elif kind < MASKED + OCCLUDED:
            picture = occluders.draw_occluder(picture, box, rng)
        crop = face_crop(picture, _jittered(box, rng))
        if rng.random() < 0.5:
            turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), rng.normal(0, 8), 1)
            crop = as_pixels(cv2.warpAffine(crop, turn, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE))
        if rng.random() < 0.5:
            crop = np.ascontiguousarray(crop[:, ::-1])
        if rng.random() < 0.3:
            crop = augment.coarse(crop, rng)
        return augment.lens_and_light(crop, rng), portrait

    def calibration(self, n: int, seed: int) -> Tensor:
        return stack([self._draw((seed, 10**6, k))[0] for k in range(n)])

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        drawn = [self._draw((seed, step, k)) for k in range(size)]
        return {
            "pictures": stack([crop for crop, _ in drawn]),
            "sex": torch.from_numpy(np.stack([p.sex for _, p in drawn])),
            "age": torch.from_numpy(np.stack([p.age for _, p in drawn])),
        }

    def loss(self, net: nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        where = next(net.parameters()).device
        with mixed_precision(where):
            sex, age = net(normalise(batch["pictures"].to(where)).contiguous(memory_format=torch.channels_last))
        by_sex = F.cross_entropy(sex.float(), batch["sex"].to(where), label_smoothing=0.05)
        return by_sex + AGE_WEIGHT * F.cross_entropy(age.float(), batch["age"].to(where), label_smoothing=0.05)

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return the accuracy of the sex of adults, bare and masked, and the mean error of the age in years.

        The score is the negative log loss of the sex, which a few faces change less than the accuracy.
        """
        figures, losses = {}, []
        for name, faces in (("bare", self.val), ("masked", self.val_masked)):
            sex, age = probabilities(net, [crop for crop, _ in faces])
            adult = np.array([is_adult(p) for _, p in faces])
            right = np.array([int(p.sex.argmax()) for _, p in faces])
            losses.append(-np.log(np.maximum(sex[np.arange(len(sex)), right], 1e-4))[adult].mean())
            years = np.array([p.record.age for _, p in faces])
            figures[f"val {name} sex"] = float((sex.argmax(1) == right)[adult].mean())
            figures[f"val {name} years"] = float(np.abs(expected_years(age) - years).mean())
        return {self.metric: -float(np.mean(losses)), **figures}


def is_adult(portrait: Portrait) -> bool:
    """Return True if the person is old enough to be judged by sex."""
    return portrait.record.age is not None and portrait.record.age >= ADULT


def probabilities(net: nn.Module, crops: Sequence[Picture]) -> tuple[Floats, Floats]:
    """Return the float network's probabilities of SEXES (n, 2) and of the classes of age (n, AGE_CLASSES)."""
    where = next(net.parameters()).device
    sexes, ages = [], []
    for start in range(0, len(crops), CHUNK):
        x = normalise(stack(crops[start : start + CHUNK]).to(where)).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), mixed_precision(where):
            sex, age = net(x)
        sexes.append(sex.float().softmax(1).cpu().numpy())
        ages.append(age.float().softmax(1).cpu().numpy())
    return np.concatenate(sexes), np.concatenate(ages)


def _jittered(box: Box, rng: Rng) -> Box:
    """Return `box` moved and resized at random, as a detector would."""
    x1, y1, x2, y2 = box
    x, y, half_w, half_h = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2
    dx, dy = rng.normal(0, 0.05, 2) * 2 * half_h
    half_w, half_h = half_w * np.exp(rng.normal(0, 0.08)), half_h * np.exp(rng.normal(0, 0.08))
    return x + dx - half_w, y + dy - half_h, x + dx + half_w, y + dy + half_h


def judged_by_group(
    data: Dataset, records: Sequence[Record], answer: Callable[[Picture], Person]
) -> dict[str, dict[str, Any]]:
    """Return, by group of people, how often the sex is right and by how many years the age is wrong, bare and masked.

    "adults" come first. Groups by sex and ethnicity are adults; groups by age are everybody. Raises DataError without
    a face.
    """
    people = portraits(records)
    require(people, "test", "bare face crop with age and sex")
    answers = []
    for k, p in enumerate(people):
        picture = data.picture(p.record)
        worn = masked_crop(picture, p.box, np.random.default_rng((9, k)))
        answers.append({"bare": answer(face_crop(picture, p.box)), "masked": answer(worn)})
    members: dict[str, list[int]] = {"adults": []}
    for k, p in enumerate(people):
        names = [n for n in groups(p.record) if is_adult(p) or n in AGE_GROUPS]
        for name in (["adults"] if is_adult(p) else []) + names:
            members.setdefault(name, []).append(k)
    by_age = [name for name in AGE_GROUPS if name in members]
    order = ["adults", *sorted(set(members) - {"adults", *by_age}), *by_age]
    return {name: _figures([(people[k], answers[k]) for k in members[name]]) for name in order if members[name]}


def _figures(found: Sequence[tuple[Portrait, Mapping[str, Person]]]) -> dict[str, Any]:
    """Return the figures of one group."""
    out: dict[str, Any] = {"n": len(found)}
    for kind in ("bare", "masked"):
        right = sum(a[kind].sex_name == p.record.sex for p, a in found)
        low, high = wilson(right, len(found)) or (0.0, 1.0)
        out[f"{kind}_sex"] = {"share": right / len(found), "low": low, "high": high}
        errors = [abs(a[kind].years - (p.record.age or 0.0)) for p, a in found]
        low, high = mean_interval(errors) or (0.0, 0.0)
        out[f"{kind}_years"] = {"mean": float(np.mean(errors)), "low": low, "high": high}
    return plain(out)
