"""Scenes to train the face detector on: faces of every size in one picture or in mosaics, and pictures without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

from edge.imaging import images

from . import augment
from .arrays import Box, Picture, Rng
from .dataset import Dataset, require
from .drawing.cloth import draw_cloth
from .records import Record
from .things import draw_things, package_pictures, synthetic_scene

#: Size of the detector's input in pixels.
WIDTH, HEIGHT = 256, 192
#: Share of each source among the pictures drawn for their faces.
MIXTURE = {
    "ilc": 0.26, "maks": 0.13, "rwmfd": 0.08, "chand": 0.07, "mux": 0.05, "prajna": 0.04, "bikes": 0.04,
    "wild": 0.20, "rwmfd2": 0.11, "crowds": 0.05,
}  # fmt: skip
#: Shares of the kinds of scene: one picture letterboxed, one zoomed, four in a mosaic; the rest shows no face.
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
#: Number of hard negatives that are kept.
MAX_HARD = 1500
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
    """Return the region that is a whole picture."""
    return record, 0, 0, record.width, record.height


def _crop(record: Record, rng: Rng, least: float, most: float) -> Region:
    """Return a 4:3 region with `least` to `most` of the height of the largest such region of the picture."""
    h = rng.uniform(least, most) * min(record.height, record.width * 0.75)
    w = h * 4 / 3
    x, y = int(rng.uniform(0, record.width - w)), int(rng.uniform(0, record.height - h))
    return record, x, y, int(w) + 1, int(h) + 1


class Scenes:
    """Draw training pictures: faces of every size anywhere, in one picture or in mosaics of several."""

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
        """Return one scene: picture (192, 256, 3) uint8 RGB, faces (n, 4) and ignored regions (m, 4) float32, input
        pixels."""
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

    def _pick(self, rng: Rng) -> tuple[Record, Picture]:
        records = self.by_source[self.names[rng.choice(len(self.names), p=self.weights)]]
        record = records[rng.integers(len(records))]
        return record, self.data.picture(record, cache=True)

    def _letterboxed(self, canvas: Picture, rng: Rng) -> Placed:
        record, picture = self._pick(rng)
        _, fit = images.letterbox(picture, WIDTH, HEIGHT, canvas)
        return self._place(record, fit.scale, fit.scale, fit.left, fit.top, (0, 0, WIDTH, HEIGHT))

    def _mosaic(self, canvas: Picture, rng: Rng) -> Placed:
        """Fill `canvas` with four pictures side by side, some of them without a face."""
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

    def _zoomed(self, canvas: Picture, rng: Rng, part: Part) -> Placed:
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

    def _fill(self, canvas: Picture, rng: Rng, part: Part, picture: Picture) -> None:
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

    def _show_empty(self, canvas: Picture, rng: Rng) -> None:
        """Fill `canvas` with a scene without a face: a region without a box, often a hard negative, or drawn things."""
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
            canvas[:] = synthetic_scene(rng, WIDTH, HEIGHT)
            if rng.random() < 0.4:
                draw_cloth(canvas, rng)
            return
        self._show(canvas, region, WHOLE)
        if kind > 0.9:
            draw_things(canvas, rng)
        elif kind > 0.76:
            draw_cloth(canvas, rng)

    def _region(self, rng: Rng) -> Region | None:
        """Return a face-free region, None if none was found. Half of them are hard negatives once these are known."""
        if self.hard and rng.random() < 0.5:
            return self.hard[rng.integers(len(self.hard))]
        return self._free(rng)

    def _free(self, rng: Rng) -> Region | None:
        """Return a part of a picture in which neither a human nor a teacher saw a face; None if none was found."""
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
        """Yield regions without a face; a try that finds none yields nothing.

        Only from pictures without any face and those whose faces people boxed: elsewhere a surprise may be a face that
        the teacher missed.
        """
        for k in range(tries):
            region = self._free(np.random.default_rng((seed, k)))
            if region is not None and (region[0].human or region[0].face_free):
                yield region

    def shown(self, region: Region) -> Picture:
        """Return the region as an input picture, (192, 256, 3) uint8 RGB."""
        canvas = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        self._show(canvas, region, WHOLE)
        return canvas

    def _show(self, canvas: Picture, region: Region, part: Part) -> None:
        """Letterbox a region into a part of `canvas`."""
        record, x, y, w, h = region
        x1, y1, x2, y2 = part
        picture = self.data.picture(record, cache=True)[y : y + h, x : x + w]
        images.letterbox(picture, x2 - x1, y2 - y1, canvas[y1:y2, x1:x2])

    def mine(self, best_scores: Callable[[Sequence[Picture]], np.ndarray], tries: int) -> None:
        """Keep the face-free pictures and regions with the highest scores of a detector, to show them more often.

        There are `tries` to find regions, see `face_free`; every whole picture without a face is judged, too.
        `best_scores` returns the best score of each of some input pictures, (n,).
        """
        regions = [whole(r) for r in self.empty] + list(self.face_free(9, tries))
        scores = np.concatenate(
            [best_scores([self.shown(r) for r in regions[k : k + 32]]) for k in range(0, len(regions), 32)]
        )
        order = np.argsort(-scores, kind="stable")[:MAX_HARD]
        self.hard = [regions[k] for k in order if scores[k] > HARD_SCORE]

    def _place(self, record: Record, sx: float, sy: float, left: float, top: float, part: Part) -> Placed:
        faces: list[Box] = []
        ignored: list[Box] = []
        for f in record.faces or ():
            box = f.box[0] * sx + left, f.box[1] * sy + top, f.box[2] * sx + left, f.box[3] * sy + top
            visible, enough = _cut(box, part)
            if visible is not None:
                (faces if enough and f.trusted and f.label != "ignore" else ignored).append(visible)
        return faces, ignored


def _cut(box: Box, part: Part) -> tuple[Box | None, bool]:
    """Return the visible part of a face within `part` (None if there is none), and whether it is large enough to count.

    A face cut by the border has its box end there, as a human would draw it.
    """
    x1, y1, x2, y2 = box
    cut = (max(x1, part[0]), max(y1, part[1]), min(x2, part[2]), min(y2, part[3]))
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        return None, False
    visible = (cut[2] - cut[0]) * (cut[3] - cut[1]) / ((x2 - x1) * (y2 - y1))
    return cut, visible >= LEAST_VISIBLE and cut[3] - cut[1] >= SMALLEST


def _bent(
    canvas: Picture, rng: Rng, faces: Sequence[Box], ignored: Sequence[Box]
) -> tuple[Picture, list[Box], list[Box]]:
    """Return the scene bent by `augment.bend`. Faces that are mostly outside then are ignored."""
    groups = [np.array(group, np.float32).reshape(-1, 4) for group in (faces, ignored)]
    canvas, moved = augment.bend(canvas, rng, *groups)
    out: tuple[list[Box], list[Box]] = [], []
    for k, group in enumerate(moved):
        for x1, y1, x2, y2 in group.tolist():
            visible, enough = _cut((x1, y1, x2, y2), WHOLE)
            if visible is not None:
                out[k if enough else 1].append(visible)
    return canvas, *out


#: Pictures of animals and things that come with scikit-image and scikit-learn. Every third (cell, clock_motion, flower,
#: horse, microaneurysms, page, text) is left out, to see how the detector takes what it has never seen.
