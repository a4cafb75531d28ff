"""The bench: that its figures are right, of which frames they are, and that it says what people may send to strangers."""

# ruff: noqa: F811  (a fixture of another test is imported, and asked for by its name)

from __future__ import annotations

import getpass
import json
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from test_cli import CLIP, doorlight
from test_doctor import Fake, fake  # noqa: F401
from test_door import Script
from test_perception import frame_at

from edge import bench, config, manifest
from edge.bench import COLUMNS, NEW, NOBODY, SETTLED, WARM_UP, Bench, Recorder, Tally, Visits, Watch, spread
from edge.camera import open_source
from edge.cli import main
from edge.door import Decision
from edge.errors import Unavailable
from edge.figures import Report, shown
from edge.lights import Lights
from edge.perception import Perception
from edge.policy import Verdict
from edge.records import Box, Event, Face, Frame, Signal, Track

CONFIG = config.load()
STILL = CLIP.with_name("still.jpg")
PICTURE = np.zeros((48, 64, 3), np.uint8)


class Clock:
    """A clock, in nanoseconds, that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def row(**ms: float) -> list[int]:
    """The nanoseconds of one frame, from milliseconds by stage."""
    assert set(ms) <= set(COLUMNS)
    return [round(1e6 * ms.get(name, 0)) for name in COLUMNS]


# ---- The stopwatch ---------------------------------------------------------------------------------------------------


def test_the_stages_of_a_frame_add_up_to_its_time() -> None:
    clock, processor = Clock(), Clock()
    recorder = Recorder(clock, processor)
    clock.now += 1000  # between two frames: nobody's
    processor.now += 1000
    recorder.restart()
    began = clock.now
    for stage, takes in (("capture", 7), ("resize", 2), ("detect", 30), ("crop", 1), ("mask", 5), ("crop", 1)):
        clock.now += takes
        processor.now += 2 * takes
        recorder.lap(stage)  # type: ignore[arg-type]
    clock.now += 4
    assert recorder.finish() == 2 * (2 + 30 + 1 + 5 + 1), "the processor's time without that of capturing"
    told = dict(zip(COLUMNS, recorder.row, strict=True))
    assert {name: ns for name, ns in told.items() if ns} == {
        "capture": 7, "resize": 2, "detect": 30, "crop": 2, "mask": 5, "rest": 4,
    }  # fmt: skip
    assert sum(recorder.row) == clock.now - began
    recorder.restart()
    assert not any(recorder.row)


def test_of_a_camera_the_processors_time_includes_capturing() -> None:
    clock, processor = Clock(), Clock()
    recorder = Recorder(clock, processor)
    recorder.whole = True
    processor.now = 11
    recorder.lap("capture")
    processor.now = 15
    assert recorder.finish() == 15


def test_percentiles_are_times_that_were_measured() -> None:
    found = spread(np.arange(100, 0, -1, dtype=np.float32))
    assert (found.p50, found.p95, found.p99, found.mean) == (50, 95, 99, 50.5)
    found = spread(np.array([3, 1, 2], np.float32))
    assert (found.p50, found.p95, found.p99, found.mean) == (2, 3, 3, 2)
    assert spread(np.array([7], np.float32)).p99 == 7


def test_a_tally() -> None:
    tally = Tally()
    for _ in range(3):
        tally.add(row(capture=50, detect=6, decode=1, decide=1, lights=0.5, log=0.5, rest=1), 8_000_000, 0, 0)
    tally.add(row(capture=50, detect=6, mask=20, expression=2, lights=1, log=1), 28_000_000, 2, 1)
    found = tally.result(SETTLED)
    assert (found.frames, found.people, found.looks, found.processor_ms) == (4, 0.5, 0.25, 13)
    assert (found.light_ms.p50, found.light_ms.p99) == (8.5, 29), "until the light, without waiting for the frame"
    assert (found.loop_ms.p50, found.loop_ms.p99, found.loop_ms.mean) == (10, 30, 15)
    assert (found.overhead_ms.p50, found.overhead_ms.mean) == (4, 3.5), "all but capture and models"
    assert found.frames_per_s == pytest.approx(1000 / 15, abs=0.01)
    assert (found.stages["mask"].frames, found.stages["mask"].ms.p50) == (1, 20), "of the frames in which it happened"
    assert found.stages["capture"].share is None
    assert sum(stage.share or 0 for stage in found.stages.values()) == pytest.approx(1, abs=1e-3)
    assert "motion" not in found.stages
    assert list(found.stages) == [name for name in COLUMNS if name in found.stages], "in the order of a frame's way"


def test_a_tally_over_hours_keeps_the_last_frames_only() -> None:
    tally = Tally(last=10)
    size = tally._rows.nbytes
    for k in range(100):
        tally.add(row(detect=k + 1), 0, 0, 0)
    found = tally.result(SETTLED)
    assert tally._rows.nbytes == size
    assert (found.frames, found.stages["detect"].frames) == (100, 100)
    assert (found.loop_ms.p50, found.loop_ms.p99) == (95, 100)
    assert found.frames_per_s == pytest.approx(1000 / 50.5, abs=0.01), "of all of them"


# ---- Which frames count, and as what ---------------------------------------------------------------------------------


def decision(t: float, people: dict[int, tuple[Verdict, float, int]], fault: str | None = None) -> Decision:
    """What the door makes of people by number: verdict, when last seen, and how often looked at."""
    box = Box(0, 0, 10, 10)
    tracks = tuple(Track(n, box, 0.2, 0.0, seen, looks) for n, (_, seen, looks) in people.items())
    verdicts = {number: verdict for number, (verdict, *_) in people.items()}
    faces = {number: Face(box, 1.0, 0.5) for number, (_, _, looks) in people.items() if looks == 1}
    return Decision(t, Signal.IDLE, tracks, faces, verdicts, frozenset(), [], fault)


class Watched:
    """A watch that is past its warm-up, and a way to show it frames."""

    def __init__(self, seconds: float | None = None, warm: bool = True) -> None:
        self.stop = threading.Event()
        self.recorder = Recorder()
        self.watch = Watch(self.recorder, seconds, self.stop)
        for _ in range(WARM_UP * warm):
            self.frame({})

    def frame(
        self, people: dict[int, tuple[Verdict, float, int]], fault: str | None = None, lost: bool = False
    ) -> None:
        if not lost:
            self.recorder.lap("capture")
            self.recorder.lap("detect")
        self.recorder.lap("lights")
        self.watch.frame(None if lost else Frame(0, 1.0, PICTURE), decision(1.0, people, fault))

    def counted(self) -> dict[str, int]:
        return {name: tally.frames for name, tally in self.watch.tallies.items() if tally.frames}


MASKED, UNKNOWN = Verdict.MASKED, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("people", "situation"),
    [
        ({}, NOBODY),
        ({1: (MASKED, 1.0, 5)}, SETTLED),
        ({1: (UNKNOWN, 1.0, 1)}, NEW),
        ({1: (MASKED, 1.0, 5), 2: (UNKNOWN, 1.0, 1)}, NEW),
        ({1: (UNKNOWN, 0.9, 1)}, NOBODY),  # has left, and is only not forgotten yet
        ({1: (UNKNOWN, 1.0, 0)}, SETTLED),  # too far away to be looked at
    ],
)
def test_situations(people: dict[int, tuple[Verdict, float, int]], situation: str) -> None:
    watched = Watched()
    watched.frame(people)
    assert watched.counted() == {situation: 1}


def test_warming_up_and_blind_moments_do_not_count() -> None:
    watched = Watched(warm=False)
    for _ in range(WARM_UP):
        watched.frame({})
    assert watched.counted() == {}
    watched.frame({}, lost=True)
    watched.frame({}, fault="the picture is black")
    assert watched.counted() == {}
    watched.watch.event(Event("camera_lost", 1.0))
    watched.watch.event(Event("camera_back", 1.0))
    watched.frame({})
    found = watched.watch.result("a camera", None)
    assert (found.frames, found.warm_up, found.lost, found.picture) == (1, WARM_UP, 1, "64x48")


def test_time_without_a_picture_is_nobodys() -> None:
    now = iter(
        [0, 2_000_000_000, 2_000_000_001, 3_000_000_000, 3_005_000_000, 3_006_000_000, 3_007_000_000, 3_008_000_000]
    )
    watched = Watched()
    watched.recorder._clock = lambda: next(now, 4_000_000_000)
    watched.recorder.restart()
    watched.frame({}, lost=True)
    watched.frame({})
    (found,) = watched.watch.result("a camera", None).situations
    assert found.stages["capture"].ms.mean == 5
    assert found.loop_ms.mean == 3


def test_where_there_is_little_nothing_is_left_out() -> None:
    watched = Watched(warm=False)
    watched.frame({})
    found = watched.watch.result("pictures", 15.0)
    assert (found.frames, found.warm_up) == (1, 0)


def test_where_there_is_nothing_that_is_said() -> None:
    watched = Watched(warm=False)
    with pytest.raises(Unavailable, match="no picture"):
        watched.watch.result("a camera", None)
    watched.frame({}, fault="the picture is black")
    with pytest.raises(Unavailable, match="the picture is black"):
        watched.watch.result("a camera", None)


def test_it_ends_in_time_or_when_told_to() -> None:
    watched = Watched(seconds=1e6)
    assert not watched.watch.over.is_set()
    watched.stop.set()
    watched.frame({}, lost=True)
    assert watched.watch.over.is_set()
    assert Watched(seconds=0).watch.over.is_set()


@pytest.mark.parametrize(("seconds", "growth"), [(90, 1800.0), (30, None)])
def test_growing_memory(seconds: int, growth: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(bench.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(bench, "rss_mb", lambda: 100 + 0.5 * now[0])
    watched = Watched()
    for _ in range(4 * seconds):
        now[0] += 0.25
        watched.frame({})
    assert watched.watch.result("a camera", None).growth_mb_per_hour == growth


def test_memory_is_what_the_kernel_says() -> None:
    before = bench.rss_mb()
    taken = np.ones(64 << 20, np.uint8)
    assert bench.rss_mb() - before > 50
    del taken
    assert bench._peak_mb() > before + 50, "remembered"


# ---- Drawn people ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faces", [0, 1, 3, 10])
def test_drawn_people_are_found_and_judged_for_what_they_are(faces: int) -> None:
    perception = Perception(CONFIG, manifest.load())
    with Visits(faces, CONFIG.camera) as source:
        for k in range(round((bench.STAY_S + 0.2) * CONFIG.camera.fps)):
            frame = source.read()
            assert frame.picture.shape == (CONFIG.camera.height, CONFIG.camera.width, 3)
            if k % 15 == 0:
                there = faces if frame.t < bench.STAY_S else 0
                found = perception.find(frame)
                assert len(found) == there, f"at {frame.t} s"
                assert all(perception.look(frame.picture, each).masked < 0.1 for each in found)


def test_the_most_people_that_can_be_asked_for_fit_into_any_picture() -> None:
    for size in ((640, 480), (64, 64), (480, 1280)):
        settings = msgspec.structs.replace(CONFIG.camera, width=size[0], height=size[1])
        for faces in (1, 2, 7, 20):
            with Visits(faces, settings) as source:
                assert source.read().picture.shape == (size[1], size[0], 3)


# ---- All of it -------------------------------------------------------------------------------------------------------


class Short(Visits):
    """Drawn people for so many frames that each situation is among them, whatever the machine's speed."""

    def read(self) -> Any:
        return super().read() if self._number < 110 else None


