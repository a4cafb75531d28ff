"""Keep the door's copy of the enrolled people up to date, in a thread: the lights never wait for the disk.

The file is read again when a command has changed it. Expired people are deleted at the start and every hour.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ..errors import DoorlightError
from . import store
from .matching import Gallery
from .record import Person
from .store import Installation, Place

#: Interval (seconds) between looks at the file, and between deletions of expired people.
CHECK_S, EXPIRE_S = 5.0, 3600.0
_CLOSE_TIMEOUT_S = 2.0


class GalleryKeeper:
    """The templates that count now, in `gallery`. A store that cannot be read gives an empty one: nobody is known."""

    def __init__(self, place: Place, model: str, threshold: float, report: Callable[[str], None]) -> None:
        """Read the store once. `report` gets a line when something is wrong, or when people have been deleted.

        `model` and `threshold` are those of the embedder.
        """
        self.gallery = Gallery((), model, threshold)
        self.problem: str | None = None
        self.installation: Installation | None = None
        self._place = place
        self._model, self._threshold = model, threshold
        self._report = report
        self._seen: tuple[int, ...] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="people", daemon=True)
        self.refresh()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_TIMEOUT_S)

    def refresh(self) -> None:
        """Read the store if it has changed, and leave out the people whose consent has expired."""
        seen = self._signature()
        if seen == self._seen and self.problem is None and not self._has_expired():
            return
        self._seen = seen
        try:
            content = store.read(self._place)
        except DoorlightError as error:
            self._fail(f"{error}; until then nobody is known ({error.hint})")
            return
        self.problem = None
        if content is None:
            self._use((), None)
            return
        expired = store.expired(content)
        self._use([person for person in content.people if person not in expired], content.installation)
        if self.gallery.foreign:
            count = len(self.gallery.foreign)
            self._report(
                f"note: {count} enrolled with another model and not known: enrol them again (doorlight people list)"
            )

    def expire(self) -> None:
        """Delete the people whose consent has expired. A store that cannot be read has been reported already."""
        if self.problem is not None:
            return
        try:
            removed = store.remove_expired(self._place)
        except DoorlightError as error:
            self._report(f"note: expired people cannot be deleted: {error} ({error.hint})")
            return
        if removed:
            self._report(f"note: {len(removed)} enrolled people deleted: their consent has expired")
            self.refresh()

    def _use(self, people: Sequence[Person], installation: Installation | None) -> None:
        # A new gallery makes the door look at everyone again, so the cards that count come first.
        self.installation = installation
        self.gallery = Gallery(people, self._model, self._threshold)

    def _run(self) -> None:
        elapsed_s = EXPIRE_S
        while not self._stop.is_set():
            if elapsed_s >= EXPIRE_S:
                elapsed_s = 0.0
                self.expire()
            self._stop.wait(CHECK_S)
            elapsed_s += CHECK_S
            self.refresh()

    def _has_expired(self) -> bool:
        installation = self.installation
        if installation is None:
            return False
        return bool(store.expired_of(self.gallery.people, installation))

    def _signature(self) -> tuple[int, ...] | None:
        """Return what changes when the file is replaced; None without a file."""
        try:
            status = self._place.file.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _fail(self, problem: str) -> None:
        self._use((), None)
        if problem != self.problem:
            self.problem = problem
            self._report(f"note: {problem}")
