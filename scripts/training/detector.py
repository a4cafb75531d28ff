"""Training the face detector: scenes out of pictures, targets for its cells, and the loss."""

from __future__ import annotations

import contextlib
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
from .arrays import Box, Picture
from .dataset import Dataset, require
from .metrics import Matched, average_precision, match_detections
from .nets import SMALL_DETECTOR, STRIDES, FaceDetector, normalise, stack
from .records import Record

WIDTH, HEIGHT = 256, 192
# Face size, in input pixels (root of the box's area), that each level answers for; they overlap on purpose.
SIZES = ((0, 40), (28, 88), (72, 1000))
# Share of each source among the pictures drawn for their faces.
MIXTURE = {
    "ilc": 0.26, "maks": 0.13, "rwmfd": 0.08, "chand": 0.07, "mux": 0.05, "prajna": 0.04, "bikes": 0.04,
    "wild": 0.17, "rwmfd2": 0.11, "crowds": 0.05,
}  # fmt: skip
#: Sources of everyday and news pictures that a teacher boxed: what is found there counts for the choice of a checkpoint.
TAUGHT = ("wild", "rwmfd2", "crowds")
# Shares of the kinds of scene: one picture letterboxed, one zoomed, four in a mosaic; the rest shows no face.
LETTERBOXED, ZOOMED, MOSAIC = 0.16, 0.34, 0.24
#: Share of a mosaic's parts that show no face.
EMPTY_PARTS = 0.35
#: Share of the face-free regions that come from pictures without any face.
FROM_EMPTY = 0.65
#: Faces smaller than this, in input pixels, are neither asked for nor counted against.
SMALLEST = 10.0
#: Share of a face that must lie within the picture for it to be asked for.
LEAST_VISIBLE = 0.45
MAX_FACES, MAX_IGNORED = 48, 96
#: How many face-free regions are looked for in the validation pictures.
FACE_FREE = 600
#: Shares of the face-free validation pictures that may get a box; the share of faces found is the mean over them.
FALSE_ALARMS = (0.005, 0.01, 0.02, 0.05)
#: Face-free regions that hard negatives are chosen from, beside every whole picture without a face, and how many are kept.
MINED_REGIONS, MAX_HARD = 4000, 1500
#: Score from which a detection makes a hard negative.
HARD_SCORE = 0.08

#: Part of a picture: left, top, width, height in its pixels.
Region = tuple[Record, int, int, int, int]
#: Part of a scene: (x1, y1, x2, y2) in input pixels.
Part = tuple[int, int, int, int]
WHOLE: Part = (0, 0, WIDTH, HEIGHT)
#: Faces asked for, and ignored ones.
Placed = tuple[list[Box], list[Box]]


def whole(record: Record) -> Region:
    """The region that is a whole picture."""
    return record, 0, 0, record.width, record.height


def _crop(record: Record, rng: np.random.Generator, least: float, most: float) -> Region:
    """A region as wide as high is to 4:3, of `least` to `most` of the largest such region of the picture."""
    h = rng.uniform(least, most) * min(record.height, record.width * 0.75)
    w = h * 4 / 3
    x, y = int(rng.uniform(0, record.width - w)), int(rng.uniform(0, record.height - h))
    return record, x, y, int(w) + 1, int(h) + 1


