"""What the pages show."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from edge.doctor import runner
from edge.doctor.finding import Finding
from edge.errors import ConfigError
from edge.events.record import encode, utc_text
from edge.web.page import LANGUAGE_COOKIE
from edge.web.pages import events, health, setup
from edge.web.registry import PAGES
from edge.web.token import TokenCheck
from support.command import environment
from support.web import TOKEN, make_client


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(
        runner, "run_checks", lambda host, names: iter([("clock", Finding("note", "<b>late</b>", "set it"))])
    )
    with make_client(folder) as client:
        yield client


def write_log(folder: Path, moments: list[datetime], **fields: object) -> None:
    with (folder / "events.jsonl").open("wb") as log:
        for seq, moment in enumerate(moments, 1):
            record = {"seq": seq, "time": utc_text(moment.timestamp()), "t": 0.0, "event": "masked", "person": seq}
            log.write(encode({**record, **fields}))


def test_the_address_alone_opens_the_first_page(client: TestClient) -> None:
    assert client.get("/").headers["location"] == PAGES[0].path == "/live"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_page_is_whole(client: TestClient, page: object, language: str) -> None:
    path = page.path  # type: ignore[attr-defined]
    answer = client.get(path, headers={"accept-language": language})
    assert answer.status_code == 200
    assert f'<html lang="{language}">' in answer.text
    assert f'href="{path}" aria-current="page"' in answer.text
    assert len(re.findall("<h1", answer.text)) == 1
    assert not re.search(r"https?://|style=|<script(?! type=)|onclick", answer.text), (
        "nothing inline, nothing from elsewhere"
    )
    for link in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
        assert client.get(link).status_code == 200
    ids = re.findall(r' id="([^"]+)"', answer.text)
    assert len(ids) == len(set(ids))
    for name in re.findall(r'<label for="([^"]+)"', answer.text):
        assert name in ids


def test_a_language_that_is_chosen_is_kept(client: TestClient) -> None:
    answer = client.get("/events?language=de")
    assert "Ereignisse" in answer.text
    assert LANGUAGE_COOKIE in answer.headers["set-cookie"]
    assert "Ereignisse" in client.get("/events").text
    assert "<h1>Events" in client.get("/events?language=xx", headers={"cookie": f"doorlight-token={TOKEN}"}).text


def test_unknown_pages_say_so(client: TestClient) -> None:
    answer = client.get("/statistic")
    assert answer.status_code == 404
    assert "There is no such page." in answer.text


def test_no_door_is_said_at_once_and_without_a_picture(client: TestClient) -> None:
    answer = client.get("/live/next?after=0")
    assert answer.status_code == 204
    assert answer.headers["doorlight-state"] == "off"
    assert client.get("/live/picture.jpg").status_code == 404


def test_no_log_is_said(client: TestClient) -> None:
    answer = client.get("/events")
    assert answer.status_code == 200
    assert "there is no event log" in answer.text


def test_an_empty_log_and_one_that_is_none(client: TestClient, folder: Path) -> None:
    (folder / "events.jsonl").write_bytes(b"")
    assert "There are no such events on this day." in client.get("/events").text
    (folder / "events.jsonl").write_text("a shopping list\n")
    assert "is not an event log" in client.get("/events").text


def test_events_of_another_version_and_hostile_texts_are_escaped(client: TestClient, folder: Path) -> None:
    write_log(folder, [datetime.now()], event="<script>alert(1)</script>", reason="<img src=x>")
    text = client.get("/events").text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_events_are_those_of_the_day_newest_first(client: TestClient, folder: Path) -> None:
    noon = datetime.now().astimezone().replace(hour=12, minute=0, second=0, microsecond=0)
    yesterday = noon - timedelta(days=1)
    write_log(folder, [yesterday, yesterday + timedelta(minutes=1), yesterday + timedelta(days=1)])
    text = client.get(f"/events?day={yesterday.date()}").text
    assert re.findall(r"person (\d+) wears a mask", text) == ["2", "1"]
    assert re.findall(r">(\d\d:\d\d:\d\d)</time>", text) == ["12:01:00", "12:00:00"]
    assert f"day={noon.date()}" in text


def test_filters_and_pages_of_a_day(client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "ROWS_PER_PAGE", 2)
    yesterday = datetime.now().astimezone().replace(hour=12) - timedelta(days=1)
    write_log(folder, [yesterday + timedelta(seconds=k) for k in range(5)])
    shown = [
        re.findall(r"person (\d+) wears", client.get(f"/events?day={yesterday.date()}&page={page}").text)
        for page in (1, 2, 3, 4)
    ]
    assert shown == [["5", "4"], ["3", "2"], ["1"], []]
    assert "wears" not in client.get(f"/events?day={yesterday.date()}&show=problems").text
    assert "wears" in client.get(f"/events?day={yesterday.date()}&show=people").text


@pytest.mark.parametrize(
    "query",
    [
        "day=2026-02-30",
        "day=x",
        "day=0001-01-01",
        "day=9999-12-31",
        "page=-1",
        "page=1e9",
        "page=" + "9" * 400,
        "show=x",
    ],
)
def test_nonsense_in_the_address_shows_today(client: TestClient, folder: Path, query: str) -> None:
    write_log(folder, [datetime.now()])
    answer = client.get(f"/events?{query}")
    assert answer.status_code == 200
    assert "wears a mask" in answer.text


def test_an_unchanged_log_is_not_read_again(client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(folder, [datetime.now()])
    tag = client.get("/events").headers["etag"]
    monkeypatch.setattr(events, "read_day", None)
    assert client.get("/events", headers={"if-none-match": tag}).status_code == 304
    monkeypatch.undo()
    write_log(folder, [datetime.now(), datetime.now()])
    assert client.get("/events", headers={"if-none-match": tag}).status_code == 200


def test_every_filter_names_kinds_that_exist() -> None:
    from edge.events.text import KINDS

    known = {kind.lower() for kind in KINDS}
    for _, kinds in events.FILTERS.values():
        assert kinds <= known


def test_health_shows_findings_as_text(client: TestClient) -> None:
    text = client.get("/health").text
    assert "&lt;b&gt;late" in text
    assert "→ set it" in text
    assert "worth a look" in text


def test_health_asks_only_what_this_service_may_see() -> None:
    assert set(health.CHECKS) <= set(runner.CHECKS)
    assert not {"camera", "lights", "coral", "models", "permissions"} & set(health.CHECKS)


FORM_KEY = TokenCheck(TOKEN, None).form_key(TOKEN)


def lines(client: TestClient, zone: str, ignore: str = "") -> SimpleNamespace:
    answer = client.post(
        "/setup/lines",
        data={"zone": zone, "ignore": ignore, "form_key": FORM_KEY},
        headers={"accept": "application/json"},
    )
    assert answer.status_code == 200
    return SimpleNamespace(**answer.json())


def test_drawn_areas_become_settings_that_load(client: TestClient, tmp_path: Path) -> None:
    from edge import config

    result = lines(client, "0.25 0, 0.75 0, 0.75 1, 0.25 1", "0 0, 0.2 0, 0.2 0.4\n0.8 0.5, 1 0.5, 1 0.9, 0.8 0.9")
    assert result.problem == ""
    file = tmp_path / "door.toml"
    file.write_text(result.lines)
    door = config.load(file).door
    assert door.zone == ((0.25, 0.0), (0.75, 0.0), (0.75, 1.0), (0.25, 1.0))
    assert len(door.ignore) == 2
    assert door.ignore[1][2] == (1.0, 0.9)


def test_no_areas_are_settings_too(client: TestClient) -> None:
    assert lines(client, "").lines == "[door]\nzone = []\nignore = []\n"


@pytest.mark.parametrize(
    ("zone", "ignore", "problem"),
    [
        ("0 0, 1 1", "", "needs at least 3 corners"),
        ("0 0, 1 1, 1 0, 0 1", "", "crosses itself"),
        ("0 0, 0.5 0.5, 1 1", "", ""),
        ("0 0, 1 0, 2 2", "", "is not a corner"),
        ("0 0, 1 0, nan 1", "", "is not a corner"),
        ("0 0, 1 0, 1", "", "is not a corner"),
        ("<b>", "", "is not a corner"),
        (", ".join(["0 0"] * 101), "", "more than 100 corners"),
        ("", "0 0, 1 0, 1 1, 0 1", "covers the whole picture"),
        ("", "\n".join(["0 0, 0.1 0, 0.1 0.1"] * 21), "more than 20 areas"),
    ],
)
def test_wrong_areas_are_explained(client: TestClient, zone: str, ignore: str, problem: str) -> None:
    result = lines(client, zone, ignore)
    assert result.lines == ""
    assert problem in result.problem
    assert result.problem


def test_the_form_works_without_scripts(client: TestClient) -> None:
    form = {"zone": "0 0, 1 0, 1 1", "ignore": "", "form_key": FORM_KEY}
    text = client.post("/setup/lines", data=form).text
    assert "zone = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]" in text
    assert ">0 0, 1 0, 1 1</textarea>" in text


def test_set_up_begins_with_the_areas_of_the_settings(folder: Path) -> None:
    settings = "[door]\nzone = [[0.1, 0.2], [0.9, 0.2], [0.5, 1.0]]\n"
    with make_client(folder, settings=settings) as client:
        assert ">0.1 0.2, 0.9 0.2, 0.5 1</textarea>" in client.get("/setup").text
    with make_client(folder, settings="[door]\nzone = 7\n") as client:
        answer = client.get("/setup")
    assert answer.status_code == 200
    assert "door.zone" in answer.text


def test_lines_are_checked_as_settings_are() -> None:
    with pytest.raises(ConfigError):
        setup.settings_lines("0 0, 1 0", "")


@pytest.mark.parametrize("area", ["0 0,{}x", "0 0,0 0{}x", "(0 0{})x", "0{}"])
def test_many_blanks_take_no_time(area: str) -> None:
    """In a child, because a regular expression that tries all of them could not be interrupted here."""
    code = f"from edge.web.pages.setup import parse_area; parse_area({area!r}.format(' ' * 1_000_000))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    assert "is not a corner" in done.stderr


def test_statistics_show_the_people_of_a_period_in_the_language_of_the_reader(client: TestClient, folder: Path) -> None:
    now = datetime.now().astimezone()
    write_log(folder, [now - timedelta(days=9), now - timedelta(minutes=5), now - timedelta(minutes=4)], track=1)
    german = client.get("/statistics?since=30d", headers={"accept-language": "de"}).text
    assert re.search(r"<dt>beurteilte Personen</dt><dd>3</dd>", german)
    assert 'class="doorlight-chart"' in german
    assert re.search(r"<dt>people judged</dt><dd>2</dd>", client.get("/statistics?since=1d").text)
    assert re.search(r'value="7d" selected', client.get("/statistics?since=<b>").text)


def test_statistics_without_a_log_say_so(client: TestClient, folder: Path) -> None:
    text = client.get("/statistics").text
    assert re.search(r'<p class="problem">[^<]*events\.jsonl', text)
