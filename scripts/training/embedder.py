"""Train the face embedder: one vector of 128 for a face, close to the same person's, with or without a mask.

It is a small part of a larger network that knows bare faces, dlib's ResNet (King 2017), and imitates it block by block. Whatever is
drawn on the face that the small network sees, the teacher sees the face without it. Four of five faces wear something. Half of the
faces are blends of two people: the teacher is asked about people who do not exist, as often as needed (Beyer et al. 2022, "A good
teacher is patient and consistent"). Where the teacher's answer lies among the answers to many faces is learned too: the threshold
between one person and another is a question of the most alike strangers. Pictures of one person with real masks teach what drawn
ones do not show.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edge.imaging.alignment import TEMPLATE, TEMPLATE_SIZE, align
from edge.records import Box

from . import augment
from .arrays import Floats, Picture, Rng, as_floats, as_pixels
from .dataset import Dataset, require
from .drawing import masks, occluders
from .embedder_net import EXACT, VECTOR, Embedder
from .face_teacher import CHIP, FaceTeacher
from .landmarks import Example, examples, pose
from .nets import mixed_precision, normalise, stack
from .people import BARE_PEOPLE, MASKED_PEOPLE, Embed, Judge, finder, people
from .records import Record

#: Side of the network's input in pixels: that of the teacher's.
SIZE = CHIP
#: Side of the region that is kept around a face, in units of the input.
AROUND = 1.3
REGION = round(SIZE * AROUND)
#: Smallest face, in pixels between eyes and mouth, that is worth asking the teacher about.
MIN_LENGTH = 14.0
#: How often two faces are blended; how often a mask or another thing is drawn.
BLENDED, DRAWN, OCCLUDED = 0.5, 0.72, 0.08
#: Share of FER2013's small grey faces; the others share the rest by their number.
SMALL_GREY = 0.2
#: How often a pair of one person's pictures shows real masks.
REAL_MASKS = 0.75
#: Crops that are cut from each face of a batch, and the share of pairs of one person in it.
CUTS = 3
PAIRS = 0.3
#: Errors of landmarks in units of the distance between the eyes, standard deviations: each point, those under a mask,
#: and all points together.
POINT_ERROR, COVERED_ERROR, SHIFT_ERROR = 0.05, 0.08, 0.06
#: Sources of crops that show bare faces, without a label that says so.
UNLABELLED_BARE = ("utk",)
#: Faces that choose the principal components of the network that training starts from.
TYPICAL = 600
#: Number of faces among which the teacher's answers are placed.
ANCHORS = 4096
#: How much of what all its vectors have in common is taken from the teacher's: that says nothing of a person, but of a mask. The
#: teacher tells bare faces apart as well without it, and means of several looks become less alike for strangers.
CENTRED = 0.75
#: Temperatures of the losses that compare faces: cosines of different people differ by about 0.6.
TEMPERATURE, PAIR_TEMPERATURE = 0.12, 0.25
DISTANCE_WEIGHT, PLACE_WEIGHT, PAIR_WEIGHT, BLOCK_WEIGHT = 3.0, 0.3, 0.25, 1.5
MIRRORED = [1, 0, 2, 4, 3]


@dataclass(frozen=True)
class _Face:
    """One face as it is drawn: `points` (5, 2) in pixels of `region`, (REGION, REGION, 3); `chip` is the teacher's."""

    region: Picture
    points: Floats
    chip: Picture
    covered: bool = False


def similarity(source: Floats, target: Floats) -> Floats:
    """Return the least-squares similarity transform (2, 3) that takes points (n, 2) to others."""
    a, b = (p[:, 0] + 1j * p[:, 1] for p in (source.astype(np.float64), target.astype(np.float64)))
    product = np.vdot(a - a.mean(), b - b.mean()) / max(float((abs(a - a.mean()) ** 2).sum()), 1e-6)
    shift = b.mean() - product * a.mean()
    return np.array([[product.real, -product.imag, shift.real], [product.imag, product.real, shift.imag]], np.float32)


