"""Read cards that people hold up to the camera, at a limited rate, and keep nothing of them."""

from __future__ import annotations

from collections.abc import Callable

import cv2

from ..imaging.images import Picture
from . import consent
from .card import PREFIX, CardError, decode
from .record import Vector
from .store import Installation

#: Least interval (seconds) between two searches for a code: one takes as long as several face searches.
INTERVAL_S = 0.5
#: A problem is reported again after this time (seconds).
REPORT_AGAIN_S = 10.0


class CardReader:
    """Finds a card in a frame. Times are seconds on the source's clock."""

    def __init__(
        self, installation: Callable[[], Installation | None], model: str, report: Callable[[str], None]
    ) -> None:
        """`installation` returns whose cards count now. `model` is the embedder's. `report` gets a line for a refused card."""
        self._installation = installation
        self._model = model
        self._report = report
        self._detector = cv2.QRCodeDetector()
        self._due = float("-inf")
        self._reported: tuple[str, float] = ("", float("-inf"))

    def read(self, picture: Picture, t: float) -> Vector | None:
        """Return the template (128,) of a valid card in a picture (H, W, 3) uint8 RGB, or None."""
        installation = self._installation()
        if t < self._due or installation is None:
            return None
        self._due = t + INTERVAL_S
        try:
            text, _, _ = self._detector.detectAndDecode(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))
        except (cv2.error, UnicodeDecodeError):  # of a code that only looks like one
            return None
        if not text.startswith(PREFIX):
            return None
        try:
            return decode(text, installation, self._model, consent.now(installation.written_at))
        except CardError as error:
            self._complain(str(error), t)
            return None

    def _complain(self, problem: str, t: float) -> None:
        last, when = self._reported
        if problem != last or t - when >= REPORT_AGAIN_S:
            self._reported = (problem, t)
            self._report(f"note: a card was refused: {problem}")
