"""The loss of the face detector: which cell answers for which face, and how well it does."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .nets import STRIDES

#: Face size (root of the box's area, in input pixels) that each level answers for. The ranges overlap on purpose.
SIZES = ((0, 40), (28, 88), (72, 1000))


def giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the IoU and the generalised IoU (Rezatofighi et al. 2019) of boxes (n, 4) and (n, 4)."""
    inter = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).clamp(min=0).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    union = area_a + area_b - inter
    iou = inter / union.clamp(min=1e-6)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def detector_loss(
    distances: Tensor, scores: Tensor, faces: Tensor, ignored: Tensor, centres: Tensor, strides: Tensor
) -> Tensor:
    """Return the loss: varifocal on the scores (target: the root of the IoU), plus GIoU and a little L1 on the
    distances.

    distances (B, N, 4) in strides; scores (B, N) logits; faces and ignored (B, M, 4) input pixels, empty rows zero.
    """
    x, y = centres[:, 0], centres[:, 1]
    cx, cy = (faces[..., 0] + faces[..., 2]) / 2, (faces[..., 1] + faces[..., 3]) / 2
    size = ((faces[..., 2] - faces[..., 0]) * (faces[..., 3] - faces[..., 1])).clamp(min=0).sqrt()
    low, high = torch.zeros_like(strides), torch.zeros_like(strides)
    for stride_px, (smallest, largest) in zip(STRIDES, SIZES, strict=True):
        low[strides == stride_px], high[strides == stride_px] = float(smallest), float(largest)
    # (B, M, N): is this cell near the centre of that face, and is the face of this level's size?
    reach = torch.minimum(1.5 * strides[None, None], 0.5 * size[..., None].clamp(min=1))
    reach = torch.maximum(reach, 0.71 * strides[None, None])
    near = (cx[..., None] - x).abs().le(reach) & (cy[..., None] - y).abs().le(reach)
    fits = (size[..., None] >= low) & (size[..., None] < high) & (size[..., None] > 0)
    candidate = near & fits
    # Where faces compete for a cell, the smaller wins.
    cost = torch.where(
        candidate, size[..., None].expand_as(candidate), torch.full_like(candidate, 1e9, dtype=torch.float32)
    )
    best, owner = cost.min(1)
    positive = best < 1e8
    skip = torch.zeros_like(positive)
    x1, y1, x2, y2 = (ignored[..., k, None] for k in range(4))
    skip |= ((x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)).any(1)
    # Cells in the middle of a face that no rule made positive, at a level that nearly fits: not background either.
    bw, bh = faces[..., 2] - faces[..., 0], faces[..., 3] - faces[..., 1]
    middle = ((x - cx[..., None]).abs() < 0.3 * bw[..., None]) & ((y - cy[..., None]).abs() < 0.3 * bh[..., None])
    adjacent = (size[..., None] >= 0.6 * low) & (size[..., None] < 1.6 * high)
    skip |= (middle & adjacent & (size[..., None] > 0)).any(1)
    skip &= ~positive

    target = torch.zeros_like(scores)
    box_loss: Tensor = distances.sum() * 0
    if positive.any():
        b, n = positive.nonzero(as_tuple=True)
        truth = faces[b, owner[b, n]]
        raw, stride = distances[b, n], strides[n]
        d = raw.clamp(min=0.01) * stride[:, None]
        predicted = torch.stack([x[n] - d[:, 0], y[n] - d[:, 1], x[n] + d[:, 2], y[n] + d[:, 3]], 1)
        iou, generalised = giou(predicted, truth)
        wanted = torch.stack([x[n] - truth[:, 0], y[n] - truth[:, 1], truth[:, 2] - x[n], truth[:, 3] - y[n]], 1)
        l1 = F.smooth_l1_loss(raw, wanted / stride[:, None], reduction="none").mean(1)
        weight = iou.detach().clamp(min=0.1)
        box_loss = ((1 - generalised) * weight + 0.1 * l1 * weight).sum() / weight.sum().clamp(min=1)
        # The root: a small face, whose box is never exact, should not score less than a large thing that is no face.
        target[b, n] = iou.detach().clamp(min=0.05).sqrt()
    probability = scores.sigmoid()
    weight = torch.where(positive, target, 0.75 * probability.detach() ** 2)
    score_loss = F.binary_cross_entropy_with_logits(scores, target, weight * ~skip, reduction="sum")
    return score_loss / target.sum().clamp(min=4) + 2.0 * box_loss
