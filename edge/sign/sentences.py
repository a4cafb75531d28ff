"""What the sign says: the sentences that follow from the settings, in one language."""

from __future__ import annotations

from typing import NamedTuple

from ..config import Config
from .texts import TEXTS

#: Bytes of the event log for one visit: verdict, signal, and both again when the person goes. Measured with the demo clip.
VISIT_BYTES = 700


class Section(NamedTuple):
    """A heading and its paragraphs. One that ends with a colon is completed by hand."""

    heading: str
    paragraphs: tuple[str, ...]


def title(language: str) -> str:
    """Return the title of the sign."""
    return TEXTS[language]["title"]


def sections(config: Config, language: str) -> list[Section]:
    """Return the sections of the sign in a language of TEXTS."""
    texts = TEXTS[language]
    return [
        Section(texts["looked_at"], _looked_at(config, texts)),
        Section(texts["kept"], _kept(config, texts)),
        Section(texts["seen_by"], _seen_by(config, texts)),
        Section(texts["ask"], _whom_to_ask(config, texts)),
    ]


def _looked_at(config: Config, texts: dict[str, str]) -> tuple[str, ...]:
    expression = config.expression
    identity = texts["identity" if config.people.enabled else "no_identity"]
    if not expression.enabled:
        return f"{texts['masks']} {texts['lights']}", f"{texts['no_expressions']} {identity}"
    names = ", ".join(texts[name] for name in expression.agitated)
    read = texts["expressions_masked" if expression.reads_masked else "expressions"].format(expressions=names)
    alarm = "alarm"
    if "buzzer" in config.lights.pins:
        alarm = "alarm_buzzer_bare" if expression.reads_masked and not expression.alarms_masked else "alarm_buzzer"
    expressions = f"{read} {texts[alarm]} {identity}"
    return f"{texts['masks']} {texts['lights']}", expressions


def _kept(config: Config, texts: dict[str, str]) -> tuple[str, ...]:
    log = texts["log_expressions" if config.expression.enabled else "log"]
    visits = f"{visits_in_log(config):,}".replace(",", texts["thousands"])
    templates = f" {texts['templates']}" if config.people.enabled else ""
    return (f"{texts['no_picture']} {log.format(visits=visits)} {texts['hours']}{templates}",)


def visits_in_log(config: Config) -> int:
    """Return how many visits the full event log holds, rounded to two digits."""
    visits = config.events.rotate_bytes * (config.events.keep_files + 1) // VISIT_BYTES
    return max(int(float(f"{visits:.1e}")), 1)


def _seen_by(config: Config, texts: dict[str, str]) -> tuple[str, ...]:
    faces = texts["faces_shown" if config.web.show_faces else "faces_hidden"]
    page = texts["page_on" if config.web.enabled else "page_off"].format(faces=faces)
    return (f"{page} {texts['link' if config.link.is_wanted else 'no_link']}",)


def _whom_to_ask(config: Config, texts: dict[str, str]) -> tuple[str, ...]:
    controller, notice = config.privacy.controller.strip(), config.privacy.notice
    responsible = texts["responsible"].format(controller=controller) if controller else texts["responsible_blank"]
    return responsible, texts["rights"], *([texts["notice"].format(notice=notice)] if notice else [])
