"""A slow disk, lights, memory and a repeated video. The tests do not check how fast anything is."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.camera.factory import open_source
from edge.inference.perception import Perception
from edge.records import Signal
from speed import program_targets
from speed.compare import CLIP
from support.speed import CONFIG


def test_a_slow_disk_delays_fsync_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeps: list[float] = []
    monkeypatch.setattr(time, "sleep", sleeps.append)
    real_fsync = os.fsync
    with (tmp_path / "log").open("wb") as file:
        with program_targets.slow_disk(3.0) as writes:
            os.fsync(file.fileno())
            assert len(writes) == 1
        assert sleeps == [3.0]
        assert os.fsync is real_fsync
        with pytest.raises(OSError, match="Bad file"), program_targets.slow_disk(1.0):
            os.fsync(987654)  # an error of the disk is still raised
        assert os.fsync is real_fsync


def test_lights_are_timed_while_the_disk_is_slow(perception: Perception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real door, log and lights, until PASS is shown."""
    ends: list[Callable[[], None]] = []
    show = program_targets.TimedLights.show

    class Timer:
        def __init__(self, _seconds: float, end: Callable[[], None]) -> None:
            ends.append(end)

        def start(self) -> None: ...

        def cancel(self) -> None: ...

    def show_and_end(shown: program_targets.TimedLights, signal: Signal, *args: Any, **kwargs: Any) -> None:
        show(shown, signal, *args, **kwargs)
        if signal is Signal.PASS:
            ends[0]()

    monkeypatch.setattr(program_targets, "threading", SimpleNamespace(Event=threading.Event, Timer=Timer))
    monkeypatch.setattr(program_targets.TimedLights, "show", show_and_end)
    monkeypatch.setattr(program_targets, "SLOW_DISK_S", 0.2)
    comparison: Any = SimpleNamespace(config=CONFIG, perception=perception)
    (result,) = program_targets.check_lights(comparison, str(CLIP))
    assert "of 2 changes" in result.measured
    records, events = result.measured.rpartition("; ")[2].split(", ")[1].split(" of ")
    assert records == events.split()[0] != "0"


def test_growth_is_the_slope_without_the_noise() -> None:
    hours = np.linspace(0.1, 1, 40)
    rng = np.random.default_rng(1)
    flat = [(float(h), float(100 + n)) for h, n in zip(hours, rng.normal(0, 0.3, 40), strict=True)]
    slope, noise = program_targets.growth(flat)
    assert abs(slope) < 0.5
    assert 0.15 < noise < 0.45
    leaking = [(h, mb + 6 * h) for h, mb in flat]
    assert program_targets.growth(leaking)[0] == pytest.approx(slope + 6)


def test_a_repeated_video_has_no_gap() -> None:
    video = program_targets.RepeatedVideo(open_source(CONFIG.camera, str(CLIP)), hours=50 / 3600)
    frames = []
    with video:
        while (frame := video.read()) is not None:
            frames.append((frame.number, frame.t))
    numbers, t = (list(column) for column in zip(*frames, strict=True))
    assert numbers == list(range(750))  # 50 s at 15 frames/s, of a clip of 20.6 s
    assert np.diff(t) == pytest.approx(1 / 15)
    assert [round(hours * 3600) for hours, _ in video.samples] == [0]
    assert 10 < video.samples[0][1] < 4000
