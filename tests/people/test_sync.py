"""What `doorlight people sync` keeps of the people of a door and of the shared database, without a database."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edge.errors import InputError
from edge.people import consent, sync, transfer
from edge.people.record import IssuedCard, Person, Synced
from edge.people.store import Content, Installation
from edge.people.transfer import Received
from support.people import FUTURE, PAST, person

pytestmark = pytest.mark.usefixtures("quick_passphrases")
ADA, BOB, EVE = person("Ada", 1), person("Bob", 2), person("Eve", 3)
HERE = Installation(b"8 bytes.", bytes(32), 0.0)


def content(*people: Person, before: Synced | None = None, installation: Installation = HERE) -> Content:
    return Content(msgspec.structs.replace(installation, synced=before), people)


def names(of: Content | None) -> list[str]:
    return sorted(each.name for each in of.people) if of else []


@pytest.mark.parametrize(
    ("mine", "theirs", "before", "expected"),
    [
        ((), (ADA,), (), ["Ada"]),
        ((ADA,), (BOB,), (), ["Ada", "Bob"]),
        ((ADA, BOB), (ADA,), (ADA, BOB), ["Ada"]),
        ((ADA,), (ADA, BOB), (ADA, BOB), ["Ada"]),
        ((ADA, EVE), (BOB,), (ADA, BOB), ["Eve"]),
        ((ADA, BOB), (ADA, BOB), (ADA, BOB), ["Ada", "Bob"]),
        ((), (), (ADA,), []),
    ],
    ids=["new there", "new on both", "removed there", "removed here", "each its own", "the same", "both removed"],
)
def test_additions_and_removals_of_both_sides_count(
    mine: tuple[Person, ...], theirs: tuple[Person, ...], before: tuple[Person, ...], expected: list[str]
) -> None:
    known = Synced(3, tuple(each.id for each in before)) if before else None
    found = sync.joined(content(*mine, before=known), Received(content(*theirs), "clinic", 4), "db")
    assert names(found) == expected
    assert found.installation.synced == Synced(4, tuple(sorted(each.id for each in theirs)))


@pytest.mark.parametrize("is_here", [True, False])
def test_the_newer_consent_counts_and_a_removal_more(is_here: bool) -> None:
    renewed = msgspec.structs.replace(ADA, consent=msgspec.structs.replace(ADA.consent, at=ADA.consent.at + 1))
    known = Synced(3, (ADA.id,))
    sides = [(renewed,), (ADA,)]
    mine, theirs = sides if is_here else sides[::-1]
    found = sync.joined(content(*mine, before=known), Received(content(*theirs), "clinic", 4), "db")
    assert found.people == (renewed,)
    here, there = (content(renewed), content()) if is_here else (content(), content(renewed))
    assert sync.joined(content(*here.people, before=known), Received(there, "clinic", 4), "db").people == ()


def test_expired_people_do_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "may_delete", lambda: True)
    late = person("Late", 4, until=PAST)
    assert sync.joined(content(ADA), Received(content(late), "clinic", 1), "db").people == (ADA,)


def test_an_old_copy_of_the_database_brings_nobody_back() -> None:
    known = content(ADA, before=Synced(5, (ADA.id,)))
    with pytest.raises(InputError, match="db: has revision 4, and this door knows revision 5: it is an old copy"):
        sync.joined(known, Received(content(ADA, BOB), "clinic", 4), "db")


def test_another_installation_is_refused_and_an_empty_door_joins_it() -> None:
    there = msgspec.structs.replace(HERE, id=b"other id", card_key=bytes(range(32)))
    theirs = Received(content(BOB, installation=there), "clinic", 1)
    card = msgspec.structs.replace(HERE, cards=(IssuedCard("5f3a91c2", "", FUTURE),))
    for mine in (content(ADA), content(installation=card)):
        with pytest.raises(InputError, match="has the people of another installation"):
            sync.joined(mine, theirs, "db")
    found = sync.joined(content(), theirs, "db")
    assert (found.installation.id, found.installation.card_key) == (there.id, there.card_key)


def test_one_name_of_two_people_is_refused() -> None:
    with pytest.raises(InputError, match="ADA: is enrolled at two doors, by two enrolments"):
        sync.joined(content(ADA), Received(content(person("ADA", 9)), "clinic", 1), "db")


def test_a_database_that_does_not_go_on_from_what_a_door_knows_is_refused() -> None:
    """An old copy, to which a door has written that knew no better: it has who was removed since."""
    known = content(ADA, before=Synced(5, (ADA.id,), b"5"))
    for revision, digest, history in (
        (5, b"other 5", (b"3", b"4")),
        (6, b"6", (b"4", b"other 5")),
        (7, b"7", (b"4", b"other 5", b"6")),
        (7, b"7", (b"other 5", b"6")),
    ):
        with pytest.raises(InputError, match="db: its revision 5 is not the one that this door knows"):
            sync.joined(known, Received(content(ADA, BOB), "clinic", revision, digest, history), "db")
    for newest, since in ((5, 4), (6, 5), (8, 5)):
        earlier = tuple(str(number).encode() for number in range(since, newest))
        digest = str(newest).encode()
        found = sync.joined(known, Received(content(ADA), "clinic", newest, digest, earlier), "db")
        assert found.installation.synced == Synced(newest, (ADA.id,), digest)


def test_a_door_that_has_missed_very_much_cannot_compare() -> None:
    known = content(ADA, before=Synced(5, (ADA.id,), b"5"))
    theirs = Received(content(ADA), "clinic", 900, b"900", tuple(map(str.encode, map(str, range(644, 900)))))
    assert len(sync.next_history(theirs)) == sync.MAX_HISTORY
    assert sync.joined(known, theirs, "db").people == (ADA,)


def test_a_clock_that_may_be_wrong_removes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither here nor, by what is sent, at the other doors."""
    late, known = person("Late", 4, until=PAST), Synced(3, (ADA.id,))
    monkeypatch.setattr(consent, "may_delete", lambda: False)
    assert transfer.current(content(ADA, late)) == (ADA, late)
    past = msgspec.structs.replace(ADA, consent=msgspec.structs.replace(ADA.consent, until=PAST))
    found = sync.joined(content(past, before=known), Received(content(past), "clinic", 4), "db")
    assert found.people == (past,)
    assert not sync.is_ahead(found, content(past))
    monkeypatch.setattr(consent, "may_delete", lambda: True)
    assert transfer.current(content(ADA, late)) == (ADA,)


def test_what_no_door_would_read_is_not_packed(key: Path) -> None:
    text = "x" * transfer.MAX_FILE_BYTES
    large = msgspec.structs.replace(ADA, consent=msgspec.structs.replace(ADA.consent, text=text))
    with pytest.raises(InputError, match="too large for another door"):
        transfer.pack(content(large), "correct horse battery staple", key)
