#!/usr/bin/env python3
"""Estimate how fast a door would be on Raspberry Pis, with and without a Coral, from what others have published.

Nothing here was measured on a Raspberry Pi. Published times of 8-bit MobileNetV2 are scaled by the multiplications of the
models in the manifest; each number's source and each assumption is below, and printed with the table. `doorlight bench`
measures the real thing.

    scripts/estimate_speed.py                       # print it
    scripts/estimate_speed.py --table README.md     # renew it there, as every change of a model asks for
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from doorlab import modelfile
from edge import config, manifest
from edge.config import Config
from edge.errors import DoorlightError, OutputError
from edge.manifest import Manifest

BEGIN, END = "<!-- estimate: written by scripts/estimate_speed.py -->", "<!-- end of estimate -->"

XNNPACK = "https://github.com/google/XNNPACK#raspberry-pi"
NCNN = "https://github.com/Tencent/ncnn/issues/3485"
NCNN_3B = "https://github.com/Tencent/ncnn/issues/3451"
ARM = (
    "https://learn.arm.com/courses/executorch-on-arm/optimize-image-classification/evaluate-int8-mobilenetv2/"
    "bring-the-runtime-paths-into-one-view/"
)
CORAL = "https://coral.ai/docs/edgetpu/benchmarks"
ALLAN = "https://github.com/aallan/benchmarking-ml-on-the-edge"

#: MobileNetV2 1.0 at 224x224, which all of this is measured with: millions of multiplications.
MOBILENET = 300.8
#: ncnn's mobilenet_int8 on a 3B+ with one thread and with four (NCNN, NCNN_3B), milliseconds.
FOUR_THREADS = 189.95 / 67.39
#: Edge TPU, MobileNetV2, USB 3 (CORAL), milliseconds.
EDGE_TPU_MS = 2.6
#: SSD MobileNetV2 300x300 over USB 2 and USB 3 (ALLAN), milliseconds, with 270,000 bytes in and 182,000 out.
USB2_MS_PER_BYTE = (58.1 - 18.2) / (270_000 + 182_112)
#: Here (x86-64, 2026-11-20): what the loop needs besides the models, a new face in view, by
#: scripts/check_speed.py; and float MobileNetV2 in LiteRT on one thread, by which that is scaled. Milliseconds.
OWN_MS, FLOAT_MS = 1.2, 8.1


class Board(NamedTuple):
    """A board's milliseconds for MobileNetV2 with four threads, in 8 bits and in float; and its USB."""

    name: str
    int8_ms: float
    float_ms: float
    usb: int


BOARDS = (
    # The 3B+ as slowed down as ncnn is by a Zero 2 W: mobilenet_int8 and mobilenet_v2.
    Board("Zero 2 W", 30 * 91.03 / 67.39, 79 * 147.39 / 120.33, 2),
    Board("3B+", 30, 79, 2),
    Board("4", 17, 46, 3),
    Board("5", 4.01, 10.89, 3),
)


class Estimate(NamedTuple):
    """Milliseconds of each model, and of all the rest of a frame; what that comes to."""

    detector: float
    mask: float
    expression: float
    rest: float
    settled_fps: float
    new_fps: float
    first_light_s: float


def work(rows: Manifest) -> dict[str, float]:
    """Millions of multiplications of each model."""
    return {name: modelfile.macs(rows.read(name)) / 1e6 for name in manifest.NAMES}


def estimate(board: Board, how: str, rows: Manifest, macs: dict[str, float], settings: Config) -> Estimate:
    """`how` is "1 thread", "4 threads" or "Coral"; `macs` are millions of multiplications."""
    times = []
    for name in manifest.NAMES:
        share = macs[name] / MOBILENET
        if how == "Coral":
            moved = sum(math.prod(tensor.shape) for tensor in (rows[name].input, *rows[name].outputs.values()))
            times.append(share * EDGE_TPU_MS + (moved * USB2_MS_PER_BYTE if board.usb == 2 else 0))
        else:
            times.append(share * board.int8_ms * (FOUR_THREADS if how == "1 thread" else 1))
    rest = OWN_MS * board.float_ms * FOUR_THREADS / FLOAT_MS
    detector, mask, expression = times
    # A bare face, in each frame while it is new, else now and then.
    look, every_s = mask + expression, settings.tracker.look_again_s
    new_ms = detector + look + rest
    settled = max(0.0, 1 - look / 1e3 / every_s) / (detector + rest) * 1e3
    return Estimate(
        detector, mask, expression, rest, max(settled, 1e3 / new_ms), 1e3 / new_ms, first_light(new_ms, settings)
    )


