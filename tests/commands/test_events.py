"""`doorlight events`: what it shows of a log, which events are selected, and in which form."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.cli import main
from support.command import command_line, doorlight, environment, start_doorlight
from support.event_log import CALM
from support.paths import CLIP


def test_the_log_of_the_demo_clip() -> None:
    assert doorlight("run", "--simulate", "--source", CLIP).returncode == 0
    done = doorlight("events")
    assert done.returncode == 0
    assert "wears no mask" in done.stdout
    assert "signals: PASS 1, IDLE 3, STOP 2, ALARM 1" in done.stdout
    done = doorlight("events", "--kind", "alarm", "--since", "1h")
    heading, alarm = done.stdout.splitlines()[:2]
    assert heading.startswith(f"{CLIP}, played on ")
    assert alarm == "   16.27 s  ALARM  someone looks agitated (was STOP, 1 person)"
    assert "\n1 event\n" in done.stdout


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
    output, errors = capsys.readouterr()
    assert "person 1" in output, "the service's log takes precedence"
    assert errors == (
        f"doorlight: note: this is {service_log}; "
        "for the log of the runs in this folder: doorlight events doorlight-events.jsonl\n"
    )
    monkeypatch.setattr("os.access", lambda *_: False)
    assert main(["events"]) == 0
    output, errors = capsys.readouterr()
    assert "person 2" in output, "the service's log may not be read"
    assert f"for the service's log: sudo doorlight events {service_log}" in errors
    service_log.unlink()
    assert main(["events"]) == 0
    assert "note" not in capsys.readouterr().err


def write_log(*rows: str, path: str = "x.jsonl") -> None:
    """Write a log of records, given without their braces; each gets a number."""
    lines = ["{" + f'"seq": {seq}, {row}' + "}\n" for seq, row in enumerate(rows, 1)]
    Path(path).write_text("".join(lines), encoding="utf-8")


def events(capfd: pytest.CaptureFixture[str], *args: str, code: int = 0) -> tuple[list[str], list[str]]:
    """Run `doorlight events x.jsonl` with more arguments, and return the lines of its output and of its errors."""
    assert main(["events", "x.jsonl", *args]) == code
    captured = capfd.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


STARTED = '"time": "2026-11-20T10:00:00.000Z", "t": 0.0, "event": "started", "source": "door.mp4", "live": %s'
STOP = (
    '"time": "2026-11-20T10:00:01.000Z", "t": 3.5, "event": "signal", "signal": "STOP", "before": "IDLE", "people": 1'
)
LATER = '"time": "2026-11-21T10:00:01.000Z", "t": 90000.0, "event": "calm", "person": 1'


def test_an_empty_log(capfd: pytest.CaptureFixture[str]) -> None:
    Path("x.jsonl").write_bytes(b"")
    assert events(capfd)[0][-2:] == ["0 events", "the log is empty"]


@pytest.mark.parametrize(
    ("args", "explanation"),
    [
        (["--since", "1h"], "none is in this time; the log has 3 events, 2026-11-20"),
        (["--until", "2026-11-01"], "none is in this time; the log has 3 events, 2026-11-20"),
        (["--kind", "alarm"], "none is of this kind; the log has 3 events"),
        (["--kind", "stop", "--since", "today"], "none is of this kind and in this time; the log has 3 events"),
    ],
)
def test_an_empty_selection_says_what_the_log_has(
    args: list[str], explanation: str, capfd: pytest.CaptureFixture[str]
) -> None:
    write_log(STARTED % "true", STOP, LATER)
    assert events(capfd, *args)[0][-1].startswith(explanation)
    for form in ("--json", "--csv"):
        output, errors = events(capfd, *args, form)
        assert len(output) == (form == "--csv"), "a table has a heading"
        assert errors[-1].startswith(f"doorlight: note: {explanation}")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--kind", ""], '--kind "": names no kind of event'),
        (["--kind", "stop", "--kind", " ,"], '--kind " ,": names no kind of event'),
        (["--kind", "unmaskd"], "--kind unmaskd: there is no such kind of event"),
        (["--since", "soon"], "'soon' is not a time"),
        (["--until", "2026-02-30"], "'2026-02-30' is a time that does not exist"),
        (["--since", "1h", "--until", "2h"], "--since 1h is not before --until 2h"),
        (["--since", "2999-01-01"], "--since 2999-01-01 is in the future"),
        (["--follow", "--until", "today"], "--follow and --until exclude each other"),
    ],
)
def test_mistakes(args: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    write_log(STARTED % "true", STOP)
    output, errors = events(capfd, *args, code=2)
    assert output == []
    assert message in errors[0]
    assert len(errors) == 2


def test_since_and_until(capfd: pytest.CaptureFixture[str]) -> None:
    write_log(STARTED % "true", STOP, LATER)
    for args, count in (
        (["--since", "2026-11-21T00:00Z"], 1),
        (["--until", "2026-11-21T00:00Z"], 2),
        (["--since", "2026-11-20T10:00:00.500Z", "--until", "2026-11-21T00:00Z"], 1),
        (["--since", "2026-11-01", "--until", "2026-11-30"], 3),
    ):
        assert len(events(capfd, *args, "--json")[0]) == count


def test_until_a_day_includes_that_day(capfd: pytest.CaptureFixture[str]) -> None:
    """As people say it: open until Friday. The log of today ends before the midnight that ends today."""
    now = datetime.now(UTC).isoformat()
    write_log(STARTED % "true", f'"event": "stopped", "time": "{now}"')
    for day, count in (("today", 2), ("yesterday", 1), ("2026-11-20", 1)):
        assert len(events(capfd, "--until", day, "--json")[0]) == count
    with pytest.raises(SystemExit):
        main(["events", "--help"])
    assert "--until today includes today" in " ".join(capfd.readouterr().out.split())


def test_a_first_record_that_differs_from_itself(capfd: pytest.CaptureFixture[str]) -> None:
    """NaN is no JSON, but Python reads it. The log is read twice, and the two must be recognised as the same."""
    write_log('"event": "started", "time": "2026-11-20T10:00:00Z", "x": NaN', STOP)
    assert len(events(capfd, "--since", "2026-11-20", "--json")[0]) == 2


def test_kinds_in_other_spellings(capfd: pytest.CaptureFixture[str]) -> None:
    write_log(STARTED % "true", STOP, LATER, '"event": "camera_lost"')
    for kinds in ("Stop,camera-lost", "Stop,camera-lost,", ",stop,,camera_lost"):
        assert len(events(capfd, "--kind", kinds, "--json")[0]) == 2


def test_json_is_what_the_log_contains(capfd: pytest.CaptureFixture[str]) -> None:
    write_log(STARTED % "true", STOP, '"event": "\u202eT\u00fcr", "x": NaN')
    output, errors = events(capfd, "--json")
    assert output[:2] == Path("x.jsonl").read_text(encoding="utf-8").splitlines()[:2]
    assert json.loads(output[2]) == {"seq": 3, "event": "\u202eT\u00fcr", "x": None}
    assert output[2].isascii()
    assert errors == []


def test_csv(capfd: pytest.CaptureFixture[str]) -> None:
    write_log(STARTED % "true", STOP, '"event": "=1+1", "person": "@x"')
    output, errors = events(capfd, "--csv")
    assert output[0] == "seq,time,local_time,t,event,signal,person,text,details"
    assert output[2].startswith("2,2026-11-20T10:00:01.000Z,2026-11-20 ")
    assert output[3].startswith("3,,,,'=1+1,,'@x,")
    assert errors == []
    with pytest.raises(SystemExit, match="2"):
        main(["events", "x.jsonl", "--csv", "--json"])


def test_events_of_a_played_file_are_shown_by_its_time(capfd: pytest.CaptureFixture[str]) -> None:
    write_log(
        STARTED % "false",
        STOP,
        '"event": "stopped"',
        STARTED % "true",
        STOP,
        STARTED % "false",
        STOP,
        '"event": "calm", "t": null',
    )
    output, _ = events(capfd)
    assert output[0] == "door.mp4, played on Friday, 2026-11-20"
    assert output[1].startswith("    0.00 s         the door has started (door.mp4)")
    assert output[2].startswith("    3.50 s  STOP   someone wears no mask")
    assert output[4] == "Friday, 2026-11-20"
    assert [len(line.split(":")) for line in output[5:7]] == [3, 3], "events of a camera have a time of day"
    assert output[7:9] == [output[0], output[1]]
    assert output[10].startswith("   --.-- s")
    assert output[-3].startswith("8 events, 2026-11-20 ")
    output, _ = events(capfd, "--kind", "stop")
    assert [line.split()[0] for line in output[:6]] == [
        "door.mp4,",
        "3.50",
        "Friday,",
        output[3].split()[0],
        "door.mp4,",
        "3.50",
    ]


def test_only_played_events_have_no_time_of_day(capfd: pytest.CaptureFixture[str]) -> None:
    write_log(STARTED % "false", STOP)
    assert "2 events" in events(capfd)[0]


def test_standard_input() -> None:
    log = CALM % (1, 1) + CALM % (2, 2)
    compressed = gzip.compress(log.encode())
    for data, args, count in (
        (log.encode(), [], 2),
        (compressed, [], 2),
        (compressed, ["--since", "2026-11-01"], 2),
        (b"", [], 0),
    ):
        done = subprocess.run(
            command_line("events", "-", *args),
            input=data,
            capture_output=True,
            timeout=60,
            check=True,
            env=environment(),
        )
        assert f"\n{count} events".encode() in done.stdout


@pytest.mark.parametrize(
    ("data", "args", "code", "message"),
    [
        (b"Dear diary\n", [], 66, "standard input: is not an event log"),
        (b"x", ["--follow"], 2, "standard input cannot be followed"),
        (b"\x28\xb5\x2f\xfd", [], 66, "standard input: is compressed with Zstandard"),
        (b'{"event": "x"}\n', ["--kind", "unmaskd"], 2, "there is no such kind"),
    ],
)
def test_mistakes_with_standard_input(data: bytes, args: list[str], code: int, message: str) -> None:
    done = subprocess.run(
        command_line("events", "-", *args), input=data, capture_output=True, timeout=60, check=False, env=environment()
    )
    assert done.returncode == code
    assert message in done.stderr.decode()


def test_a_stream_is_shown_as_it_comes() -> None:
    with subprocess.Popen(
        command_line("events", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(CALM % (1, 1))
        process.stdin.flush()
        assert "2026-11-20" in process.stdout.readline()
        assert "calm" in process.stdout.readline()
        process.stdin.close()
    assert process.returncode == 0


def test_rotated_files_that_cannot_be_read_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    write_log(STARTED % "true", STOP)
    Path("x.jsonl.1.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    Path("x.jsonl.2.gz").write_bytes(gzip.compress((CALM % (1, 1)).encode()))
    output, _ = events(capfd)
    assert any(line.startswith("not read: x.jsonl.1.zst: is compressed with Zstandard") for line in output)
    assert any(line.startswith("3 events") for line in output)