Measure = Callable[..., Bench]


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Measure:
    """Makes a bench of few frames, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "Visits", Short)

    def make(**changes: Any) -> Bench:
        now = time.monotonic()
        usual: dict[str, Any] = {"config": CONFIG, "models": None, "source": None, "faces": (1,), "seconds": 600.0}
        return Bench(**{**usual, "pins": False, "started_at": now, "entered_at": now, **changes})

    return make


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], None]:
    """Gives the bench a source of our own, however it is called."""

    def give(made: Script) -> None:
        monkeypatch.setattr(bench, "open_source", lambda settings, name: made)

    return give


def test_a_bench_of_drawn_people(measure: Measure, tmp_path: Path) -> None:
    begun: list[str] = []
    report = measure(faces=(1, 3), begin=begun.append).run()
    assert report.complete
    assert report.notes == ()
    assert begun == ["1 drawn face for 600 s", "3 drawn faces for 600 s"]
    assert not list(tmp_path.iterdir()), "nothing is left behind, no log either"
    one, three = report.passages
    for passage, people in ((one, 1), (three, 3)):
        assert (passage.frames, passage.warm_up, passage.picture) == (110 - WARM_UP, WARM_UP, "640x480")
        by_name = {each.name: each for each in passage.situations}
        assert {NOBODY, SETTLED} <= set(by_name)
        assert by_name[NOBODY].people == 0
        assert by_name[SETTLED].people == pytest.approx(people, abs=0.2)
        assert sum(each.frames for each in passage.situations) == passage.frames
        for each in passage.situations:
            assert each.light_ms.mean <= each.loop_ms.mean
            assert 0 < each.overhead_ms.mean < each.loop_ms.mean
            assert {"capture", "decide", "lights", "log", "rest"} <= set(each.stages)
        assert {"detect", "mask", "expression", "crop"} <= set(by_name[SETTLED].stages)
        assert "mask" not in by_name[NOBODY].stages
    assert list(report.start_s) == ["interpreter", "imports", "lights", "models", "source", "first frame"]
    assert all(seconds >= 0 for seconds in report.start_s.values())
    assert 20 < report.memory_mb["now"] <= report.memory_mb["peak"]
    assert report.models["mask_classifier"]["sha256"] == manifest.load()["mask_classifier"].sha256


def test_someone_new_is_measured_too(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are among the frames that warm up, unless there are none."""
    monkeypatch.setattr(bench, "WARM_UP", 0)
    (passage,) = measure().run().passages
    (new,) = [each for each in passage.situations if each.name == NEW]
    assert new.looks == pytest.approx(1, abs=0.2)


