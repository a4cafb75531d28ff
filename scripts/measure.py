#!/usr/bin/env python3
"""Measure this machine with the bundled clip: start to first decision, memory, frames a second, on one core.

Whole processes, started anew each time, as the service would be; the median of several is what to quote. With --pin the
process may use one core only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CLIP = Path(__file__).resolve().parent / "demo_data" / "door.mp4"


def once(source: str, pin: int | None) -> dict[str, float]:
    """One run of `doorlight run`: start_s (process start to first decided frame), rss_mb (peak), fps."""

    def pinned() -> None:
        if pin is not None:
            os.sched_setaffinity(0, {pin})

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "edge", "run", "--simulate", "--source", source]
        command += ["--events", str(Path(folder) / "events.jsonl")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=pinned)
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    found = re.search(r"\((\d+) frames/s\), first decided ([\d.]+) s", said)
    if process.returncode != 0 or found is None:
        sys.exit(f"measure.py: doorlight run ended with {process.returncode}")
    return {"start_s": float(found[2]), "rss_mb": usage.ru_maxrss / 1024, "fps": float(found[1])}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=str(CLIP), help="video to play (default: the bundled clip)")
    parser.add_argument(
        "--runs", type=int, default=5, help="counted runs, after one that is not (default: %(default)s)"
    )
    parser.add_argument("--pin", type=int, metavar="CPU", help="use this processor core alone")
    args = parser.parse_args()
    once(args.source, args.pin)
    runs = [once(args.source, args.pin) for _ in range(args.runs)]
    print(f"{platform.machine()}, Python {platform.python_version()}, {args.runs} runs: median (least to most)")
    result = {}
    for key, what in (
        ("start_s", "process start to first decided frame, s"),
        ("rss_mb", "peak memory, MB"),
        ("fps", "frames/s"),
    ):
        values = [run[key] for run in runs]
        result[key] = statistics.median(values)
        print(f"  {what:42} {result[key]:8.2f}  ({min(values):.2f} to {max(values):.2f})")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