class Scenes:
    """Draws training pictures: faces of every size anywhere, in one picture or in mosaics of several."""

    def __init__(self, data: Dataset, records: Sequence[Record]) -> None:
        self.data = data
        self.by_source: dict[str, list[Record]] = {}
        self.empty: list[Record] = []
        for r in records:
            if r.crop or r.source == "fer2013" or not (r.faces or r.face_free):
                continue
            if r.face_free:
                self.empty.append(r)
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
        if kind < LETTERBOXED:
            faces, ignored = self._letterboxed(canvas, rng)
        elif kind < LETTERBOXED + ZOOMED:
            faces, ignored = self._zoomed(canvas, rng, WHOLE)
        elif kind < LETTERBOXED + ZOOMED + MOSAIC:
            faces, ignored = self._mosaic(canvas, rng)
        else:
            self._show_empty(canvas, rng)
            faces, ignored = [], []
        if rng.random() < 0.5:
            canvas = np.ascontiguousarray(canvas[:, ::-1])
            faces = [(WIDTH - x2, y1, WIDTH - x1, y2) for x1, y1, x2, y2 in faces]
            ignored = [(WIDTH - x2, y1, WIDTH - x1, y2) for x1, y1, x2, y2 in ignored]
        if rng.random() < 0.25:
            canvas, faces, ignored = _bent(canvas, rng, faces, ignored)
        boxed = np.array(faces[:MAX_FACES], np.float32).reshape(-1, 4)
        if rng.random() < 0.10:
            canvas = augment.silhouette(canvas, rng, boxed)
        for change, chance in ((augment.low_key, 0.10), (augment.motion, 0.08)):
            if rng.random() < chance:
                canvas = change(canvas, rng)
        passed_over = np.array(ignored[:MAX_IGNORED], np.float32).reshape(-1, 4)
        return augment.lens_and_light(canvas, rng), boxed, passed_over

    def _pick(self, rng: np.random.Generator) -> tuple[Record, Picture]:
        records = self.by_source[self.names[rng.choice(len(self.names), p=self.weights)]]
        record = records[rng.integers(len(records))]
        return record, self.data.picture(record, cache=True)

    def _letterboxed(self, canvas: Picture, rng: np.random.Generator) -> Placed:
        record, picture = self._pick(rng)
        _, fit = images.letterbox(picture, WIDTH, HEIGHT, canvas)
        return self._place(record, fit.scale, fit.scale, fit.left, fit.top, (0, 0, WIDTH, HEIGHT))

    def _mosaic(self, canvas: Picture, rng: np.random.Generator) -> Placed:
        """Four pictures side by side, some of them without a face."""
        faces, ignored = [], []
        cx, cy = int(rng.uniform(0.3, 0.7) * WIDTH), int(rng.uniform(0.3, 0.7) * HEIGHT)
        for part in ((0, 0, cx, cy), (cx, 0, WIDTH, cy), (0, cy, cx, HEIGHT), (cx, cy, WIDTH, HEIGHT)):
            region = self._region(rng) if rng.random() < EMPTY_PARTS else None
            if region is not None:
                self._show(canvas, region, part)
                continue
            f, i = self._zoomed(canvas, rng, part)
            faces += f
            ignored += i
        return faces, ignored

    def _zoomed(self, canvas: Picture, rng: np.random.Generator, part: Part) -> Placed:
        record, picture = self._pick(rng)
        px1, py1, px2, py2 = part
        pw, ph = px2 - px1, py2 - py1
        aspect = np.exp(rng.uniform(-0.2, 0.55) if record.squashed else rng.uniform(-0.15, 0.15))
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

    def _fill(self, canvas: Picture, rng: np.random.Generator, part: Part, picture: Picture) -> None:
        """Paint what lies around a zoomed picture: a colour, the picture's own colours, or a place without a face."""
        x1, y1, x2, y2 = part
        kind = rng.random()
        region = self._region(rng) if kind > 0.65 else None
        if region is not None:
            self._show(canvas, region, part)
        elif kind < 0.3:
            canvas[y1:y2, x1:x2] = rng.integers(0, 256, 3) if kind < 0.15 else images.PADDING
        else:
            # Blurred beyond recognition.
            small = cv2.resize(picture, (5, 4), interpolation=cv2.INTER_AREA)
            canvas[y1:y2, x1:x2] = cv2.resize(small, (x2 - x1, y2 - y1), interpolation=cv2.INTER_CUBIC)

    def _show_empty(self, canvas: Picture, rng: np.random.Generator) -> None:
        """A scene without a face: a region free of any box (often one that once fooled the detector), or things drawn."""
        kind = rng.random()
        if self.things and kind < 0.06:
            picture = self.things[rng.integers(len(self.things))]
            h, w = picture.shape[:2]
            ch, cw = int(rng.uniform(0.35, 1) * h), int(rng.uniform(0.35, 1) * w)
            y, x = int(rng.integers(h - ch + 1)), int(rng.integers(w - cw + 1))
            images.letterbox(picture[y : y + ch, x : x + cw], WIDTH, HEIGHT, canvas)
            return
        region = self._region(rng) if kind > 0.14 else None
        if region is None:
            canvas[:] = synthetic_scene(rng)
            return
        self._show(canvas, region, WHOLE)
        if kind > 0.9:
            draw_things(canvas, rng)

    def _region(self, rng: np.random.Generator) -> Region | None:
        """A face-free region, half of them hard negatives once these are known; None where none was found."""
        if self.hard and rng.random() < 0.5:
            return self.hard[rng.integers(len(self.hard))]
        return self._free(rng)

    def _free(self, rng: np.random.Generator) -> Region | None:
        """Somewhere in some picture where nobody and no teacher saw a face."""
        if self.empty and rng.random() < FROM_EMPTY:
            record = self.empty[rng.integers(len(self.empty))]
            return whole(record) if rng.random() < 0.35 else _crop(record, rng, 0.25, 1.0)
        for _ in range(6):
            record, _ = self._pick(rng)
            region = _crop(record, rng, 0.25, 0.9)
            near = [f.box for f in record.faces or ()]
            _, x, y, w, h = region
            if record.source in ("mux", "chand", "prajna") and near and h > 0.5 * record.height:
                continue
            if any(b[0] < x + w and b[2] > x and b[1] < y + h and b[3] > y for b in near):
                continue
            return region
        return None

    def face_free(self, seed: int, tries: int) -> Iterator[Region]:
        """Regions without a face; where a try finds none, none.

        Only from pictures without any face and those whose faces people boxed: elsewhere a surprise may be a face that the
        teacher missed.
        """
        for k in range(tries):
            region = self._free(np.random.default_rng((seed, k)))
            if region is not None and (region[0].human or region[0].face_free):
                yield region

    def shown(self, region: Region) -> Picture:
        """The region as an input picture, (192, 256, 3) uint8 RGB."""
        canvas = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        self._show(canvas, region, WHOLE)
        return canvas

    def _show(self, canvas: Picture, region: Region, part: Part) -> None:
        """Letterbox a region into a part of `canvas`."""
        record, x, y, w, h = region
        x1, y1, x2, y2 = part
        picture = self.data.picture(record, cache=True)[y : y + h, x : x + w]
        images.letterbox(picture, x2 - x1, y2 - y1, canvas[y1:y2, x1:x2])

    def mine(self, best_scores: Callable[[Sequence[Picture]], np.ndarray], tries: int = MINED_REGIONS) -> None:
        """Keep the face-free pictures and regions that fool a detector most, to be shown more often.

        `best_scores` returns the best score of each of some input pictures, (n,).
        """
        regions = [whole(r) for r in self.empty] + list(self.face_free(9, tries))
        scores = np.concatenate(
            [best_scores([self.shown(r) for r in regions[k : k + 32]]) for k in range(0, len(regions), 32)]
        )
        order = np.argsort(-scores, kind="stable")[:MAX_HARD]
        self.hard = [regions[k] for k in order if scores[k] > HARD_SCORE]

    def _place(self, record: Record, sx: float, sy: float, left: float, top: float, part: Part) -> Placed:
        faces, ignored = [], []
        for f in record.faces or ():
            box = f.box[0] * sx + left, f.box[1] * sy + top, f.box[2] * sx + left, f.box[3] * sy + top
            visible, enough = _cut(box, part)
            if visible is not None:
                (faces if enough and f.trusted and f.label != "ignore" else ignored).append(visible)
        return faces, ignored


