"""Cards: a template in a QR code that is held up to the camera."""

from __future__ import annotations

import io
import sys
import threading
import time
from datetime import date, timedelta
from pathlib import Path

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from edge import config
from edge.cli import main
from edge.errors import OutputError
from edge.people import card, consent, sealed, store
from edge.people.card import CardError
from edge.people.card_reader import INTERVAL_S, MAX_REPORTS, REPORT_AGAIN_S, REPORT_LIMIT_S, CardReader
from edge.people.gallery_keeper import GalleryKeeper
from edge.people.matching import Gallery
from edge.people.recogniser import Identity, Recogniser
from edge.people.record import IssuedCard, Person, to_vector
from edge.people.store import Installation
from edge.records import Box, Face
from support.people import FUTURE, MODEL, SHARP, FakeEmbedder, enrol, person, place, vector

segno = pytest.importorskip("segno")

HERE, THERE = (Installation(bytes(range(k, k + 8)), bytes(range(k, k + 32)), 0.0) for k in (1, 50))
ADA = person("Ada", 1)
NOW = time.time()
YESTERDAY = (date.today() - timedelta(days=1)).isoformat()


def encode(who: Person, where: Installation, until: str, number: str = "5f3a91c2") -> str:
    """Return the text of a card."""
    return card.encode(who, where, IssuedCard(number, who.id, until))


def held_up(text: str, width: int = 300, angle: float = 6.0) -> npt.NDArray[np.uint8]:
    """Return a frame (480, 640, 3) in which somebody holds a card of `width` pixels, a little askew."""
    out = io.BytesIO()
    segno.make_qr(text, error="l", mode="alphanumeric").save(out, kind="png", scale=8, border=4)
    drawn_code = cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_GRAYSCALE)
    code = cv2.resize(drawn_code, (2 * width, 2 * width), interpolation=cv2.INTER_AREA)
    matrix = np.asarray(cv2.getRotationMatrix2D((width, width), angle, 0.5), np.float64)
    matrix[:, 2] += (320 - width, 250 - width)
    card_mask = cv2.warpAffine(np.full_like(code, 255), matrix, (640, 480))
    drawn = cv2.warpAffine(code, matrix, (640, 480), flags=cv2.INTER_LINEAR)
    frame = np.where(card_mask > 127, drawn * 0.8 + 20, 140)
    frame = cv2.GaussianBlur(frame.astype(np.uint8), (3, 3), 0)
    noise = np.random.default_rng(3).normal(0, 3, frame.shape)
    return np.repeat(np.clip(frame + noise, 0, 255).astype(np.uint8)[:, :, None], 3, 2)


