"""When a consent has expired, and that a clock that may be wrong deletes nobody."""

from __future__ import annotations

import pytest

from edge.people import consent, store
from edge.people.record import Person
from edge.people.store import Place
from support.people import PAST, enrol, files, names, person

ADA = person("Ada Lovelace", 1)


def test_a_clock_that_was_in_the_future_once_expires_nobody(
    where: Place, clock_is_set: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(consent.time, "time", lambda: 4e9)
        enrol(where, ADA)
    content = store.read(where)
    assert content is not None
    assert store.expired(content) == []
    clock_is_set[0] = False
    assert store.expired(content) == [ADA], "the clock may be behind"


def test_a_clock_chip_without_a_battery_deletes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent.clock, "is_set", lambda: True)
    monkeypatch.setattr(consent.time, "time", lambda: 100.0)
    assert not consent.may_delete()


@pytest.fixture
def clock_is_set(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    state = [True]
    monkeypatch.setattr(consent, "may_delete", lambda: state[0])
    return state


def test_expired_people_are_deleted(where: Place, clock_is_set: list[bool]) -> None:
    eve: Person = person("Eve", 3, until=PAST)
    enrol(where, ADA, eve)
    assert [p.name for p in store.remove_expired(where)] == ["Eve"]
    assert names(where) == ["Ada Lovelace"]
    before = files(where.file.parent)
    assert store.remove_expired(where) == []
    assert files(where.file.parent) == before


def test_a_clock_that_may_be_wrong_deletes_nobody(where: Place, clock_is_set: list[bool]) -> None:
    clock_is_set[0] = False
    enrol(where, person("Eve", 3, until=PAST))
    assert store.remove_expired(where) == []
    content = store.read(where)
    assert content is not None
    assert store.expired(content) == list(content.people), "but they are not recognised"


def test_a_clock_that_starts_in_1970_revives_nobody(where: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    eve = person("Eve", 3, until=PAST)
    content = enrol(where, eve)
    monkeypatch.setattr(consent.time, "time", lambda: 100.0)
    assert store.is_expired(eve, content.installation)
