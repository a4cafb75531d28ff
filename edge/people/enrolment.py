"""Make a template from pictures, or from three looks of a camera, and refuse what would make a bad one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from ..camera.picture_files import PictureFile
from ..camera.source import CameraLostError, Source
from ..config import CameraSettings
from ..errors import InputError
from ..imaging.images import Picture
from ..inference.embedder import Embedder
from ..inference.perception import Perception
from ..records import Frame
from . import quality
from .matching import Gallery, relaxed
from .record import Vector, normalized

#: Looks of a camera, and the least time (seconds) between two of them: people move a little meanwhile.
LOOKS, LOOK_INTERVAL_S = 3, 1.0
#: Two looks may differ by this (`matching.relaxed`) and be of one person: pictures of different days are less alike than frames.
SAME_PERSON = 2.0
#: Give up after this time (seconds).
MAX_WAIT_S = 60.0


class Look(NamedTuple):
    """One look: `problem` and `hint` ("" if it is good), the vector (128,) of a good one, and how much it counts."""

    problem: str
    hint: str
    vector: Vector
    weight: float


class Enroller:
    """Looks at the pictures of one person."""

    def __init__(self, perception: Perception, embedder: Embedder, min_score: float, threshold: float) -> None:
        """Faces with a score below `min_score` do not count. Looks far below the cosine `threshold` are of different people."""
        self._perception = perception
        self._embedder = embedder
        self._min_score = min_score
        self._threshold = threshold

    def look(self, picture: Picture) -> Look:
        """Look at a picture, (H, W, 3) uint8 RGB, that should show one bare face."""
        faces = [found for found in self._perception.detect(Frame(0, 0.0, picture)) if found.score >= self._min_score]
        if not faces:
            return _bad("no face was found", "use a picture of the face from the front")
        if len(faces) > 1:
            return _bad(f"there are {len(faces)} faces", "only the person to enrol may be in the picture")
        face = self._perception.classify(picture, faces[0])
        points = self._embedder.landmarks(picture, face)
        crop = self._embedder.crop(picture, points)
        found = quality.measure(points, crop, face.mask_probability)
        if bad := quality.problem(found, quality.ENROLMENT):
            return _bad(*bad)
        (vector,) = self._embedder.embed([crop])
        return Look("", "", vector, quality.weight(found))

    def from_pictures(self, paths: Sequence[Path], camera: CameraSettings) -> Vector:
        """Return the vector (128,) of the person in all pictures. Raises InputError, with the file, if one is no good."""
        looks: list[Look] = []
        for path in paths:
            look = self.look(_picture(path, camera))
            if look.problem:
                raise InputError(f"{path}: {look.problem}", look.hint)
            if not self._is_same(looks, look):
                raise InputError(f"{path}: does not show the person of {paths[0]}", "use pictures of one person")
            looks.append(look)
        return mean(looks)

    def from_camera(self, source: Source, report: Callable[[str], None]) -> Vector:
        """Return the vector (128,) of the person before an open camera. `report` gets a line for each change.

        A video works like a camera. Raises InputError if there are not LOOKS good looks in time, and CameraError.
        """
        looks: list[Look] = []
        last_t, reported, hint = float("-inf"), "", ""
        end = time.monotonic() + MAX_WAIT_S
        while len(looks) < LOOKS:
            if time.monotonic() > end:
                break
            try:
                frame = source.read()
            except CameraLostError:
                continue
            if frame is None:
                break
            if frame.is_repeat or frame.t - last_t < LOOK_INTERVAL_S:
                continue
            look = self.look(frame.picture)
            line = f"{look.problem}: {look.hint}" if look.problem else ""
            if not line and not self._is_same(looks, look):
                looks, line = [], "this is another person than before: from the beginning"
            if line:
                if line != reported:
                    report(line)
                reported, hint = line, look.hint
                continue
            looks.append(look)
            last_t, reported = frame.t, ""
            report(f"look {len(looks)} of {LOOKS}")
        if len(looks) < LOOKS:
            reason = f"; last: {reported}" if reported else ""
            raise InputError(
                f"{source.name}: {len(looks)} of {LOOKS} good looks{reason}", hint or "look into the camera"
            )
        return mean(looks)

    def _is_same(self, looks: Sequence[Look], look: Look) -> bool:
        return not looks or float(mean(looks) @ look.vector) >= relaxed(self._threshold, SAME_PERSON)


def mean(looks: Sequence[Look]) -> Vector:
    """Return the mean vector (128,) of looks, by their weights, with length 1."""
    total = np.sum([look.weight * look.vector for look in looks], axis=0)
    return normalized(np.asarray(total, np.float32))


def check_new(gallery: Gallery, vector: Vector, name: str) -> None:
    """Raise InputError if the person is enrolled already. `gallery` are all others."""
    match = gallery.find(vector)
    if match is not None:
        raise InputError(
            f"{name}: looks like {match.person.name}, who is enrolled (similarity {match.similarity:.3f}, "
            f"{gallery.threshold:.3f} is the same person)",
            f"the same person: doorlight people remove {match.person.name!r}, then add again; two people: the door cannot tell "
            "them apart. Try other pictures, or raise [people] threshold",
        )


def _bad(problem: str, hint: str) -> Look:
    return Look(problem, hint, np.zeros(0, np.float32), 0.0)


def _picture(path: Path, camera: CameraSettings) -> Picture:
    """Return a picture, upright as its EXIF says: the camera's own rotation does not matter to it. Raises InputError."""
    with PictureFile(path, msgspec.structs.replace(camera, rotate=0, mirror=False, picture_s=0.0)) as source:
        frame = source.read()
        if source.damage:
            raise InputError(f"{path}: {source.damage}", "use a picture that is intact")
    assert frame is not None  # a picture that opens has a frame
    return frame.picture
