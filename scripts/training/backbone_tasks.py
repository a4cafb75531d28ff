"""The two tasks of `training.backbones`: the same batches, in the same order, for each network; and faces to judge by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge.imaging import images

from . import checkpoints, expression, mask
from .arrays import Picture
from .backbone_nets import Backbone, Network
from .dataset import Dataset, require
from .expression import ExpressionTask
from .files import replacing
from .mask import MaskTask
from .nets import normalise, stack
from .records import EXPRESSIONS, Record

#: Validation draws curves and chooses nothing, so that a sample of the faces is enough.
VALIDATION_FACES = 600
CHUNK = 64


@dataclass(frozen=True)
class Faces:
    """Faces to judge a classifier by: pictures (n, H, W, C) uint8 and the right class of each, (n,)."""

    pictures: Picture
    classes: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.classes)

    def sample(self, most: int) -> Faces:
        """Return at most this number of the faces, the same each time."""
        chosen = np.random.default_rng(0).permutation(len(self))[:most]
        return Faces(self.pictures[chosen], self.classes[chosen])

    def count_right(self, net: nn.Module) -> int:
        """Return how many faces a float network judges rightly."""
        right = 0
        for start in range(0, len(self), CHUNK):
            x = normalise(stack(list(self.pictures[start : start + CHUNK]))).contiguous(
                memory_format=torch.channels_last
            )
            with torch.no_grad():
                right += int((net(x).argmax(1).numpy() == self.classes[start : start + CHUNK]).sum())
        return right


class Source:
    """Training batches and faces of one task, read and drawn when they are first needed.

    Batches are kept in `folder`: they are drawn once instead of for each network, and only the network's own time is in
    the figures.
    """

    def __init__(
        self, name: str, open_data: Callable[[], tuple[Dataset, dict[str, list[Record]]]], folder: Path
    ) -> None:
        self.name, self._open, self.folder = name, open_data, folder
        self.is_mask = name == "mask"
        self.side = mask.SIZE if self.is_mask else expression.SIZE
        self.colours = 3 if self.is_mask else 1
        self.classes = len(mask.LABELS) if self.is_mask else len(EXPRESSIONS)

    @cached_property
    def task(self) -> MaskTask | ExpressionTask:
        """The task of the shipped model."""
        data, splits = self._open()
        return MaskTask(data, splits) if self.is_mask else ExpressionTask(data, splits)

    def build(self, network: Network) -> Backbone:
        """Return a new network for this task; that of expressions has the two heads of the shipped one."""
        return network.build(self.colours, self.classes if self.is_mask else 2 * self.classes, 2 if self.is_mask else 1)

    def classifier(self, net: Backbone) -> nn.Module:
        """Return the network that is judged and exported: one head."""
        return net.eval() if self.is_mask else net.folded(expression.VOTES).eval()

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        """Return a batch of `loop.Task`."""
        path = self.folder / "batches" / f"{seed}-{size}-{step}.pt"
        if path.is_file():
            kept: dict[str, Tensor] = torch.load(path, weights_only=True)
            return kept
        drawn = self.task.batch(seed, step, size)
        checkpoints.save(path, drawn)
        return drawn

    def calibration(self, n: int, seed: int) -> Tensor:
        """Return `n` training pictures, (n, C, H, W) uint8."""
        path = self.folder / "batches" / f"calibration-{seed}-{n}.pt"
        if not path.is_file():
            checkpoints.save(path, {"pictures": self.task.calibration(n, seed)})
        pictures: Tensor = torch.load(path, weights_only=True)["pictures"]
        return pictures

    def faces(self, split: str) -> Faces:
        """Return the labelled faces of a split, perhaps none."""
        path = self.folder / "batches" / f"{split}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            data, splits = self._open()
            read = _mask_faces if self.is_mask else _expression_faces
            found = read(data, splits[split])
            pictures = np.stack([p for p, _ in found]) if found else self._no_face()
            with replacing(path) as part:
                np.savez(part, pictures=pictures, classes=np.array([c for _, c in found], np.intp))
        with np.load(path) as kept:
            return Faces(kept["pictures"], kept["classes"])

    def _no_face(self) -> Picture:
        return np.zeros((0, self.side, self.side, self.colours), np.uint8)

    @cached_property
    def validation(self) -> Faces:
        """The faces that draw the curves. Raises DataError if there are none."""
        faces = self.faces("val")
        require(faces.classes.tolist(), "val", "labelled face")
        return faces.sample(VALIDATION_FACES)


def _mask_faces(data: Dataset, records: Sequence[Record]) -> list[tuple[Picture, int]]:
    return [
        (images.crop_square(data.picture(e.record), e.box, mask.SIZE, mask.MARGIN), int(e.masked))
        for e in mask.examples(records)
        if e.record.source != "fer2013"  # thousands of bare faces, all alike
    ]


def _expression_faces(data: Dataset, records: Sequence[Record]) -> list[tuple[Picture, int]]:
    return [
        (face[:, :, None], EXPRESSIONS.index(record.expression or ""))
        for record in records
        for face, _, _ in expression.faces_of(data, [record])
    ]


class BackboneTask:
    """One network's part of the training loop (`loop.Task`)."""

    metric = "val accuracy"

    def __init__(self, source: Source, key: str, network: Network) -> None:
        self.name = f"{source.name} {key}"
        self._source, self._network = source, network

    def build(self) -> Backbone:
        return self._source.build(self._network)

    def calibration(self, n: int, seed: int) -> Tensor:
        return self._source.calibration(n, seed)

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        return self._source.batch(seed, step, size)

    def loss(self, net: nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        loss = MaskTask.loss if self._source.is_mask else ExpressionTask.loss
        # Neither uses its task, which is read from the data only if a batch must be drawn.
        return loss(None, net, batch, progress)  # type: ignore[arg-type]

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return the accuracy on a sample of the validation faces."""
        assert isinstance(net, Backbone)
        faces = self._source.validation
        return {self.metric: faces.count_right(self._source.classifier(net)) / len(faces)}

    def learn_from(self, earlier: nn.Module) -> None:
        """Nothing is learned from an earlier network but its weights."""
