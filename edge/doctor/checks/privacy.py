"""Check `privacy`: whether the questions of a lawful start are answered."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

from ...system.files import read_toml
from ..finding import Finding
from ..host import Host


def check(host: Host) -> Iterator[Finding]:
    """Yield one finding: a note if a question is not answered."""
    settings, path = host.settings, host.option("config")
    expressions = "expressions are read" if settings.expression.enabled else "no expression is read"
    if settings.expression.reads_masked:
        expressions += ", above a mask too"
    if not path:
        yield Finding("ok", f"default settings, as for a trial: {expressions}")
        return
    missing = [] if _answers_expressions(path) else ["[expression] enabled"]
    missing += [f"[privacy] {key}" for key in settings.privacy.unanswered]
    if missing:
        reason = "" if settings.privacy.answers_required else ", because [privacy] answers_required is false"
        yield Finding(
            "note",
            f"not answered: {', '.join(missing)}; {expressions}{reason}",
            f"add them to {path}, with [privacy] answers_required = true; doorlight check-config explains them",
        )
        return
    privacy = settings.privacy
    yield Finding("ok", f"{expressions}; responsible: {privacy.controller}; sign: {privacy.sign}")


def _answers_expressions(path: str) -> bool:
    """Return whether the settings file itself says if expressions may be read. False for a wrong file."""
    with contextlib.suppress(OSError, ValueError, tomllib.TOMLDecodeError):
        return "enabled" in read_toml(Path(path)).get("expression", {})
    return False