@pytest.fixture(autouse=True)
def same_nonces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every card of a test is drawn in the same way in every run."""
    random = np.random.default_rng(7)
    monkeypatch.setattr(sealed.os, "urandom", random.bytes)


def test_a_card_gives_the_template_back() -> None:
    text = encode(ADA, HERE, FUTURE)
    assert np.array_equal(card.decode(text, HERE, MODEL, NOW).vector, to_vector(ADA.template))
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), "densest mode of a QR code"
    assert encode(ADA, HERE, FUTURE) != text, "nobody sees that two cards are of one person"


@pytest.mark.parametrize("letters", ["\u00e4", "AAAA\u0661", "\u65e5\u672c", "a", "=", "\0", "A" * 4000, ""])
def test_any_text_after_the_prefix_is_refused(letters: str) -> None:
    with pytest.raises(CardError):
        card.decode(card.PREFIX + letters, HERE, MODEL, NOW)


@pytest.mark.parametrize("in_background", [True, False])
def test_a_code_with_other_letters_does_not_end_the_door(in_background: bool) -> None:
    out, lines = io.BytesIO(), list[str]()
    segno.make_qr(f"{card.PREFIX}\u00e4\u65e5").save(out, kind="png", scale=8, border=4)
    picture = cv2.imdecode(np.frombuffer(out.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    reader = CardReader(lambda: HERE, MODEL, lines.append, in_background)
    end, t = time.monotonic() + 20, 0.0
    while not lines and time.monotonic() < end:
        assert reader.read(np.asarray(picture, np.uint8), t) is None
        t += INTERVAL_S
        time.sleep(0.01)
    reader.close()
    assert lines == ["note: a card was refused: it is damaged"]


def test_a_day_that_is_none_is_refused() -> None:
    content = bytes(4 + 8 + 4 + 128)
    sealed_content = sealed.seal(HERE.card_key, content, b"doorlight card " + HERE.id)
    with pytest.raises(CardError, match="another version"):
        card.decode(
            card.PREFIX + card.base64.b32encode(HERE.id + sealed_content).decode().rstrip("="), HERE, MODEL, NOW
        )


def test_a_card_shows_nothing_to_others() -> None:
    letters = encode(ADA, HERE, FUTURE).removeprefix(card.PREFIX)
    raw = card.base64.b32decode(letters + "=" * (-len(letters) % 8))
    assert ADA.template[:8] not in raw
    assert b"Ada" not in raw


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (encode(ADA, HERE, YESTERDAY), f"it has expired on {YESTERDAY}"),
        (encode(ADA, THERE, FUTURE), "it is a card of another installation"),
        (encode(person("Ada", model="f" * 16), HERE, FUTURE), "it was made for another model: print it again"),
        (encode(ADA, msgspec.structs.replace(THERE, id=HERE.id), FUTURE), "it is damaged or forged"),
        (encode(ADA, HERE, FUTURE)[:-24], "it is damaged or forged"),
        (encode(ADA, HERE, FUTURE)[:-1] + "!", "it is damaged"),
        (encode(ADA, HERE, FUTURE)[:-1] + "ä", "it is damaged"),
        (card.PREFIX, "it is a card of another installation"),
        ("https://example.org", "it is no card of a door"),
        (encode(ADA, HERE, FUTURE, "00000bad"), "it was revoked (number 00000bad)"),
        (encode(ADA, HERE, YESTERDAY, "00000bad"), f"it has expired on {YESTERDAY}"),
    ],
)
def test_cards_that_do_not_count_say_why(text: str, problem: str) -> None:
    cards = (IssuedCard("5f3a91c2", ADA.id, FUTURE), IssuedCard("00000bad", "", FUTURE, is_revoked=True))
    with pytest.raises(CardError) as caught:
        card.decode(text, msgspec.structs.replace(HERE, cards=cards), MODEL, NOW)
    assert str(caught.value) == problem


def test_every_change_of_a_card_is_noticed() -> None:
    text = encode(ADA, HERE, FUTURE)
    for at in range(len(card.PREFIX), len(text) - 1, 7):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        with pytest.raises(CardError):
            card.decode(changed, HERE, MODEL, NOW)


def test_a_card_that_is_held_up_is_read() -> None:
    reader = CardReader(lambda: HERE, MODEL, lambda _: None)
    found = reader.read(held_up(encode(ADA, HERE, FUTURE)), 0.0)
    assert found is not None
    assert np.array_equal(found.vector, to_vector(ADA.template))


def test_reading_is_limited_and_a_refusal_is_said_once() -> None:
    said: list[str] = []
    reader = CardReader(lambda: HERE, MODEL, said.append)
    frame = held_up(encode(ADA, THERE, FUTURE))
    assert reader.read(frame, 0.0) is None
    assert said == ["note: a card was refused: it is a card of another installation"]
    reads: list[int] = []

    class Counting:
        def detectAndDecode(self, _: object) -> tuple[str, None, None]:
            reads.append(1)
            return "", None, None

    reader._detector = Counting()  # type: ignore[assignment]
    for k in range(30):
        reader.read(frame, 0.1 + k / 15)
    assert len(reads) <= 2 / INTERVAL_S + 1
    reader = CardReader(lambda: HERE, MODEL, said.append)
    for t in (0.0, 1.0, REPORT_AGAIN_S + 1):
        reader.read(frame, t)
    assert len(said) == 3


def test_other_codes_and_noise_are_ignored() -> None:
    said: list[str] = []
    reader = CardReader(lambda: HERE, MODEL, said.append)
    assert reader.read(held_up("HTTPS://EXAMPLE.ORG"), 0.0) is None
    assert reader.read(np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8), 1.0) is None
    assert reader.read(np.zeros((1, 1, 3), np.uint8), 2.0) is None
    assert said == []


def test_with_a_camera_nothing_waits_for_a_search() -> None:
    reader = CardReader(lambda: HERE, MODEL, lambda _: None, in_background=True)
    text, started, go_on = encode(ADA, HERE, FUTURE), threading.Event(), threading.Event()

    def slow(*_: object) -> tuple[str, None, None]:
        started.set()
        assert go_on.wait(30)
        return text, None, None

    reader._detector = type("Slow", (), {"detectAndDecode": slow})()
    assert [reader.read(SHARP, k / 10) for k in range(10)] == [None] * 10
    assert started.wait(30)
    go_on.set()
    assert reader._search is not None
    reader._search.result(30)
    found = reader.read(SHARP, 1.1)
    assert found is not None
    assert np.array_equal(found.vector, to_vector(ADA.template))
    reader.close()


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


def test_wrong_cards_in_turn_do_not_fill_the_journal() -> None:
    said: list[str] = []
    reader = CardReader(lambda: HERE, MODEL, said.append)
    texts = [encode(ADA, THERE, FUTURE), encode(ADA, HERE, YESTERDAY), encode(ADA, HERE, FUTURE)[:-24]]
    texts += [encode(person("x", model=f"{k:016x}"), HERE, FUTURE) for k in range(3)]
    hour_s = 3600
    for k in range(round(hour_s / INTERVAL_S)):
        text = texts[k % len(texts)]
        reader._detector = type("Code", (), {"detectAndDecode": lambda *_, text=text: (text, None, None)})()
        assert reader.read(SHARP, k * INTERVAL_S) is None
    assert len(set(said)) == 4, "each is said"
    assert len(said) <= MAX_REPORTS * hour_s / REPORT_LIMIT_S + 1
    reader.read(SHARP, -1e6)  # a time that goes back does no harm


@pytest.mark.parametrize("name", ["card.svg", "card.png"])
def test_the_command_writes_a_private_picture(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    where = place(tmp_path)
    content = enrol(where, ADA)
    settings = tmp_path / "door.toml"
    settings.write_text(f'[people]\nfile = "{where.file}"\ncards = true\n')
    out = tmp_path / name
    assert main(["people", "card", "Ada", "--out", str(out), "--config", str(settings)]) == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert f"valid until {FUTURE}" in capfd.readouterr().out
    if name.endswith("png"):
        text, _, _ = cv2.QRCodeDetectorAruco().detectAndDecode(cv2.imread(str(out)))
        assert np.array_equal(card.decode(text, content.installation, MODEL, NOW).vector, to_vector(ADA.template))
    assert main(["people", "card", "Ada", "--config", str(settings), "--out", str(tmp_path / "card.pdf")]) == 2
    assert main(["people", "card", "Ada", "--config", str(settings)]) == 0
    assert "█" in capfd.readouterr().out


class Store:
    """A store with people, and the command line."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str], *people: Person) -> None:
        self.place, self._capfd = place(folder), capfd
        self._settings = folder / "door.toml"
        self._settings.write_text(f'[people]\nfile = "{self.place.file}"\ncards = true\n')
        enrol(self.place, *people)

    def run(self, *args: str, code: int = 0) -> str:
        """Run `doorlight people`; return what it prints to both streams."""
        assert main(["people", *args, "--config", str(self._settings)]) == code
        found = self._capfd.readouterr()
        return found.out + found.err

    @property
    def installation(self) -> Installation:
        content = store.read(self.place)
        assert content is not None
        return content.installation

    def states(self) -> list[bool]:
        """Return which cards are revoked, in the order in which they were printed."""
        return [each.is_revoked for each in self.installation.cards]


