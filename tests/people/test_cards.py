"""Cards: a template in a QR code that is held up to the camera."""

from __future__ import annotations

import io
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
from edge.people import card, sealed, store
from edge.people.card import CardError
from edge.people.card_reader import INTERVAL_S, REPORT_AGAIN_S, CardReader
from edge.people.matching import Gallery
from edge.people.recogniser import Identity, Recogniser
from edge.people.record import Person, to_vector
from edge.people.store import Installation
from edge.records import Box, Face
from support.people import FUTURE, MODEL, SHARP, FakeEmbedder, enrol, person, place, vector

segno = pytest.importorskip("segno")

HERE, THERE = (Installation(bytes(range(k, k + 8)), bytes(range(k, k + 32)), 0.0) for k in (1, 50))
ADA = person("Ada", 1)
NOW = time.time()
YESTERDAY = (date.today() - timedelta(days=1)).isoformat()


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
    text = card.encode(ADA, HERE, FUTURE)
    assert np.array_equal(card.decode(text, HERE, MODEL, NOW), to_vector(ADA.template))
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), "densest mode of a QR code"
    assert card.encode(ADA, HERE, FUTURE) != text, "nobody sees that two cards are of one person"


def test_a_card_shows_nothing_to_others() -> None:
    raw = card.base64.b32decode(card.encode(ADA, HERE, FUTURE).removeprefix(card.PREFIX) + "======")
    assert ADA.template[:8] not in raw
    assert b"Ada" not in raw


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (card.encode(ADA, HERE, YESTERDAY), f"it has expired on {YESTERDAY}"),
        (card.encode(ADA, THERE, FUTURE), "it is a card of another installation"),
        (card.encode(person("Ada", model="f" * 16), HERE, FUTURE), "it was made for another model: print it again"),
        (card.encode(ADA, msgspec.structs.replace(THERE, id=HERE.id), FUTURE), "it is damaged or forged"),
        (card.encode(ADA, HERE, FUTURE)[:-24], "it is damaged or forged"),
        (card.encode(ADA, HERE, FUTURE)[:-1] + "!", "it is damaged"),
        (card.PREFIX, "it is a card of another installation"),
        ("https://example.org", "it is no card of a door"),
    ],
)
def test_cards_that_do_not_count_say_why(text: str, problem: str) -> None:
    with pytest.raises(CardError) as caught:
        card.decode(text, HERE, MODEL, NOW)
    assert str(caught.value) == problem


def test_every_change_of_a_card_is_noticed() -> None:
    text = card.encode(ADA, HERE, FUTURE)
    for at in range(len(card.PREFIX), len(text) - 1, 7):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        with pytest.raises(CardError):
            card.decode(changed, HERE, MODEL, NOW)


def test_a_card_that_is_held_up_is_read() -> None:
    reader = CardReader(lambda: HERE, MODEL, lambda _: None)
    found = reader.read(held_up(card.encode(ADA, HERE, FUTURE)), 0.0)
    assert found is not None
    assert np.array_equal(found, to_vector(ADA.template))


def test_reading_is_limited_and_a_refusal_is_said_once() -> None:
    said: list[str] = []
    reader = CardReader(lambda: HERE, MODEL, said.append)
    frame = held_up(card.encode(ADA, THERE, FUTURE))
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
    text, started, go_on = card.encode(ADA, HERE, FUTURE), threading.Event(), threading.Event()

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
    assert np.array_equal(found, to_vector(ADA.template))
    reader.close()


@pytest.mark.parametrize(("shown", "expected"), [(1, Identity(None)), (2, None)])
def test_the_face_must_be_that_of_the_card(shown: int, expected: Identity | None) -> None:
    """1:1: the person is not in the store, and a card of somebody else opens nothing."""
    embedder = FakeEmbedder(vector(shown))
    gallery = Gallery((), MODEL, 0.5)
    reader = CardReader(lambda: HERE, MODEL, lambda _: None)
    door = Recogniser(config.load().people, embedder, lambda: gallery, reader)  # type: ignore[arg-type]
    face = Face(Box(0, 0, 112, 112), 0.9, 0.01)
    frame, t = held_up(card.encode(ADA, HERE, FUTURE)), 0.0
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
        assert np.array_equal(card.decode(text, content.installation, MODEL, NOW), to_vector(ADA.template))
    assert main(["people", "card", "Ada", "--config", str(settings), "--out", str(tmp_path / "card.pdf")]) == 2
    assert main(["people", "card", "Ada", "--config", str(settings)]) == 0
    assert "█" in capfd.readouterr().out


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
