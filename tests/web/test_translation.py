"""The catalogues: complete, in gettext's format, and part of the package."""

from __future__ import annotations

import ast
import re
import string
from importlib import resources
from pathlib import Path

import pytest

import edge.web
from edge.doctor import picture_quality
from edge.events.record import utc_text
from edge.events.text import MESSAGES, describe_event
from edge.statistics import phrases
from edge.web.pages.live import WORDS
from edge.web.translation import LANGUAGES, choose, read_catalogue, translations

WEB = Path(edge.web.__file__).parent
OTHERS = list(LANGUAGES)[1:]


def messages() -> set[str]:
    """Return every message of the templates, the modules, the events and the statistics."""
    found = {*MESSAGES, *phrases.MESSAGES}
    quoted = r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
    for path in WEB.glob("templates/*.html"):
        text = path.read_text(encoding="utf-8")
        found |= {ast.literal_eval(message) for message in re.findall(rf"\b_\({quoted}\)", text)}
        for one, many in re.findall(rf"\bngettext\({quoted}, {quoted},", text):
            found.add(f"{ast.literal_eval(one)}\0{ast.literal_eval(many)}")
    for path in WEB.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "N_":
                found.add(ast.literal_eval(node.args[0]))
    return found


def catalogue(language: str) -> dict[str, str]:
    text = resources.files(edge.web).joinpath("locale", f"{language}.po").read_text(encoding="utf-8")
    return read_catalogue(text)


def fields(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("language", OTHERS)
def test_every_message_is_translated_and_none_is_left_over(language: str) -> None:
    there = set(catalogue(language)) - {""}
    assert messages() - there == set()
    assert there - messages() == set()


@pytest.mark.parametrize("language", OTHERS)
def test_translations_have_the_same_fields(language: str) -> None:
    for message, translation in catalogue(language).items():
        if message and "[" not in message:
            for form in translation.split("\0"):
                assert fields(message.partition("\0")[0]) == fields(form), message


def test_gettext_reads_what_is_compiled() -> None:
    german = translations("de")
    assert german.gettext("no mask") == "keine Maske"
    assert german.gettext("not in the catalogue") == "not in the catalogue"
    assert translations("en").gettext("no mask") == "no mask"


def test_plurals_comments_and_unfinished_messages() -> None:
    text = '# c\nmsgid ""\nmsgstr ""\n"a\\n"\n\n#: x.py\nmsgid "one"\nmsgid_plural "many"\nmsgstr[0] "eins"\nmsgstr[1] "vi"\n"ele"\n'
    text += '\n#, fuzzy\nmsgid "old"\nmsgstr "alt"\n\nmsgid "empty"\nmsgstr ""\n'
    assert read_catalogue(text) == {"": "a\n", "one\0many": "eins\0viele"}


@pytest.mark.parametrize(
    ("chosen", "header", "language"),
    [
        (None, "", "en"), (None, "de-CH,de;q=0.9,en;q=0.8", "de"), (None, "fr,de;q=0.2,en;q=0.5", "en"),
        ("de", "en", "de"), ("xx", "de", "de"), (None, "de;q=0", "en"), (None, "*;q=x,,;;", "en"), (None, "," * 5000, "en"),
    ],
)  # fmt: skip
def test_choice_of_language(chosen: str | None, header: str, language: str) -> None:
    assert choose(chosen, header) == language


def test_events_in_german() -> None:
    record = {"event": "masked", "person": 3, "evidence": 2.94, "time": utc_text(0)}
    german = translations("de").gettext
    assert describe_event(record, german) == "Person 3 trägt eine Maske (95 % sicher)"
    signal = {"event": "signal", "signal": "STOP", "before": "IDLE", "people": 1}
    assert describe_event(signal, german) == "jemand trägt keine Maske (war IDLE, 1 Person)"
    view = {"event": "view", "state": "began"}
    assert describe_event(view) == "watching on the page began"
    assert describe_event(view, german) == "das Zusehen auf der Seite hat begonnen"
    strange = {"event": "view", "state": "x{y}"}
    assert describe_event(strange) == "watching on the page x{y}"


@pytest.mark.parametrize(
    "measures",
    [
        picture_quality.Measures(60, 50, 0.2, 30, 9),
        picture_quality.Measures(200, 200, 0.5, 30, 9),
        picture_quality.Measures(20, 20, 0.0, 30, 9),
        picture_quality.Measures(100, 100, 0.0, 30, 1),
        picture_quality.Measures(100, 100, 0.0, 30, 20),
    ],
)
def test_every_verdict_about_the_picture_has_words(measures: picture_quality.Measures) -> None:
    _, result, fix = picture_quality.judge(measures)
    assert result in WORDS
    assert not fix or fix in WORDS


def test_every_word_of_the_scripts_exists() -> None:
    used = set()
    for path in WEB.glob("static/*.js"):
        used |= set(re.findall(r'\bword\("(\w+)"', path.read_text(encoding="utf-8")))
    assert used <= set(WORDS)
