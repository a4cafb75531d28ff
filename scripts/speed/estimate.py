"""Estimate how fast a door is on Raspberry Pis, with and without a Coral, from published measurements.

Nothing here was measured on a Raspberry Pi. Published times of 8-bit MobileNetV2 are scaled by the multiplications of
the models in the manifest. The table names the source of each number and each assumption. `doorlight bench` measures a
real door.

    python -m speed.estimate                                      # print the table
    python -m speed.estimate --table scripts/speed/README.md      # update it there: after every change of a model
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edge import config
from edge.config import Config
from edge.errors import DoorlightError, OutputError
from edge.inference import manifest
from edge.inference.manifest import Manifest
from training import modelfile
from training.boards import (
    BOARDS,
    MOBILENET_MMACS,
    NCNN_INT8_MS,
    ONE_THREAD_SLOWER,
    Board,
    cpu_ms,
)
from training.command_line import print_error
from training.files import replace_text

BEGIN, END = "<!-- estimate: written by python -m speed.estimate -->", "<!-- end of estimate -->"

XNNPACK = "https://github.com/google/XNNPACK#raspberry-pi"
NCNN = "https://github.com/Tencent/ncnn/issues/3485"
NCNN_3B = "https://github.com/Tencent/ncnn/issues/3451"
ARM = (
    "https://learn.arm.com/courses/executorch-on-arm/optimize-image-classification/evaluate-int8-mobilenetv2/"
    "bring-the-runtime-paths-into-one-view/"
)
CORAL = "https://coral.ai/docs/edgetpu/benchmarks"
ALLAN = "https://github.com/aallan/benchmarking-ml-on-the-edge"

#: MobileNetV2 on an Edge TPU with USB 3 (CORAL), milliseconds.
EDGE_TPU_MS = 2.6
#: SSD MobileNetV2 300x300 with USB 2 minus USB 3 (ALLAN), milliseconds, for 270,000 bytes in and 182,112 out.
USB2_MS_PER_BYTE = (58.1 - 18.2) / (270_000 + 182_112)
#: The reference machine (x86-64, 2026-11-20), milliseconds: the loop without the models for a new face, by speed.check;
#: and float MobileNetV2 in LiteRT on one thread, by which it is scaled.
OVERHEAD_MS, FLOAT_MS = 1.2, 8.1

MODES = ("1 thread", "4 threads", "Coral")


class Estimate(NamedTuple):
    """Milliseconds of each model and of the rest of a frame; the resulting frame rates and time to the first light."""

    detector: float
    mask: float
    expression: float
    rest: float
    settled_fps: float
    new_fps: float
    first_light_s: float


def count_mmacs(rows: Manifest) -> dict[str, float]:
    """Return the millions of multiplications of each model."""
    return {name: modelfile.macs(rows.read(name)) / 1e6 for name in manifest.MODEL_NAMES}


def estimate(board: Board, mode: str, rows: Manifest, mmacs: dict[str, float], settings: Config) -> Estimate:
    """Return the estimate for a board; `mode` is one of MODES."""
    detector, mask, expression = (_model_ms(board, mode, rows, mmacs, name) for name in manifest.MODEL_NAMES)
    rest = OVERHEAD_MS * board.float_ms * ONE_THREAD_SLOWER / FLOAT_MS
    # A face without a mask takes a look in every frame while it is new, and one every recheck_s when it is settled.
    look_ms = mask + expression
    new_ms = detector + look_ms + rest
    new_fps = 1e3 / new_ms
    settled_fps = max(0.0, 1 - look_ms / 1e3 / settings.tracker.recheck_s) / (detector + rest) * 1e3
    return Estimate(
        detector, mask, expression, rest, max(settled_fps, new_fps), new_fps, first_light_s(new_ms, settings)
    )


def _model_ms(board: Board, mode: str, rows: Manifest, mmacs: dict[str, float], name: str) -> float:
    share = mmacs[name] / MOBILENET_MMACS
    if mode == "Coral":
        row = rows[name]
        moved_bytes = sum(math.prod(tensor.shape) for tensor in (row.input, *row.outputs.values()))
        return share * EDGE_TPU_MS + (moved_bytes * USB2_MS_PER_BYTE if board.usb == 2 else 0)
    return cpu_ms(board, mmacs[name], one_thread=mode == "1 thread")


def first_light_s(new_ms: float, settings: Config) -> float:
    """Return the seconds from a person's appearance to the light.

    It is half an interval until a frame shows the person, the looks until a verdict, and the time of the last frame.
    """
    interval_s = max(1 / settings.camera.fps, new_ms / 1e3)
    intervals = max(settings.policy.min_looks - 1, math.ceil(settings.policy.min_decide_s / interval_s - 1e-9))
    return interval_s / 2 + intervals * interval_s + new_ms / 1e3


def table(rows: Manifest, settings: Config) -> str:
    """Return the estimates, their sources and assumptions as Markdown."""
    mmacs = count_mmacs(rows)
    counts = " | ".join(f"*{mmacs[name]:.0f}*" for name in manifest.MODEL_NAMES)
    lines = [
        "| **Estimate, not measured**: Raspberry Pi | models on | detector, ms | mask, ms | expression, ms | the rest, ms "
        "| frames/s, settled face | frames/s, new face | first light, s |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
        f"| *millions of multiplications* | | {counts} | | | | |",
    ]
    for board in BOARDS:
        for mode in MODES:
            e = estimate(board, mode, rows, mmacs, settings)
            models_on = f"{mode}, USB {board.usb}" if mode == "Coral" else mode
            lines.append(
                f"| {board.name} | {models_on} | {_ms(e.detector)} | {_ms(e.mask)} | {_ms(e.expression)} | {_ms(e.rest)} "
                f"| {e.settled_fps:.0f} | {e.new_fps:.0f} | {e.first_light_s:.1f} |"
            )
    return "\n".join([*lines, "", _assumptions(settings)])


def _assumptions(settings: Config) -> str:
    """Return the sources and assumptions as Markdown."""
    policy = settings.policy
    lines = [
        f"The camera gives {settings.camera.fps:g} frames/s; a higher rate is what the board could do. Sources and "
        "assumptions:",
        "",
        f"- 8-bit MobileNetV2 ({MOBILENET_MMACS:g} million multiplications) takes 30 ms on a 3B+ (32 bits) and 17 ms on a 4 "
        f"(64 bits) with four threads; float takes 79 and 46 ms ([XNNPACK]({XNNPACK}), 2022). On a 5 it takes 4.0 and "
        f"10.9 ms ([Arm]({ARM}), ExecuTorch with XNNPACK). That page does not name the board or the threads: a 5 and four "
        "threads are an assumption. LiteRT uses XNNPACK.",
        f"- A Zero 2 W is {NCNN_INT8_MS[0] / NCNN_INT8_MS[1]:.2f} times slower than a 3B+, and one thread is "
        f"{ONE_THREAD_SLOWER:.1f} times slower than four: mobilenet_int8 in ncnn takes 91.0 ms against 67.4 ms, and 190.0 "
        f"against 67.4 ms ([ncnn]({NCNN}), [3B+]({NCNN_3B})). We assume the same for XNNPACK and for every board.",
        f"- An Edge TPU takes {EDGE_TPU_MS:g} ms for MobileNetV2 with a PC's USB 3 ([Coral]({CORAL})). We assume the same for "
        f"a Pi's USB 3. USB 2 takes {USB2_MS_PER_BYTE * 1e3:.3f} ms more for 1,000 bytes: SSD MobileNetV2 takes 58.1 ms with "
        f"USB 2 and 18.2 ms with USB 3 ([Allan]({ALLAN})), and we assume that USB is the only reason. All three models fit "
        "into its memory. The time to reach the Edge TPU process is not counted.",
        "- The time of a model is assumed to be proportional to its multiplications.",
        f"- The rest takes {OVERHEAD_MS:g} ms on the reference machine, measured. It is scaled like float MobileNetV2, which "
        f"takes {FLOAT_MS:g} ms there on one thread. This is pessimistic: that machine's vectors are four times as wide. "
        "Capturing is not counted: it runs in another thread.",
        f"- First light: {policy.min_looks} looks over at least {policy.min_decide_s:g} s, as in the default settings.",
    ]
    return "\n".join(lines)


def _ms(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def write_table(page: Path, text: str) -> None:
    """Replace the estimate in a Markdown file, between BEGIN and END. Raises OutputError if a marker is missing."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise OutputError(f"{page}: has no markers for the estimate", f"add the lines '{BEGIN}' and '{END}'")
    replace_text(page, f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m speed.estimate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder with manifest.toml (default: the shipped models)"
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="update the table in this Markdown file")
    args = parser.parse_args(argv)
    try:
        text = table(manifest.load(args.models), config.load())
        if args.table is not None:
            write_table(args.table, text)
        else:
            print(text)
    except (DoorlightError, OSError) as error:
        return print_error("speed.estimate", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
