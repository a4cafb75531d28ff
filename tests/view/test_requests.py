"""What may be asked about a frame, and which faces of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge import config
from edge.policy import Person, Verdict
from edge.records import Box, Frame, Track
from edge.view.explainer import Question
from edge.view.offer import Offer
from edge.view.requests import MAX_FACES, DoorRequests
from support.view import decision, frame


class Asked:
    """Stands for the explainer: collects questions."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.forgotten: list[object] = []
        self.is_closed = False

    def ask(self, question: Question, client: object, reply: object) -> None:
        self.questions.append(question)

    def forget(self, client: object) -> None:
        self.forgotten.append(client)

    def close(self) -> None:
        self.is_closed = True


def track(number: int, box: Box, t: float = 1.0, last_seen: float | None = None) -> Track:
    return Track(number, box, 0.3, 0.0, t if last_seen is None else last_seen, 9, 0.0, t, evidence=-2.0)


def offer(t: float = 1.0, **fields: Any) -> Offer:
    faces = fields.pop("faces", (Box(1, 2, 3, 4),))
    picture: Frame | None = fields.pop("frame", frame(int(t)))
    return Offer(picture, decision(t, **fields), faces, 15.0)


def ask(request: dict[str, Any], offers: list[Offer], settings: str = "", folder: Path | None = None) -> Any:
    """Return the state of the answer, or the question."""
    loaded = config.load()
    if folder is not None:
        (folder / "door.toml").write_text(settings)
        loaded = config.load(folder / "door.toml")
    asked, answers = Asked(), []
    requests = DoorRequests(loaded, lambda: asked)  # type: ignore[arg-type, return-value]
    requests.handle({"id": 1, **request}, offers, "client", lambda answer, _: answers.append(answer["state"]))
    requests.forget("client")
    requests.close()
    assert len(answers) + len(asked.questions) == 1
    if asked.questions:
        assert asked.is_closed
        assert asked.forgotten == ["client"]
        return asked.questions[0]
    return answers[0]


FACE = Box(10, 10, 30, 30)
EXPLAIN = {"ask": "explain"}


@pytest.mark.parametrize(
    "request_",
    [
        {"ask": "shell"},
        {"ask": None},
        {"ask": ["explain"]},
        {"ask": "explain", "stage": "smell"},
        {"ask": "explain", "stage": 1},
        {"ask": "explain", "t": "now"},
        {"ask": "explain", "t": [1]},
        {"ask": "\ud800"},
        {"ask": "explain", "stage": "\ud800"},
        {"ask": "explain", "\ud800": 1},
    ],
)
def test_what_is_no_request(request_: dict[str, Any]) -> None:
    assert ask(request_, [offer(tracks=(track(1, FACE),))]) == "malformed"


def test_why_there_is_no_explanation(tmp_path: Path) -> None:
    assert ask(EXPLAIN, []) == "no_picture"
    assert ask(EXPLAIN, [offer(frame=None, fault="lost")]) == "no_picture"
    assert ask(EXPLAIN, [offer()]) == "no_face"
    assert ask(EXPLAIN, [offer(tracks=(track(1, FACE, last_seen=0.5),))]) == "no_face", "a person who has gone"
    seen = [offer(tracks=(track(1, FACE),))]
    off = "[expression]\nenabled = false"
    assert ask({**EXPLAIN, "stage": "expression"}, seen, off, tmp_path) == "off"
    assert ask({**EXPLAIN, "stage": "expression"}, seen).job["stage"] == "expression"


def test_the_frame_that_is_shown_or_else_the_newest() -> None:
    offers = [offer(float(k), tracks=(track(k, FACE, float(k)),)) for k in range(1, 4)]
    assert ask({**EXPLAIN, "t": 2.0}, offers).about["t"] == 2.0
    assert ask({**EXPLAIN, "t": 2.0}, offers).picture is offers[1].frame.picture  # type: ignore[union-attr]
    assert ask(EXPLAIN, offers).about["t"] == 3.0
    assert ask({**EXPLAIN, "t": 99.0}, offers).about["t"] == 3.0, "it is not kept any more"
    assert ask({**EXPLAIN, "t": float("nan")}, offers).about["t"] == 3.0


def test_the_key_tells_frames_and_stages_apart() -> None:
    def key(t: float, stage: str) -> object:
        return ask({**EXPLAIN, "stage": stage}, [offer(t, tracks=(track(1, FACE, t),))]).key

    assert key(1.0, "mask") == key(1.0, "mask")
    assert len({key(1.0, "mask"), key(2.0, "mask"), key(1.0, "face")}) == 3


def test_people_and_faces_that_do_not_count_the_largest_first() -> None:
    small, large, poster = Box(0, 0, 5, 5), Box(20, 0, 44, 30), Box(50, 10, 60, 20)
    people = {1: Person(0.0, Verdict.MASKED, 7)}
    hidden = (small, large, poster)
    seen = offer(tracks=(track(1, small), track(2, large)), people=people, outside=(poster,), faces=hidden)
    question = ask(EXPLAIN, [seen])
    assert question.job == {"stage": "mask", "faces": [large, poster, small], "hidden": hidden}
    about = question.about["people"]
    assert [(one["counts"], one["person"]) for one in about] == [(True, None), (False, None), (True, 7)]
    assert about[0]["box"] == [20 / 64, 0.0, 24 / 64, 30 / 48]
    assert question.about["left_out"] == 0


def test_a_crowd_is_limited() -> None:
    crowd = tuple(track(k, Box(k, 0, k + 4, 4 + k)) for k in range(MAX_FACES + 3))
    question = ask(EXPLAIN, [offer(tracks=crowd)])
    assert len(question.job["faces"]) == len(question.about["people"]) == MAX_FACES
    assert question.about["left_out"] == 3