def test_a_model_that_is_switched_off_is_not_measured(measure: Measure) -> None:
    off = msgspec.structs.replace(CONFIG, expression=msgspec.structs.replace(CONFIG.expression, enabled=False))
    report = measure(config=off).run()
    assert set(report.models) == {"face_detector", "mask_classifier"}
    assert "expression" not in {name for each in report.passages[0].situations for name in each.stages}


def test_stopped_in_the_middle_it_tells_what_there_is(measure: Measure) -> None:
    measuring = measure(faces=(1, 10))
    measuring.begin = lambda what: measuring.stop.set()
    report = measuring.run()
    assert not report.complete
    assert [passage.frames for passage in report.passages] == [1], "one frame, and none of the second passage"
    assert "interrupted" in report.notes[0]


def test_a_camera_lost_in_the_middle(measure: Measure, source: Callable[[Script], None]) -> None:
    picture = frame_at(4.0)
    source(Script([picture] * (WARM_UP + 2) + [None] * 3 + [picture] * 4))
    (passage,) = measure(source="/dev/video0").run().passages
    assert (passage.lost, passage.frames, passage.warm_up) == (1, 6, WARM_UP)


def test_a_camera_that_gives_nothing(measure: Measure, source: Callable[[Script], None]) -> None:
    source(Script([None] * 3))
    with pytest.raises(Unavailable, match="no picture for 2 s"):
        measure(source="/dev/video0").run()


