"""Why: which pixels of each face speak for and against the answer of a model, for the frame that is shown.

The door explains the frame in a process of its own, and draws the pictures: hidden faces stay hidden. This page turns the
result into words.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..feed import Answer, NoAnswerError
from ..page import Page, language_of, read_form, render, site_of
from ..translation import N_, translations
from .live import WORDS

#: Longer than a door takes at most (seconds), and shorter than a request may take.
TIMEOUT_S = 55.0
#: Interval at which it is noticed that the browser has gone (seconds). The door then stops.
CHECK_S = 0.5
#: Explanations whose pictures are kept for browsers: the last ones.
KEPT = 4

STAGES = {
    "mask": N_("Does the face wear a mask?"),
    "expression": N_("Which expression has the face?"),
    "face": N_("Why is this a face?"),
}
#: Why there is no explanation, by the state of the door's answer.
PROBLEMS = {
    "no_picture": N_("There is no picture."),
    "no_face": N_("There is no face in the picture."),
    "off": N_("The settings turn this off."),
    "busy": N_("The door explains another picture. Try again in a few seconds."),
    "slow": N_("Explaining takes too long on this box. Try again when fewer people are in the picture."),
    "failed": N_("The picture could not be explained. Try again."),
    "no_answer": N_("The door does not answer. Is it running, and of the same version as this page?"),
}
#: Why there is no explanation of one face.
REASONS = {
    "masked": N_("Wears a mask: the door does not read the expression."),
    "no_time": N_("Left out: explaining takes too long on this box."),
}
REGIONS = {
    "forehead": N_("forehead"),
    "eyes": N_("eyes"),
    "nose": N_("nose"),
    "mouth": N_("mouth"),
    "chin": N_("chin"),
    "cheeks": N_("cheeks"),
    "hair and ears": N_("hair and ears"),
    "surroundings": N_("surroundings"),
}
#: Answers of the models, after "for" and "against".
ANSWERS = {
    "a mask": N_("a mask"),
    "a face": N_("a face"),
    "angry": N_("angry"),
    "disgust": N_("disgust"),
    "fear": N_("fear"),
    "happy": N_("happy"),
    "sad": N_("sad"),
    "surprise": N_("surprise"),
    "neutral": N_("neutral"),
}
_VERDICTS = (N_("mask, {p} sure"), N_("no mask, {p} sure"), N_("face, {p} sure"), N_("{answer}, {p} sure"))
_ABOVE_MASK = N_("perhaps {answer} above the mask, {p}")
_WORDS = (N_("{regions}: for {answer}"), N_("{regions}: against {answer}"))
_AND, _OR = N_(" and "), N_(" or ")
_UNCLEAR = N_("No region speaks clearly for or against {answer}.")
_MORE_THAN = N_("more than {p}")
_PERSON, _NEW_PERSON, _IGNORED = N_("Person {n}"), N_("New person"), N_("Does not count")


class Person(NamedTuple):
    """A face and its explanation in words, or the `reason` why there is none.

    `box` is [left, top, width, height] in pixels of the frame. `tile` is the number of the face's picture; that of the heat
    map follows it.
    """

    name: str
    box: list[float]
    reason: str = ""
    verdict: str = ""
    sentences: Sequence[str] = ()
    answer: str = ""
    score: float = 0.0
    scale: float = 0.0
    is_bounded: bool = False
    tile: int = 0


class Explained(NamedTuple):
    """An explanation as the template shows it. `parts` are its pictures: the frame, then two tiles for each face."""

    number: str
    size: tuple[int, int]
    people: list[Person]
    left_out: int
    parts: list[bytes]


async def show(request: Request) -> Response:
    """Return the page."""
    return _page(request)


async def explain(request: Request) -> Response:
    """Return the page with the explanation of the frame of a form: its time and a stage."""
    form = await read_form(request)
    stage = form.get("stage", "mask")
    if stage not in STAGES:
        raise HTTPException(400)
    asked: dict[str, Any] = {"ask": "explain", "stage": stage}
    with contextlib.suppress(ValueError):
        if math.isfinite(t := float(form.get("t", ""))):
            asked["t"] = round(t, 3)
    try:
        answer = await _ask(request, asked)
        state = str(answer.values["state"])
        if state != "done":
            return _page(request, stage, problem=PROBLEMS.get(state, PROBLEMS["failed"]))
        explained = read_answer(answer, translations(language_of(request)).gettext)
    except NoAnswerError:
        return _page(request, stage, problem=PROBLEMS["no_answer"])
    except (KeyError, TypeError, ValueError):  # of another version
        return _page(request, stage, problem=PROBLEMS["no_answer"])
    _keep(request, explained)
    return _page(request, stage, explained)


async def picture(request: Request) -> Response:
    """Return a picture of an explanation that was made a short while ago: /why/NUMBER/PART."""
    parts = _kept(request).get(request.path_params["number"], [])
    text = request.path_params["part"]
    # Not {part:int} in the route: Starlette answers 500, with a traceback, to more digits than Python takes.
    part = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else len(parts)
    if part >= len(parts):
        raise HTTPException(404)
    return Response(parts[part], media_type="image/png" if part else "image/jpeg")


def _page(request: Request, stage: str = "mask", explained: Explained | None = None, problem: str = "") -> Response:
    return render(request, "why.html", words=WORDS, stages=STAGES, stage=stage, explained=explained, problem=problem)


async def _ask(request: Request, asked: dict[str, Any]) -> Answer:
    """Return the door's answer. Raises NoAnswerError, also if the browser has gone: the door then need not go on."""
    waiting = asyncio.create_task(site_of(request).feed.ask(asked, TIMEOUT_S, is_watching=True))
    try:
        while not (await asyncio.wait([waiting], timeout=CHECK_S))[0]:
            if await request.is_disconnected():
                raise NoAnswerError
        return await waiting
    finally:
        waiting.cancel()


