"""`doorlight events`: what it shows of good, damaged and hostile logs."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.cli import main
from edge.errors import InputError
from edge.events.reader import read_stream
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


def refused(capfd: pytest.CaptureFixture[str], log: str) -> list[str]:
    """Return the message and the hint with which a log is refused."""
    assert main(["events", log]) == 66
    return capfd.readouterr().err.splitlines()


def test_a_folder_names_the_log_in_it(capfd: pytest.CaptureFixture[str]) -> None:
    Path("logs").mkdir()
    assert refused(capfd, "logs") == [
        "doorlight: logs: is a folder, not an event log",
        "           name the log in it: doorlight events logs/events.jsonl",
    ]
    Path("logs/door.jsonl").write_text(CALM % (1, 1))
    assert refused(capfd, "logs")[1].endswith("doorlight events logs/door.jsonl")


@pytest.mark.parametrize("folder", [".", "/"])
def test_a_folder_without_a_name_is_explained(folder: str, capfd: pytest.CaptureFixture[str]) -> None:
    message, hint = refused(capfd, folder)
    assert message == f"doorlight: {folder}: is a folder, not an event log"
    assert hint.startswith("           name the log in it: doorlight events ")


@pytest.mark.parametrize("name", ["log.tar", "log.tgz"])
def test_a_tar_archive_is_named(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("events.jsonl").write_text(CALM % (1, 1))
    with tarfile.open(name, "w:gz" if name == "log.tgz" else "w") as archive:
        archive.add("events.jsonl")
    message, hint = refused(capfd, name)
    assert message == f"doorlight: {name}: is a tar archive: unpack it first"
    assert f"tar -xOf {name} | doorlight events -" in hint
    with Path(name).open("rb") as file, pytest.raises(InputError, match="pipe: is a tar archive") as caught:
        list(read_stream(file, "pipe"))
    assert caught.value.hint.startswith("unpack it, and name the log")


@pytest.mark.parametrize("encoding", ["UTF-16", "UTF-32", "UTF-16-LE", "UTF-32-BE"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_wide_text_is_named_in_a_file_and_on_standard_input(
    encoding: str, compress: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    Path("x").write_bytes(compress((CALM % (1, 1)).encode(encoding)))
    assert f"x: is {encoding[:6]} text, an event log is UTF-8" in refused(capfd, "x")[0]
    with Path("x").open("rb") as file, pytest.raises(InputError, match=f"pipe: is {encoding[:6]} text") as caught:
        list(read_stream(file, "pipe"))
    assert f"iconv -f {encoding[:6]} -t UTF-8" in caught.value.hint


def test_a_pipe_does_not_block(capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("x.jsonl")
    assert main(["events", "x.jsonl"]) == 66
    message, hint = capfd.readouterr().err.splitlines()
    assert "not a regular file" in message
    assert "doorlight events - < x.jsonl" in hint


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


def test_a_sparse_file_of_a_terabyte_is_no_log(capfd: pytest.CaptureFixture[str]) -> None:
    Path("x.jsonl").write_bytes(b"{")
    os.truncate("x.jsonl", 1 << 40)
    assert main(["events", "x.jsonl"]) == 66
    assert "is not an event log" in printable_output(capfd)


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


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8\xff\xe0 a picture \n of many \n lines",
        b"[camera]\nsource = 'picamera'\n",
        b'{\n  "name": "a JSON file",\n  "lines": 4\n}\n',
        b'{"name": "another"}\n',
        b"\n",
        bytes(100_000),
        b"\x1f\x8b\x08 no gzip",
    ],
    ids=["picture", "settings", "JSON", "JSON line", "empty line", "zeros", "damaged gzip"],
)
def test_a_file_that_is_no_log(content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    Path("x.jsonl").write_bytes(content)
    _, errors = events(capfd, code=66)
    assert errors[0] == "doorlight: x.jsonl: is not an event log: it has no events"
    assert len(errors) == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_log_in_another_encoding_is_named(encoding: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("x.jsonl").write_text(CALM % (1, 1), encoding=encoding)
    assert f"is {encoding[:6].upper()} text, an event log is UTF-8" in events(capfd, code=66)[1][0]


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


def test_following_a_file_that_is_no_log_ends(capfd: pytest.CaptureFixture[str]) -> None:
    Path("x.jsonl").write_text("Dear diary\n")
    assert "is not an event log" in events(capfd, "--follow", code=66)[1][0]


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
