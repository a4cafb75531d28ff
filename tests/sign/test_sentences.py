"""The sentences of the sign follow the settings, in each language."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from edge import config
from edge.sign.sentences import sections, visits_in_log
from edge.sign.texts import TEXTS


def settings(tmp_path: Path, text: str) -> config.Config:
    path = tmp_path / "door.toml"
    path.write_text(text, encoding="utf-8")
    return config.load(path)


def text_of(loaded: config.Config, language: str = "en") -> str:
    return "\n".join("\n".join(part.paragraphs) for part in sections(loaded, language))


def fields(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("language", [code for code in TEXTS if code != "en"])
def test_every_text_is_translated_with_its_fields(language: str) -> None:
    assert list(TEXTS[language]) == list(TEXTS["en"])
    for key, text in TEXTS[language].items():
        assert fields(text) == fields(TEXTS["en"][key]), key
        # Such a paragraph is completed by hand.
        assert text.endswith(":") == TEXTS["en"][key].endswith(":"), key


@pytest.mark.parametrize(
    ("text", "there", "absent"),
    [
        ("", "(angry, disgust)", "are not read"),
        ("[expression]\nenabled = false", "Expressions of faces are not read.", "agitated"),
        ('[expression]\nagitated = ["fear"]', "(fear)", "angry"),
        ("", "a buzzer sounds", "this is noted"),
        ("", "Of faces without a mask, it also", "with a mask too"),
        ("[expression]\nmasked = true", "with a mask too (angry, disgust)", "Of faces without a mask"),
        ("[expression]\nmasked = true", "this is noted; without a mask, a buzzer sounds", "agitated, a buzzer"),
        ("[expression]\nmasked = true\nmasked_alarm = true", "agitated, a buzzer sounds", "this is noted"),
        ('[expression]\nmasked = true\n[lights]\nbuzzer = "none"', "agitated, this is noted.", "buzzer"),
        ("[expression]\nenabled = false\nmasked = true", "Expressions of faces are not read.", "with a mask too"),
        ('[lights]\nbuzzer = "none"', "this is noted", "buzzer"),
        ("", "Nobody is recognised.", "template"),
        ("[people]\nenabled = true", "who have agreed to be recognised here", "Nobody is recognised"),
        ("[people]\nenabled = true", "a template of the face are kept, encrypted", "Nobody is recognised"),
        ("", "faces are then hidden", "live"),
        ("[web]\nshow_faces = true", "faces are then visible", "hidden"),
        ("[web]\nenabled = true", "watch the picture live; faces are then hidden", "Nobody watches"),
        ("", "Nothing else leaves the box.", "other systems"),
        ('[link]\nbroker = "mqtts://broker.example.org"', "sent to other systems", "Nothing else"),
        ("", "the last 36,000 visits", "700"),
        ("[events]\nrotate_bytes = 4096\nkeep_files = 1", "the last 11 visits", ","),
        ("", "\nResponsible:\n", "More:"),
        ('[privacy]\ncontroller = "A & B"\nnotice = "https://a.b/c"', "Responsible: A & B\n", "Responsible:\n"),
        ('[privacy]\ncontroller = "{0}"\nnotice = "https://a.b/{x}"', "More: https://a.b/{x}", "Responsible:\n"),
    ],
)
def test_the_sentences_follow_the_settings(tmp_path: Path, text: str, there: str, absent: str) -> None:
    said = text_of(settings(tmp_path, text))
    assert there in said
    if absent != ",":
        assert absent not in said


def test_german() -> None:
    said = text_of(config.load(), "de")
    assert "etwa den letzten 36.000 Besuchen" in said
    assert "(wütend, angewidert)" in said


def test_a_tiny_log_holds_one_visit(tmp_path: Path) -> None:
    assert visits_in_log(config.load()) == 36000
    assert visits_in_log(settings(tmp_path, "[events]\nrotate_bytes = 4096\nkeep_files = 1")) == 11
