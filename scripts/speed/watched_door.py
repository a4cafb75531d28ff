"""Run a door on a video that is played like a camera, and print what it has cost: for speed.page.

This is a file, not a module: it also runs with an older Doorlight on PYTHONPATH. It changes two names of the program, the
source and the lights, so that everything else is what the service runs.

    python scripts/speed/watched_door.py VIDEO SETTINGS SECONDS [FRAMES_PER_SECOND]
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from typing import Any

from edge import cli
from edge.commands import run_door
from edge.records import Frame, Signal

#: Frames before this time (seconds) are not counted: models, caches and the first connection settle.
SETTLE_S = 3.0

# What `main` replaces in the program.
_open_source: Any = vars(run_door)["open_source"]
_Lights: Any = vars(run_door)["Lights"]


class PlayedVideo:
    """A video, repeated for some seconds, each frame at its time. It is the source of the door once `open_source` was called."""

    live, damage, note, scene, left_out, damaged = True, None, "", None, (), ()

    def __init__(self, seconds: float, fps: float) -> None:
        self.name = "camera"
        self.fps = fps
        self.read_at = self.cpu = self.began = 0.0
        self.delays_ms: list[float] = []
        self.rss_mb: list[float] = []
        self._seconds = seconds

    def open_source(self, camera: Any, source: str | None) -> Any:
        self._video = _open_source(camera, source)
        return self

    def prepare(self) -> None:
        pass

    def __enter__(self) -> Any:
        self._video.open()
        self._opened_at, self._number = time.monotonic(), 0
        self._pictures: list[Any] = []
        # Decoded once: the decoder would need more of the machine than the door.
        while len(self._pictures) < 150 and (frame := self._video.read()) is not None:
            self._pictures.append(frame.picture)
        self._video.close()
        self._opened_at = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def read(self) -> Frame | None:
        t = self._number / self.fps
        if t > self._seconds:
            return None
        if t >= SETTLE_S and not self.began:
            self.began, self.cpu = time.monotonic(), time.process_time()
        time.sleep(max(0.0, self._opened_at + t - time.monotonic()))
        picture = self._pictures[self._number % len(self._pictures)]
        self._number += 1
        self.read_at = time.monotonic()
        return Frame(self._number - 1, t, picture)


class TimedLights(_Lights):
    """Lights on mock pins that note when they are shown. `played` is the source of the door."""

    played: PlayedVideo

    def show(self, signal: Signal, known: bool = False, *, is_silent: bool = False) -> None:
        super().show(signal, known, is_silent=is_silent)
        played = self.played
        if played.began and played.read_at:
            played.delays_ms.append(1e3 * (time.monotonic() - played.read_at))
            if len(played.delays_ms) % 300 == 1:
                played.rss_mb.append(_rss_mb())


def main(video: str, settings: str, seconds: float, fps: float = 30.0) -> None:
    """Run the door, and print a line of JSON."""
    # As if it were alone: the machine may do other things. What the door starts does not inherit it.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | getattr(os, "SCHED_RESET_ON_FORK", 0), os.sched_param(1))
    TimedLights.played = played = PlayedVideo(seconds, fps)
    vars(run_door).update(open_source=played.open_source, Lights=TimedLights)
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        cli.main(["run", "--simulate", "--source", video, "--config", settings, "--events", f"{settings}.log"])
    wall_s, cpu_s = time.monotonic() - played.began, time.process_time() - played.cpu
    delays = sorted(played.delays_ms[:-1])  # the last signal is that of the end, not of a frame
    print(
        json.dumps(
            {
                "frames": len(delays),
                "cpu_percent": round(100 * cpu_s / wall_s, 2),
                "p50_ms": round(delays[len(delays) // 2], 2),
                "p99_ms": round(delays[int(0.99 * len(delays))], 2),
                "max_ms": round(delays[-1], 2),
                "rss_mb": [round(value, 1) for value in played.rss_mb],
                "children_cpu_s": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime, 2),
            }
        )
    )


def _rss_mb() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:]))
