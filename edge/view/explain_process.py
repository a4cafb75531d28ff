"""Explain faces of a frame in a child process: it takes a second of a core or more, and the door must not wait.

The process has the lowest priority and a memory limit, and the kernel kills it before the door if memory runs out. It
loads the models on the CPU with the settings of the door. With hidden faces, everything that it returns is drawn from a
picture in which they are hidden: only the explained model sees them.

It reads the start message from stdin: one line of JSON with "config", "models" (a folder or null) and "show_faces". A job
follows: JOB, its JSON, and the picture, (height, width, 3) uint8 RGB. It answers each job on stdout with RESULT, a JSON
object, and the pictures that it describes: a JPEG of the frame, and two PNG tiles for each explained face.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import resource
import struct
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import msgspec
import numpy as np

from ..config import Config, replaced
from ..explain import sheet
from ..explain.explanation import Explanation, MaskedError, Stage, explain
from ..explain.regions import grouped
from ..imaging.images import Picture
from ..inference import manifest
from ..inference.perception import Perception
from ..records import Box
from ..system import child_process
from .encoder import to_jpeg
from .pixelate import cell_size, hide_faces
from .protocol import encode_json

#: Lengths of a job's JSON, height and width of its picture.
JOB = struct.Struct(">III")
#: Lengths of a result's JSON and of its pictures.
RESULT = struct.Struct(">II")
#: Limit of the data segment. It needs 90 MB with a picture of 1280x720.
MAX_MEMORY_BYTES = 192 << 20
#: No further face is begun after this time (seconds): a slow box still answers in time.
BEGIN_WITHIN_S = 20.0


class Job(msgspec.Struct):
    """What is asked about a picture: a stage, boxes of faces, and boxes to hide (None: hide everything)."""

    stage: str
    faces: list[tuple[float, float, float, float]]
    hidden: list[tuple[float, float, float, float]] | None = None


class Start(msgspec.Struct):
    """The settings of the door, and where its models are."""

    config: Config
    models: str | None
    show_faces: bool


def explain_faces(perception: Perception, picture: Picture, job: Job, start: Start) -> tuple[dict[str, Any], bytes]:
    """Return the result of a job: JSON object, and its pictures one after the other."""
    # A track's face is hidden even where the last search has found nothing.
    hidden = None if job.hidden is None else [*map(_box, job.hidden), *map(_box, job.faces)]
    shown = picture if start.show_faces else hide_faces(picture, hidden)
    faces: list[dict[str, Any]] = []
    parts = [to_jpeg(shown)]
    deadline = time.monotonic() + BEGIN_WITHIN_S
    for corners in job.faces:
        if time.monotonic() > deadline:
            faces.append({"reason": "no_time"})
            continue
        box = _box(corners)
        try:
            found = explain(perception, picture, box, Stage(job.stage), agitated=start.config.expression.agitated)
        except MaskedError:
            faces.append({"reason": "masked"})
            continue
        face, tiles = _described(found, shown, is_hidden=not start.show_faces)
        faces.append({**face, "tiles": len(tiles)})
        parts += tiles
    return {"faces": faces, "parts": [len(part) for part in parts]}, b"".join(parts)


def _described(found: Explanation, shown: Picture, is_hidden: bool) -> tuple[dict[str, Any], list[bytes]]:
    """Return an explanation as JSON values, and its tiles as PNG: the face as in `shown`, and the heat map over it."""
    words = [{"speaks": speaks, "regions": [r.value for r in regions]} for speaks, regions in grouped(found.strongest)]
    values = {
        "answer": found.answer,
        "log_odds": round(found.log_odds, 2),
        "probability": round(found.probability, 4),
        "is_bounded": found.is_bounded,
        "is_above_mask": found.is_above_mask,
        "scale": round(sheet.scale_of(found), 2),
        "words": words,
    }
    drawn = coarse(found) if is_hidden else found
    return values, [_png(sheet.face_tile(drawn, shown)), _png(sheet.heat_tile(drawn, shown))]


def coarse(found: Explanation) -> Explanation:
    """Return an explanation whose map has cells as large as those of the hidden face.

    The segments of LIME follow the outlines of eyes and mouth: a fine map would show what is hidden.
    """
    cells = max(1, round(found.window.width / max(cell_size(found.face), 1.0)))
    if cells >= len(found.heat):
        return found
    heat = np.asarray(cv2.resize(found.heat, (cells, cells), interpolation=cv2.INTER_AREA), np.float32)
    return dataclasses.replace(found, heat=heat)


def _png(picture: Picture) -> bytes:
    ok, data = cv2.imencode(".png", picture[..., ::-1])
    return data.tobytes() if ok else b""


def _box(corners: tuple[float, float, float, float]) -> Box:
    return Box(*corners)


# ---- The process -----------------------------------------------------------------------------------------------------


def _protect_door() -> None:
    """Make this process small and unimportant."""
    with contextlib.suppress(OSError):
        os.nice(19)
    # Before `set_up`: a process that writes no core file may not write its own files in /proc.
    for name, value in (("oom_score_adj", "1000"), ("comm", "doorlight-why")):
        with contextlib.suppress(OSError):
            Path("/proc/self", name).write_text(value)
    child_process.set_up()
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    cv2.setNumThreads(1)


def _serve(requests: BinaryIO, results: BinaryIO) -> None:
    """Answer jobs until the door closes the pipe."""
    start = msgspec.json.decode(requests.readline(), type=Start)
    config = replaced(start.config, "models", threads=1)
    perception = Perception(config, manifest.load(None if start.models is None else Path(start.models)))
    while header := requests.read(JOB.size):
        length, height, width = JOB.unpack(header)
        job = msgspec.json.decode(requests.read(length), type=Job)
        picture = np.frombuffer(requests.read(height * width * 3), np.uint8).reshape(height, width, 3)
        result, pictures = explain_faces(perception, picture, job, start)
        data = encode_json(result)
        results.write(RESULT.pack(len(data), len(pictures)) + data + pictures)
        results.flush()


if __name__ == "__main__":
    _protect_door()
    with contextlib.suppress(BrokenPipeError):  # the door has gone
        _serve(sys.stdin.buffer, sys.stdout.buffer)
