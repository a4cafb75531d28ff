"""scripts/checks/picamera.sh: its options, how it compares decisions, and its report."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path
from typing import Any

import pytest

from checks.picamera.door import decisions, largest_shift_s
from checks.picamera.report import Scenario, read_scenarios, render
from checks.picamera.sensor import order, show_video
from support.camera import write_video

SCRIPT = Path(__file__).parents[2] / "scripts/checks/picamera.sh"
JUNIT = """<testsuites><testsuite name="pytest">
  <testcase name="test_no_camera[fake]" />
  <testcase name="test_no_camera[real]" />
  <testcase name="test_rotation[real-90-True]"><failure message="wrong" /></testcase>
  <testcase name="test_rotation[real-0-True]" />
  <testcase name="test_rotation[fake-0-True]"><failure message="wrong" /></testcase>
</testsuite></testsuites>"""
COSTS = {
    "first_light_s": 2.04,
    "cpu_cores": 0.41,
    "pss_mb": [80.2, 31.7],
    "private_mb": [60.0, 20.4],
    "descriptors": [12, 40],
}


def record(event: str, t: float, **fields: Any) -> dict[str, Any]:
    return {"event": event, "t": t, **fields}


@pytest.mark.picamera
def test_real_picamera() -> None:
    """The scenarios with the real libcamera and Picamera2, in the system that the script has built."""
    done = subprocess.run([SCRIPT, "--cached", "--quick"], capture_output=True, text=True, check=False)
    if done.returncode == 69:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--help"], 0, "usage: sudo scripts/checks/picamera.sh"),
        (["--reopenings", "many"], 2, "--reopenings needs a number, not many"),
        (["--report"], 2, "--report needs a value"),
        (["--slow"], 2, "unknown option: --slow (see --help)"),
        (["--cached", "--cache", "."], 69, "the system with the real Picamera2 is not in "),
    ],
)
def test_options(tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    done = subprocess.run([SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert message in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


def test_sensor_sees_every_frame_of_a_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "film.avi", "MJPG", frames=7, fps=20.0)
    show_video(tmp_path / "sensor", video)
    assert (tmp_path / "sensor/frames").stat().st_size == 7 * 160 * 120 * 3 // 2
    assert (tmp_path / "sensor/camera").read_text() == "160 120 20\n"
    order(tmp_path / "sensor", "hang")
    assert (tmp_path / "sensor/state").read_text() == "hang\n"


def test_decisions_are_compared_without_start_and_end() -> None:
    file = [record("started", 0.0), record("signal", 1.0, signal="PASS"), record("masked", 1.5, person=1)]
    live = [record("started", 0.4), record("signal", 3.0, signal="PASS"), record("masked", 3.6, person=1)]
    assert decisions(file) == decisions(live) == [("signal", "PASS", None), ("masked", None, 1)]
    assert largest_shift_s(file, live) == pytest.approx(0.05)
    assert largest_shift_s(file, file[:1]) == 0.0
    assert decisions(file[:2]) != decisions(live)


def test_report_counts_cases_with_the_real_libraries() -> None:
    assert read_scenarios(JUNIT) == [Scenario("test_no_camera", 1, 0), Scenario("test_rotation", 2, 1)]


def test_report() -> None:
    results = {
        "clip": {"ok": True, "decisions": 14, "shift_s": 0.2},
        "faults": [
            {"fault": "hang", "fault_after_s": 2.04, "back_after_s": 1.5, "ok": True},
            {"fault": "killed", "fault_after_s": None, "back_after_s": 0.0, "ok": True},
        ],
        "costs": COSTS,
    }
    text = render(read_scenarios(JUNIT), results, datetime.date(2026, 11, 27), "libcamera 0.7.2")
    assert "libcamera 0.7.2; the sensor is a folder." in text
    assert "# Doorlight on the real Picamera2, 2026-11-27" in text
    assert "| no camera | 1 | ok |" in text
    assert "| rotation | 2 | **1 failed** |" in text
    assert "14 decisions, the same as on the file, at most 0.20 s apart." in text
    assert "| no frame comes | 2.0 s | 1.5 s |" in text
    assert "| the camera process is killed | not shown | 0.0 s |" in text
    assert "| its camera process | 32 MB proportional, 20 MB of its own, 40 descriptors |" in text


def test_report_of_an_incomplete_run_says_what_there_is() -> None:
    assert "|" not in render([], {}, datetime.date(2026, 11, 27), "")
    assert "**not those on the file**" in render(
        [], {"clip": {"ok": False, "decisions": 14, "shift_s": 0.0}}, datetime.date(2026, 11, 27), ""
    )
