"""The page Why: it asks the door, turns the answer into words, and shows nothing that the door has not drawn."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from edge.config import Expression
from edge.explain.explanation import Stage, percent
from edge.explain.regions import Region
from edge.view import server as view_server
from edge.view.connection import BURST
from edge.view.server import Reply, ViewServer
from edge.web import feed as feed_module
from edge.web.feed import Answer, DoorFeed, NoAnswerError
from edge.web.pages import why
from edge.web.rate_limit import RateLimit
from edge.web.translation import translations
from support.view import number_and_size
from support.wait import wait_until
from support.web import make_client

FACE: dict[str, Any] = {
    "answer": "a mask", "log_odds": -4.2, "probability": 0.015, "is_bounded": False, "scale": 1.5, "tiles": 2,
    "words": [{"speaks": "against", "regions": ["mouth", "chin"]}, {"speaks": "for", "regions": ["hair and ears"]}],
}  # fmt: skip
DONE: dict[str, Any] = {
    "state": "done", "t": 1.0, "stage": "mask", "size": [640, 480], "left_out": 0, "parts": [3, 2, 4],
    "people": [{"counts": True, "person": 7, "box": [0.25, 0.25, 0.5, 0.5]}], "faces": [FACE],
}  # fmt: skip
BODY = b"JPGP1PNG2"


class Door:
    """Answers requests with `answer`, `body`; or not at all if `answer` is None."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = DONE
        self.body = BODY
        self.requests: list[dict[str, Any]] = []
        self.forgotten = 0

    def handle(self, request: dict[str, Any], offers: Any, client: object, reply: Reply) -> None:
        self.requests.append(request)
        if self.answer is not None:
            reply(self.answer, self.body)

    def forget(self, client: object) -> None:
        self.forgotten += 1

    def close(self) -> None:
        pass


@pytest.fixture
def door(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setattr(feed_module, "RECONNECT_S", 0.05)
    monkeypatch.setattr(feed_module, "LINGER_S", 0.1)
    monkeypatch.setattr(feed_module, "FIRST_FRAME_S", 0.01)
    monkeypatch.setattr(view_server, "MAX_FRAME_RATE", 1e9)
    door = Door()
    view = ViewServer(folder / "view.sock", number_and_size(10), group_may_watch=False, requests=door)
    yield door
    view.close()


@pytest.fixture
def client(folder: Path, door: Door) -> Iterator[TestClient]:
    with make_client(folder) as client:
        feed = client.app.state.site.feed  # type: ignore[attr-defined]
        wait_until(lambda: feed.state == "on")
        yield client


def form_key(client: TestClient) -> str:
    found = re.search('name="form_key" value="([^"]+)"', client.get("/why").text)
    assert found is not None
    return found[1]


def explain(client: TestClient, language: str = "en", **fields: str) -> Any:
    data = {"form_key": form_key(client), "stage": "mask", **fields}
    return client.post("/why/explain", data=data, headers={"accept-language": language})


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["Person 7: no mask, 98 % sure", "Mouth and chin: against a mask", "Hair and ears: for a mask", "-4.2"]),
        ("de", ["Person 7: keine Maske, zu 98 % sicher", "Mund und Kinn: gegen eine Maske", "Haare und Ohren: für"]),
    ],
)
def test_words_and_pictures(client: TestClient, language: str, words: list[str]) -> None:
    text = explain(client, language).text
    for sentence in words:
        assert sentence in text
    pictures = re.findall(r'<img src="(/why/[^"]+)"', text)
    answers = [client.get(picture) for picture in pictures]
    assert [answer.content for answer in answers] == [b"JPG", b"P1", b"PNG2"]
    assert [answer.headers["content-type"] for answer in answers] == ["image/jpeg", "image/png", "image/png"]
    for part in ("3", "-1", "x", "%C2%B2", "9" * 5000):
        assert client.get(pictures[0].rpartition("/")[0] + f"/{part}").status_code == 404
    assert client.get("/why/another/0").status_code == 404


def test_the_frame_that_is_shown_is_asked_about(client: TestClient, door: Door) -> None:
    explain(client, t="12.3456", stage="face")
    assert door.requests[-1] == {"ask": "explain", "stage": "face", "t": 12.346, "id": 1}
    for nonsense in ("", "now"):
        explain(client, t=nonsense)
        assert "t" not in door.requests[-1], "a browser without scripts knows no time"


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
def test_a_time_that_is_no_number(client: TestClient, door: Door, number: str) -> None:
    assert explain(client, t=number).status_code == 200
    assert "t" not in door.requests[-1]


@pytest.mark.parametrize(("state", "sentence"), why.PROBLEMS.items())
@pytest.mark.parametrize("language", ["en", "de"])
def test_why_there_is_no_explanation(client: TestClient, door: Door, state: str, sentence: str, language: str) -> None:
    door.answer, door.body = {"state": state}, b""
    text = explain(client, language).text
    assert translations(language).gettext(sentence) in text.replace("&#39;", "'")
    assert '<img src="/why' not in text