def test_all_cards_of_a_person_are_revoked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    doors = Store(tmp_path, capfd, ADA, person("Bob", 2))
    for name in ("Ada", "Bob", "Ada"):
        doors.run("card", name)
    first, _, last = (each.number for each in doors.installation.cards)
    assert f"card:      {first}, valid until {FUTURE}" in doors.run("show", "Ada")
    said = doors.run("card", "Ada", "--revoke")
    assert first in said
    assert last in said
    assert doors.states() == [True, False, True]
    assert f"card:      {last}, revoked" in doors.run("show", "Ada")
    assert "Ada: has no valid card" in doors.run("card", "Ada", "--revoke", code=2)


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


def test_the_card_of_a_person_who_was_removed_is_revoked_by_its_number(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    doors = Store(tmp_path, capfd, ADA)
    doors.run("card", "Ada")
    (issued,) = doors.installation.cards
    assert issued.person == ADA.id
    assert f"doorlight people card {issued.number} --revoke" in doors.run("remove", "Ada")
    (kept,) = doors.installation.cards
    assert kept == IssuedCard(issued.number, "", FUTURE), "it does not say whose it was"
    listed = f"card {issued.number}  valid until {FUTURE}  of a person who was removed"
    assert listed in doors.run("list").splitlines()
    doors.run("card", issued.number.upper(), "--revoke")
    assert doors.states() == [True]
    assert "has no valid card" in doors.run("card", issued.number, "--revoke", code=2)


@pytest.mark.parametrize("is_set", [True, False])
def test_numbers_are_kept_until_the_card_expires(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_set: bool
) -> None:
    """Not longer, and with a clock that may be wrong not shorter."""
    doors = Store(tmp_path, capfd, ADA)
    doors.run("card", "Ada", "--until", date.today().isoformat())
    doors.run("card", "Ada")
    doors.run("card", "Ada", "--revoke")
    with monkeypatch.context() as patch:
        patch.setattr(consent, "now", lambda _=0.0: time.time() + 2 * 86400)
        patch.setattr(consent, "may_delete", lambda: is_set)
        enrol(doors.place, person("Bob", 2))
    assert doors.states() == ([True] if is_set else [True, True])


def test_a_renewed_person_keeps_pseudonym_and_cards(tmp_path: Path) -> None:
    """`people add NAME --replace` is about the same person: tests/people/test_add.py has the command."""
    where = place(tmp_path)
    enrol(where, ADA)
    cards = (IssuedCard("5f3a91c2", ADA.id, FUTURE),)
    store.change(where, lambda old: old._replace(installation=msgspec.structs.replace(old.installation, cards=cards)))
    renewed = msgspec.structs.replace(ADA, template=person("x", 5).template)
    changed = store.change(where, lambda old: old._replace(people=(renewed,)))
    assert changed.installation.cards == cards


def test_a_card_that_cannot_be_written_changes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    doors = Store(tmp_path, capfd, ADA)
    doors.run("card", "Ada", "--out", str(tmp_path / "card.pdf"), code=2)
    doors.run("card", "Eve", code=2)
    doors.run("card", "Ada", "--revoke", "--until", FUTURE, code=2)
    assert doors.states() == []


@pytest.mark.parametrize("before", [0, 1], ids=["first card", "another card"])
@pytest.mark.parametrize("out", ["missing/card.svg", "folder.svg", "file/card.png"])
def test_a_card_whose_file_cannot_be_written_has_no_number(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], out: str, before: int
) -> None:
    doors = Store(tmp_path, capfd, ADA)
    for _ in range(before):
        doors.run("card", "Ada")
    (tmp_path / "folder.svg").mkdir()
    (tmp_path / "file").write_text("")
    numbers = doors.installation.cards
    assert "cannot be written" in doors.run("card", "Ada", "--out", str(tmp_path / out), code=74)
    assert doors.installation.cards == numbers


