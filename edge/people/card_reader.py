"""Read cards that people hold up to the camera, at a limited rate, and keep nothing of them.

A search for a code takes longer than a frame. With a camera it therefore runs in a thread, and the result comes with a later
frame. A file waits for it, so that the same file always gives the same events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import cv2

from ..imaging.images import Picture
from . import consent
from .card import PREFIX, Card, CardError, check, decode
from .store import Installation

#: Least interval (seconds) between two searches for a code.
INTERVAL_S = 0.5
#: A problem is reported again after this time (seconds), and there are at most MAX_REPORTS of all kinds in REPORT_LIMIT_S: wrong
#: cards in turn must not fill the journal.
REPORT_AGAIN_S, MAX_REPORTS, REPORT_LIMIT_S = 10.0, 4, 60.0


class CardReader:
    """Finds a card in a frame. Times are seconds on the source's clock."""

    def __init__(
        self,
        installation: Callable[[], Installation | None],
        model: str,
        report: Callable[[str], None],
        in_background: bool = False,
    ) -> None:
        """`installation` returns whose cards count now. `model` is the embedder's. `report` gets a line for a refused card.

        With `in_background`, `read` does not wait, and returns what it has found in an earlier frame.
        """
        self._installation = installation
        self._model = model
        self._report = report
        # It finds small and tilted codes that cv2.QRCodeDetector misses.
        self._detector = cv2.QRCodeDetectorAruco()
        self._executor = ThreadPoolExecutor(1, "cards") if in_background else None
        self._search: Future[str] | None = None
        self._due = float("-inf")
        #: The lines of the last REPORT_LIMIT_S, with their times.
        self._reported: deque[tuple[float, str]] = deque(maxlen=MAX_REPORTS)

    def read(self, picture: Picture, t: float) -> Card | None:
        """Return the valid card in a picture (H, W, 3) uint8 RGB, or None."""
        installation = self._installation()
        if installation is None:
            return None
        text = self._text(picture, t)
        if not text.startswith(PREFIX):
            return None
        try:
            return decode(text, installation, self._model, consent.now(installation.written_at))
        except CardError as error:
            self._complain(str(error), t)
            return None

    def still_counts(self, card: Card, t: float) -> bool:
        """Return whether a card that was read counts now: it may have been revoked since, or have expired."""
        installation = self._installation()
        if installation is None:
            return False
        try:
            check(card, installation, self._model, consent.now(installation.written_at))
        except CardError as error:
            self._complain(str(error), t)
            return False
        return True

    def close(self) -> None:
        """End the thread, if there is one."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _text(self, picture: Picture, t: float) -> str:
        """Return the text of a code that was found, "" without one."""
        text = ""
        if self._search is not None:
            if not self._search.done():
                return ""
            text, self._search = self._search.result(), None
        if t >= self._due:
            self._due = t + INTERVAL_S
            if self._executor is None:
                return self._decoded(picture)
            self._search = self._executor.submit(self._decoded, picture.copy())
        return text

    def _decoded(self, picture: Picture) -> str:
        try:
            return str(self._detector.detectAndDecode(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))[0])
        except (cv2.error, UnicodeDecodeError):  # of a code that only looks like one
            return ""

    def _complain(self, problem: str, t: float) -> None:
        while self._reported and not 0 <= t - self._reported[0][0] < REPORT_LIMIT_S:
            self._reported.popleft()
        if len(self._reported) == MAX_REPORTS:
            return
        if all(problem != last or t - when >= REPORT_AGAIN_S for when, last in self._reported):
            self._reported.append((t, problem))
            self._report(f"note: a card was refused: {problem}")