def test_a_camera_that_gives_nothing_until_stopped(measure: Measure, source: Callable[[Script], None]) -> None:
    source(Script([None] * 3))
    measuring = measure(source="/dev/video0")
    measuring.begin = lambda what: measuring.stop.set()
    with pytest.raises(KeyboardInterrupt):
        measuring.run()


def test_a_log_that_cannot_be_where_the_doors_is(measure: Measure) -> None:
    events = msgspec.structs.replace(CONFIG.events, file="nowhere/events.jsonl")
    report = measure(config=msgspec.structs.replace(CONFIG, events=events)).run()
    assert "temporary folder" in report.notes[0]


@pytest.mark.parametrize("pins", [True, False])
def test_real_lamps_light_up_only_when_asked_for(pins: bool, measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated: list[bool] = []

    def lights(settings: config.LightSettings, simulate: bool) -> Lights:
        simulated.append(simulate)
        return Lights(settings, True)

    monkeypatch.setattr(bench, "Lights", lights)
    measure(faces=(0,), pins=pins).run()
    assert simulated == [not pins]


def test_a_warm_raspberry_pi(fake: Fake) -> None:
    fake.pi()
    fake.service()
    fake.file("sys/class/thermal/thermal_zone0/temp", "71500")
    fake.command("vcgencmd", "throttled=0x50005")
    for k in range(2):
        fake.file(f"sys/devices/system/cpu/cpu{k}/cpufreq/scaling_cur_freq", str(600000 * (k + 1)))
        fake.file(f"sys/devices/system/cpu/cpu{k}/cpufreq/cpuinfo_max_freq", "1800000")
    fake.file("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand")
    fake.file("proc/cpuinfo", "processor : 0\nSerial\t\t: 10000000deadbeef\nModel\t\t: Raspberry Pi 4\n")
    fake.file("proc/meminfo", "MemTotal:        1893044 kB\n")
    notes: list[str] = []
    machine, heat = bench.surroundings(fake.of(), notes)
    assert (machine["model"], machine["memory_mb"]) == ("Raspberry Pi 4 Model B Rev 1.5", 1848)
    assert heat[0] in ("71 °C", "72 °C")
    assert "under-voltage, throttled" in heat[1]
    assert heat[2] == "1200 of 1800 MHz (ondemand)"
    assert "systemctl stop doorlight" in notes[0], "the service takes its share"
    assert "deadbeef" not in str(machine)


def test_notes_name_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert bench._nameless("/home/anna/models/x.tflite: no such file") == "~/models/x.tflite: no such file"
    monkeypatch.setenv("HOME", "/")
    assert bench._nameless("/opt/x: no such file") == "/opt/x: no such file"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("picamera", "picamera"),
        ("/dev/video0", "/dev/video0"),
        ("/dev/v4l/by-id/usb-Maker_Camera_0815SERIAL-video-index0", "a camera"),
        ("rtsp://me:secret@192.168.1.7/door", "a network camera"),
        ("/home/anna/walk.mp4", "a video"),
        ("/home/anna/me.jpg", "pictures"),
    ],
)
def test_sources_are_told_by_their_kind(source: str, name: str) -> None:
    assert bench.kind(open_source(CONFIG.camera, source)) == name


