"""Check `people`: whether the door can recognise enrolled people, and what is kept of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ...counted import counted
from ...errors import DoorlightError
from ..finding import Finding
from ..host import REPAIR, Host

if TYPE_CHECKING:
    from ...people.store import Place

#: Days before the end of a consent from which it is worth renewing.
SOON_DAYS = 30
SPOOF = "a printed picture or a screen may pass for a person"


def check(host: Host) -> Iterator[Finding]:
    """Yield findings about library, model and store; one if recognition is off and nobody is enrolled."""
    is_on = host.settings.people.enabled
    if find_spec("cryptography") is None:
        if is_on:
            yield Finding("bad", "cryptography is not installed: nobody can be recognised", REPAIR)
        else:
            yield Finding("ok", "off: [people] enabled is false")
        return
    from ...people import store

    place = store.place_for(host.settings.people.file, host.uses_service_options and bool(host.unit_property("User")))
    is_there = place is not None and os.path.exists(place.file)
    if not is_on:
        if is_there and place is not None:
            fix = "doorlight people list; remove those whose templates nobody needs"
            yield Finding("note", f"off, but people are enrolled in {place.file}", fix)
        else:
            yield Finding("ok", "off: [people] enabled is false, and nobody is enrolled")
        return
    yield from _model(host)
    if place is None or not is_there:
        yield Finding("note", "on, but nobody is enrolled", "doorlight people add --help")
        return
    yield from _store(host, place)


def _model(host: Host) -> Iterator[Finding]:
    from ...inference import embedder, manifest

    try:
        manifest.load(host.models_folder).read(embedder.NAME)
    except DoorlightError as error:
        yield Finding("bad", str(error), error.hint)


def _store(host: Host, place: Place) -> Iterator[Finding]:
    from ...inference import embedder, manifest
    from ...people import store

    if not os.access(place.file, os.R_OK):
        yield Finding("note", f"{place.file}: only root and the door can look into it", "sudo doorlight doctor")
        return
    try:
        content = store.read(place)
        found = manifest.load(host.models_folder)
    except DoorlightError as error:
        yield Finding("bad", f"{error}; until then nobody is known", error.hint)
        return
    people = content.people if content is not None else ()
    expired = store.expired(content) if content is not None else []
    opens = "may open the door" if host.settings.people.may_open else "opens nothing"
    yield Finding(
        "ok", f"{counted(len(people), 'person', 'people')} in {place.file}, encrypted; who is known {opens}; {SPOOF}"
    )
    if expired:
        fix = "doorlight people list deletes them; the door does it every hour if its clock is set"
        yield Finding(
            "note",
            f"the consent of {counted(len(expired), 'person', 'people')} has expired: the door does not recognise them",
            fix,
        )
    soon = (date.today() + timedelta(days=SOON_DAYS)).isoformat()
    if late := [person for person in people if person not in expired and person.consent.until <= soon]:
        yield Finding(
            "note",
            f"the consent of {counted(len(late), 'person', 'people')} ends before {soon}",
            "people add NAME --replace",
        )
    model = found[embedder.NAME].sha256[:16] if embedder.NAME in found else ""
    if model and (foreign := [person for person in people if person.model != model]):
        yield Finding(
            "note",
            f"{counted(len(foreign), 'person was', 'people were')} enrolled with another model: the door does not know them",
            "people add NAME --replace",
        )
