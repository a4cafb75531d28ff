"""The process of the Raspberry Pi camera: it hangs, dies, starts early, stays small, and leaks nothing.

Like test_picamera_scenarios.py, with fake and with real libraries.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge.camera import picamera_request
from edge.camera.live import LiveSource
from support.fake_picamera2 import SCENE
from support.pi_camera import (
    PATIENCE_S,
    camera,
    is_back,
    is_lost,
    one,
    one_frame,
    read_lost,
    read_until,
    settings,
    shows,
)
from support.sensor import TESTS, Sensor, camera_processes
from support.wait import wait_until


@pytest.mark.usefixtures("short_picamera_limits")
def test_driver_that_never_stops_freezes_nothing(sensor: Sensor) -> None:
    """libcamera waits for its kernel driver with the GIL held: only the camera process stands still, and is killed."""
    with camera() as source:
        source.read()
        before = camera_processes()
        beats: list[float] = []
        stop = threading.Event()

        def note_times() -> None:
            while not stop.wait(0.02):
                beats.append(time.monotonic())

        beat = threading.Thread(target=note_times)
        beat.start()
        sensor.order("stuck")
        read_until(source, is_lost)
        wait_until(lambda: read_lost(source) and not set(before) & set(camera_processes()), PATIENCE_S)
        stop.set()
        beat.join()
        assert np.diff(beats).max() < PATIENCE_S / 9, "other threads ran all the time"
        sensor.order("play")
        assert shows(one(read_until(source, is_back)).picture, SCENE)


@pytest.mark.usefixtures("short_picamera_limits")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGSTOP])
def test_camera_process_that_dies_or_stops_is_replaced(sensor: Sensor, number: signal.Signals) -> None:
    with camera() as source:
        source.read()
        (pid,) = camera_processes()
        os.kill(pid, number)
        if number is signal.SIGSTOP:
            read_until(source, is_lost)
        wait_until(lambda: read_any(source) and pid not in camera_processes(), PATIENCE_S)
        read_until(source, is_back)
        assert camera_processes() != [pid]


def read_any(source: LiveSource) -> bool:
    read_lost(source)
    return True


def test_first_connection_uses_the_process_that_was_started_early(sensor: Sensor) -> None:
    picamera_request.start_early(settings())
    wait_until(camera_processes, PATIENCE_S)
    early = camera_processes()
    with camera() as source:
        source.read()
        assert camera_processes() == early
    one_frame()


def test_process_that_was_started_early_for_other_settings_is_killed(sensor: Sensor) -> None:
    picamera_request.start_early(settings(width=320, height=240))
    wait_until(camera_processes, PATIENCE_S)
    (early,) = camera_processes()
    with camera() as source:
        assert one(read_until(source, is_back)).picture.shape == (480, 640, 3)
        assert early not in camera_processes()


def test_stop_signals_do_not_end_the_camera_process(sensor: Sensor) -> None:
    """Ctrl-C reaches it, too: the door decides when it ends."""
    with camera() as source:
        source.read()
        (pid,) = camera_processes()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        for _ in range(3):
            read_until(source, is_back)
        assert camera_processes() == [pid]


def test_camera_process_stays_small() -> None:
    """It converts no colours and reads no settings."""
    program = "import sys, edge.camera.picamera_process; print(*{'cv2', 'msgspec', 'edge.config'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_camera_process_ends_with_a_door_that_is_killed(sensor: Sensor) -> None:
    program = (
        "from support.sensor import camera_processes; from edge.camera.factory import open_source\n"
        "from edge.config import load; import sys, time\n"
        "source = open_source(load().camera, 'picamera'); source.open(); print(*camera_processes(), flush=True)\n"
        "time.sleep(600)"
    )
    path = os.pathsep.join(filter(None, [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH")]))
    door = subprocess.Popen(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
    )
    assert door.stdout is not None
    pid = int(next(line for line in door.stdout if line.strip().isdigit()))
    door.kill()
    door.communicate()
    wait_until(lambda: not Path(f"/proc/{pid}/exe").exists() or is_zombie(pid), PATIENCE_S)


def is_zombie(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_reopening_leaks_nothing(sensor: Sensor) -> None:
    """1,000 times with the real libraries: DOORLIGHT_REOPENINGS=1000."""
    times = int(os.environ.get("DOORLIGHT_REOPENINGS", "3")) if sensor.is_real else 3
    source = camera(fps=100, max_exposure_s=0.01)

    def reopen() -> tuple[int, int, int]:
        with source:
            source.read()
        return len(os.listdir("/proc/self/fd")), threading.active_count(), resident_kib()

    for _ in range(3):
        files, threads, memory = reopen()
    for _ in range(times):
        last = reopen()
    assert last[0] <= files
    assert last[1] <= threads
    assert last[2] - memory < 4096, "KiB of memory"


def resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