def first_light(new_ms: float, settings: Config) -> float:
    """Seconds from appearing to the light: half an interval until a frame shows it, looks until decided, the last frame."""
    interval_s = max(1 / settings.camera.fps, new_ms / 1e3)
    more = max(settings.policy.looks - 1, math.ceil(settings.policy.decide_s / interval_s - 1e-9))
    return interval_s / 2 + more * interval_s + new_ms / 1e3


def table(rows: Manifest, settings: Config) -> str:
    """Markdown: the estimates, and what they rest on."""
    macs = work(rows)
    lines = [
        "| **Estimate, not measured**: Raspberry Pi | models on | detector, ms | mask, ms | expression, ms | the rest, ms "
        "| frames/s, settled face | frames/s, new face | first light, s |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
        "| *millions of multiplications* | | "
        + " | ".join(f"*{macs[name]:.0f}*" for name in manifest.NAMES)
        + " | | | | |",
    ]
    for board in BOARDS:
        for how in ("1 thread", "4 threads", "Coral"):
            e = estimate(board, how, rows, macs, settings)
            on = f"{how}, USB {board.usb}" if how == "Coral" else how
            lines.append(
                f"| {board.name} | {on} | {_ms(e.detector)} | {_ms(e.mask)} | {_ms(e.expression)} | {_ms(e.rest)} "
                f"| {e.settled_fps:.0f} | {e.new_fps:.0f} | {e.first_light_s:.1f} |"
            )
    fps = settings.camera.fps
    lines += [
        "",
        f"The camera gives {fps:g} frames/s; more is what would be possible. Where the numbers come from:",
        "",
        f"- 8-bit MobileNetV2 ({MOBILENET:g} million multiplications) takes 30 ms on a 3B+ (32 bits) and 17 ms on a 4 (64 bits) "
        f"on all four cores, float 79 and 46 ([XNNPACK]({XNNPACK}), 2022); 4.0 and 10.9 ms on a 5 ([Arm]({ARM}), ExecuTorch "
        "with XNNPACK; that it is a 5, and four threads, is an assumption: the page does not say). LiteRT computes with XNNPACK.",
        f"- A Zero 2 W is {91.03 / 67.39:.2f} times slower than a 3B+, and one thread {FOUR_THREADS:.1f} times slower than four: "
        f"mobilenet_int8 in ncnn, 91.0 ms, and 190.0 against 67.4 ms ([ncnn]({NCNN}), [3B+]({NCNN_3B})); assumed to hold "
        "for XNNPACK and for every board.",
        f"- An Edge TPU takes {EDGE_TPU_MS:g} ms for MobileNetV2 on a PC's USB 3 ([Coral]({CORAL})), and a Pi's USB 3 is taken to be "
        "as good. USB 2 costs "
        f"{USB2_MS_PER_BYTE * 1e3:.3f} ms more for 1,000 bytes moved: SSD MobileNetV2 takes 58.1 ms over USB 2 and 18.2 over "
        f"USB 3 ([Allan]({ALLAN})), which is put down to USB alone. All three models stay in its memory; the way to the process that holds it is not counted.",
        "- Our models are taken to need time as their multiplications are to MobileNetV2's.",
        f"- The rest is {OWN_MS:g} ms here, measured, times how much slower than here float MobileNetV2 is there ({FLOAT_MS:g} ms here, "
        "one thread): a pessimist's guess, as vectors are four times as wide here. Capturing is not counted: it has a thread of its own.",
        f"- First light: {settings.policy.looks} looks over at least {settings.policy.decide_s:g} s, as in the defaults.",
    ]
    return "\n".join(lines)


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def write(readme: Path, text: str) -> None:
    """Renew the estimate in `readme`, between its two marks. Raises OutputError where a mark is missing."""
    before, begun, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise OutputError(f"{readme}: has no place for the estimate", f"put the lines '{BEGIN}' and '{END}' into it")
    renewed = readme.with_name(f"{readme.name}.tmp")
    renewed.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    os.replace(renewed, readme)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder with manifest.toml (default: the shipped models)"
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="renew the estimate in this README.md")
    args = parser.parse_args(argv)
    try:
        text = table(manifest.load(args.models), config.load())
        if args.table is not None:
            write(args.table, text)
        else:
            print(text)
    except (DoorlightError, OSError) as error:
        hint = f" ({error.hint})" if isinstance(error, DoorlightError) and error.hint else ""
        print(f"estimate_speed.py: {error}{hint}", file=sys.stderr)
        return error.exit_code if isinstance(error, DoorlightError) else OutputError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