@pytest.mark.parametrize(
    "change",
    [
        {"state": 5}, {"parts": [3, 2]}, {"parts": "abc"}, {"parts": [3, 2, 4, -1]}, {"faces": []}, {"faces": [{}]},
        {"faces": [FACE | {"answer": "<b>"}]}, {"faces": [FACE | {"words": [{"speaks": "for", "regions": ["x"]}]}]},
        {"faces": [FACE | {"tiles": 9}]}, {"size": []}, {"size": None}, {"people": [{}]}, {"left_out": None},
        {"faces": [{"reason": "unknown"}]},
    ],
)  # fmt: skip
def test_a_door_of_another_version(client: TestClient, door: Door, change: dict[str, Any]) -> None:
    door.answer = DONE | change
    answer = explain(client)
    assert answer.status_code == 200
    assert "why-problem" in answer.text


def test_a_face_without_an_explanation_and_one_that_does_not_count(client: TestClient, door: Door) -> None:
    poster = {"counts": False, "person": None, "box": [0, 0, 0.1, 0.1]}
    door.answer = DONE | {
        "faces": [FACE, {"reason": "masked"}, {"reason": "no_time"}], "people": [*DONE["people"], poster, poster], "left_out": 2,
    }  # fmt: skip
    text = explain(client, stage="expression").text
    assert "Does not count" in text
    assert "Wears a mask" in text
    assert "Left out: 2" in text


def test_only_our_form_may_ask(client: TestClient, door: Door) -> None:
    assert client.get("/why/explain").status_code == 405
    assert client.post("/why/explain", data={"stage": "mask"}).status_code == 403
    key = form_key(client)
    foreign = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    assert client.post("/why/explain", data={"form_key": key}, headers=foreign).status_code == 403
    assert client.post("/why/explain", data={"form_key": key, "stage": "smell"}).status_code == 400
    assert door.requests == []


def test_who_asks_too_often_does_not_cut_off_the_viewers(client: TestClient, door: Door) -> None:
    feed = client.app.state.site.feed  # type: ignore[attr-defined]
    # The clock stands: on a busy machine the questions would come slowly enough.
    feed._asking = RateLimit(feed_module.ASK_BURST, feed_module.ASK_PER_S, lambda: 0.0)
    texts = [explain(client).text for _ in range(feed_module.ASK_BURST + 10)]
    assert "The door explains another picture" in texts[-1]
    assert feed.state == "on"
    assert len(door.requests) < BURST


def test_the_last_pictures_are_kept(client: TestClient) -> None:
    numbers = [re.findall(r"/why/([^/]+)/0", explain(client).text)[0] for _ in range(why.KEPT + 1)]
    found = [client.get(f"/why/{number}/0").status_code for number in numbers]
    assert found == [404] + [200] * why.KEPT


def test_without_a_door(folder: Path) -> None:
    with make_client(folder) as client:
        assert "The door does not answer" in explain(client).text


def test_a_door_that_goes_away_while_it_explains(client: TestClient, door: Door, folder: Path) -> None:
    door.answer = None
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.append(explain(client).text))
    thread.start()
    wait_until(lambda: door.requests)
    (connection,) = [view for view in threading.enumerate() if view.name == "view"]
    assert connection.is_alive()
    feed = client.app.state.site.feed  # type: ignore[attr-defined]
    feed._writer.transport.abort()
    thread.join(60)
    assert "The door does not answer" in texts[0]


def test_the_door_is_watched_while_it_explains_and_not_longer(folder: Path, door: Door) -> None:
    door.answer = None

    async def scenario() -> None:
        feed = DoorFeed(lambda: [folder / "view.sock"])
        running = asyncio.create_task(feed.run())
        while feed.state != "on":
            await asyncio.sleep(0.01)
        asked = asyncio.create_task(feed.ask({"ask": "explain"}, 30, is_watching=True))
        await asyncio.sleep(0.8)
        assert feed._is_watching, "otherwise the door would drop the question"
        asked.cancel()
        async with asyncio.timeout(60):
            while feed._is_watching:
                await asyncio.sleep(0.01)
        with pytest.raises(NoAnswerError):
            await feed.ask({"ask": "explain"}, 0.05)
        assert feed._asked == {}
        running.cancel()

    asyncio.run(scenario())
    wait_until(lambda: door.forgotten)


def test_every_word_of_the_explanations_is_known_to_the_page() -> None:
    """The page cannot import them: it has no NumPy."""
    assert set(why.REGIONS) == {region.value for region in Region}
    assert set(why.ANSWERS) == {"a mask", "a face", *Expression.__args__}  # type: ignore[attr-defined]
    assert set(why.STAGES) == {stage.value for stage in Stage}
    assert why.answer_text("angry or disgust", translations("de").gettext) == "wütend oder angewidert"


@pytest.mark.parametrize("share", [0.5, 0.912, 0.99, 0.9987])
def test_shares_are_never_rounded_to_all(share: float) -> None:
    assert "100" not in why.percent(share, str)
    assert "100" not in percent(share)


def test_an_explanation_does_not_hold_up_the_live_picture(client: TestClient, door: Door) -> None:
    door.answer = None
    thread = threading.Thread(target=lambda: explain(client))
    thread.start()
    wait_until(lambda: door.requests)
    assert client.get("/live").status_code == 200
    assert thread.is_alive(), "the explanation is still waited for"
    client.app.state.site.feed._writer.transport.abort()  # type: ignore[attr-defined]
    thread.join(60)


def test_answers_are_values_and_bytes() -> None:
    answer = why.read_answer(Answer(DONE, BODY), str)
    assert answer.size == (640, 480)
    assert answer.people[0].box == [160.0, 120.0, 320.0, 240.0]
