"""`doorlight events`: what it shows of good, damaged and hostile logs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from edge.cli import main
from support.command import command_line, doorlight, environment, printable_output, start_doorlight
from support.paths import CLIP

STILL = CLIP.with_name("still.jpg")
CALM = '{"seq": %d, "time": "2026-11-20T10:00:03.120Z", "event": "calm", "person": %d}\n'
#: Characters that control a terminal.
ESCAPE = "\x1b]0;you\x07\x9b2J\u202e\n"


def test_the_log_of_the_demo_clip() -> None:
    assert doorlight("run", "--simulate", "--source", CLIP).returncode == 0
    done = doorlight("events")
    assert done.returncode == 0
    assert "wears no mask" in done.stdout
    assert "signals: PASS 1, IDLE 3, STOP 2, ALARM 1" in done.stdout
    done = doorlight("events", "--kind", "alarm", "--since", "1h")
    day, alarm = done.stdout.splitlines()[:2]
    assert len(day.split()) == 2, "the first line is a heading with weekday and date"
    assert alarm.split()[1] == "ALARM"
    assert "1 event," in done.stdout


def test_wrong_arguments() -> None:
    Path("a.jsonl").write_text(CALM % (1, 1))
    assert main(["events", "a.jsonl", "--since", "soon"]) == 2
    assert main(["events", "none.jsonl"]) == 66


def test_a_closed_pipe_ends_it_quietly() -> None:
    Path("e.jsonl").write_text("".join(CALM % (k, 1) for k in range(5000)))
    command = " ".join(command_line("events", "e.jsonl")) + " | head -1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    assert done.stderr == ""


def test_follow_ends_with_a_summary() -> None:
    log = Path("e.jsonl")
    log.write_text(CALM % (1, 1))
    with start_doorlight("events", log, "--follow") as process:
        assert process.stdout is not None
        assert "2026-11-20" in process.stdout.readline(), "existing events are shown at once, also through a pipe"
        assert "calm" in process.stdout.readline()
        with log.open("a") as file:
            file.write(CALM % (2, 1))
        assert "calm" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "2 events" in output


def test_the_default_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    service_log = tmp_path / "var" / "events.jsonl"
    monkeypatch.setattr("edge.commands.events.SERVICE_LOG", service_log)
    assert main(["events"]) == 66
    assert "doorlight-events.jsonl" in capsys.readouterr().err, "if there is no log, the local one is named"
    service_log.parent.mkdir()
    service_log.write_text(CALM % (1, 1))
    assert main(["events"]) == 0
    assert "person 1" in capsys.readouterr().out
    Path("doorlight-events.jsonl").write_text(CALM % (1, 2))
    assert main(["events"]) == 0
    assert "person 2" in capsys.readouterr().out, "a log in the working directory takes precedence"


def test_a_pipe_does_not_block(capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("x.jsonl")
    assert main(["events", "x.jsonl"]) == 66
    assert "not a regular file" in capfd.readouterr().err


def test_control_characters_in_a_log_are_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    records = [{"seq": 1, "event": ESCAPE, "signal": ESCAPE}, {"seq": 2, "event": "signal", "signal": ESCAPE}]
    Path("x.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert main(["events", "x.jsonl"]) == 0
    assert "2 events" in printable_output(capfd)


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": "x", "time": "9999-12-31T23:59:59-23:59"}',
        b'{"event": "x", "time": "0001-01-01T00:00:00+23:59"}',
        b'{"event": ' + b"[" * 980 + b"]" * 980 + b"}",
        b'{"event": "x", "seq": ' + b"9" * 4300 + b"}",
        b"{" * 3_000_000,
        bytes(20_000_000),
        b"\n" * 10_000,
        b"\xff\xfe{\0}\0",
    ],
    ids=["late", "early", "nested", "huge number", "braces", "zeros", "empty lines", "UTF-16"],
)
def test_a_hostile_line_does_not_hide_the_others(capfd: pytest.CaptureFixture[str], line: bytes) -> None:
    """`events` shows the others, and a run that continues the log continues its numbers where it can."""
    log = Path("x.jsonl")
    log.write_bytes(b'{"seq": 7, "time": "2026-01-01T00:00:00Z", "event": "started"}\n' + line + b"\n")
    assert main(["events", "x.jsonl"]) == 0
    assert "the door has started" in printable_output(capfd)
    code = main(["run", "--simulate", "--source", str(STILL), "--events", "x.jsonl"])
    if len(line) > 10_000_000:
        assert code == 74
        assert "no event can be read in its last 8 MB" in capfd.readouterr().err
        assert log.stat().st_size > len(line), "the log is not truncated"
        return
    assert code == 0
    # Between the two, the person in the picture is decided, and the light shows it.
    started, *_, stopped = (json.loads(line) for line in log.read_bytes().splitlines()[-4:])
    assert [started["event"], stopped["event"]] == ["started", "stopped"]
    assert 7 < started["seq"] < stopped["seq"] < 5000


def test_a_sparse_file_of_a_terabyte_has_no_events(capfd: pytest.CaptureFixture[str]) -> None:
    Path("x.jsonl").write_bytes(b"{")
    os.truncate("x.jsonl", 1 << 40)
    assert main(["events", "x.jsonl"]) == 0
    assert "0 events" in printable_output(capfd)
