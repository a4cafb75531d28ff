#!/usr/bin/env python3
"""Time Doorlight's whole loop beside what people would use instead: same frames, same run, one thread, in turn.

Beside it run AIZOO's and Ultra-Light's detectors alone, and the pipeline of the tutorials: a face detector of OpenCV's
and a float MobileNetV2 for each face, in Keras as they have it ("predict") and ported to TFLite. The peers' files are
not part of this project: their authors' pages are named in scripts/doorlab/peers.py. Whoever is not named is left out.

    scripts/compare_peers.py --aizoo face_mask_detection.tflite --ultralight RFB-320.tflite --mobilenet build
    scripts/compare_peers.py walk.mp4 --mobilenet mask_detector.h5 --ssd deploy.prototxt res10_300x300.caffemodel

Frames are made of the footage, 640x480: an empty door, one face that is decided (settled) and one that is not yet
(new: looked at in every frame), masked and not, and ten faces; with the noise of a camera. What counts is the
processor's time, which a busy machine leaves alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import msgspec
import numpy as np

from doorlab import peers, speed
from edge import config, manifest
from edge.config import Config
from edge.errors import DoorlightError
from edge.perception import Perception

CLIP = Path(__file__).resolve().parent / "demo_data" / "door.mp4"
#: A round's length on the door's clock: long enough to hold what is done only now and then.
BLOCK_S = 2.0


class Detector(speed.Contestant):
    """A peer's detector, from a frame to boxes."""

    every = 3

    def __init__(self, name: str, detector: peers.Anchored) -> None:
        self.name = f"{name}, frame to boxes"
        self._detector = detector

    def look(self, picture: speed.Picture) -> int:
        return len(self._detector.detect(picture))


class Network(speed.Contestant):
    """The bare call of a peer's network: less than it takes to find anything with it."""

    every = 3

    def __init__(self, name: str, graph: peers.Graph) -> None:
        self.name = f"{name}, network alone"
        self._graph = graph
        self._pixels = np.zeros((graph.height, graph.width, 3), np.float32)

    def look(self, picture: speed.Picture) -> int:
        self._graph.invoke(self._pixels)
        return 0


class Tutorial(speed.Contestant):
    """The pipeline of the tutorials."""

    every = 3

    def __init__(self, name: str, find: Callable[..., Any], classify: Callable[..., Any]) -> None:
        self.name = name
        self._tutorial = peers.Tutorial(find, classify)

    def look(self, picture: speed.Picture) -> int:
        return len(self._tutorial.look(picture))


class Field:
    """Who takes part, and on what. Raises DoorlightError for files that are not there or not what they should be."""

    def __init__(self, args: argparse.Namespace) -> None:
        settings = config.load(args.config)
        # One thread for everybody, OpenCV included.
        self.config: Config = msgspec.structs.replace(
            settings, models=msgspec.structs.replace(settings.models, threads=1)
        )
        cv2.setNumThreads(1)
        self.fps = settings.camera.fps
        # First what is quick to find missing.
        self.aizoo = peers.Aizoo(args.aizoo) if args.aizoo else None
        self.ultralight = peers.UltraLight(args.ultralight) if args.ultralight else None
        self.tutorials = _tutorials(args.mobilenet, args.ssd) if args.mobilenet else []
        self.models = manifest.load(args.models)
        self.perception = Perception(self.config, self.models)
        self.scenes = speed.scenes(speed.film(self.config, self.perception, args.footage), self.config)

    @property
    def contestants(self) -> list[speed.Contestant]:
        """Ours first."""
        found: list[speed.Contestant] = [speed.Door(self.perception, self.fps)]
        for name, detector in (("AIZOO", self.aizoo), ("Ultra-Light RFB-320", self.ultralight)):
            if detector is not None:
                found += [Detector(name, detector), Network(name, detector.graph)]
        return found + self.tutorials

    def race(self, name: str, contestants: Sequence[speed.Contestant], rounds: int) -> dict[str, speed.Timing]:
        """The timings on one of the `scenes`, by contestant."""
        block = round(BLOCK_S * self.fps)
        return speed.race(contestants, self.scenes[name](), rounds, block, speed.settling(self.fps))


