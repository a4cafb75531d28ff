"""The benchmark as a whole, and its command."""

from __future__ import annotations

import getpass
import json
import platform
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge import config
from edge.bench import measure, run
from edge.bench.drawn_people import DrawnPeople
from edge.bench.measure import NEW, NOBODY, SETTLED, WARM_UP_FRAMES
from edge.bench.report import Report, render
from edge.bench.run import Bench
from edge.camera.factory import open_source
from edge.cli import main
from edge.errors import UnavailableError
from edge.inference import manifest
from edge.lights.lights import Lights
from edge.records import Frame
from support.clip import frame_at
from support.command import command_line, doorlight, environment
from support.door import Script
from support.paths import CLIP

CONFIG = config.load()
STILL = CLIP.with_name("still.jpg")
#: Drawn people stay for 4 s and are away for 4 s: in this time, at 15 frames/s, every situation occurs.
FRAMES = 110


class ShortDrawnPeople(DrawnPeople):
    """Drawn people that end after FRAMES frames, whatever the speed of the machine."""

    def read(self) -> Frame | None:
        return super().read() if self._number < FRAMES else None


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MakeBench:
    """Make a short benchmark with these fields changed, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "DrawnPeople", ShortDrawnPeople)

    def make(**changes: Any) -> Bench:
        now = time.monotonic()
        fields: dict[str, Any] = {"config": CONFIG, "models": None, "source": None, "faces": (1,), "seconds": 600.0}
        fields |= {"pins": False, "started_at": now, "entered_at": now}
        return Bench(**fields | changes)

    return make


@pytest.fixture
def use_source(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], None]:
    """Make the benchmark open this source, whatever the name."""

    def use(source: Script) -> None:
        monkeypatch.setattr(run, "open_source", lambda settings, name: source)

    return use


def test_a_benchmark_of_drawn_people(make_bench: MakeBench, tmp_path: Path) -> None:
    started: list[str] = []
    report = make_bench(faces=(1, 3), begin=started.append).run()
    assert report.complete
    assert report.caveats == ()
    assert started == ["1 drawn face for 600 s", "3 drawn faces for 600 s"]
    assert not list(tmp_path.iterdir()), "no file remains, not even a log"
    one, three = report.sources
    for source, people in ((one, 1), (three, 3)):
        assert (source.frames, source.warm_up_frames) == (FRAMES - WARM_UP_FRAMES, WARM_UP_FRAMES)
        assert source.picture_size == "640x480"
        by_name = {each.name: each for each in source.situations}
        assert {NOBODY, SETTLED} <= set(by_name)
        assert by_name[NOBODY].people == 0
        assert by_name[SETTLED].people == pytest.approx(people, abs=0.2)
        assert sum(each.frames for each in source.situations) == source.frames
        for each in source.situations:
            assert each.light_ms.mean <= each.loop_ms.mean
            assert 0 < each.overhead_ms.mean < each.loop_ms.mean
            assert {"capture", "decide", "lights", "log", "rest"} <= set(each.stages)
        assert {"detect", "mask", "expression", "crop"} <= set(by_name[SETTLED].stages)
        assert "mask" not in by_name[NOBODY].stages
    assert list(report.start_s) == ["interpreter", "imports", "lights", "models", "source", "first frame"]
    assert all(seconds >= 0 for seconds in report.start_s.values())
    assert 20 < report.memory_mb["now"] <= report.memory_mb["peak"]
    assert report.models["mask_classifier"]["sha256"] == manifest.load()["mask_classifier"].sha256


def test_the_tables_of_a_real_report_have_every_stage(make_bench: MakeBench) -> None:
    report = make_bench(faces=(3,)).run()
    text = render(report, 100)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text, "nothing is cut off"
    for word in ("doorlight", "machine", "mask_classifier", "start", "memory", NOBODY, SETTLED, "3 drawn faces"):
        assert word in text
    for stage in report.sources[0].situations[1].stages:
        assert f"\n  {stage} " in text


def test_new_people_are_measured(make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """People are new in the first frames, which are warm-up frames unless there are none."""
    monkeypatch.setattr(measure, "WARM_UP_FRAMES", 0)
    (source,) = make_bench().run().sources
    (new,) = [each for each in source.situations if each.name == NEW]
    assert new.looks == pytest.approx(1, abs=0.2)


def test_a_disabled_model_is_not_measured(make_bench: MakeBench) -> None:
    disabled = msgspec.structs.replace(CONFIG, expression=msgspec.structs.replace(CONFIG.expression, enabled=False))
    report = make_bench(config=disabled).run()
    assert set(report.models) == {"face_detector", "mask_classifier"}
    assert "expression" not in {name for each in report.sources[0].situations for name in each.stages}


def test_landmarks_are_measured_if_they_are_on(make_bench: MakeBench) -> None:
    report = make_bench(config=config.replaced(CONFIG, "landmarks", enabled=True)).run()
    assert set(report.models) == {*manifest.MODEL_NAMES, "face_landmarks"}
    times = {name for each in report.sources[0].situations for name in each.stages}
    assert "landmarks" in times


def test_an_interrupted_benchmark_reports_its_results(make_bench: MakeBench) -> None:
    bench = make_bench(faces=(1, 10))
    bench.begin = lambda what: bench.stop.set()
    report = bench.run()
    assert not report.complete
    assert [source.frames for source in report.sources] == [1], "one frame of the first source, none of the second"
    assert "interrupted" in report.caveats[0]


def test_a_camera_that_is_lost_for_a_moment(make_bench: MakeBench, use_source: Callable[[Script], None]) -> None:
    picture = frame_at(4.0)
    use_source(Script([*[picture] * (WARM_UP_FRAMES + 2), *[None] * 3, *[picture] * 4]))
    (source,) = make_bench(source="/dev/video0").run().sources
    assert (source.times_lost, source.frames, source.warm_up_frames) == (1, 6, WARM_UP_FRAMES)


def test_a_camera_without_a_picture_raises(make_bench: MakeBench, use_source: Callable[[Script], None]) -> None:
    use_source(Script([None] * 3))
    with pytest.raises(UnavailableError, match="no picture for 2 s"):
        make_bench(source="/dev/video0").run()


def test_a_benchmark_that_is_stopped_without_a_picture(
    make_bench: MakeBench, use_source: Callable[[Script], None]
) -> None:
    use_source(Script([None] * 3))
    bench = make_bench(source="/dev/video0")
    bench.begin = lambda what: bench.stop.set()
    with pytest.raises(KeyboardInterrupt):
        bench.run()


def test_a_log_on_another_disk_is_a_caveat(make_bench: MakeBench) -> None:
    events = msgspec.structs.replace(CONFIG.events, file="nowhere/events.jsonl")
    report = make_bench(config=msgspec.structs.replace(CONFIG, events=events)).run()
    assert "temporary folder" in report.caveats[0]


@pytest.mark.parametrize("pins", [True, False])
def test_real_lamps_light_up_only_with_pins(pins: bool, make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    simulated: list[bool] = []

    def lights(settings: config.LightSettings, simulate: bool) -> Lights:
        simulated.append(simulate)
        return Lights(settings, True)

    monkeypatch.setattr(run, "Lights", lights)
    make_bench(faces=(0,), pins=pins).run()
    assert simulated == [not pins]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("picamera", "picamera"),
        ("/dev/video0", "/dev/video0"),
        ("/dev/v4l/by-id/usb-Maker_Camera_0815SERIAL-video-index0", "a camera"),
        ("rtsp://me:secret@192.168.1.7/door", "a network camera"),
        ("/home/anna/walk.mp4", "a video"),
        ("/home/anna/me.jpg", "pictures"),
    ],
)
def test_a_source_is_named_by_its_kind(source: str, kind: str) -> None:
    assert run.describe_source(open_source(CONFIG.camera, source)) == kind


# ---- The command -----------------------------------------------------------------------------------------------------


def test_the_json_output_contains_no_names(tmp_path: Path) -> None:
    folder = tmp_path / "Anna Example"
    folder.mkdir()
    (folder / "anna.jpg").write_bytes(STILL.read_bytes())
    done = doorlight("bench", "--json", "--threads", 2, "--source", folder / "anna.jpg", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    report = msgspec.json.decode(done.stdout, type=Report, strict=True)
    assert set(json.loads(done.stdout)) == set(Report.__annotations__), "no other keys than those of the records"
    assert report.threads == 2
    assert report.runs_on.startswith("CPU (")
    assert [(source.name, source.frames) for source in report.sources] == [("pictures", 21)]
    output = done.stdout.lower()
    assert "anna" not in output
    assert str(tmp_path).lower() not in output
    assert f'"{platform.node().lower()}"' not in output
    assert f"/{getpass.getuser()}" not in output


def test_ctrl_c_prints_the_results_so_far(tmp_path: Path) -> None:
    command = command_line("bench", "--seconds", 600)
    # A script that runs in the background ignores SIGINT, and its children inherit that.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 60
    # The first record of the log shows that the loop runs.
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
    ("args", "code", "message"),
    [
        (["--source", "none.mp4"], 66, "none.mp4"),
        (["--source", "/dev/video97"], 69, "/dev/video97"),
        (["--source", str(STILL), "--faces", "1"], 2, "--faces"),
        (["--models", "nowhere"], 69, "nowhere/manifest.toml"),
        (["--config", "none.toml"], 78, "none.toml"),
    ],
)
def test_an_error_is_one_line_and_a_hint(
    args: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *args]) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert 1 <= len(err.splitlines()) <= 2
    assert err.startswith("doorlight: ")
    assert message in err.splitlines()[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "args", [["--faces", "21"], ["--faces", "-1"], ["--faces", "x"], ["--threads", "0"], ["--seconds", "nan"]]
)
def test_numbers_out_of_range_are_usage_errors(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", *args])
    assert stopped.value.code == 2
    assert args[0] in capsys.readouterr().err
