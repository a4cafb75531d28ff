"""Play the scenes of make_walkups through the whole door, and draw where it was wrong."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
from tqdm import tqdm

from edge.camera.factory import open_source
from edge.camera.source import Source
from edge.config import Config
from edge.door import decisions
from edge.inference.manifest import Manifest
from edge.inference.perception import Perception
from edge.pipeline import Pipeline
from edge.records import Frame

from .. import contact_sheet, plots
from ..arrays import Picture
from ..walkups import truth
from .common import MAX_MISTAKES, Result
from .outcomes import Outcome, figures, judge, shown_by


class AsCamera:
    """A video as a camera delivers it: what happened between two frames is not known."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.live, self.damage, self.scene = source.name, False, None, None

    def read(self) -> Frame | None:
        """Return the next frame; None at the end."""
        frame = self._source.read()
        return None if frame is None else replace(frame, still_s=0.0)


@dataclass
class Thumbnails:
    """Small pictures of the moments at which something was wrong."""

    tiles: list[Picture] = field(default_factory=list)

    def add(self, folder: Path, outcome: Outcome) -> None:
        """Add the moments of a scene."""
        wanted = {t: what.replace("_", " ") for what, t in outcome.mistakes.items()}
        wanted |= {t: f"{kind} ends wrong" for kind, t, right in outcome.groups if not right}
        if not wanted or len(self.tiles) >= MAX_MISTAKES:
            return
        pictures = read_pictures(folder / outcome.scene.file, [round(t * outcome.scene.fps) for t in wanted])
        for (t, what), picture in zip(wanted.items(), pictures, strict=False):
            lines = (f"{outcome.scene.file} {t:.1f} s", what, outcome.scene.kind)
            self.tiles.append(contact_sheet.tile(picture, None, lines))


def read_pictures(video: Path, numbers: Sequence[int]) -> list[Picture]:
    """Return frames of a video by their numbers, (H, W, 3) uint8 RGB."""
    capture = cv2.VideoCapture(str(video))
    kept: dict[int, Picture] = {}
    for k in range(max(numbers, default=-1) + 1):
        ok, frame = capture.read()
        if not ok:
            break
        if k in numbers:
            kept[k] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)  # type: ignore[assignment]
    capture.release()
    return [kept[k] for k in numbers if k in kept]


def evaluate_walkups(folder: Path, settings: Config, models: Manifest, runtime: str | None) -> Result:
    """Play all scenes of a folder through the pipeline of `doorlight run`, and compare the door with the truth.

    Raises InputError or DataError if the folder cannot be used.
    """
    scenes = truth.read(folder).scenes
    perception = Perception(settings, models, runtime)
    outcomes = []
    for scene in tqdm(scenes, unit="scene", file=sys.stderr):
        with open_source(settings.camera, str(folder / scene.file)) as source:
            played = decisions(Pipeline(settings, perception), AsCamera(source))  # type: ignore[arg-type]
            outcomes.append(judge(scene, [shown_by(decision) for _, decision in played]))
    return Result(figures(outcomes), lambda out: _draw(out, folder, outcomes))


def _draw(out: Path, folder: Path, outcomes: Sequence[Outcome]) -> None:
    thumbnails = Thumbnails()
    for outcome in outcomes:
        thumbnails.add(folder, outcome)
    contact_sheet.write(out / "worst.png", thumbnails.tiles[:MAX_MISTAKES])
    total = figures(outcomes)
    names = [*total["by_kind"], *total["by_tag"]]
    parts = [*total["by_kind"].values(), *total["by_tag"].values()]
    plots.draw_bars(out / "right.png", names, [p["right"]["share"] for p in parts], "groups that end right")
