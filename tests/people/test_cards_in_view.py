"""A door that knows someone in view by their card, and forgets them when card, enrolment or store say so."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from edge import config
from edge.people import consent, store
from edge.people.card_reader import INTERVAL_S, CardReader
from edge.people.gallery_keeper import GalleryKeeper
from edge.people.matching import Gallery
from edge.people.recogniser import Identity, Recogniser
from edge.records import Box, Face
from support.cards import ADA, HERE, THERE, Store, encode, held_up
from support.people import FUTURE, MODEL, SHARP, FakeEmbedder, person, vector

pytestmark = pytest.mark.usefixtures("same_nonces")


@pytest.mark.parametrize(("shown", "expected"), [(1, Identity(None)), (2, None)])
def test_the_face_must_be_that_of_the_card(shown: int, expected: Identity | None) -> None:
    """1:1: the person is not in the store, and a card of somebody else opens nothing."""
    embedder = FakeEmbedder(vector(shown))
    gallery = Gallery((), MODEL, 0.5)
    reader = CardReader(lambda: HERE, MODEL, lambda _: None)
    door = Recogniser(config.load().people, embedder, lambda: gallery, reader)  # type: ignore[arg-type]
    face = Face(Box(0, 0, 112, 112), 0.9, 0.01)
    frame, t = held_up(encode(ADA, HERE, FUTURE)), 0.0
    for _ in range(20):
        door.look(1, SHARP, face, t)
        t += 0.1
    assert door.known == {}
    for _ in range(10):
        door.read_cards(frame, t)
        t += 0.1
    assert door.known.get(1) == expected
    for _ in range(40):
        door.look(1, SHARP, face, t)
        t += 0.1
    assert door.known.get(1) == expected, "the card may be taken down"
    door.keep(())
    assert door.known == {}
    assert not door._tracks, "nothing of it is kept"


class InView:
    """Ada in view of a door with a store, known by her card or because she is enrolled."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str], by_card: bool) -> None:
        self.doors = Store(folder, capfd, ADA)
        self.doors.run("card", "Ada", "--out", str(folder / "card.png"))
        if by_card:
            self.doors.run("remove", "Ada")
        self.said: list[str] = []
        self.keeper = GalleryKeeper(self.doors.place, MODEL, 0.5, self.said.append)
        self.cards = CardReader(lambda: self.keeper.installation, MODEL, self.said.append)
        self.door = Recogniser(
            config.load().people, FakeEmbedder(vector(1)), lambda: self.keeper.gallery, self.cards  # type: ignore[arg-type]
        )  # fmt: skip
        (self.issued,) = self.doors.installation.cards
        self.t = 0.0
        for _ in range(20):
            self.look()
        self.show_card()

    def look(self) -> None:
        self.t += 0.1
        self.door.look(1, SHARP, Face(Box(0, 0, 112, 112), 0.9, 0.01), self.t)

    def show_card(self) -> None:
        self.t += INTERVAL_S
        self.door.read_cards(held_up(encode(ADA, self.doors.installation, FUTURE, self.issued.number)), self.t)

    def known(self) -> bool:
        """Return whether she is known after the next look at the store, without another look at her."""
        self.keeper.refresh()
        self.door.refresh(self.t)
        return 1 in self.door.known


def test_a_card_that_is_revoked_while_its_holder_is_in_view_stops_at_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = InView(tmp_path, capfd, by_card=True)
    assert seen.known()
    seen.doors.run("card", seen.issued.number, "--revoke")
    assert not seen.known()
    seen.show_card()
    assert not seen.known()
    assert seen.said == [f"note: a card was refused: it was revoked (number {seen.issued.number})"]


@pytest.mark.parametrize("how", ["removed", "another template", "another installation", "no store", "damaged"])
@pytest.mark.parametrize("by_card", [True, False])
def test_who_is_in_view_is_known_only_as_long_as_the_store_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], by_card: bool, how: str
) -> None:
    seen = InView(tmp_path, capfd, by_card)
    assert seen.known()
    match how:
        case "removed":
            store.change(seen.doors.place, lambda content: content._replace(people=(person("Bob", 2),)))
        case "another template":
            renewed = msgspec.structs.replace(ADA, template=person("x", 5).template)
            store.change(seen.doors.place, lambda content: content._replace(people=(renewed,)))
        case "another installation":
            other = msgspec.structs.replace(THERE, cards=())
            store.change(seen.doors.place, lambda _: store.Content(other, ()))
        case "no store":
            seen.doors.place.file.unlink()
        case "damaged":
            seen.doors.place.file.write_bytes(b"x")
    is_of_the_card = by_card and how in ("removed", "another template")
    assert seen.known() is is_of_the_card, "her card is not the enrolment"


def test_a_card_that_expires_while_its_holder_is_in_view_stops_with_the_next_look(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = InView(tmp_path, capfd, by_card=True)
    monkeypatch.setattr(consent, "now", lambda _=0.0: time.time() + 101 * 86400)
    for _ in range(12):
        seen.look()
    assert not seen.known()


def test_a_running_door_refuses_a_revoked_card(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    doors, said = Store(tmp_path, capfd, ADA), list[str]()
    doors.run("card", "Ada", "--out", str(tmp_path / "card.png"))
    keeper = GalleryKeeper(doors.place, MODEL, 0.5, said.append)
    reader = CardReader(lambda: keeper.installation, MODEL, said.append)
    (issued,) = doors.installation.cards
    frame = held_up(encode(ADA, doors.installation, FUTURE, issued.number))
    assert reader.read(frame, 0.0) is not None
    doors.run("card", "Ada", "--revoke")
    keeper.refresh()
    assert reader.read(frame, 1.0) is None
    assert said == [f"note: a card was refused: it was revoked (number {issued.number})"]
