"""Time Doorlight's whole loop and other software in turn: the same frames, the same run, one thread.

The others are AIZOO's and Ultra-Light's face detectors alone, and the pipeline of the tutorials: a face detector of
OpenCV and a float MobileNetV2 for each face, in Keras ("predict") and ported to TFLite. Their files are not part of
this project; scripts/speed/README.md has their addresses. Software without a file is left out.

    python -m speed.compare --aizoo face_mask_detection.tflite --ultralight RFB-320.tflite --mobilenet build
    python -m speed.compare walk.mp4 --mobilenet mask_detector.h5 --ssd deploy.prototxt res10_300x300.caffemodel

The frames, 640x480, are made from the footage: an empty door, one face with a verdict (settled), one face without
(new: the classifiers look at it in every frame), masked and unmasked, and ten faces. They have the noise of a camera.
The processor time counts, which other programs hardly change.
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

import cv2
import msgspec
import numpy as np

from edge import config
from edge.config import Config
from edge.errors import DoorlightError
from edge.imaging.images import Picture
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.records import Box
from peers import detectors
from peers.float_models import Floats
from speed import measure, scenes, tutorial
from speed.measure import Pipeline, Timing
from training.command_line import print_error

CLIP = Path(__file__).resolve().parents[1] / "assets" / "demo" / "door.mp4"
#: The length of a round in the door's time: long enough for what the door does only now and then.
ROUND_S = 2.0


class DetectorPipeline(Pipeline):
    """A public detector, from a frame to boxes."""

    every = 3

    def __init__(self, name: str, detector: detectors.AnchorDetector) -> None:
        self.name = f"{name}, frame to boxes"
        self._detector = detector

    def look(self, picture: Picture) -> int:
        return len(self._detector.detect(picture))


class NetworkPipeline(Pipeline):
    """The bare call of a detector's network, without resizing and without boxes."""

    every = 3

    def __init__(self, name: str, graph: detectors.Graph) -> None:
        self.name = f"{name}, network alone"
        self._graph = graph
        self._pixels = np.zeros((graph.height, graph.width, 3), np.float32)

    def look(self, picture: Picture) -> int:
        self._graph.invoke(self._pixels)
        return 0


class TutorialPipeline(Pipeline):
    """The pipeline of the tutorials."""

    every = 3

    def __init__(
        self,
        name: str,
        detect: Callable[[Picture], list[Box]],
        classify: Callable[[Floats], Floats],
    ) -> None:
        self.name = name
        self._tutorial = tutorial.MaskDetector(detect, classify)

    def look(self, picture: Picture) -> int:
        return len(self._tutorial.look(picture))


class Comparison:
    """The pipelines and scenes of a command line. Raises DoorlightError if a file is missing or wrong."""

    def __init__(self, args: argparse.Namespace) -> None:
        settings = config.load(args.config)
        # One thread for every pipeline, including OpenCV.
        self.config: Config = msgspec.structs.replace(
            settings, models=msgspec.structs.replace(settings.models, threads=1)
        )
        cv2.setNumThreads(1)
        self.fps = settings.camera.fps
        # Files that may be missing come first: making the scenes takes longer.
        aizoo = detectors.Aizoo(args.aizoo) if args.aizoo else None
        ultralight = detectors.UltraLight(args.ultralight) if args.ultralight else None
        tutorials = _tutorial_pipelines(args.mobilenet, args.ssd) if args.mobilenet else []
        self.models = manifest.load(args.models)
        self.perception = Perception(self.config, self.models)
        #: Doorlight comes first.
        self.pipelines: list[Pipeline] = [measure.DoorlightPipeline(self.perception, self.fps)]
        for name, detector in (("AIZOO", aizoo), ("Ultra-Light RFB-320", ultralight)):
            if detector is not None:
                self.pipelines += [DetectorPipeline(name, detector), NetworkPipeline(name, detector.graph)]
        self.pipelines += tutorials
        footage = scenes.collect_footage(self.config, self.perception, args.footage)
        self.scenes = scenes.scenes(footage, self.config)

    def time(self, scene: str, pipelines: Sequence[Pipeline], rounds: int) -> dict[str, Timing]:
        """Time pipelines on a scene; return the timings by name of the pipeline."""
        block = round(ROUND_S * self.fps)
        return measure.time_in_turn(pipelines, self.scenes[scene](), rounds, block, measure.settling_frames(self.fps))


