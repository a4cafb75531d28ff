"""`doorlight stats`: what it prints and writes, and its sentences and exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from edge.cli import main
from edge.commands import stats
from edge.events.record import encode
from edge.statistics import figures
from support.command import command_line, environment, printable_output
from support.played_day import LogWriter, write_log

NOON = datetime(2026, 11, 20, 12).astimezone()


@pytest.fixture
def log() -> LogWriter:
    """Two passages, an alarm, and a blind minute."""
    log = LogWriter(NOON)
    log.start()
    log.passage("masked", 3.5, 0.4)
    log.passage("unmasked", 12.34, 0.8)
    log.signal("ALARM")
    log.signal("FAULT")
    log.wait(60)
    log.signal("IDLE")
    log.wait(3600)
    log.stop()
    return log


def lines(capsys: pytest.CaptureFixture[str], *args: str) -> list[str]:
    assert main(["stats", *args]) == 0
    return capsys.readouterr().out.splitlines()


def error(capfd: pytest.CaptureFixture[str], exit_code: int, *args: str) -> str:
    """Run the command and return the error. Checks that it is one line followed by a hint."""
    assert main(["stats", *args]) == exit_code
    found = capfd.readouterr().err.splitlines()
    assert len(found) == 2, found
    assert found[0].startswith("doorlight: ")
    assert found[1].strip()
    return found[0]


def test_the_groups_are_those_of_the_figures() -> None:
    assert stats.GROUPS == figures.GROUPS


def test_the_table(log: LogWriter, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(Path("doorlight-events.jsonl"), log.records)
    found = lines(capsys)
    assert found[:11] == [
        "Door statistics, 2026-11-20 12:00 to 2026-11-20 13:01",
        "doorlight-events.jsonl",
        "",
        "  people judged               2",
        "  with a mask            50.0 %   1 of 2; 95 % interval 9.5 % to 90.5 %",
        "  without a mask              1",
        "  alarms                      1",
        "  time at the door       3.50 s   median; 90 % within 12.3 s",
        "  time to decide         0.40 s   median; 90 % within 0.80 s",
        "  uptime              1 h 1 min   100 % of the time",
        "  FAULT                   1 min   1.6 % of the uptime",
    ]
    assert "12:00 ###########            2       50.0 %    9.5 – 90.5 %       1       1 min" in found
    assert max(map(len, found)) <= 80
    assert any("passages, not persons" in line for line in found)


def test_a_played_video(capsys: pytest.CaptureFixture[str]) -> None:
    log = LogWriter(NOON)
    log.start(source="door.mp4", live=False)
    log.passage()
    log.stop()
    write_log(Path("doorlight-events.jsonl"), log.records)
    found = "\n".join(lines(capsys))
    assert "people judged               1" in found
    assert "By hour of the video" in found
    assert main(["stats", "--by", "day"]) == 2
    assert "played videos only" in capsys.readouterr().err


def test_json_and_csv(log: LogWriter, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(Path("e.jsonl"), log.records)
    found = json.loads("\n".join(lines(capsys, "e.jsonl", "--json", "--by", "weekday")))
    assert found["total"] == {
        "people": 2, "masked": 1, "share_masked": 0.5, "share_low": 0.0945, "share_high": 0.9055, "alarms": 1,
        "dwell_median_s": 3.5, "dwell_90_s": 12.3, "decision_median_s": 0.4, "decision_90_s": 0.8,
        "fault_s": 60.0, "up_s": 3675.84,
    }  # fmt: skip
    assert [group["people"] for group in found["groups"]] == [0, 0, 0, 0, 2, 0, 0]
    assert found["groups"][4]["weekday"] == "Friday"
    assert found["begin"] == NOON.isoformat(timespec="milliseconds")
    rows = list(csv.DictReader(io.StringIO("\n".join(lines(capsys, "e.jsonl", "--csv", "--by", "day")))))
    assert [(row["day"], row["people"], row["share_masked"]) for row in rows] == [("2026-11-20", "2", "0.5")]


def test_files(log: LogWriter, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(Path("e.jsonl"), log.records)
    assert lines(capsys, "e.jsonl", "--html", "r.html", "--by", "day") == []
    assert Path("r.html").read_text().startswith("<!DOCTYPE html>")
    assert lines(capsys, "e.jsonl", "--svg", "b.svg") == []
    assert Path("b.svg").read_text().startswith("<svg")
    assert sorted(path.name for path in Path().iterdir()) == ["b.svg", "e.jsonl", "r.html"], "nothing else is written"


@pytest.mark.parametrize("name", ["events.jsonl", "./events.jsonl", "events.jsonl.1", "hours.jsonl"])
def test_the_log_is_not_overwritten(log: LogWriter, capfd: pytest.CaptureFixture[str], name: str) -> None:
    write_log(Path("events.jsonl.1"), log.records)
    Path("events.jsonl").touch()
    assert main(["stats", "events.jsonl", "--keep"]) == 0
    capfd.readouterr()
    before = Path(name).read_bytes()
    assert "is a file of the event log" in error(capfd, 2, "events.jsonl", "--html", name)
    assert Path(name).read_bytes() == before


def test_since_and_until(log: LogWriter, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(Path("e.jsonl"), log.records)
    found = json.loads(
        "\n".join(lines(capsys, "e.jsonl", "--since", "2026-11-20 12:00:05", "--until", "2026-11-20", "--json"))
    )
    assert found["total"]["people"] == 0
    assert found["begin"] == (NOON + timedelta(seconds=5)).isoformat(timespec="milliseconds")
    assert "no events" in lines(capsys, "e.jsonl", "--since", "today")[0]


def test_keep(log: LogWriter, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(Path("events.jsonl"), log.records)
    assert lines(capsys, "events.jsonl", "--keep") == ["hours.jsonl: updated, hours: 1"]
    assert lines(capsys, "events.jsonl", "--keep") == ["hours.jsonl: unchanged, hours: 1"]
    Path("events.jsonl").unlink()
    found = lines(capsys, "events.jsonl")
    assert "  people judged               2" in found
    assert "There is no log; all hours come from the file of hours." in found


@pytest.mark.parametrize(
    ("args", "exit_code", "says"),
    [
        (["none.jsonl"], 66, "none.jsonl: there is no event log"),
        (["none.jsonl", "--keep"], 66, "none.jsonl: there is no event log"),
        (["shopping.txt"], 66, "shopping.txt: is not an event log: it has no events"),
        (["shopping.txt", "--keep"], 66, "shopping.txt: is not an event log: it has no events"),
        (["wide.jsonl"], 66, "wide.jsonl: is UTF-16 text, an event log is UTF-8"),
        (["."], 66, ".: is a folder, not an event log"),
        (["e.jsonl", "--since", "soon"], 2, "'soon' is not a time"),
        (["e.jsonl", "--since", "2026-11-21", "--until", "2026-11-20"], 2, "--since 2026-11-21 is not before --until"),
        (["e.jsonl", "--keep", "--since", "1d"], 2, "--keep takes all hours"),
        (["-", "--keep"], 2, "standard input has no file of hours"),
        (["e.jsonl", "--played", "--by", "day"], 2, "--by day: a played video has hours only"),
        (["e.jsonl", "--svg", "none/b.svg"], 74, "none/b.svg: there is no folder none"),
        (["e.jsonl", "--html", "."], 74, ".: cannot be written: Is a directory"),
        (["newer.jsonl", "--keep"], 74, "hours-newer.jsonl: was written by a newer version of Doorlight"),
    ],
)
def test_errors(log: LogWriter, capfd: pytest.CaptureFixture[str], args: list[str], exit_code: int, says: str) -> None:
    write_log(Path("e.jsonl"), log.records)
    write_log(Path("newer.jsonl"), log.records)
    Path("hours-newer.jsonl").write_text('{"v":9}\n')
    Path("shopping.txt").write_text("milk\n")
    Path("wide.jsonl").write_text('{"event": "calm"}\n', encoding="utf-16")
    assert says in error(capfd, exit_code, *args)


@pytest.mark.parametrize("option", ["--svg", "--html"])
def test_commands_of_hints_can_be_pasted(log: LogWriter, capfd: pytest.CaptureFixture[str], option: str) -> None:
    write_log(Path("e.jsonl"), log.records)
    Path("a b/c").mkdir(parents=True)
    Path("a b/my log.jsonl").touch()
    Path("x y.zip").write_bytes(b"PK\3\4" + bytes(100))
    for args, hint in (
        (["e.jsonl", option, "/x y;z/a.svg"], "mkdir -p '/x y;z'"),
        (["e.jsonl", option, "a b/c"], "ls -ld 'a b'"),
        (["a b"], "name the log in it: doorlight stats 'a b/my log.jsonl'"),
        (["x y.zip"], "'x y.zip' | doorlight stats -"),
    ):
        assert main(["stats", *args]) != 0
        assert capfd.readouterr().err.splitlines()[-1].endswith(hint)


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"], ["--svg", "x.svg"], ["--html", "x.html"]])
def test_an_empty_log(form: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("e.jsonl").touch()
    assert main(["stats", "e.jsonl", *form]) == 0
    assert capsys.readouterr().err == ""


def test_a_log_of_another_version(capsys: pytest.CaptureFixture[str], log: LogWriter) -> None:
    log.records += [{"seq": 99, "time": "2026-11-20T15:00:00.000Z", "event": "waved", "hand": "left"}]
    write_log(Path("e.jsonl"), log.records)
    assert "Events of kinds that this version does not know: 1." in lines(capsys, "e.jsonl")
    del log.records[-1]
    old = [{k: v for k, v in record.items() if k not in ("decision_s", "live")} for record in log.records]
    write_log(Path("e.jsonl"), old)
    found = lines(capsys, "e.jsonl")
    assert "  people judged               2" in found
    assert "  time to decide              –   unknown" in found, "older versions did not write it"


def test_damaged_lines_are_said(capsys: pytest.CaptureFixture[str], log: LogWriter) -> None:
    write_log(Path("e.jsonl"), log.records)
    with Path("e.jsonl").open("ab") as file:
        file.write(b"\0\0\0\n{\n")
    assert "Damaged lines of the log that were skipped: 2." in lines(capsys, "e.jsonl")
    assert main(["stats", "e.jsonl", "--csv"]) == 0
    assert "doorlight: note: Damaged lines of the log that were skipped: 2." in capsys.readouterr().err


def test_names_cannot_control_the_terminal(capfd: pytest.CaptureFixture[str], log: LogWriter) -> None:
    name = "\x1b]0;you\x07\x9b2J.jsonl"
    write_log(Path(name), log.records)
    assert main(["stats", name]) == 0
    assert main(["stats", name, "--keep"]) == 0
    printable_output(capfd)


def test_a_log_through_a_pipe(log: LogWriter) -> None:
    done = subprocess.run(
        command_line("stats", "-"), input=b"".join(map(encode, log.records)), capture_output=True, timeout=60,
        check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0
    assert b"people judged               2" in done.stdout


def test_played_videos_have_no_time_span(capfd: pytest.CaptureFixture[str]) -> None:
    log = LogWriter(NOON)
    log.start(live=False, source="a.mp4")
    log.passage()
    log.stop()
    write_log(Path("played.jsonl"), log.records)
    assert "have clocks of their own" in error(capfd, 2, "played.jsonl", "--since", "1h")


@pytest.mark.parametrize("command", [["stats"], ["events"], ["explain"]])
def test_an_address_is_refused_without_its_password(command: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "http://user:secret@door/x", "out.png"][: 3 if command == ["explain"] else 2])
    assert caught.value.code == 2
    message = capfd.readouterr().err
    assert "is an address: give a file of this machine" in message
    assert "secret" not in message
