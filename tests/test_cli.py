"""The command line as a user meets it: the bundled clip from end to end, help, exit codes, one clear line an error."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge import __version__, gpio, manifest
from edge.cli import main

CLIP = Path(__file__).resolve().parent.parent / "scripts" / "demo_data" / "door.mp4"


def doorlight(*args: object, **kw: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **kw)  # type: ignore[call-overload, no-any-return]


def played(folder: Path, name: str) -> list[dict[str, object]]:
    log = folder / name
    done = doorlight("run", "--simulate", "--source", CLIP, "--events", log)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_the_bundled_clip(tmp_path: Path) -> None:
    lines = played(tmp_path, "a.jsonl")
    signals = [(line["signal"], float(line["t"])) for line in lines if line["event"] == "signal"]  # type: ignore[arg-type]
    assert [name for name, _ in signals] == ["PASS", "IDLE", "STOP", "IDLE", "STOP", "ALARM", "IDLE"]
    # When each person is there: scripts/demo_data/README.md. The two runtimes differ by a frame or two.
    for (name, t), (low, high) in zip(
        signals,
        [(0.6, 2.6), (5.3, 7.3), (7.8, 9.8), (12.5, 14.5), (15.0, 17.0), (15.5, 18.7), (19.7, 20.6)],
        strict=True,
    ):
        assert low <= t <= high, f"{name} at {t}"
    kinds = [line["event"] for line in lines if line["event"] != "signal"]
    assert kinds == [
        "started", "masked", "cleared", "unmasked", "cleared", "unmasked", "agitated", "cleared", "stopped",
    ]  # fmt: skip
    seqs = [line["seq"] for line in lines]
    assert seqs == sorted(set(seqs))  # type: ignore[type-var]

    def without_clock(rows: list[dict[str, object]]) -> list[dict[str, object]]:
        return [{k: v for k, v in row.items() if k not in ("time", "source")} for row in rows]

    assert without_clock(played(tmp_path, "b.jsonl")) == without_clock(lines), "the same file, the same events"


def test_seq_goes_on_after_a_restart(tmp_path: Path) -> None:
    first, both = played(tmp_path, "a.jsonl"), played(tmp_path, "a.jsonl")
    seqs = [int(line["seq"]) for line in both]  # type: ignore[call-overload]
    assert len(both) == 2 * len(first)
    assert all(b > a for a, b in itertools.pairwise(seqs))


def test_events_reads_what_run_wrote(tmp_path: Path) -> None:
    played(tmp_path, "a.jsonl")
    done = doorlight("events", tmp_path / "a.jsonl")
    assert done.returncode == 0
    assert "wears no mask" in done.stdout
    assert "signals: PASS 1, IDLE 3, STOP 2, ALARM 1" in done.stdout
    done = doorlight("events", tmp_path / "a.jsonl", "--kind", "alarm", "--since", "1h")
    day, alarm = done.stdout.splitlines()[:2]
    assert len(day.split()) == 2, "a heading says which day it was"
    assert alarm.split()[1] == "ALARM"
    assert "1 event," in done.stdout
    assert doorlight("events", tmp_path / "a.jsonl", "--since", "soon").returncode == 2
    assert doorlight("events", tmp_path / "none.jsonl").returncode == 66


def test_sigterm_ends_a_run_tidily(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    still = CLIP.with_name("still.jpg")
    for k in range(600):
        (folder / f"{k:04}.jpg").symlink_to(still)
    log = tmp_path / "events.jsonl"
    command = [sys.executable, "-m", "edge", "run", "--simulate", "--source", str(folder), "--events", str(log)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (log.exists() and "started" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "stopped"


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["run", "--source", "none.mp4"], 66, "none.mp4"),
        (["run", "--source", "/dev/video97"], 69, "/dev/video97"),
        (["run", "--source", str(CLIP), "--models", "nowhere"], 69, "nowhere/manifest.toml"),
        (["run", "--source", str(CLIP), "--events", "nowhere/events.jsonl"], 74, "nowhere"),
        (["run", "--config", "none.toml"], 78, "none.toml"),
        (["annotate", "none.jpg", "out.jpg"], 66, "none.jpg"),
        (["annotate", str(CLIP), "out.jpg"], 2, "out.jpg"),
        (["annotate", str(CLIP), "nowhere/out.mp4"], 74, "nowhere"),
        (["check-config", "none.toml"], 78, "none.toml"),
        (["lights", "--test", "--config", "none.toml"], 78, "none.toml"),
        (["lights", "--off", "--config", "none.toml"], 78, "none.toml"),
        (["run", "--source", "~nobody-of-this-name/a.mp4"], 66, "a.mp4"),
        (["events", "."], 66, "directory"),
    ],
)
def test_errors_are_one_clear_line(
    args: list[str],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(args) == code
    said = capfd.readouterr().err.splitlines()
    assert 1 <= len(said) <= 2
    assert said[0].startswith("doorlight: ")
    assert says in said[0]
    assert "Traceback" not in said[0]


def test_a_damaged_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(manifest.shipped(), tmp_path / "models")
    path = tmp_path / "models" / "mask_classifier.tflite"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert main(["run", "--source", str(CLIP), "--models", str(tmp_path / "models"), "--simulate"]) == 69
    assert "mask_classifier.tflite: is damaged" in capsys.readouterr().err


def test_debug_shows_the_traceback() -> None:
    done = doorlight("run", "--debug", "--source", "none.mp4")
    assert "Traceback" in done.stderr
    assert "InputMissing" in done.stderr


@pytest.mark.parametrize("command", ["run", "annotate", "events", "check-config", "doctor", "bench"])
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 8


def test_version_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert __version__ in capsys.readouterr().out
    with pytest.raises(SystemExit) as stopped:
        main(["dance"])
    assert stopped.value.code == 2


def test_events_into_a_closed_pipe(tmp_path: Path) -> None:
    log = tmp_path / "e.jsonl"
    log.write_text(
        "".join(f'{{"seq": {k}, "time": "2026-11-20T10:00:03.120Z", "event": "calm"}}\n' for k in range(5000))
    )
    command = f"{sys.executable} -m edge events {log} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


def test_a_source_that_is_not_there_leaves_no_log(tmp_path: Path) -> None:
    assert main(["run", "--simulate", "--source", "none.mp4", "--events", str(tmp_path / "e.jsonl")]) == 66
    assert not list(tmp_path.iterdir())


def test_nobody_reads_what_run_says(tmp_path: Path) -> None:
    log = tmp_path / "e.jsonl"
    command = f"{sys.executable} -m edge run --simulate --source {CLIP} --events {log} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["event"], last["reason"]) == ("stopped", "end of source"), "the door goes on"


def test_a_journal_that_hangs_does_not_stop_the_door(tmp_path: Path) -> None:
    """A socket that nobody reads, as journald's is while its disk does not answer; it has room for a few lines."""
    log = tmp_path / "e.jsonl"
    journal, ours = socket.socketpair()
    with journal, ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        status = os.fstat(ours.fileno())
        done = subprocess.run(
            [sys.executable, "-m", "edge", "run", "--simulate", "--source", str(CLIP), "--events", str(log)],
            env={**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
            stdout=ours, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip
        journal.setblocking(False)
        said = journal.recv(1 << 20).count(b"\n")
    found = [json.loads(line) for line in log.read_text().splitlines()]
    assert (found[-1]["event"], found[-1]["reason"]) == ("stopped", "end of source")
    assert said < len(found), "there was no room for all that it says"
    assert "Traceback" not in done.stderr


def test_output_onto_a_full_disk() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge", "check-config"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 74
    assert len(done.stderr.splitlines()) == 1


def test_following_ends_with_a_summary(tmp_path: Path) -> None:
    log = tmp_path / "e.jsonl"
    line = '{"seq": %d, "time": "2026-11-20T10:00:03.120Z", "event": "calm", "person": 1}\n'
    log.write_text(line % 1)
    command = [sys.executable, "-m", "edge", "events", str(log), "--follow"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "2026-11-20" in process.stdout.readline(), "what is there comes at once, through a pipe too"
    assert "calm" in process.stdout.readline()
    with log.open("a") as file:
        file.write(line % 2)
    assert "calm" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "2 events" in said


def test_a_doctor_for_people() -> None:
    """What it finds differs from machine to machine: here that each line is of its form, and the code what they say."""
    done = doorlight("doctor", "--simulate", "--source", CLIP.with_name("still.jpg"))
    assert done.stderr == ""
    assert "1 face in view" in " ".join(done.stdout.split())
    assert "\x1b" not in done.stdout, "neither colours nor progress where nobody looks"
    *found, _, summary = done.stdout.splitlines()
    heads = [line.split()[0] for line in found if line[2] != " "]
    assert set(heads) <= {"ok", "note", "bad"}
    assert summary.strip() == f"{heads.count('bad')} bad, {heads.count('note')} to note, {heads.count('ok')} ok"
    assert done.returncode == (69 if "bad" in heads else 0)


def test_a_doctor_told_of_a_wrong_file_examines_the_rest(tmp_path: Path) -> None:
    (tmp_path / "door.toml").write_text("[lights]\ngreen = 99\n")
    arguments = ("--json", "--simulate", "--source", CLIP, "--config", tmp_path / "door.toml")
    done = doorlight("doctor", *arguments)
    told = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert (done.returncode, told["configuration"]["verdict"], told["camera"]["verdict"]) == (69, "bad", "ok")
    assert "'lights.green' is 99" in told["configuration"]["found"]


def test_the_lights_are_walked_through() -> None:
    done = doorlight("lights", "--test", "--simulate", "--seconds", "0.01")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line[0] for line in done.stdout.splitlines() if " of 9  " in line] == list("123456789")
    assert done.stdout.splitlines()[-3].strip() == "○ green  ○ red"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_walk_through_the_lights_can_be_left(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "edge", "lights", "--test", "--simulate", "--seconds", "600"]
    # Under nohup, or in the background of a script, signals are ignored, and children inherit that; doorlight keeps to it.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(number, before)
    assert process.stdout is not None
    assert any("if not:" in line for line in process.stdout)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


def test_lights_off_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As after a crash, by ExecStopPost=: a machine without pins is no failure."""
    monkeypatch.setattr(gpio, "CHIPS", str(tmp_path / "gpiochip*"))
    assert main(["lights", "--off"]) == 0
    said = capsys.readouterr()
    assert "nothing to switch off" in said.out
    assert (len(said.out.splitlines()), said.err) == (1, "")


def test_lights_off_puts_each_pin_to_its_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(gpio, "switch_off", asked.append)
    config = tmp_path / "door.toml"
    config.write_text("[lights]\nred = 5\nactive_low = true")
    assert main(["lights", "--off", "--config", str(config)]) == 0
    assert asked == [{17: True, 5: True, 24: False}]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--test", "--off"],
        ["--test", "--seconds", "0"],
        ["--test", "--seconds", "nan"],
        ["--test", "--seconds", "x"],
    ],
)
def test_lights_wants_to_know_what(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["lights", *args])
    assert caught.value.code == 2
    assert capsys.readouterr().err


def test_events_finds_the_usual_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    service = tmp_path / "var" / "events.jsonl"
    monkeypatch.setattr("edge.cli.SERVICE_LOG", service)
    assert main(["events"]) == 66
    assert "doorlight-events.jsonl" in capsys.readouterr().err, "neither is there: the one here is named"
    service.parent.mkdir()
    line = '{"seq": 1, "time": "2026-11-20T10:00:03.120Z", "event": "calm", "person": %d}\n'
    service.write_text(line % 1)
    assert main(["events"]) == 0
    assert "person 1" in capsys.readouterr().out
    (tmp_path / "doorlight-events.jsonl").write_text(line % 2)
    assert main(["events"]) == 0
    assert "person 2" in capsys.readouterr().out, "a run in this folder comes first"