def _tutorial_pipelines(mobilenet: str, ssd: Sequence[Path] | None) -> list[Pipeline]:
    """Return the pipeline of the tutorials in Keras, unless `mobilenet` is a .tflite file, and ported to TFLite."""
    detector: tutorial.HaarDetector | tutorial.SsdDetector
    detector = tutorial.SsdDetector(*ssd) if ssd else tutorial.HaarDetector()
    name = "SSD" if ssd else "Haar"
    pipelines: list[Pipeline] = []
    with ExitStack() as stack:
        path = Path(mobilenet)
        if path.suffix != ".tflite":
            keras = tutorial.KerasMobileNet(None if mobilenet == "build" else path)
            pipelines.append(TutorialPipeline(f"tutorial: {name} + Keras predict", detector.detect, keras.classify))
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "mobilenet.tflite"
            keras.to_tflite(path)
        tflite = tutorial.TfliteMobileNet(path)
        pipelines.append(TutorialPipeline(f"tutorial, ported: {name} + TFLite", detector.detect, tflite.classify))
    return pipelines


def table(scene: str, timings: dict[str, Timing]) -> str:
    """Return a table of milliseconds per frame, and their ratio to those of the first pipeline."""
    ours = next(iter(timings.values())).ms
    lines = [f"{scene:37} {'ms a frame':>10}  {'(quartiles)':16} {'ours = 1':>9} {'faces':>6}"]
    for name, timing in timings.items():
        spread = measure.quartiles(timing.cpu_ms)
        between = f"({spread['q1']:.3g} to {spread['q3']:.3g})"
        faces = "" if name.endswith("network alone") else f"{timing.faces:.1f}"
        lines.append(f"  {name:35} {timing.ms:10.3g}  {between:16} {timing.ms / ours:9.2f} {faces:>6}")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name footage, pipelines and settings; `Comparison` takes them."""
    parser.add_argument(
        "footage", nargs="?", default=str(CLIP), help="a video, picture or folder (default: the demo clip)"
    )
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
        help="the classifier of the tutorials: .tflite (float; no Keras pipeline), .h5 or .keras; "
        '"build" builds it with random weights, which take the same time (needs TensorFlow)',
    )
    parser.add_argument(
        "--ssd",
        type=Path,
        nargs=2,
        metavar=("PROTOTXT", "CAFFEMODEL"),
        help="OpenCV's SSD face detector for the tutorials (default: OpenCV's Haar cascade)",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file (TOML)")
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder with manifest.toml (default: the shipped models)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = _parse(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow prints messages for its developers
    try:
        comparison = Comparison(args)
    except (DoorlightError, OSError) as error:
        return print_error("speed.compare", error)
    setup: dict[str, Any] = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "runtime": comparison.perception.runtime,
        "threads": 1,
        "width": scenes.WIDTH,
        "height": scenes.HEIGHT,
        "fps": comparison.fps,
        "rounds": args.rounds,
    }
    if not args.json:
        print(
            "{machine}, Python {python}, {runtime}; {threads} thread, {width}x{height}, {fps:g} frames/s".format(
                **setup
            )
        )
        print(f"processor time, median of {args.rounds} rounds, in turn on the same frames")
    figures: dict[str, Any] = {}
    for scene in comparison.scenes:
        timings = comparison.time(scene, comparison.pipelines, args.rounds)
        ours = next(iter(timings.values())).ms
        figures[scene] = {
            name: {**timing.figures(), "times_ours": round(timing.ms / ours, 3)} for name, timing in timings.items()
        }
        if not args.json:
            print(f"\n{table(scene, timings)}", flush=True)
    if args.json:
        print(json.dumps({**setup, "scenes": figures}, allow_nan=False))
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m speed.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument(
        "--rounds", type=int, default=9, metavar="N", help="rounds of 2 s of the door's time (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    args = parser.parse_args(argv)
    if args.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return args


if __name__ == "__main__":
    sys.exit(main())
