"""Cards of enrolled people: two installations, a card that is held up to a camera, and a store with the command line."""

from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.cli import main
from edge.people import card, store
from edge.people.record import IssuedCard, Person
from edge.people.store import Installation
from support.people import enrol, person, place

segno = pytest.importorskip("segno")

HERE, THERE = (Installation(bytes(range(k, k + 8)), bytes(range(k, k + 32)), 0.0) for k in (1, 50))
ADA = person("Ada", 1)
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
