"""Bring this door's people and those of a shared database together: a three-way merge.

The third side is what the database had when this door looked last. So a person who is missing on one side was removed
there, if they were in the database then, and else is new on the other. A removal takes precedence over a change.
"""

from __future__ import annotations

import msgspec

from ..errors import InputError
from .record import Person, Synced
from .store import Content
from .transfer import Received, check, current, with_cards_of

#: Number of earlier revisions whose digests a revision has (4 KB). A door that has missed more changes cannot compare.
MAX_HISTORY = 256


def joined(mine: Content, theirs: Received, where: str) -> Content:
    """Return the people of this door and of the database `where`, and remember what the database has.

    A store without people joins the installation of the database, so that its cards count here. Raises InputError if the
    database is older than before, does not go on from that, or is of another installation, if two people have one name,
    or if there are too many.
    """
    before = mine.installation.synced or Synced(0, ())
    if theirs.revision < before.revision:
        raise InputError(
            f"{where}: has revision {theirs.revision}, and this door knows revision {before.revision}: it is an old copy",
            "restore the newest backup of the database; an old one would bring back people who were removed. If there is none: "
            "people sync --rejoin",
        )
    others = theirs.content.installation
    if (mine.people or mine.installation.cards) and others.id != mine.installation.id:
        raise InputError(
            f"{where}: has the people of another installation",
            "doorlight people export here, import it where the database is filled, and remove the people here",
        )
    _check_history(before, theirs, where)
    # With one installation on both sides, this door's cards are kept. An empty door takes the other's.
    kept = mine.installation if others.id == mine.installation.id else others
    installation = with_cards_of(kept, others)
    people = _people({p.id: p for p in mine.people}, {p.id: p for p in current(theirs.content)}, before)
    check(people, "here or there, and sync again")
    return Content(
        msgspec.structs.replace(installation, synced=_synced(theirs.content, theirs.revision, theirs.digest)), people
    )


def is_ahead(mine: Content, theirs: Content | None) -> bool:
    """Return whether this door has people, removals or cards that the database lacks. None is an empty database."""
    if theirs is None:
        return True
    return set(current(mine)) != set(current(theirs)) or not _cards(mine) <= _cards(theirs)


def noted(mine: Content, sent: Content, revision: int, digest: bytes) -> Content:
    """Return this door's content, with a note that the database has `sent` as `revision`."""
    return _with(mine, _synced(sent, revision, digest))


def forgotten(mine: Content) -> Content:
    """Return this door's content, without what it knows of the database."""
    return _with(mine, None)


def next_history(theirs: Received | None) -> tuple[bytes, ...]:
    """Return the digests of the revisions before the one that follows `theirs`."""
    return () if theirs is None else (*theirs.history, theirs.digest)[-MAX_HISTORY:]


def _check_history(before: Synced, theirs: Received, where: str) -> None:
    """Raise InputError if the database does not go on from what this door has seen.

    Otherwise an old copy of it that another door has written to would bring back people who were removed here.
    """
    steps = theirs.revision - before.revision
    known = (*theirs.history, theirs.digest)
    if before.digest and steps < len(known) and known[-1 - steps] != before.digest:
        raise InputError(
            f"{where}: its revision {before.revision} is not the one that this door knows: an old copy was put in its place, "
            "and written to",
            "restore the newest backup of the database; or start again from what it has: people sync --rejoin",
        )


def _with(mine: Content, synced: Synced | None) -> Content:
    return mine._replace(installation=msgspec.structs.replace(mine.installation, synced=synced))


def _synced(content: Content, revision: int, digest: bytes) -> Synced:
    return Synced(revision, tuple(sorted(person.id for person in current(content))), digest)


def _cards(content: Content) -> set[tuple[str, bool]]:
    return {(card.number, card.is_revoked) for card in content.installation.cards}


def _people(mine: dict[str, Person], theirs: dict[str, Person], before: Synced) -> tuple[Person, ...]:
    found = []
    for number in {**mine, **theirs}:
        sides = [side[number] for side in (mine, theirs) if number in side]
        if len(sides) == 2 or number not in before.people:
            found.append(max(sides, key=lambda person: person.consent.at))
    return tuple(found)
