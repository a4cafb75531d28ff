"""Train the expression classifier on FER2013 with its labels and the votes of FER+, and on faces in whole pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from edge.imaging import images

from . import teachers
from .arrays import Floats, Picture, Rng, as_floats, as_pixels
from .dataset import Dataset, require
from .mask import examples
from .nets import ExpressionClassifier, ExpressionTeacher, TwoHeads, mixed_precision, normalise
from .records import EXPRESSIONS, Record
from .teachers import Teacher, answers

SIZE = 48
#: Side of a crop in units of the face box's longer side. FER2013 cuts from the brows to the chin.
MARGIN = 1.0
#: Weight of the votes' head in the shipped logits, chosen on PublicTest.
VOTES = 0.2
#: Share of the votes in the targets of the labels' head. Votes are better label smoothing than an even share.
SOFTENED = 0.15
#: Share of the teachers' answers in the targets, with --teacher or --weights.
TAUGHT = 0.5
#: Share of faces from whole pictures in a batch.
WILD_SHARE = 0.12
#: Share of faces without an expression in a batch, with a teacher, whose answers are their only targets.
UNLABELLED_SHARE = 0.2
#: Side of the stored faces from whole pictures: with as much of their surroundings as augmentation shows.
AROUND = 72
#: Height in pixels from which a face without an expression is used.
MIN_UNLABELLED = 40


def target(record: Record) -> Floats | None:
    """Return the targets of the two heads, (2, 7) float32 probabilities: the label softened by the votes, and the
    votes.

    Return None if most votes say that there is no face. Without votes both targets are the label.
    """
    assert record.expression is not None
    label = np.zeros(7, np.float32)
    label[EXPRESSIONS.index(record.expression)] = 1
    if record.votes is None:
        return np.stack([label, label])
    votes = np.array(record.votes, np.float32)
    if votes[9] * 2 > votes.sum():
        return None
    seven = votes[:7] / votes[:7].sum() if votes[:7].sum() >= 3 else label
    return as_floats(np.stack([(1 - SOFTENED) * label + SOFTENED * seven, seven]))


@dataclass
class Pool:
    """Grey faces (n, side, side) uint8, their targets (n, 2, 7) float32, and their landmarks (5, 2) float32 in pixels, or
    None where they are not known."""

    faces: Picture
    targets: Floats
    points: list[Floats | None]

    def __len__(self) -> int:
        return len(self.faces)


class Faces48:
    """Hold all 48x48 grey training faces in memory and augment each one as it is drawn."""

    def __init__(self, data: Dataset, records: Sequence[Record]) -> None:
        self.crops = load(data, [r for r in records if r.crop])
        self.wild = load(data, [r for r in records if not r.crop], AROUND)
        # Rare expressions are drawn more often, but not as often as the common ones.
        counts = np.bincount(
            [EXPRESSIONS.index(r.expression) for r in records if not r.crop and r.expression], minlength=7
        )
        weights = self.wild.targets[:, 0] @ (1 / np.sqrt(np.maximum(counts, 1))) if len(self.wild) else np.zeros(0)
        self.wild_weights = weights / max(weights.sum(), 1e-9)
        self.unlabelled = Pool(np.zeros((0, AROUND, AROUND), np.uint8), np.zeros((0, 2, 7), np.float32), [])
        require([*self.crops.faces, *self.wild.faces], "train", "face with an expression")

    def draw(self, seed: Sequence[int]) -> tuple[Picture, Floats]:
        """Return one face (48, 48) uint8 and its targets (2, 7) float32."""
        rng = np.random.default_rng(seed)
        face, wanted = self.choose(rng)
        # One warp shifts, rotates and scales; faces from whole pictures come with surroundings.
        n = face.shape[0]
        scale = np.exp(rng.normal(0, 0.06))
        turn = np.asarray(cv2.getRotationMatrix2D((n / 2, n / 2), rng.normal(0, 7), scale), np.float64)
        turn[:, 2] += SIZE / 2 - n / 2 + rng.uniform(-3, 3, 2)
        if rng.random() < 0.5:
            turn[0] = -turn[0]
            turn[0, 2] += SIZE
        out = cv2.warpAffine(face, turn, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        gain, offset = np.exp(rng.normal(0, 0.2)), rng.normal(0, 18)
        x = (out.astype(np.float32) - 127) * gain + 127 + offset
        if rng.random() < 0.1:
            x += rng.normal(0, rng.uniform(2, 10), x.shape)
        if rng.random() < 0.1:
            small = int(rng.integers(20, 40))
            x = cv2.resize(cv2.resize(x, (small, small), interpolation=cv2.INTER_AREA), (SIZE, SIZE))
        if rng.random() < 0.2:
            h, w = rng.integers(5, 16, 2)
            top, left = int(rng.integers(0, SIZE - h)), int(rng.integers(0, SIZE - w))
            x[top : top + h, left : left + w] = rng.uniform(0, 255)
        return np.clip(x, 0, 255).astype(np.uint8), wanted

    def choose(self, rng: Rng) -> tuple[Picture, Floats]:
        """Return one face, 48 or AROUND pixels wide, and its targets."""
        pool, k = self.pick(rng)
        return pool.faces[k], pool.targets[k]

    def pick(self, rng: Rng) -> tuple[Pool, int]:
        """Return the pool and the number in it of the next face."""
        if len(self.unlabelled) and rng.random() < UNLABELLED_SHARE:
            return self.unlabelled, int(rng.integers(len(self.unlabelled)))
        if len(self.wild) and (not len(self.crops) or rng.random() < WILD_SHARE):
            return self.wild, int(rng.choice(len(self.wild), p=self.wild_weights))
        return self.crops, int(rng.integers(len(self.crops)))


def load_unlabelled(data: Dataset, records: Sequence[Record]) -> Picture:
    """Return the bare faces without an expression, (n, AROUND, AROUND) uint8 grey."""
    faces: list[Picture] = []
    border = (AROUND - SIZE) // 2
    for e in tqdm(examples(records), desc="faces without an expression", leave=False, disable=None):
        r = e.record
        if r.expression is not None or e.masked or e.worn_wrongly:
            continue
        if r.crop:
            face = images.grey(images.resize(data.picture(r), SIZE, SIZE))[:, :, 0]
            faces.append(as_pixels(cv2.copyMakeBorder(face, border, border, border, border, cv2.BORDER_REPLICATE)))
        elif e.box[3] - e.box[1] >= MIN_UNLABELLED:
            around = images.crop_square(data.picture(r), e.box, AROUND, MARGIN * AROUND / SIZE)
            faces.append(images.grey(around)[:, :, 0])
    return np.stack(faces) if faces else np.zeros((0, AROUND, AROUND), np.uint8)


def faces_of(
    data: Dataset, records: Iterable[Record], side: int = SIZE
) -> Iterator[tuple[Picture, Floats, Floats | None]]:
    """Yield grey faces (side, side) uint8, their targets (2, 7) float32, and their landmarks (5, 2) float32 in pixels of
    the face, if they are known.

    From a whole picture the most prominent trusted face is cut out.
    """
    for r in records:
        if r.expression is None:
            continue
        wanted = target(r)
        if wanted is None:
            continue
        picture, points = data.picture(r), r.points
        if r.crop:
            corner, scale = np.zeros(2, np.float32), side / np.array([r.width, r.height], np.float32)
            picture = images.resize(picture, side, side)
        else:
            boxes = sorted((f for f in r.faces or () if f.trusted and f.label != "ignore"), key=lambda f: -f.height)
            if not boxes:
                continue
            left, top, right, _ = images.square_around(r.width, r.height, boxes[0].box, MARGIN * side / SIZE)
            corner, scale = np.array([left, top], np.float32), np.full(2, side / (right - left), np.float32)
            points = boxes[0].points
            picture = images.crop_square(picture, boxes[0].box, side, MARGIN * side / SIZE)
        moved = None if points is None else as_floats((points - corner) * scale)
        yield images.grey(picture)[:, :, 0], wanted, moved


def load(data: Dataset, records: Sequence[Record], side: int = SIZE) -> Pool:
    """Return the faces of `faces_of`."""
    found = list(faces_of(data, records, side))
    if not found:
        return Pool(np.zeros((0, side, side), np.uint8), np.zeros((0, 2, 7), np.float32), [])
    faces, targets, points = zip(*found, strict=True)
    return Pool(np.stack(faces), np.stack(targets), list(points))


class ExpressionTask:
    """The expression classifier's part of the training loop (`loop.Task`)."""

    name = "expression_classifier"
    metric = "val mean"
    #: Whether the door averages the answers to a face and to its mirror image.
    is_mirrored = False

    def __init__(self, data: Dataset, splits: dict[str, list[Record]]) -> None:
        self._data, self._train = data, splits["train"]
        wanted = {s: [r for r in rs if r.expression is not None] for s, rs in splits.items()}
        require(wanted["val"], "val", "face with an expression")
        self.faces = self.faces_for(data, wanted["train"])
        self.taught = False
        self.val: list[tuple[Picture, Record]] = []
        for r in wanted["val"]:
            self.val += [(face, r) for face, _, _ in faces_of(data, [r])]

    def faces_for(self, data: Dataset, records: Sequence[Record]) -> Faces48:
        """Return the faces to train on."""
        return Faces48(data, records)

    def build(self) -> TwoHeads:
        return ExpressionClassifier()

    def learn_from(self, earlier: torch.nn.Module) -> None:
        """Use an earlier network as teacher (born-again networks, Furlanello et al. 2018), unless there is a
        teacher."""
        if not self.taught:
            self.teach([teachers.of_network(earlier)])

    def teach(self, known: Sequence[Teacher]) -> None:
        """Mix the answers of teachers into the targets, which corrects unlikely labels.

        Faces without an expression are learned from too: their targets are the answers alone (Xie et al. 2020).
        """
        self.taught = True
        faces = self.faces
        unlabelled = load_unlabelled(self._data, self._train)
        faces.unlabelled = Pool(unlabelled, answers(known, unlabelled, SIZE), [None] * len(unlabelled))
        for pool in (faces.crops, faces.wild):
            pool.targets[:] = (1 - TAUGHT) * pool.targets + TAUGHT * answers(known, pool.faces, SIZE)

    def calibration(self, n: int, seed: int) -> Tensor:
        return torch.stack([torch.from_numpy(self.faces.draw((seed, 10**6, k))[0]) for k in range(n)])[:, None]

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        drawn = [self.faces.draw((seed, step, k)) for k in range(size)]
        rng = np.random.default_rng((seed, step))
        mix = float(rng.beta(0.3, 0.3)) if rng.random() < 0.3 else 1.0
        return {
            "pictures": torch.from_numpy(np.stack([p for p, _ in drawn]))[:, None],
            "targets": torch.from_numpy(np.stack([t for _, t in drawn])),
            "mix": torch.tensor(max(mix, 1 - mix)),
        }

    def loss(self, net: torch.nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        """Return the cross entropy of both heads with soft targets, with mixup (Zhang et al. 2018) on some batches."""
        device = next(net.parameters()).device
        x, y, mix = normalise(batch["pictures"].to(device)), batch["targets"].to(device), batch["mix"].to(device)
        x, y = mix * x + (1 - mix) * x.flip(0), mix * y + (1 - mix) * y.flip(0)
        with mixed_precision(device):
            logits = net(x.contiguous(memory_format=torch.channels_last))
        heads = logits.float().unflatten(1, (2, 7))
        labels, votes = (F.cross_entropy(heads[:, k], y[:, k], label_smoothing=0.02) for k in (0, 1))
        return labels + 0.5 * votes

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        """Return the accuracy by the labels, by the majority of the votes, and on faces from whole pictures."""
        return self.figures(net, self.val)

    def figures(self, net: torch.nn.Module, faces: Sequence[tuple[Picture, Record]]) -> dict[str, float]:
        """Return the figures of `validate` for other faces."""
        assert isinstance(net, TwoHeads)
        net = net.folded(VOTES)
        device = next(net.parameters()).device
        guesses = []
        for start in range(0, len(faces), 512):
            x = torch.from_numpy(np.stack([p for p, _ in faces[start : start + 512]]))[:, None].to(device)
            with torch.no_grad(), mixed_precision(device):
                guesses.append(net(normalise(x)).float().argmax(1).cpu().numpy())
        guess = np.concatenate(guesses)
        label = np.array([EXPRESSIONS.index(r.expression or "") for _, r in faces])
        crop = np.array([r.crop for _, r in faces])
        votes = np.array([r.votes or [0] * 10 for _, r in faces])
        clear = votes[:, :7].max(1) * 2 > np.maximum(votes.sum(1), 1)

        def share(right: npt.NDArray[np.bool_]) -> float:
            return float(right.mean()) if len(right) else float("nan")

        figures = {
            "val labels": share((guess == label)[crop]),
            "val votes": share((guess == votes[:, :7].argmax(1))[clear]),
            "val wild": share((guess == label)[~crop]),
        }
        known = {k: v for k, v in figures.items() if v == v}
        return {
            "val mean": float(np.mean([v for k, v in known.items() if k != "val wild"] or list(known.values()))),
            **known,
        }


class TeacherTask(ExpressionTask):
    """A larger network on the same faces, started from ImageNet. It teaches the network that is shipped."""

    name = "expression_teacher"

    def build(self) -> TwoHeads:
        return ExpressionTeacher()