def _tutorials(mobilenet: str, ssd: Sequence[Path] | None) -> list[speed.Contestant]:
    detector: peers.Haar | peers.Ssd = peers.Ssd(*ssd) if ssd else peers.Haar()
    how = "SSD" if ssd else "Haar"
    found: list[speed.Contestant] = []
    with ExitStack() as stack:
        path = Path(mobilenet)
        if path.suffix != ".tflite":
            keras = peers.KerasMobileNet(None if mobilenet == "build" else path)
            found.append(Tutorial(f"tutorial: {how} + Keras predict", detector.find, keras.classify))
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "mobilenet.tflite"
            keras.to_tflite(path)
        found.append(Tutorial(f"tutorial, ported: {how} + TFLite", detector.find, peers.LiteMobileNet(path).classify))
    return found


def table(scene: str, timings: dict[str, speed.Timing]) -> str:
    """Lines for people: milliseconds a frame, and how many times those of the first."""
    ours = next(iter(timings.values())).ms
    lines = [f"{scene:37} {'ms a frame':>10}  {'(quartiles)':16} {'ours = 1':>9} {'faces':>6}"]
    for name, timing in timings.items():
        q = speed.spread(timing.cpu_ms)
        between = f"({q['q1']:.3g} to {q['q3']:.3g})"
        faces = "" if name.endswith("network alone") else f"{timing.found:.1f}"
        lines.append(f"  {name:35} {timing.ms:10.3g}  {between:16} {timing.ms / ours:9.2f} {faces:>6}")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What says who takes part and on what."""
    parser.add_argument("footage", nargs="?", default=str(CLIP), help="a video, picture or folder (default: the clip)")
    parser.add_argument("--aizoo", type=Path, metavar="FILE", help="AIZOO's face_mask_detection.tflite, float")
    parser.add_argument(
        "--ultralight",
        type=Path,
        metavar="FILE",
        help="Ultra-Light's RFB-320 as .tflite, float, without postprocessing",
    )
    parser.add_argument(
        "--mobilenet",
        metavar="FILE",
        help="the tutorials' classifier: .tflite (float, ported only), or .h5, .keras; "
        '"build" builds it as they do, with random weights, which take the same time (needs TensorFlow)',
    )
    parser.add_argument(
        "--ssd",
        type=Path,
        nargs=2,
        metavar=("PROTOTXT", "CAFFEMODEL"),
        help="OpenCV's SSD face detector for the tutorial (default: the Haar cascade that comes with OpenCV)",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML) over the defaults")
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder with manifest.toml (default: the shipped models)"
    )


def failed(command: str, error: DoorlightError | OSError) -> int:
    """Say on stderr what went wrong; returns the exit code for it."""
    hint = f" ({error.hint})" if isinstance(error, DoorlightError) and error.hint else ""
    print(f"{command}: {error}{hint}", file=sys.stderr)
    return error.exit_code if isinstance(error, DoorlightError) else 74


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument(
        "--rounds", type=int, default=9, metavar="N", help="of 2 s of the door's time each (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    args = parser.parse_args(argv)
    if args.rounds < 1:
        parser.error("--rounds must be 1 or more")
    # TensorFlow's messages are for those who debug it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        field = Field(args)
    except (DoorlightError, OSError) as error:
        return failed("compare_peers.py", error)
    machine = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "runtime": field.perception.runtime,
        "threads": 1,
        "width": speed.WIDTH,
        "height": speed.HEIGHT,
        "fps": field.fps,
        "rounds": args.rounds,
    }
    found: dict[str, Any] = {}
    if not args.json:
        print(
            "{machine}, Python {python}, {runtime}; {threads} thread, {width}x{height}, {fps:g} frames/s".format(
                **machine
            )
        )
        print(f"processor's time, median of {args.rounds} rounds, one after the other on the same frames")
    for name in field.scenes:
        timings = field.race(name, field.contestants, args.rounds)
        ours = next(iter(timings.values())).ms
        found[name] = {
            who: {**timing.figures(), "times_ours": round(timing.ms / ours, 3)} for who, timing in timings.items()
        }
        if not args.json:
            print(f"\n{table(name, timings)}", flush=True)
    if args.json:
        print(json.dumps({**machine, "scenes": found}, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