def _cut(box: Box, part: Part) -> tuple[Box | None, bool]:
    """What is visible of a face within `part`, None if nothing is, and whether that is enough to ask for it.

    A face cut by the border has its box end there, as a human would draw it.
    """
    x1, y1, x2, y2 = box
    cut = (max(x1, part[0]), max(y1, part[1]), min(x2, part[2]), min(y2, part[3]))
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        return None, False
    visible = (cut[2] - cut[0]) * (cut[3] - cut[1]) / ((x2 - x1) * (y2 - y1))
    return cut, visible >= LEAST_VISIBLE and cut[3] - cut[1] >= SMALLEST


def _bent(
    canvas: Picture, rng: np.random.Generator, faces: Sequence[Box], ignored: Sequence[Box]
) -> tuple[Picture, list[Box], list[Box]]:
    """The scene bent by `augment.bend`; faces that mostly leave it are ignored from then on."""
    groups = [np.array(group, np.float32).reshape(-1, 4) for group in (faces, ignored)]
    canvas, *moved = augment.bend(canvas, rng, *groups)
    out: tuple[list[Box], list[Box]] = [], []
    for k, group in enumerate(moved):
        for x1, y1, x2, y2 in group.tolist():
            visible, enough = _cut((x1, y1, x2, y2), WHOLE)
            if visible is not None:
                out[k if enough else 1].append(visible)
    return canvas, *out


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
        """Look for what fools an earlier detector (hard negatives, Felzenszwalb et al. 2010)."""

        self.scenes.mine(lambda pictures: best_scores(earlier, pictures))

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
        with torch.autocast(device.type, torch.bfloat16):
            distances, scores = net(
                normalise(batch["pictures"].to(device)).contiguous(memory_format=torch.channels_last)
            )
        faces, ignored = batch["faces"].to(device), batch["ignored"].to(device)
        return detector_loss(
            distances.float(), scores.float()[..., 0], faces, ignored, self.centres.to(device), self.strides.to(device)
        )

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        """Return the figures that choose the checkpoint, on whole validation pictures, faces of 10 % of the height and up.

        AP at IoU 0.35 and 0.5 of the pictures with human boxes; the share of these faces found ("val found"), and of those
        of the everyday and news pictures that a teacher boxed ("val taught"), each at the scores that only FALSE_ALARMS of
        the face-free pictures reach; and the mean of the four.
        """
        judged = {
            iou: [match_detections(r, *f, iou, 0.10) for r, f in self._detect(net, self.val)] for iou in (0.35, 0.5)
        }
        figures = {f"val AP{round(iou * 100)}": average_precision(m) for iou, m in judged.items()}
        if self.val_empty:
            thresholds = np.quantile(best_scores(net, self.val_empty), 1 - np.array(FALSE_ALARMS))
            figures["val found"] = found_share(judged[0.35], thresholds)
            if self.val_taught:
                taught = [match_detections(r, *f, 0.35, 0.10) for r, f in self._detect(net, self.val_taught)]
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
    """The best score in each input picture, (n,) float32."""
    device = next(net.parameters()).device
    found = []
    for start in range(0, len(pictures), 32):
        _, scores = net(normalise(stack(pictures[start : start + 32]).to(device)))
        found.append(scores.float().sigmoid().flatten(1).amax(1).cpu().numpy())
    return np.concatenate(found)


def found_share(matches: Sequence[Matched], thresholds: np.ndarray) -> float:
    """Share of the faces asked for that are found above a threshold, the mean over `thresholds` (n,)."""
    right = np.concatenate([m.scores[m.right] for m in matches])
    asked = max(sum(m.asked for m in matches), 1)
    return float(np.mean([(right > t).sum() / asked for t in thresholds]))


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
    """Varifocal score loss (the root of the IoU as the target) plus GIoU and a little L1 on the distances.

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
        # The root: a small face, whose box is never exact, should not score less than a large thing that is no face.
        target[b, n] = iou.detach().clamp(min=0.05).sqrt()
    probability = scores.sigmoid()
    weight = torch.where(positive, target, 0.75 * probability.detach() ** 2)
    score_loss = F.binary_cross_entropy_with_logits(scores, target, weight * ~skip, reduction="sum")
    return score_loss / target.sum().clamp(min=4) + 2.0 * box_loss
