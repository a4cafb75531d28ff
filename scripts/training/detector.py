"""Train the face detector on scenes, and validate it on whole pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from edge.imaging import boxes, images

from .arrays import Picture
from .dataset import Dataset, require
from .detector_loss import detector_loss
from .metrics import Matched, average_precision, match_detections
from .nets import SMALL_DETECTOR, STRIDES, FaceDetector, mixed_precision, normalise, stack
from .records import Record
from .scenes import HEIGHT, MAX_FACES, MAX_IGNORED, WIDTH, Scenes, whole

#: Sources of everyday and news pictures that a teacher boxed: what is found there counts for the choice of a
#: checkpoint.
TAUGHT = ("wild", "rwmfd2", "crowds")
#: How many face-free regions are looked for in the validation pictures.
FACE_FREE = 600
#: How many are looked for in the training pictures, to choose hard negatives from.
MINED_REGIONS = 4000
#: Shares of the face-free validation pictures that may get a box; the share of faces found is the mean over them.
FALSE_ALARMS = (0.005, 0.01, 0.02, 0.05)


class DetectorTask:
    """The face detector's part of the training loop (`loop.Task`)."""

    name = "face_detector"
    metric = "val mean"

    def __init__(self, data: Dataset, splits: dict[str, list[Record]], hidden: Sequence[int] = SMALL_DETECTOR) -> None:
        self.hidden = hidden
        self.scenes = Scenes(data, splits["train"])
        self.data = data
        self.val = [r for r in splits["val"] if r.human]
        require(self.val, "val", "picture with human boxes")
        self.val_taught = [r for r in splits["val"] if r.source in TAUGHT]
        scenes = Scenes(data, splits["val"])
        self.val_empty_records = scenes.empty
        regions = [whole(r) for r in scenes.empty] + list(scenes.face_free(11, FACE_FREE))
        self.val_empty = [scenes.shown(r) for r in regions]
        self.grid = boxes.cells(WIDTH, HEIGHT, STRIDES)
        self.centres, self.strides = torch.from_numpy(self.grid[:, :2]), torch.from_numpy(self.grid[:, 2])

    def build(self) -> FaceDetector:
        return FaceDetector(self.hidden)

    def learn_from(self, earlier: torch.nn.Module) -> None:
        """Search for hard negatives of an earlier detector (Felzenszwalb et al. 2010)."""

        self.scenes.mine(lambda pictures: best_scores(earlier, pictures), MINED_REGIONS)

    def calibration(self, n: int, seed: int) -> Tensor:
        return stack([self.scenes.draw((seed, 10**6, k))[0] for k in range(n)])

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        pictures, faces, ignored = [], torch.zeros(size, MAX_FACES, 4), torch.zeros(size, MAX_IGNORED, 4)
        for k in range(size):
            picture, f, i = self.scenes.draw((seed, step, k))
            pictures.append(picture)
            faces[k, : len(f)] = torch.from_numpy(f)
            ignored[k, : len(i)] = torch.from_numpy(i)
        return {"pictures": stack(pictures), "faces": faces, "ignored": ignored}

    def loss(self, net: torch.nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        device = next(net.parameters()).device
        with mixed_precision(device):
            distances, scores = net(
                normalise(batch["pictures"].to(device)).contiguous(memory_format=torch.channels_last)
            )
        faces, ignored = batch["faces"].to(device), batch["ignored"].to(device)
        return detector_loss(
            distances.float(), scores.float()[..., 0], faces, ignored, self.centres.to(device), self.strides.to(device)
        )

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        """Return the figures that choose the checkpoint, on whole validation pictures, faces of 10 % of the height and
        up.

        AP at IoU 0.35 and 0.5 of the pictures with human boxes; the share of these faces found ("val found"), and of
        those of the everyday and news pictures that a teacher boxed ("val taught"), each at the scores that only
        FALSE_ALARMS of the face-free pictures reach; and the mean of the four.
        """
        judged = {
            iou: [match_detections(r, b, s, iou, 0.10) for r, (b, s) in self._detect(net, self.val)]
            for iou in (0.35, 0.5)
        }
        figures = {f"val AP{round(iou * 100)}": average_precision(m) for iou, m in judged.items()}
        if self.val_empty:
            thresholds = np.quantile(best_scores(net, self.val_empty), 1 - np.array(FALSE_ALARMS))
            figures["val found"] = found_share(judged[0.35], thresholds)
            if self.val_taught:
                taught = [match_detections(r, b, s, 0.35, 0.10) for r, (b, s) in self._detect(net, self.val_taught)]
                figures["val taught"] = found_share(taught, thresholds)
        return {"val mean": float(np.mean(list(figures.values()))), **figures}

    @torch.no_grad()
    def _detect(
        self, net: torch.nn.Module, records: Sequence[Record]
    ) -> Iterator[tuple[Record, tuple[np.ndarray, np.ndarray]]]:
        """Yield each record with its boxes (n, 4) in picture pixels and scores (n,), best first, from 0.05."""
        device = next(net.parameters()).device
        for record in records:
            boxed, fit = images.letterbox(self.data.picture(record, cache=True), WIDTH, HEIGHT)
            distances, scores = net(normalise(stack([boxed]).to(device)))
            d, s = distances[0].float().cpu().numpy(), scores[0, :, 0].float().sigmoid().cpu().numpy()
            above = np.flatnonzero(s >= 0.05)
            candidates = boxes.decode(d[above], self.grid[above])
            keep = boxes.nms(candidates, s[above], 0.45)
            yield record, (fit.to_picture(candidates[keep]), s[above][keep])


@torch.no_grad()
def best_scores(net: torch.nn.Module, pictures: Sequence[Picture]) -> np.ndarray:
    """Return the best score in each input picture, (n,) float32."""
    device = next(net.parameters()).device
    found = []
    for start in range(0, len(pictures), 32):
        _, scores = net(normalise(stack(pictures[start : start + 32]).to(device)))
        found.append(scores.float().sigmoid().flatten(1).amax(1).cpu().numpy())
    return np.concatenate(found)


def found_share(matches: Sequence[Matched], thresholds: np.ndarray) -> float:
    """Return the share of the faces that count which are found above a threshold: the mean over `thresholds` (n,)."""
    right = np.concatenate([m.scores[m.right] for m in matches])
    asked = max(sum(m.asked for m in matches), 1)
    return float(np.mean([(right > t).sum() / asked for t in thresholds]))
