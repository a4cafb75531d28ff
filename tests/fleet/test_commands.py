"""`doorlight collect` and `doorlight fleet`: what they print, their sentences and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.cli import main
from edge.errors import UsageError
from edge.events.record import utc_text
from edge.fleet import database
from edge.fleet.database import Address
from edge.fleet.messages import Content, Gap, Message, read_message
from edge.fleet.secret import read_password
from edge.fleet.store import Store
from fleet.servers import Postgres, free_port
from support.command import command_line, environment

DATABASE = ("--database", "postgresql:///x?host=/nonexistent")
NOW = datetime.now(UTC)


def error(capfd: pytest.CaptureFixture[str], exit_code: int, *args: object) -> str:
    """Run a command and return the error. Checks that it is one line followed by a hint, without a password."""
    assert main(list(map(str, args))) == exit_code
    output = capfd.readouterr().err
    found = output.splitlines()
    assert len(found) == 2, found
    assert found[1].strip()
    assert "hunter2" not in output
    return found[0]


@pytest.fixture(autouse=True)
def keep_signal_handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "expected"),
    [
        ((), 2, "--broker is missing"),
        (("--broker", "b"), 2, "--database is missing"),
        (("--broker", "user:hunter2@b", *DATABASE), 2, "--broker: is not the name of a machine"),
        (("--broker", "http://b", *DATABASE), 2, "--broker: is not the name of a machine"),
        (("--broker", "a,,b", *DATABASE), 2, "--broker: is not the name of a machine"),
        (("--broker", "mqtts://a,b", *DATABASE), 2, "some with TLS, some without"),
        (("--broker", "b:0", *DATABASE), 2, "0 is no port"),
        (("--broker", "b:70000", *DATABASE), 2, "70000 is no port"),
        (("--broker", "mqtt://b", "--ca", "ca.pem", *DATABASE), 2, "mqtt:// is without TLS"),
        (("--broker", "mqtts://b", "--certificate", "c.pem", *DATABASE), 2, "belong together"),
        (("--broker", "b", "--certificate", "c.pem", "--key", "k.pem", *DATABASE), 2, "the broker is without TLS"),
        (("--broker", "b", "--password-file", "p", *DATABASE), 2, "needs --user"),
        (("--broker", "b", "--name", "a/b", *DATABASE), 2, "is not a name"),
        (("--broker", "b", "--group", "#", *DATABASE), 2, "is not a name"),
        (("--broker", "b", "--user", "u", "--password-file", "missing", *DATABASE), 66, "missing: cannot be read"),
        (("--broker", "b", "--ca", "missing.pem", *DATABASE), 66, "--ca: missing.pem: cannot be read: No such file"),
        (("--broker", "b", "--database", "postgresql://u:hunter2@db/x"), 2, "--database: has a password"),
        (("--broker", "b", "--database", "mysql://db/x"), 2, "--database: is not an address of PostgreSQL"),
        (("--broker", "b", "--database", "host=x\udcff"), 2, "--database: is not an address of PostgreSQL"),
        (("--broker", "b", "--user", "u\udcff", *DATABASE), 2, "--user: is not a text in UTF-8"),
        (("--broker", "b", "--user", "u" * 65536, *DATABASE), 2, "--user: is not a text in UTF-8"),
    ],
)
def test_refusals_of_collect(
    arguments: tuple[str, ...], exit_code: int, expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert expected in error(capfd, exit_code, "collect", *arguments)


@pytest.mark.parametrize(
    ("mode", "content", "expected"),
    [
        (0o644, b"hunter2\n", "others may read the password"),
        (0o640, b"hunter2\n", "others may read the password"),
        (0o600, b"", "has no password"),
        (0o600, b"hunter2\nmore\n", "has no password"),
        (0o600, b"\xff", "has no password"),
        (0o600, b"x" * 5000, "cannot be read"),
    ],
)
def test_files_without_a_password(
    mode: int, content: bytes, expected: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    file.chmod(mode)
    found = error(capfd, 66, "collect", "--broker", "b", "--user", "u", "--password-file", file, *DATABASE)
    assert expected in found


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfhunter2\n", b"hunter2\r\n", b"\xef\xbb\xbfhunter2\r\n"])
def test_a_password_file_of_any_editor(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(content)
    (tmp_path / "password").chmod(0o600)
    assert read_password(tmp_path / "password") == "hunter2"


def test_a_certificate_that_is_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("hello")
    assert "ca.pem: is no certificate" in error(capfd, 66, "collect", "--broker", "b", "--ca", file, *DATABASE)


def test_a_pipe_instead_of_a_certificate(tmp_path: Path) -> None:
    pipe = tmp_path / "ca.pem"
    os.mkfifo(pipe)
    arguments = ("collect", "--broker", "b", "--ca", pipe, *DATABASE)
    ended = subprocess.run(
        command_line(*arguments), stderr=subprocess.PIPE, text=True, env=environment(), timeout=120, check=False
    )
    assert ended.returncode == 66
    assert "it is a pipe" in ended.stderr


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["collect", "--print-schema"]) == 0
    assert capsys.readouterr().out == database.schema_text()


def test_collect_waits_for_a_database_and_a_broker() -> None:
    arguments = ("collect", "--broker", f"127.0.0.1:{free_port()}", *DATABASE)
    running = subprocess.Popen(command_line(*arguments), stderr=subprocess.PIPE, text=True, env=environment())
    assert running.stderr is not None
    line = running.stderr.readline()
    running.terminate()
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert line.startswith("doorlight: database x at /nonexistent: cannot be reached: ")
    assert "trying again" in line


def test_the_help_promises_no_colour_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """The table has colours only in a terminal, and `watch` reads a pipe."""
    with pytest.raises(SystemExit):
        main(["fleet", "--help"])
    assert "watch --color" not in capsys.readouterr().out


def test_fleet_without_a_database(capfd: pytest.CaptureFixture[str]) -> None:
    assert "cannot be reached" in error(capfd, 69, "fleet", *DATABASE)
    assert "has a password" in error(capfd, 2, "fleet", "--database", "password=hunter2")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://office:1/hunter2@127.0.0.1:1/doorlight",
        "postgresql://office:hunter2/etpw@127.0.0.1:1/doorlight",
        "postgresql://office/x:hunter2@127.0.0.1:1/doorlight",
        "postgresql://office@hunter2@127.0.0.1:1/doorlight",
        "host=office@hunter2",
    ],
)
def test_no_part_of_a_password_is_printed(address: str, capfd: pytest.CaptureFixture[str]) -> None:
    """libpq takes the rest of a password after a / or an @ for the name of a host or of a database."""
    assert "has an @ in the name" in error(capfd, 2, "fleet", "--database", address)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("port=1 connect_timeout=abc", "connect_timeout"),
        ("port=1 keepalives_idle=hunter2", "keepalives_idle"),
        ("port=1 sslmode=hunter2", "sslmode"),
        ("port=1 ssl_min_protocol_version=x", "ssl_min_protocol_version"),
        ("port=hunter2", "port"),
        ("port=99999", "port"),
        ("port=1,2,3", "port"),
        ("port=1 service=nope", "service"),
    ],
)
def test_a_wrong_value_is_not_tried_again(value: str, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=f"the value of {name} is wrong"):
        database.connect(Address(f"host=127.0.0.1 {value}"))
    assert f"the value of {name} is wrong" in error(capfd, 2, "fleet", "--database", f"host=127.0.0.1 {value}")


def message(topic: str, value: object) -> Content:
    payload = value if isinstance(value, str) else json.dumps(value)
    return read_message(Message(f"doorlight/{topic}", payload.encode()))


def event(door: str, seq: int, kind: str, age: timedelta, **fields: object) -> Content:
    moment = utc_text((NOW - age).timestamp())
    return message(f"{door}/events", {"seq": seq, "time": moment, "event": kind, **fields})


@pytest.fixture
def address(cluster: Postgres) -> str:
    """Doors with one trouble each, and one without."""
    address = cluster.new_database()
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    since = utc_text((NOW - hour).timestamp())
    batch = [
        *(message(f"{door}/availability", "online") for door in ("good", "blind", "gap", "crashed", "worn", "odd", "stopped")),
        *(message(f"{door}/availability", "offline") for door in ("gone", "lost")),
        message("good/state", {"signal": "PASS", "since": since, "version": "0.2.0", "latest_version": "0.3.0"}),
        message("blind/state", {"signal": "FAULT", "since": since, "problem": "the camera is lost", "version": "0.2.0"}),
        message("lost/state", {"signal": "FAULT", "since": since}),
        message("stopped/state", {"signal": "OFF", "since": since}),
        message("worn/state", {"signal": "IDLE", "problem": "the disk is almost full"}),
        message("odd/state", '{"signal": {"a": "\\u0000"}, "since": 7, "version": "\\u001b[2J\\u202e", "problem": []}'),
        *(event("good", k, "signal", minute * 0, signal="ALARM") for k in range(1, 4)),
        event("good", 4, "signal", 3 * 24 * hour, signal="ALARM"),
        *(event("gap", k, "view", hour) for k in (1, 2, 6, 7, 20)),
        event("crashed", 5, "view", hour),
        event("crashed", 1005, "started", hour),
        event("crashed", 1006, "view", hour),
        event("worn", 1, "view", hour),
        event("worn", 10, "log_lost", hour, count=9),
    ]  # fmt: skip
    with database.connect(Address(address)) as db:
        database.prepare(db, Address(address))
        Store(db).write(batch)
        db.execute("INSERT INTO doorlight.doors (door, last_seen) VALUES ('silent', now() - interval '3 days')")
        db.execute("UPDATE doorlight.events SET received = received - interval '1 hour'")
    return address


@pytest.mark.postgres
def test_the_doors_in_trouble_come_first(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "--json", "--database", address]) == 0
    doors = json.loads(capsys.readouterr().out)
    assert [(door["door"], door["trouble"]) for door in doors] == [
        ("blind", "blind"),
        ("lost", "blind"),
        ("stopped", "blind"),
        ("gone", "offline"),
        ("silent", "silent"),
        ("worn", "problem"),
        ("gap", "events missing"),
        ("good", None),
        ("crashed", None),
        ("odd", None),
    ]
    found = {door["door"]: door for door in doors}
    assert found["gap"]["missing_events"] == 3 + 12
    assert found["worn"]["missing_events"] == 9
    assert found["crashed"]["missing_events"] == 0
    assert found["good"]["alarms_today"] in (0, 3), "0 in the first moments of a day"
    assert found["blind"]["blind_since"] == utc_text((NOW - timedelta(hours=1)).timestamp())
    assert found["lost"]["online"] is False
    assert found["good"]["newer_version"] == "0.3.0"


@pytest.mark.postgres
def test_the_table(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "--database", address]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "door"
    assert lines[-1] == "10 doors, 7 in trouble"
    assert any("FAULT" in line and line.endswith("blind: the camera is lost") for line in lines)
    assert any("0.2.0, 0.3.0 is there" in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert any(line.startswith("silent") and "3 days ago" in line for line in lines)


@pytest.mark.postgres
def test_events_that_may_be_on_their_way_are_not_missing(cluster: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    address = cluster.new_database()
    with database.connect(Address(address)) as db:
        database.prepare(db, Address(address))
        Store(db).write([event("a", 1, "view", timedelta()), event("a", 9, "view", timedelta())])
    assert main(["fleet", "--json", "--database", address]) == 0
    assert json.loads(capsys.readouterr().out)[0]["missing_events"] == 0


@pytest.mark.postgres
def test_no_doors_no_tables_and_a_newer_schema(cluster: Postgres, capfd: pytest.CaptureFixture[str]) -> None:
    address = cluster.new_database()
    assert "it has no tables" in error(capfd, 69, "fleet", "--database", address)
    with database.connect(Address(address)) as db:
        database.prepare(db, Address(address))
        assert main(["fleet", "--database", address]) == 0
        assert "no door has sent anything yet" in capfd.readouterr().out
        db.execute("UPDATE doorlight.schema_version SET version = 99")
    assert "is of version 99" in error(capfd, 69, "fleet", "--database", address)
    assert "is of version 99" in error(capfd, 69, "collect", "--broker", "127.0.0.1", "--database", address)


def missing(cluster: Postgres, batch: list[Content], capsys: pytest.CaptureFixture[str]) -> int:
    """Return the number of missing events of the only door."""
    address = cluster.new_database()
    with database.connect(Address(address)) as db:
        database.prepare(db, Address(address))
        Store(db).write(batch)
        db.execute("UPDATE doorlight.events SET received = received - interval '1 hour'")
    assert main(["fleet", "--json", "--database", address]) == 0
    found: int = json.loads(capsys.readouterr().out)[0]["missing_events"]
    return found


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("gaps", "seqs", "expected"),
    [
        ([(2, 9)], (1, 10), 8),  # also seen between the events: once
        ([(2, 9), (5, 12)], (1, 20), 18),
        ([(1, 100)], (101, 102), 100),  # before the first event that is there
        ([(2, 9)], (1, 2, 3, 10), 6),  # two came after all
        ([(1, 2**63 - 1), (1, 2**63 - 3)], (), 2**63 - 2),
    ],
)
def test_gaps_that_the_door_reports_are_missing(
    cluster: Postgres,
    gaps: list[tuple[int, int]],
    seqs: tuple[int, ...],
    expected: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    batch = [Gap("a", first, last) for first, last in gaps]
    online = message("a/availability", "online")
    events = [event("a", seq, "view", timedelta(hours=1)) for seq in seqs]
    assert missing(cluster, [online, *batch, *events], capsys) == expected


@pytest.mark.postgres
@pytest.mark.parametrize(("skipped", "expected"), [(2000, 0), (2001, 2001)])
def test_a_start_skips_no_more_than_a_crash_does(
    skipped: int, expected: int, cluster: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    hour = timedelta(hours=1)
    assert missing(cluster, [event("a", 1, "view", hour), event("a", skipped + 2, "started", hour)], capsys) == expected


@pytest.mark.postgres
def test_events_before_the_clock_was_set_are_not_missing(cluster: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    since_1970 = NOW - datetime(1970, 1, 1, tzinfo=UTC)
    batch = [event("a", seq, "view", since_1970 if 2 < seq < 9 else timedelta(hours=1)) for seq in range(1, 20)]
    assert missing(cluster, batch, capsys) == 0