def test_a_number_that_cannot_be_taken_back_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    doors, change, calls = Store(tmp_path, capfd, ADA), store.change, list[int]()

    def once(*args: object) -> object:
        calls.append(1)
        if len(calls) > 1:
            raise OutputError("the disk is full")
        return change(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "change", once)
    found = doors.run("card", "Ada", "--out", str(tmp_path / "no/card.svg"), code=74)
    (issued,) = doors.installation.cards
    assert f"note: the number {issued.number} is kept, without a card: the disk is full" in found
    assert "no/card.svg: cannot be written" in found


def test_without_the_library_for_codes_no_number_is_used(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    doors = Store(tmp_path, capfd, ADA)
    monkeypatch.setitem(sys.modules, "segno", None)
    assert "segno is not installed" in doors.run("card", "Ada", code=69)
    assert doors.installation.cards == ()


def test_a_terminal_without_blocks_gets_colours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Question marks in their place are no card."""
    where, settings, out = place(tmp_path), tmp_path / "door.toml", io.BytesIO()
    settings.write_text(f'[people]\nfile = "{where.file}"\n')
    enrol(where, ADA)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, "ascii"))
    assert main(["people", "card", "Ada", "--config", str(settings)]) == 0
    assert b"?" not in out.getvalue().partition(b"card ")[0]
    assert out.getvalue().count(b"\x1b[7m") > 100


def test_a_card_never_outlives_the_consent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    where = place(tmp_path)
    enrol(where, ADA, person("Eve", 2, until=YESTERDAY))
    settings = tmp_path / "door.toml"
    settings.write_text(f'[people]\nfile = "{where.file}"\n')
    later = (date.today() + timedelta(days=900)).isoformat()
    assert main(["people", "card", "Ada", "--until", later, "--config", str(settings)]) == 0
    assert f"valid until {FUTURE}" in capfd.readouterr().out
    assert main(["people", "card", "Eve", "--config", str(settings)]) == 66
    assert f"Eve: the consent has expired on {YESTERDAY}" in capfd.readouterr().err
    content = store.read(where)
    assert content is not None
    assert all(isinstance(each, Person) for each in content.people)
