"""What the models see in a video, recorded once, so that settings can be tried on it in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from tqdm import tqdm

from edge.camera.factory import open_source
from edge.config import Config
from edge.door import decisions
from edge.inference.perception import Perception
from edge.pipeline import Decision, Pipeline
from edge.records import Box, Detection, Face, Frame, Signal
from edge.timing import NO_TIMER

from .arrays import Picture, as_pixels
from .evaluation import outcomes
from .evaluation.passages import Passage, judge, passage_figures
from .evaluation.walkups import AsCamera
from .files import replacing
from .walkups.truth import SceneTruth

#: Size (width, height) of the pictures that are kept, enough for the door's search for changes.
KEPT_PX = (64, 48)
#: Lowest score of a detection that is kept. No setting below it can be tried.
MIN_SCORE = 0.5


@dataclass(frozen=True)
class RecordedFrame:
    """One frame: its times (see Frame), the size of its picture, the small picture, and a look at every face in it."""

    t: float
    still_s: float
    size: tuple[int, int]
    small: Picture
    faces: list[Face]


def record(video: Path, settings: Config, perception: Perception, as_camera: bool = False) -> Iterator[RecordedFrame]:
    """Yield what the models see in each frame of `video`, taken as a camera's if `as_camera`.

    Raises InputError if the video cannot be read.
    """
    with (
        open_source(settings.camera, str(video)) as source,
        tqdm(total=source.length, unit="frame", desc="look", disable=True if as_camera else None) as bar,
    ):
        frames = AsCamera(source) if as_camera else source
        while (frame := frames.read()) is not None:
            faces = [perception.classify(frame.picture, found) for found in perception.detect(frame)]
            small = as_pixels(cv2.resize(frame.picture, KEPT_PX, interpolation=cv2.INTER_AREA))
            yield RecordedFrame(frame.t, frame.still_s, (frame.picture.shape[1], frame.picture.shape[0]), small, faces)
            bar.update()


class Replay:
    """A recording that takes the place of video and models: the source and the perception of a `Pipeline`."""

    name, live, damage, scene = "recording", False, None, None
    timer = NO_TIMER

    def __init__(self, frames: list[RecordedFrame], perception: Perception) -> None:
        self.expression, self.masked_expression = perception.expression, perception.masked_expression
        self._frames = frames
        self._at = -1
        self._threshold = 0.0
        self._searched: list[Face] = []

    def read(self) -> Frame | None:
        """Return the next frame, with a picture of the right size and no content; None at the end."""
        self._at += 1
        if self._at == len(self._frames):
            return None
        recorded = self._frames[self._at]
        width, height = recorded.size
        blank = np.broadcast_to(np.zeros(3, np.uint8), (height, width, 3))
        return Frame(self._at, recorded.t, blank, recorded.small, recorded.still_s)

    def detect(self, _: Frame) -> list[Detection]:
        """Return the faces of the current frame above the detector's threshold."""
        self._searched = [face for face in self._frames[self._at].faces if face.score >= self._threshold]
        return [Detection(face.box, face.score) for face in self._searched]

    def classify(self, _: Picture, found: Detection) -> Face:
        """Return the recorded look at a face of the frame that was searched last."""
        return next(face for face in self._searched if face.box == found.box)

    def decisions(self, settings: Config, threshold: float) -> Iterator[Decision]:
        """Yield the decision about each frame, of a door with these settings and this threshold of the detector."""
        self._at, self._threshold = -1, threshold
        pipeline = Pipeline(settings, self)  # type: ignore[arg-type]
        return (decision for _, decision in decisions(pipeline, self))  # type: ignore[arg-type]

    def signals(self, settings: Config, threshold: float) -> list[tuple[float, Signal]]:
        """Return (t, signal) of each frame, as `decisions`."""
        return [(d.t, d.signal) for d in self.decisions(settings, threshold)]

    def figures(self, settings: Config, threshold: float, passages: list[Passage]) -> dict[str, Any]:
        """Return `passage_figures` of `signals`."""
        return passage_figures(*judge(passages, self.signals(settings, threshold)))


class ScenesReplay:
    """The recordings of all scenes of a folder of make_walkups."""

    def __init__(self, scenes: Sequence[SceneTruth], folder: Path, perception: Perception) -> None:
        self._scenes = [(s, Replay(load(folder / f"{Path(s.file).stem}.npz"), perception)) for s in scenes]

    def figures(self, settings: Config, threshold: float) -> dict[str, Any]:
        """Return `outcomes.figures` of a door with these settings and this threshold of the detector."""
        return outcomes.figures(
            [
                outcomes.judge(scene, [outcomes.shown_by(d) for d in replay.decisions(settings, threshold)])
                for scene, replay in self._scenes
            ]
        )


def record_scenes(
    folder: Path, scenes: Sequence[SceneTruth], out: Path, settings: Config, perception: Perception
) -> None:
    """Record what the models see in each scene into `out`; scenes that were recorded before are kept."""
    for scene in tqdm(scenes, unit="scene", desc="look", disable=None):
        kept = out / f"{Path(scene.file).stem}.npz"
        if not kept.is_file():
            save(kept, list(record(folder / scene.file, settings, perception, as_camera=True)))


def save(path: Path, frames: list[RecordedFrame]) -> None:
    """Write a recording as one .npz file."""
    faces = msgspec.json.encode([[msgspec.to_builtins(face) for face in m.faces] for m in frames])
    with replacing(path) as part:
        np.savez_compressed(
            part,
            t=np.array([(m.t, m.still_s) for m in frames]),
            size=np.array([m.size for m in frames]),
            small=np.stack([m.small for m in frames]),
            faces=np.frombuffer(faces, np.uint8),
        )


def load(path: Path) -> list[RecordedFrame]:
    """Return the recording of a .npz file."""
    with np.load(path) as kept:
        faces = msgspec.json.decode(kept["faces"].tobytes())
        rows = zip(kept["t"], kept["size"], kept["small"], faces, strict=True)
        return [
            RecordedFrame(float(t[0]), float(t[1]), (int(size[0]), int(size[1])), small, [_face(f) for f in found])
            for t, size, small, found in rows
        ]


def _face(row: dict[str, object]) -> Face:
    face = msgspec.convert(row, Face)
    return Face(Box(*face.box), face.score, face.mask_probability, face.expression)
