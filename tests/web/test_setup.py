"""Set up changes the areas of the door, if the settings allow it: over the socket, since the page cannot write."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from edge import areas_file, config
from edge.areas_file import Areas, AreasFile
from edge.view import area_keeper
from edge.view.area_keeper import AreaKeeper, Change
from edge.view.requests import DoorRequests
from edge.view.server import Reply, ViewServer
from edge.web import feed as feed_module
from edge.web.page import MAX_FORM_BYTES
from edge.web.pages import setup
from edge.web.token import TokenCheck
from edge.web.translation import translations
from support.view import number_and_size
from support.wait import wait_until
from support.web import TOKEN, make_client

FORM_KEY = TokenCheck(TOKEN, None).form_key(TOKEN)
OPEN = "[web]\nmay_configure = true\n"
HALF = "0 0, 0.5 0, 0.5 1, 0 1"


class Door:
    """Gives the same answer to every request."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []

    def handle(self, request: dict[str, Any], offers: Any, client: object, reply: Reply) -> None:
        self.requests.append(request)
        reply(self.answer, b"")

    def forget(self, client: object) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "RECONNECT_S", 0.05)
    monkeypatch.setattr(area_keeper, "EVERY_S", 0.0)


@pytest.fixture
def changes() -> list[Change]:
    return []


@pytest.fixture
def client(folder: Path, changes: list[Change]) -> Iterator[TestClient]:
    """The page of a door that may be configured."""
    settings = folder / "door.toml"
    settings.write_text(OPEN)
    keeper = AreaKeeper(config.load(settings), folder / "areas.toml", settings, changes.append)
    requests = DoorRequests(config.load(settings), lambda: pytest.fail("nobody asks why"), keeper)
    view = ViewServer(folder / "view.sock", number_and_size(10), group_may_watch=False, requests=requests)
    with make_client(folder, settings=OPEN) as client:
        connect(client)
        yield client
    view.close()


def connect(client: TestClient) -> None:
    feed = client.app.state.site.feed  # type: ignore[attr-defined]
    wait_until(lambda: feed.state == "on")


def post(client: TestClient, what: str, zone: str = "", ignore: str = "", **headers: str) -> Any:
    form = {"zone": zone, "ignore": ignore, "form_key": FORM_KEY}
    return client.post(f"/setup/{what}", data=form, headers=headers)


def test_apply_and_undo(client: TestClient, changes: list[Change], folder: Path) -> None:
    page = client.get("/setup").text
    assert 'formaction="/setup/apply"' in page
    assert 'formaction="/setup/undo"' not in page, "there is nothing to undo"
    text = post(client, "apply", HALF, "0.6 0, 0.8 0, 0.8 0.2").text
    assert "The door uses these areas from now on." in text
    assert str(folder / "areas.toml") in text
    assert f">{HALF}</textarea>" in text
    assert changes[-1].zone.zone == ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    assert len(changes[-1].zone.ignore) == 1
    assert f">{HALF}</textarea>" in client.get("/setup").text
    assert "already" in post(client, "apply", HALF, "0.6 0, 0.8 0, 0.8 0.2").text
    text = post(client, "undo").text
    assert "The last change is undone." in text
    assert HALF not in text
    assert changes[-1].zone == areas_file.Zone()
    assert 'formaction="/setup/undo"' in text, "an undo can be undone"


def test_areas_that_check_config_would_refuse(client: TestClient, changes: list[Change]) -> None:
    for zone, problem in (("0 0, 1 1, 1 0, 0 1", "crosses itself"), ("0 0, 1 1", "at least 3"), ("<b>", "no corner")):
        text = html.unescape(post(client, "apply", zone).text)
        assert problem.replace("no corner", "is not a corner") in text
        assert f">{zone}</textarea>" in text, "what was typed is not lost"
    assert changes == []


def test_only_our_own_form_with_the_token_changes_anything(client: TestClient, changes: list[Change]) -> None:
    form = {"zone": HALF, "ignore": ""}
    for what in ("apply", "undo"):
        assert client.get(f"/setup/{what}").status_code == 405
        assert client.post(f"/setup/{what}", data=form).status_code == 403
        assert client.post(f"/setup/{what}", data={**form, "form_key": "0" * 64}).status_code == 403
        assert post(client, what, HALF, origin="http://evil.example").status_code == 403
        assert post(client, what, HALF, **{"sec-fetch-site": "cross-site"}).status_code == 403
        assert post(client, what, " " * MAX_FORM_BYTES).status_code == 413
        assert post(client, what, HALF, host="evil.example").status_code == 403
    client.cookies.clear()
    assert post(client, "apply", HALF).status_code == 401
    assert changes == []


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(("state", "sentence"), setup.REFUSED.items())
def test_a_door_that_refuses(folder: Path, state: str, sentence: str, language: str) -> None:
    door = Door({"state": state, "problem": "<b>disk full"})
    view = ViewServer(folder / "view.sock", number_and_size(10), group_may_watch=False, requests=door)
    try:
        with make_client(folder, settings=OPEN) as client:
            connect(client)
            for what in ("apply", "undo"):
                text = post(client, what, HALF, **{"accept-language": language}).text
                assert translations(language).gettext(sentence) in text
                assert "&lt;b&gt;disk full" in text
    finally:
        view.close()
    assert [request["ask"] for request in door.requests] == ["set_areas", "undo_areas"]


def test_a_door_of_another_version(folder: Path) -> None:
    view = ViewServer(folder / "view.sock", number_and_size(10), group_may_watch=False, requests=Door({}))
    try:
        with make_client(folder, settings=OPEN) as client:
            connect(client)
            assert "could not be saved" in post(client, "apply", HALF).text
    finally:
        view.close()


def test_without_a_door_and_without_the_setting(folder: Path) -> None:
    with make_client(folder, settings=OPEN) as client:
        assert "The door does not answer" in post(client, "apply", HALF).text
    with make_client(folder) as client:
        page = client.get("/setup").text
        assert "/setup/apply" not in page
        assert "may_configure = true" in page


def test_the_page_names_the_settings_file_of_the_door(folder: Path) -> None:
    with make_client(folder) as client:
        page = client.get("/setup").text
        assert f"Put these lines into {folder / 'door.toml'}" in page
        assert "/etc/doorlight" not in page
        site = client.app.state.site  # type: ignore[attr-defined]
        object.__setattr__(site, "config_file", None)
        page = client.get("/setup").text
    assert "Put these lines into /etc/doorlight/doorlight.toml" in page
    assert "sudo systemctl restart doorlight" in page


def test_areas_in_force_are_shown_also_if_the_file_is_damaged(folder: Path) -> None:
    with make_client(folder, settings=OPEN) as client:
        areas = AreasFile(str(folder / "door.toml"), "now", Areas(((0.0, 0.0), (0.25, 0.0), (0.25, 1.0))))
        areas_file.write(folder / "areas.toml", areas)
        assert ">0 0, 0.25 0, 0.25 1</textarea>" in client.get("/setup").text
        (folder / "areas.toml").write_text("hello")
        assert client.get("/setup").status_code == 200
