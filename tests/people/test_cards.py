"""Cards: a template in a QR code that is held up to the camera."""

from __future__ import annotations

import io
import threading
import time

import cv2
import msgspec
import numpy as np
import pytest

from edge.people import card, sealed
from edge.people.card import CardError
from edge.people.card_reader import INTERVAL_S, MAX_REPORTS, REPORT_AGAIN_S, REPORT_LIMIT_S, CardReader
from edge.people.record import IssuedCard, to_vector
from support.cards import ADA, HERE, THERE, YESTERDAY, encode, held_up
from support.people import FUTURE, MODEL, SHARP, person

segno = pytest.importorskip("segno")

pytestmark = pytest.mark.usefixtures("same_nonces")
NOW = time.time()


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
