"""The page Doors: off without a database, what it shows of each door, and how often it asks."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

pytest.importorskip("psycopg", reason="the extra `fleet` is not installed")

from edge import config
from edge.cli import main
from edge.errors import UnavailableError, UsageError
from edge.fleet import overview, table
from edge.fleet.database import DatabaseError
from edge.fleet.overview import DoorSummary, Trouble
from edge.web import registry
from edge.web.pages import doors
from support.web import make_client

DATABASE = "postgresql://office@db.example/doorlight"


def door(name: str, trouble: Trouble = Trouble.NONE, **values: object) -> DoorSummary:
    fields: dict[str, object] = {
        "last_seen": datetime.now(UTC) - timedelta(minutes=3, seconds=9), "is_online": True, "signal": "IDLE", "blind_since": None,
        "version": "0.2.0", "newer_version": "", "alarms": 0, "missing": 0, "problem": "",
    }  # fmt: skip
    return DoorSummary(name, trouble, **{**fields, **values})  # type: ignore[arg-type]


class Database:
    """Stands in for the query. `asked` counts the questions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.doors: list[DoorSummary] = []
        self.error: Exception | None = None
        self.asked = 0
        monkeypatch.setattr(overview, "load", self._load)

    def _load(self, address: object, days: int = 7, timeout_s: int | None = None) -> list[DoorSummary]:
        assert timeout_s is not None, "a request must not wait for ever"
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.doors


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    return Database(monkeypatch)


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with make_client(folder, fleet_database=DATABASE) as client:
        yield client


def test_off_without_a_database(folder: Path) -> None:
    assert config.load().web.fleet_database == ""
    with make_client(folder) as client:
        assert client.get("/doors").status_code == 404
        assert "/doors" not in client.get("/events").text


def test_the_same_rules_as_for_other_pages(folder: Path, database: Database) -> None:
    with make_client(folder, token=None, fleet_database=DATABASE) as client:
        assert client.get("/doors").status_code == 401
    with make_client(folder, fleet_database=DATABASE) as client:
        assert client.get("/doors", headers={"host": "evil.example"}).status_code == 403
        assert client.post("/doors").status_code == 405
    assert database.asked == 0


def cells(text: str) -> list[list[str]]:
    rows = re.findall(r'<tr role="row">\s*(<th role="rowheader".*?)</tr>', text, re.DOTALL)
    return [
        [" ".join(re.sub(r"<[^>]+>", "", cell).split()) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]


def test_a_row_has_what_the_terminal_shows(client: TestClient, database: Database) -> None:
    blind = datetime.now(UTC) - timedelta(hours=3)
    database.doors = [
        door("entrance", Trouble.BLIND, signal="FAULT", blind_since=blind, problem="the camera is lost", missing=12),
        door("ward-2", Trouble.SILENT, last_seen=None, newer_version="0.3.0", alarms=4),
        door("shop"),
    ]
    text = client.get("/doors").text
    since = blind.astimezone().strftime("%Y-%m-%d %H:%M")
    assert cells(text) == [
        ["entrance", "blind the camera is lost", "3 min ago", "FAULT", since, "0.2.0", "0", "12"],
        ["ward-2", "silent for an hour", "never", "IDLE", "–", "0.2.0, 0.3.0 is there", "4", "0"],
        ["shop", "all well", "3 min ago", "IDLE", "–", "0.2.0", "0", "0"],
    ]
    assert "3 doors, 2 in trouble" in text
    german = client.get("/doors", headers={"accept-language": "de"}).text
    assert "3 Türen, 2 mit Störungen" in german
    assert cells(german)[1][1:3] == ["seit einer Stunde still", "nie"]


def test_every_trouble_and_age_has_words() -> None:
    assert doors.TROUBLES.keys() == set(Trouble)
    assert doors.AGES == table.AGES


def test_what_a_door_says_of_itself_is_text(client: TestClient, database: Database) -> None:
    database.doors = [
        door(
            "x",
            Trouble.PROBLEM,
            problem="<script>alert(1)</script>\x1b[2J\u202e" + "y" * 500,
            version="<b>",
            signal='"><i>',
        )
    ]
    text = client.get("/doors").text
    assert not re.search(r"<script>|<b>|<i>|\x1b|\u202e", text)
    assert "y" * 100 not in text


def test_many_people_ask_the_database_once(client: TestClient, database: Database) -> None:
    database.doors = [door("a")]
    assert [client.get("/doors").status_code for _ in range(20)] == [200] * 20
    assert database.asked == 1


@pytest.mark.parametrize("error", [DatabaseError("database x: cannot be reached", "start it"), UsageError("wrong", "")])
def test_a_database_that_is_away_is_said_and_not_asked_again_at_once(
    client: TestClient, database: Database, error: Exception
) -> None:
    database.error = error
    for _ in range(3):
        answer = client.get("/doors")
        assert answer.status_code == 200
        assert str(error) in answer.text
    assert database.asked == 1
    assert client.get("/events").status_code == 200


def test_a_thousand_doors_come_in_pages(client: TestClient, database: Database) -> None:
    database.doors = [door(f"door-{k}") for k in range(1000)]
    first, last = client.get("/doors").text, client.get("/doors?page=5").text
    assert len(cells(first)) == len(cells(last)) == doors.ROWS_PER_PAGE
    assert 'href="/doors?page=2"' in first
    assert "door-999" in last
    assert 'href="/doors?page=6"' not in last
    for page in ("0", "6", "99999", "-1", "x", "²"):
        assert len(cells(client.get("/doors", params={"page": page}).text)) == doors.ROWS_PER_PAGE


def test_no_door_yet(client: TestClient, database: Database) -> None:
    assert "No door has sent anything yet." in client.get("/doors").text


@pytest.mark.parametrize("address", ["postgresql://u:hunter2@db/x", "mysql://db/x", "postgresql://u@hunter2@db/x"])
def test_a_wrong_address_ends_the_service_without_repeating_it(
    address: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = folder / "door.toml"
    settings.write_text(
        f'[web]\nenabled = true\nlisten = "127.0.0.1:0"\nfleet_database = "{address}"\n'.replace(":0", ":1")
    )
    assert main(["web", "--config", str(settings), "--listen", "127.0.0.1:18099"]) == 2
    output = capfd.readouterr().err
    assert "web.fleet_database: " in output
    assert "hunter2" not in output


def test_without_the_library_the_service_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UnavailableError, match=r"web\.fleet_database: the library for PostgreSQL is missing"):
        registry.with_doors((), DATABASE)
