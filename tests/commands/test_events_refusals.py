"""`doorlight events` and files that are no event log, or hostile ones."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cli import main
from edge.errors import InputError
from edge.events.reader import read_stream
from support.command import printable_output
from support.event_log import CALM
from support.paths import CLIP

STILL = CLIP.with_name("still.jpg")
#: Characters that control a terminal.
ESCAPE = "\x1b]0;you\x07\x9b2J\u202e\n"


def refused(capfd: pytest.CaptureFixture[str], log: str, *args: str) -> list[str]:
    """Return the message and the hint with which a log is refused."""
    assert main(["events", log, *args]) == 66
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
    errors = refused(capfd, "x.jsonl")
    assert errors[0] == "doorlight: x.jsonl: is not an event log: it has no events"
    assert len(errors) == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_log_in_another_encoding_is_named(encoding: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("x.jsonl").write_text(CALM % (1, 1), encoding=encoding)
    assert f"is {encoding[:6].upper()} text, an event log is UTF-8" in refused(capfd, "x.jsonl")[0]


def test_following_a_file_that_is_no_log_ends(capfd: pytest.CaptureFixture[str]) -> None:
    Path("x.jsonl").write_text("Dear diary\n")
    assert "is not an event log" in refused(capfd, "x.jsonl", "--follow")[0]