def _kept(request: Request) -> OrderedDict[str, list[bytes]]:
    kept: OrderedDict[str, list[bytes]] = site_of(request).kept.setdefault(PAGE.path, OrderedDict())
    return kept


def _keep(request: Request, explained: Explained) -> None:
    kept = _kept(request)
    kept[explained.number] = explained.parts
    while len(kept) > KEPT:
        kept.popitem(last=False)


def read_answer(answer: Answer, translate: Callable[[str], str]) -> Explained:
    """Return what the template shows of an answer. Raises KeyError, TypeError or ValueError if it is malformed."""
    values, parts, start = answer.values, [], 0
    for length in values["parts"]:
        parts.append(answer.body[start : start + length])
        start += length
    if start != len(answer.body):
        raise ValueError("the pictures have another length")
    width, height = values["size"]
    people, part = [], 1
    for face, about in zip(values["faces"], values["people"], strict=True):
        box = [round(share * side, 1) for share, side in zip(about["box"], (width, height) * 2, strict=True)]
        person = Person(_name_of(about, translate), box)
        if "reason" in face:
            people.append(person._replace(reason=translate(REASONS[face["reason"]])))
            continue
        person = person._replace(
            verdict=verdict(face, translate),
            sentences=sentences(face, translate),
            answer=answer_text(face["answer"], translate),
            score=float(face["log_odds"]),
            scale=float(face["scale"]),
            is_bounded=bool(face["is_bounded"]),
            tile=part,
        )
        people.append(person)
        part += int(face["tiles"])
    if part != len(parts):
        raise ValueError("the number of pictures is another")
    return Explained(secrets.token_urlsafe(12), (int(width), int(height)), people, int(values["left_out"]), parts)


def _name_of(about: Mapping[str, Any], translate: Callable[[str], str]) -> str:
    if not about["counts"]:
        return translate(_IGNORED)
    return translate(_PERSON).format(n=int(about["person"])) if about["person"] else translate(_NEW_PERSON)


def verdict(face: Mapping[str, Any], translate: Callable[[str], str]) -> str:
    """Return the answer about a face in words: "no mask, 99 % sure"."""
    share, answer = float(face["probability"]), str(face["answer"])
    if face.get("is_above_mask"):
        message = _ABOVE_MASK
    elif answer == "a mask":
        message, share = (_VERDICTS[0], share) if face["log_odds"] >= 0 else (_VERDICTS[1], 1 - share)
    else:
        message = _VERDICTS[2] if answer == "a face" else _VERDICTS[3]
    return translate(message).format(p=percent(share, translate), answer=answer_text(answer, translate))


def percent(share: float, translate: Callable[[str], str]) -> str:
    """Return a share as a percentage that is never rounded to 100."""
    return translate(_MORE_THAN).format(p="99 %") if share > 0.99 else f"{100 * share:.0f} %"


def sentences(face: Mapping[str, Any], translate: Callable[[str], str]) -> list[str]:
    """Return the strongest regions in words: ["Mouth and chin: against a mask"]."""
    answer = answer_text(str(face["answer"]), translate)
    lines = []
    for group in face["words"]:
        names = [translate(REGIONS[region]) for region in group["regions"]]
        joined = translate(_AND).join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        line = translate(_WORDS[0 if group["speaks"] == "for" else 1]).format(regions=joined, answer=answer)
        lines.append(line[:1].upper() + line[1:])
    return lines or [translate(_UNCLEAR).format(answer=answer)]


def answer_text(answer: str, translate: Callable[[str], str]) -> str:
    """Return an answer of a model in words: "a mask"; "angry or disgust"."""
    return translate(_OR).join(translate(ANSWERS[part]) for part in answer.split(" or "))


PAGE = Page(
    "/why",
    N_("Why"),
    [
        Route("/why", show),
        Route("/why/explain", explain, methods=["POST"]),
        Route("/why/{number}/{part}", picture),
    ],
)