# ---- The command -----------------------------------------------------------------------------------------------------


def test_json_for_programs_that_may_be_sent_to_strangers(tmp_path: Path) -> None:
    folder = tmp_path / "Anna Example"
    folder.mkdir()
    (folder / "anna.jpg").write_bytes(STILL.read_bytes())
    done = doorlight("bench", "--json", "--threads", 2, "--source", folder / "anna.jpg", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    report = msgspec.json.decode(done.stdout, type=Report, strict=True)
    assert set(json.loads(done.stdout)) == set(Report.__annotations__), "no more than what is described"
    assert report.threads == 2
    assert report.runs_on.startswith("CPU (")
    assert [(passage.name, passage.frames) for passage in report.passages] == [("pictures", 1)]
    told = done.stdout.lower()
    assert "anna" not in told
    assert str(tmp_path).lower() not in told
    assert f'"{platform.node().lower()}"' not in told
    assert f"/{getpass.getuser()}" not in told


def test_tables_for_people(measure: Measure) -> None:
    report = measure(faces=(3,)).run()
    text = shown(report, 100)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text, "nothing is cut off"
    for word in ("doorlight", "machine", "mask_classifier", "start", "memory", NOBODY, SETTLED, "3 drawn faces"):
        assert word in text
    for stage in report.passages[0].situations[1].stages:
        assert f"\n  {stage} " in text
    detect = next(line for line in text.splitlines() if line.startswith("  detect"))
    assert "█" in detect
    assert "\x1b[1m" in shown(report, 100, colour=True)


def test_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge", "bench", "--seconds", "600"]
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # in the background of a script it is ignored, and inherited
    try:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    # Once the log has its first line, frames are on their way.
    while not any(log.stat().st_size for log in tmp_path.glob(".doorlight-bench-*/0.jsonl")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert "note: interrupted" in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--source", "none.mp4"], 66, "none.mp4"),
        (["--source", "/dev/video97"], 69, "/dev/video97"),
        (["--source", str(STILL), "--faces", "1"], 2, "--faces"),
        (["--models", "nowhere"], 69, "nowhere/manifest.toml"),
        (["--config", "none.toml"], 78, "none.toml"),
    ],
)
def test_errors_are_one_clear_line(
    args: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *args]) == code
    said = capfd.readouterr()
    assert said.out == ""
    assert 1 <= len(said.err.splitlines()) <= 2
    assert said.err.startswith("doorlight: ")
    assert says in said.err.splitlines()[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "args", [["--faces", "21"], ["--faces", "-1"], ["--faces", "x"], ["--threads", "0"], ["--seconds", "nan"]]
)
def test_numbers_that_cannot_be(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", *args])
    assert stopped.value.code == 2
    assert args[0] in capsys.readouterr().err