_TEMPLATE = np.array(TEMPLATE)
_CHIP_POINTS = as_floats((_TEMPLATE + 0.5) * CHIP / TEMPLATE_SIZE - 0.5)
_REGION_POINTS = as_floats((_TEMPLATE + 0.5) * SIZE / TEMPLATE_SIZE + (REGION - SIZE) / 2 - 0.5)


def _warp(picture: Picture, matrix: Floats, size: int) -> Picture:
    return as_pixels(
        cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )


def _is_known(e: Example) -> bool:
    return e.is_labelled or e.record.source in UNLABELLED_BARE


def _length(e: Example) -> float:
    return float(np.hypot(*(e.points[:2].mean(0) - e.points[3:].mean(0))))


class EmbedderTask:
    """The embedder's part of the training loop (`loop.Task`)."""

    name = "face_embedding"
    metric = "val score"

    def __init__(
        self,
        data: Dataset,
        splits: dict[str, list[Record]],
        teacher: FaceTeacher | None = None,
        imitates: bool = True,
    ) -> None:
        """Only training needs the `teacher`. With `imitates`, it starts from the teacher's weights, as far as there is room."""
        self.data, self.teacher, self._imitates = data, teacher, imitates
        faces = examples(splits["train"])
        bare = [e for e in faces if not e.masked and _is_known(e) and _length(e) >= MIN_LENGTH]
        self.small = [e for e in bare if e.record.source == "fer2013"]
        self.bare = [e for e in bare if e.record.source not in ("fer2013", "rwmfd")]
        require(self.bare, "train", "bare face with landmarks")
        self.people = [
            [group for group in people(faces, sources).values() if len(group) > 1]
            for sources in (MASKED_PEOPLE, BARE_PEOPLE)
        ]
        require([g for groups in self.people for g in groups], "train", "person with two pictures")
        self._find = finder()
        for groups in self.people:
            groups[:] = [[self._aligned_as_at_the_door(e) if e.masked else e for e in group] for group in groups]
        self.judge = Judge(data, splits["val"], self._find, SIZE)
        self._common, self.anchors = self._anchors()

    def build(self) -> Embedder:
        net = Embedder()
        if self.teacher is not None and self._imitates:
            net.imitate(self.teacher, self._typical(), CENTRED * self._common)
        return net

    def learn_from(self, earlier: torch.nn.Module) -> None:
        """Nothing is learned from an earlier network but its weights."""

    def _anchors(self) -> tuple[Tensor, Tensor]:
        """Return what the teacher's answers to faces have in common, (128,), and those to up to ANCHORS bare faces, see
        `_without_common`."""
        if self.teacher is None:
            return torch.zeros(VECTOR), torch.zeros(0, VECTOR)
        order = np.random.default_rng(ANCHORS).permutation(len(self.bare))[:ANCHORS]
        parts = np.array_split(order, -(-len(order) // 64))
        chips = (np.stack([self._shown(self.bare[k], False).chip for k in part]) for part in parts)
        vectors = torch.from_numpy(np.concatenate([self.teacher.answers(part) for part in chips]))
        common = vectors.mean(0)
        return common, _without_common(vectors, common)

    def _typical(self) -> Picture:
        """Return chips (n, CHIP, CHIP, 3) of bare faces, and of as many with what training draws on them."""
        chips = []
        for k in range(TYPICAL):
            rng = np.random.default_rng((TYPICAL, k))
            face = self._shown(self.bare[rng.integers(len(self.bare))], rng.random() < 0.5)
            chips += [face.chip, *self._seen(face, rng, 1)]
        return np.stack(chips)

    def _aligned_as_at_the_door(self, e: Example) -> Example:
        """Return a face with the landmarks that the door finds. Below a real mask they are twice as far from the data's as those
        of a bare face or below a drawn mask, and nobody knows which are right."""
        points = self._find(self.data.picture(e.record), Box(*e.box))
        return replace(e, points=np.array(points, np.float32))

    def _picture(self, e: Example) -> Picture:
        return self.data.picture(e.record, cache=e.record.source != "fer2013")

    def _some(self, rng: Rng) -> Example:
        pool = self.small if self.small and rng.random() < SMALL_GREY else self.bare
        return pool[rng.integers(len(pool))]

    def _shown(self, e: Example, mirrored: bool, with_chip: bool = True) -> _Face:
        """Return the face as the data have it."""
        picture, points = self._picture(e), as_floats(e.points - 0.5)
        to_region = similarity(points, _REGION_POINTS)
        region = _warp(picture, to_region, REGION)
        moved = points @ to_region[:, :2].T + to_region[:, 2]
        chip = _warp(picture, similarity(points, _CHIP_POINTS), CHIP) if with_chip else region
        if mirrored:
            region, chip = np.ascontiguousarray(region[:, ::-1]), np.ascontiguousarray(chip[:, ::-1])
            moved = np.stack([REGION - 1 - moved[MIRRORED, 0], moved[MIRRORED, 1]], 1)
        return _Face(region, as_floats(moved), chip, e.masked)

    def _bare_face(self, rng: Rng) -> _Face:
        """Return a bare face, or a blend of two."""
        face = self._shown(self._some(rng), rng.random() < 0.5)
        if rng.random() >= BLENDED:
            return face
        other = self._shown(self._some(rng), rng.random() < 0.5)
        share = float(rng.uniform(0.3, 0.7))
        region, chip = (
            as_pixels(cv2.addWeighted(a, share, b, 1 - share, 0))
            for a, b in ((face.region, other.region), (face.chip, other.chip))
        )
        return _Face(region, as_floats(share * face.points + (1 - share) * other.points), chip)

    def _seen(self, face: _Face, rng: Rng, cuts: int, may_draw: bool = True) -> list[Picture]:
        """Return crops (SIZE, SIZE, 3) uint8 RGB of a face as a camera at a door might see it."""
        region, covered = face.region, face.covered
        kind = rng.random()
        if may_draw and not covered and kind < DRAWN + OCCLUDED:
            at = pose(face.points + 0.5)
            covered = kind < DRAWN
            draw = masks.draw_mask if covered else occluders.draw_occluder
            region = draw(region, at.box, rng, (at.roll, at.yaw))
        region = augment.lens_and_light(region, rng, 0.8)
        if rng.random() < 0.2:
            region = augment.coarse(region, rng, 36, 90)
        if rng.random() < 0.05:
            region = augment.motion(region, rng)
        if rng.random() < 0.12:
            region = augment.greyscale(region, rng)
        return [align(region, _moved(face.points + 0.5, covered, rng), SIZE) for _ in range(cuts)]

    def judge_of_training(self) -> Judge:
        """Return a judge of the people of training who are in several pictures: many more than in validation."""
        records = [e.record for groups in self.people for group in groups for e in group]
        return Judge(self.data, records, self._find, SIZE)

    def calibration(self, n: int, seed: int) -> Tensor:
        crops = []
        for k in range(n):
            rng = np.random.default_rng((seed, 10**6, k))
            crops += self._seen(self._bare_face(rng), rng, 1)
        return stack(crops)

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        pairs = round(size * PAIRS / 2)
        count = (size - 2 * pairs) // CUTS
        crops, chips, first, second, shown = [], [], [], [], []
        for k in range(count):
            rng = np.random.default_rng((seed, step, k))
            face = self._bare_face(rng)
            crops += self._seen(face, rng, CUTS)
            chips.append(face.chip)
        for k in range(pairs):
            rng = np.random.default_rng((seed, step, 10**4 + k))
            groups = self.people[0 if rng.random() < REAL_MASKS and self.people[0] else 1]
            who = int(rng.integers(len(groups)))
            one, other = (groups[who][j] for j in rng.choice(len(groups[who]), 2, replace=False))
            mirrored = rng.random() < 0.5
            first += self._seen(self._shown(one, mirrored, False), rng, 1, False)
            second += self._seen(self._shown(other, mirrored, False), rng, 1)
            shown.append((groups is self.people[0], who))
        assert self.teacher is not None
        with torch.no_grad():
            known = self.teacher.blocks(stack(chips))
            vectors = _without_common(self.teacher.vectors(known[-1]), self._common)
        return {f"block {k}": block for k, block in enumerate(known) if k >= EXACT - 1} | {
            "pictures": stack(crops + first + second),
            "vectors": vectors,
            "alike": torch.tensor([[a == b for b in shown] for a in shown]),
        }

    def loss(self, net: torch.nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        """Return the sum of four losses: the distance from the teacher's vectors; how differently the teacher and the
        network place a face among the anchors and all faces of the batch (Fang et al. 2021, "SEED"); how hard one
        picture of a person is to find by another among the batch's pairs (InfoNCE, van den Oord et al. 2018); and
        `_block_loss`."""
        where = next(net.parameters()).device
        x = normalise(batch["pictures"].to(where)).contiguous(memory_format=torch.channels_last)
        with mixed_precision(where):
            found = net(x)
        found = F.normalize(found.float())
        wanted = batch["vectors"].to(where)
        crops = len(wanted) * CUTS
        own = torch.arange(crops, device=where) // CUTS
        distance = (found[:crops] - wanted[own]).square().sum(1).mean()
        among = torch.cat([wanted, self.anchors.to(where)]).T / TEMPERATURE
        place = F.cross_entropy(found[:crops] @ among, (wanted @ among).softmax(1)[own])
        first, second = found[crops:].chunk(2)
        alike = batch["alike"].to(where)
        me = torch.arange(len(first), device=where)
        others = alike & ~torch.eye(len(first), dtype=torch.bool, device=where)
        cosines = (first @ second.T / PAIR_TEMPERATURE).masked_fill(others, -1e4)
        pairs = (F.cross_entropy(cosines, me) + F.cross_entropy(cosines.T, me)) / 2
        return DISTANCE_WEIGHT * distance + PLACE_WEIGHT * place + PAIR_WEIGHT * pairs + self._block_loss(net, batch)

    def _block_loss(self, net: torch.nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Return how far what the blocks of the network know of bare faces is from what those of the teacher know, in units of
        its variance (Romero et al. 2015, "FitNets"), and how far the vectors are."""
        where = next(net.parameters()).device
        assert isinstance(net, Embedder)
        with mixed_precision(where):
            # The first blocks are those of the teacher.
            known = net.known(batch[f"block {EXACT - 1}"].to(where))
            vectors = net.vectors(known[-1])
        errors = []
        for k, found in enumerate(known, EXACT):
            wanted = batch[f"block {k}"].to(where)
            varies = (wanted - wanted.mean((0, 2, 3), keepdim=True)).square().mean()
            errors.append((found.float() - wanted).square().mean() / varies)
        distance = (F.normalize(vectors.float()) - batch["vectors"].to(where)).square().sum(1).mean()
        return BLOCK_WEIGHT * torch.stack(errors).mean() + DISTANCE_WEIGHT * distance

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        """Return how well pairs of people are told apart, see `people.Judge`."""
        found = {name: pairs.figures() for name, pairs in self.judge.pairs(embed_by(net)).items()}
        figures = {f"{name} {key}": value for name, of in found.items() for key, value in of.items()}
        chosen = [found[name][key] for name in ("bare", "drawn") for key in ("auc", "at_1_in_100")]
        return {"val score": float(np.mean(chosen)) + 0.5 * found["masked"]["auc"], **figures}


def _without_common(vectors: Tensor, common: Tensor) -> Tensor:
    """Return vectors (n, 128) without CENTRED of what they have in common, as unit vectors."""
    return F.normalize(vectors - CENTRED * common)


def embed_by(net: torch.nn.Module) -> Embed:
    """Return the function of a network for aligned crops."""
    where = next(net.parameters()).device

    def embed(crops: Picture) -> Floats:
        with torch.no_grad():
            parts = [net(normalise(stack(list(crops[k : k + 256])).to(where))).cpu() for k in range(0, len(crops), 256)]
        return as_floats(torch.cat(parts).numpy())

    return embed


def _moved(points: Floats, covered: bool, rng: Rng) -> Floats:
    """Return landmarks as a small network finds them."""
    between = float(np.hypot(*(points[0] - points[1])))
    errors = np.full((5, 1), POINT_ERROR)
    if covered:
        errors[2:] = COVERED_ERROR
    return as_floats(points + between * (rng.normal(0, 1, (5, 2)) * errors + rng.normal(0, SHIFT_ERROR, 2)))
