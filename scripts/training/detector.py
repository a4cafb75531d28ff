"""Training the face detector: scenes out of pictures, targets for its cells, and the loss."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edge.imaging import boxes, images

from . import augment
from .dataset import Dataset, Picture, Record, require
from .nets import STRIDES, FaceDetector, normalise, stack

WIDTH, HEIGHT = 256, 192
# Face size, in input pixels (root of the box's area), that each level answers for; they overlap on purpose.
SIZES = ((0, 40), (28, 88), (72, 1000))
# Share of each source among the pictures drawn.
MIXTURE = {"ilc": 0.40, "maks": 0.18, "rwmfd": 0.12, "chand": 0.10, "mux": 0.07, "prajna": 0.06, "bikes": 0.07}
#: Faces smaller than this, in input pixels, are neither asked for nor counted against.
SMALLEST = 10.0
MAX_FACES = 48
#: How many face-free regions are looked for in the validation pictures.
FACE_FREE = 400
#: Share of the validation faces that must be found where these regions are judged.
FOUND = 0.92

#: Part of a picture: left, top, width, height in its pixels.
Region = tuple[Record, int, int, int, int]
Placed = tuple[list[tuple[float, float, float, float]], list[tuple[float, float, float, float]]]


class Scenes:
    """Draws training pictures: faces of every size anywhere, in one picture or in mosaics of several."""

    def __init__(self, data: Dataset, records: Sequence[Record]) -> None:
        self.data = data
        self.by_source: dict[str, list[Record]] = {}
        for r in records:
            if r.crop or r.faces is None or r.source == "fer2013":
                continue
            self.by_source.setdefault(r.source, []).append(r)
        require([r for rs in self.by_source.values() for r in rs if r.faces], "train", "picture with a face box")
        names = [s for s in self.by_source if s in MIXTURE] or list(self.by_source)
        weights = np.array([MIXTURE.get(s, 0.1) for s in names])
        self.names, self.weights = names, weights / weights.sum()
        self.hard: list[Region] = []
        self.things = package_pictures()

    def draw(self, seed: Sequence[int]) -> tuple[Picture, np.ndarray, np.ndarray]:
        """One scene: picture (192, 256, 3) uint8 RGB, faces (n, 4) and ignored regions (m, 4) float32, input pixels."""
        rng = np.random.default_rng(seed)
        kind = rng.random()
        canvas = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        if kind < 0.18:
            faces, ignored = self._letterboxed(canvas, rng)
        elif kind < 0.54:
            faces, ignored = self._zoomed(canvas, rng, (0, 0, WIDTH, HEIGHT))
        elif kind < 0.80:
            faces, ignored = [], []
            cx, cy = int(rng.uniform(0.3, 0.7) * WIDTH), int(rng.uniform(0.3, 0.7) * HEIGHT)
            for part in ((0, 0, cx, cy), (cx, 0, WIDTH, cy), (0, cy, cx, HEIGHT), (cx, cy, WIDTH, HEIGHT)):
                f, i = self._zoomed(canvas, rng, part)
                faces += f
                ignored += i
        else:
            faces, ignored = self._empty(canvas, rng)
        if rng.random() < 0.5:
            canvas = np.ascontiguousarray(canvas[:, ::-1])
            faces = [(WIDTH - x2, y1, WIDTH - x1, y2) for x1, y1, x2, y2 in faces]
            ignored = [(WIDTH - x2, y1, WIDTH - x1, y2) for x1, y1, x2, y2 in ignored]
        canvas = augment.lens_and_light(canvas, rng)
        return (
            canvas,
            np.array(faces[:MAX_FACES], np.float32).reshape(-1, 4),
            np.array(ignored[:MAX_FACES], np.float32).reshape(-1, 4),
        )

    def _pick(self, rng: np.random.Generator) -> tuple[Record, Picture]:
        records = self.by_source[self.names[rng.choice(len(self.names), p=self.weights)]]
        record = records[rng.integers(len(records))]
        return record, self.data.picture(record, cache=True)

    def _letterboxed(self, canvas: Picture, rng: np.random.Generator) -> Placed:
        record, picture = self._pick(rng)
        _, fit = images.letterbox(picture, WIDTH, HEIGHT, canvas)
        return self._place(record, fit.scale, fit.scale, fit.left, fit.top, (0, 0, WIDTH, HEIGHT))

    def _zoomed(self, canvas: Picture, rng: np.random.Generator, part: tuple[int, int, int, int]) -> Placed:
        record, picture = self._pick(rng)
        px1, py1, px2, py2 = part
        pw, ph = px2 - px1, py2 - py1
        aspect = np.exp(rng.uniform(-0.15, 0.15)) * (rng.uniform(1.0, 1.8) if record.squashed else 1.0)
        faces = [f for f in record.faces or () if f.trusted and f.label != "ignore"]
        if not faces:
            scale = max(pw / (record.width * aspect), ph / record.height) * rng.uniform(1.0, 1.6)
            left = px1 - rng.uniform(0, max(record.width * aspect * scale - pw, 0))
            top = py1 - rng.uniform(0, max(record.height * scale - ph, 0))
        else:
            face = faces[rng.integers(len(faces))]
            most = min(0.95 * ph * (1.1 if rng.random() < 0.2 else 1.0), 185.0)
            target = np.exp(rng.uniform(np.log(13.0), np.log(max(most, 26.0))))
            # Enlarged pictures carry no detail: at most three times.
            scale = min(target / face.height, 3.0)
            fx, fy = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
            left = px1 + rng.uniform(0.08, 0.92) * pw - fx * scale * aspect
            top = py1 + rng.uniform(0.12, 0.88) * ph - fy * scale
        sx, sy = scale * aspect, scale
        self._fill(canvas, rng, part, picture)
        left, top = round(left), round(top)
        w, h = max(1, round(record.width * sx)), max(1, round(record.height * sy))
        # Only what is visible is resized.
        x1, y1, x2, y2 = max(left, px1), max(top, py1), min(left + w, px2), min(top + h, py2)
        if x2 > x1 and y2 > y1:
            u1, v1 = int((x1 - left) / sx), int((y1 - top) / sy)
            u2 = min(record.width, max(u1 + 1, round((x2 - left) / sx)))
            v2 = min(record.height, max(v1 + 1, round((y2 - top) / sy)))
            canvas[y1:y2, x1:x2] = images.resize(picture[v1:v2, u1:u2], x2 - x1, y2 - y1)
        return self._place(record, sx, sy, left, top, part)

    def _fill(
        self, canvas: Picture, rng: np.random.Generator, part: tuple[int, int, int, int], picture: Picture
    ) -> None:
        x1, y1, x2, y2 = part
        kind = rng.random()
        if kind < 0.4:
            canvas[y1:y2, x1:x2] = rng.integers(0, 256, 3) if kind < 0.2 else images.PADDING
        else:
            # The picture's own colours, blurred beyond recognition.
            small = cv2.resize(picture, (5, 4), interpolation=cv2.INTER_AREA)
            canvas[y1:y2, x1:x2] = cv2.resize(small, (x2 - x1, y2 - y1), interpolation=cv2.INTER_CUBIC)

    def _empty(self, canvas: Picture, rng: np.random.Generator) -> Placed:
        """A scene without a face: a region free of any box (often one that once fooled the detector), or things drawn."""
        kind = rng.random()
        if kind < 0.18:
            canvas[:] = synthetic_scene(rng)
            return [], []
        if self.things and kind > 0.82:
            picture = self.things[rng.integers(len(self.things))]
            h, w = picture.shape[:2]
            ch, cw = int(rng.uniform(0.35, 1) * h), int(rng.uniform(0.35, 1) * w)
            y, x = int(rng.integers(h - ch + 1)), int(rng.integers(w - cw + 1))
            images.letterbox(picture[y : y + ch, x : x + cw], WIDTH, HEIGHT, canvas)
            return [], []
        region = self.hard[rng.integers(len(self.hard))] if self.hard and kind < 0.55 else self._free(rng)
        if region is None:
            canvas[:] = synthetic_scene(rng)
        else:
            self._show(canvas, region)
            if kind > 0.72:
                draw_things(canvas, rng)
        return [], []

    def _free(self, rng: np.random.Generator) -> Region | None:
        """Somewhere in some picture where nobody and no teacher saw a face."""
        for _ in range(6):
            record, picture = self._pick(rng)
            h, w = picture.shape[:2]
            ch = rng.uniform(0.25, 0.9) * min(h, w * 0.75)
            cw = ch * 4 / 3
            x, y = rng.uniform(0, w - cw), rng.uniform(0, h - ch)
            near = [f.box for f in record.faces or ()]
            if record.source in ("mux", "chand", "prajna") and near and ch > 0.5 * h:
                continue
            if any(b[0] < x + cw and b[2] > x and b[1] < y + ch and b[3] > y for b in near):
                continue
            return record, int(x), int(y), int(cw) + 1, int(ch) + 1
        return None

    def face_free(self, seed: int, tries: int) -> Iterator[tuple[Region, Picture]]:
        """Regions without a face, and what they look like, (192, 256, 3); where a try finds none, none.

        Only from pictures whose faces people boxed: elsewhere a surprise may be a face that the teacher missed.
        """
        for k in range(tries):
            region = self._free(np.random.default_rng((seed, k)))
            if region is not None and region[0].human:
                canvas = np.empty((HEIGHT, WIDTH, 3), np.uint8)
                self._show(canvas, region)
                yield region, canvas

    def _show(self, canvas: Picture, region: Region) -> None:
        record, x, y, w, h = region
        canvas[:] = images.resize(self.data.picture(record, cache=True)[y : y + h, x : x + w], WIDTH, HEIGHT)

    def mine(self, score: Callable[[Picture], float], tries: int = 3000, share: float = 0.12) -> None:
        """Keep, out of many face-free regions, those where `score` sees most of a face, to be shown more often."""
        found = [(score(canvas), k, region) for k, (region, canvas) in enumerate(self.face_free(9, tries))]
        found.sort(key=lambda f: (-f[0], f[1]))
        self.hard = [region for s, _, region in found[: int(tries * share)] if s > 0.05]

    def _place(
        self, record: Record, sx: float, sy: float, left: float, top: float, part: tuple[int, int, int, int]
    ) -> Placed:
        faces, ignored = [], []
        for f in record.faces or ():
            x1, y1, x2, y2 = f.box[0] * sx + left, f.box[1] * sy + top, f.box[2] * sx + left, f.box[3] * sy + top
            # Hidden by the border: the box ends there too, as a human would draw it.
            c = (max(x1, part[0]), max(y1, part[1]), min(x2, part[2]), min(y2, part[3]))
            if c[0] >= c[2] or c[1] >= c[3]:
                continue
            seen = (c[2] - c[0]) * (c[3] - c[1]) / ((x2 - x1) * (y2 - y1))
            if f.label == "ignore" or not f.trusted or seen < 0.45 or c[3] - c[1] < SMALLEST:
                ignored.append(c)
            else:
                faces.append(c)
        return faces, ignored


#: Pictures of animals and things that come with scikit-image and scikit-learn. Every third (cell, clock_motion, flower,
#: horse, microaneurysms, page, text) is left out, to see how the detector takes what it has never seen.
PACKAGE_PICTURES = {
    "skimage.data": "brick.png chelsea.png coffee.png coins.png grass.png gravel.png hubble_deep_field.jpg ihc.png moon.png "
    "motorcycle_left.png retina.jpg rocket.jpg",
    "sklearn.datasets.images": "china.jpg",
}


def package_pictures() -> list[Picture]:
    """PACKAGE_PICTURES, (H, W, 3) uint8 RGB; those that are not installed are left out."""
    found = []
    for package, file in ((package, file) for package, files in PACKAGE_PICTURES.items() for file in files.split()):
        with contextlib.suppress(ImportError, OSError):
            data = resources.files(package).joinpath(file).read_bytes()
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if decoded is not None:
                found.append(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
    return found


def synthetic_scene(rng: np.random.Generator) -> Picture:
    """A made-up scene with no face in it: patches of colour, shapes, and round things (patterned cloth, walls, lamps)."""
    canvas = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    noise = rng.integers(0, 256, (int(rng.integers(2, 24)), int(rng.integers(2, 32)), 3), np.uint8)
    strength, tint = rng.uniform(0.05, 0.8), np.array(_colour(rng))
    muted = np.clip(tint + (noise.astype(np.float32) - 127) * strength, 0, 255).astype(np.uint8)
    how = cv2.INTER_NEAREST if rng.random() < 0.3 else cv2.INTER_CUBIC
    canvas[:] = cv2.resize(muted, (WIDTH, HEIGHT), interpolation=how)
    for _ in range(int(rng.integers(0, 9))):
        colour = _colour(rng)
        centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        thick = -1 if rng.random() < 0.6 else int(rng.integers(1, 6))
        if rng.random() < 0.6:
            axes = (int(rng.integers(4, 70)), int(rng.integers(4, 70)))
            cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, thick)
        else:
            end = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
            cv2.rectangle(canvas, centre, end, colour, thick)
    draw_things(canvas, rng)
    return canvas


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """A third each: like skin, so that skin alone makes no face; nearly grey; any colour."""
    kind, light = rng.random(), rng.uniform(30, 240)
    if kind < 0.33:
        r, g, b = light, light * rng.uniform(0.62, 0.85), light * rng.uniform(0.45, 0.75)
    elif kind < 0.67:
        r, g, b = np.clip(light + rng.normal(0, 14, 3), 0, 255)
    else:
        r, g, b = rng.uniform(0, 256, 3)
    return int(r), int(g), int(b)


def draw_things(canvas: Picture, rng: np.random.Generator) -> None:
    """Round and egg-shaped things that are no faces, drawn into `canvas` (H, W, 3): clocks, plates, wheels, balls, coins.

    They have what a careless detector takes for a face: an outline, shading, and marks inside, only in other places.
    """
    h, w = canvas.shape[:2]
    for _ in range(int(rng.integers(1, 6))):
        ry = float(np.exp(rng.uniform(np.log(9), np.log(90))))
        rx = ry * rng.uniform(0.6, 1.3)
        cx, cy = rng.uniform(0, w), rng.uniform(0, h)
        centre, axes, turn = (int(cx), int(cy)), (max(2, int(rx)), max(2, int(ry))), float(rng.uniform(-40, 40))
        colour, other = _colour(rng), _colour(rng)
        if rng.random() < 0.4:  # of what lies elsewhere in the picture: fur, cloth, leaves
            layer = np.roll(canvas, (int(rng.integers(h)), int(rng.integers(w))), (0, 1))
        else:
            layer = canvas.copy()
            cv2.ellipse(layer, centre, axes, turn, 0, 360, colour, -1, cv2.LINE_AA)
        inside = np.zeros((h, w), np.uint8)
        cv2.ellipse(inside, centre, axes, turn, 0, 360, 255, -1)

        def at(angle: float, reach: float, cx: float = cx, cy: float = cy, rx: float = rx, ry: float = ry) -> Any:
            return int(cx + np.cos(angle) * reach * rx), int(cy + np.sin(angle) * reach * ry)

        kind, fine = rng.integers(5), max(1, int(ry / rng.uniform(8, 30)))
        if kind == 0:  # a clock or gauge: ticks and hands
            ticks = int(rng.choice([4, 8, 12, 24]))
            for k in range(ticks):
                cv2.line(
                    layer, at(k * 2 * np.pi / ticks, 0.75), at(k * 2 * np.pi / ticks, 0.92), other, fine, cv2.LINE_AA
                )
            for reach in (0.45, 0.7):
                cv2.line(layer, centre, at(rng.uniform(0, 2 * np.pi), reach), other, fine, cv2.LINE_AA)
        elif kind == 1:  # plates, cups from above, tyres: rings
            for reach in rng.uniform(0.15, 0.95, int(rng.integers(1, 5))):
                size = (max(1, int(rx * reach)), max(1, int(ry * reach)))
                filled = -1 if rng.random() < 0.4 else fine
                cv2.ellipse(layer, centre, size, turn, 0, 360, _colour(rng), filled, cv2.LINE_AA)
        elif kind == 2:  # wheels, flowers, windows: spokes
            spokes, start = int(rng.integers(3, 18)), rng.uniform(0, np.pi)
            for k in range(spokes):
                cv2.line(layer, centre, at(start + k * 2 * np.pi / spokes, 0.95), other, fine, cv2.LINE_AA)
        elif kind == 3:  # spots: fruit, fur, coins, bread
            for _ in range(int(rng.integers(3, 30))):
                spot = at(rng.uniform(0, 2 * np.pi), np.sqrt(rng.random()))
                size = (fine + int(rng.integers(0, 3)), fine)
                cv2.ellipse(layer, spot, size, float(rng.uniform(0, 180)), 0, 360, _colour(rng), -1, cv2.LINE_AA)
        else:  # writing: labels, signs, balloons
            text = "".join(chr(c) for c in rng.integers(48, 91, int(rng.integers(2, 8))))
            cv2.putText(
                layer, text, at(np.pi, 0.8), int(rng.integers(0, 5)), ry / rng.uniform(25, 60), other, fine, cv2.LINE_AA
            )
        # Light from one side, as on anything round.
        y, x = np.ogrid[0:h, 0:w]
        tilt = rng.uniform(0, 2 * np.pi)
        ramp = ((x - cx) / rx * np.cos(tilt) + (y - cy) / ry * np.sin(tilt)) * rng.uniform(0, 70)
        lit = np.clip(layer + ramp[:, :, None].astype(np.float32), 0, 255).astype(np.uint8)
        cv2.copyTo(lit, inside, canvas)


class DetectorTask:
    """What the training loop needs to know about the detector."""

    name = "face_detector"
    metric = "val mean"

    def __init__(self, data: Dataset, splits: dict[str, list[Record]]) -> None:
        self.scenes = Scenes(data, splits["train"])
        self.data = data
        self.val = [r for r in splits["val"] if r.human]
        require(self.val, "val", "picture with human boxes")
        # Whole pictures without a face, and regions of those whose faces people boxed.
        whole = [self.data.picture(r) for r in splits["val"] if r.faces == () and not r.crop]
        self.val_empty = [images.letterbox(p, WIDTH, HEIGHT)[0] for p in whole]
        self.val_empty += [canvas for _, canvas in Scenes(data, splits["val"]).face_free(11, FACE_FREE)]
        self.grid = boxes.cells(WIDTH, HEIGHT, STRIDES)
        self.centres, self.strides = torch.from_numpy(self.grid[:, :2]), torch.from_numpy(self.grid[:, 2])

    def build(self) -> FaceDetector:
        return FaceDetector()

    def learn_from(self, earlier: torch.nn.Module) -> None:
        """Look for what fools an earlier detector (hard negatives, Felzenszwalb et al. 2010)."""

        @torch.no_grad()
        def score(picture: Picture) -> float:
            _, scores = earlier(normalise(stack([picture])))
            return float(scores.max().sigmoid())

        self.scenes.mine(score)

    def calibration(self, n: int, seed: int) -> Tensor:
        return stack([self.scenes.draw((seed, 10**6, k))[0] for k in range(n)])

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        pictures, faces, ignored = [], torch.zeros(size, MAX_FACES, 4), torch.zeros(size, MAX_FACES, 4)
        for k in range(size):
            picture, f, i = self.scenes.draw((seed, step, k))
            pictures.append(picture)
            faces[k, : len(f)] = torch.from_numpy(f)
            ignored[k, : len(i)] = torch.from_numpy(i)
        return {"pictures": stack(pictures), "faces": faces, "ignored": ignored}

    def loss(self, net: torch.nn.Module, batch: dict[str, Tensor], progress: float) -> Tensor:
        device = next(net.parameters()).device
        with torch.autocast(device.type, torch.bfloat16):
            distances, scores = net(
                normalise(batch["pictures"].to(device)).contiguous(memory_format=torch.channels_last)
            )
        faces, ignored = batch["faces"].to(device), batch["ignored"].to(device)
        return detector_loss(
            distances.float(), scores.float()[..., 0], faces, ignored, self.centres.to(device), self.strides.to(device)
        )

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        """AP at IoU 0.35 and 0.5 over whole validation pictures with human boxes, faces of 10 % of the height; the share of
        face-free pictures that get no box, at the score from which FOUND of these faces are found (so that it says nothing
        of where a network's scores lie); and the mean of the three.
        """
        from .metrics import average_precision, match_detections

        device = next(net.parameters()).device
        results: dict[float, list[Any]] = {0.35: [], 0.5: []}
        for start in range(0, len(self.val), 32):
            records = self.val[start : start + 32]
            boxed = [images.letterbox(self.data.picture(r), WIDTH, HEIGHT) for r in records]
            x = stack([b for b, _ in boxed])
            with torch.no_grad():
                distances, scores = net(normalise(x.to(device)))
            d, s = distances.float().cpu().numpy(), scores.float().sigmoid().cpu().numpy()
            for k, record in enumerate(records):
                above = np.flatnonzero(s[k, :, 0] >= 0.05)
                candidates, confidence = boxes.decode(d[k][above], self.grid[above]), s[k, above, 0]
                keep = boxes.nms(candidates, confidence, 0.45)
                found = boxed[k][1].to_picture(candidates[keep])
                for iou in results:
                    results[iou].append(match_detections(record, found, confidence[keep], iou, 0.10))
        figures = {f"val AP{round(iou * 100)}": average_precision(m) for iou, m in results.items()}
        if self.val_empty:
            right = np.sort(np.concatenate([m.scores[m.right] for m in results[0.35]]))[::-1]
            needed = math.ceil(FOUND * sum(m.asked for m in results[0.35]))
            threshold = right[needed - 1] if needed <= len(right) else 0.0
            best = []
            for start in range(0, len(self.val_empty), 32):
                with torch.no_grad():
                    _, scores = net(normalise(stack(self.val_empty[start : start + 32]).to(device)))
                best.append(scores.float().sigmoid().flatten(1).max(1).values.cpu().numpy())
            figures["val empty"] = float((np.concatenate(best) < threshold).mean())
        return {"val mean": float(np.mean(list(figures.values()))), **figures}


def giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al. 2019) of boxes (n, 4) and (n, 4)."""
    inter = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).clamp(min=0).prod(1), (b[:, 2:] - b[:, :2]).prod(1)
    union = area_a + area_b - inter
    iou = inter / union.clamp(min=1e-6)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def detector_loss(
    distances: Tensor, scores: Tensor, faces: Tensor, ignored: Tensor, centres: Tensor, strides: Tensor
) -> Tensor:
    """Varifocal score loss (IoU as the target) plus GIoU and a little L1 on the distances.

    distances (B, N, 4) in strides; scores (B, N) logits; faces and ignored (B, M, 4) input pixels, empty rows zero.
    """
    x, y = centres[:, 0], centres[:, 1]
    cx, cy = (faces[..., 0] + faces[..., 2]) / 2, (faces[..., 1] + faces[..., 3]) / 2
    size = ((faces[..., 2] - faces[..., 0]) * (faces[..., 3] - faces[..., 1])).clamp(min=0).sqrt()
    low, high = torch.zeros_like(strides), torch.zeros_like(strides)
    for s, (a, b) in zip(STRIDES, SIZES, strict=True):
        low[strides == s], high[strides == s] = float(a), float(b)
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
    box_loss = distances.sum() * 0
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
        target[b, n] = iou.detach().clamp(min=0.05)
    probability = scores.sigmoid()
    weight = torch.where(positive, target, 0.75 * probability.detach() ** 2)
    score_loss = F.binary_cross_entropy_with_logits(scores, target, weight * ~skip, reduction="sum")
    return score_loss / target.sum().clamp(min=4) + 2.0 * box_loss
