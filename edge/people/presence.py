"""Tell the pipeline which people at the door are known, and add this to its decisions.

For the relay, everyone must be known and alive, see `liveness`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ..imaging.images import Picture
from ..records import Event, Face, Signal, Track
from ..still_things import StillThings
from .liveness import Liveness
from .recogniser import Identity, Recogniser

if TYPE_CHECKING:
    from ..pipeline import Decision

#: The events of a person that say whether they were known.
EVENTS = frozenset({"masked", "unmasked", "cleared", "ignored"})


class Presence:
    """The enrolled people among the tracks of one pipeline."""

    def __init__(
        self, recogniser: Recogniser, log: Literal["nothing", "known", "id"], with_names: bool = False
    ) -> None:
        """`log` is what the events say, see [people] log. `with_names` adds names to decisions, never to events."""
        self._recogniser = recogniser
        self._log = log
        self._with_names = with_names
        self._liveness = Liveness()
        #: By the number of the person in the log.
        self._identities: dict[int, Identity] = {}
        self._is_open = False

    def look(self, number: int, picture: Picture, face: Face, t: float) -> None:
        """Use a look at the face of track `number` in the frame at `t`."""
        self._recogniser.look(number, picture, face, t)

    def look_around(self, picture: Picture, tracks: Sequence[Track], t: float, things: StillThings) -> None:
        """Look for a card in the frame at `t`, and for motion of the faces of `tracks`."""
        if tracks:
            self._recogniser.read_cards(picture, t)
        for track in tracks:
            if track.last_seen >= t:
                self._liveness.look(track.number, things.motion(track.box), track.first_seen, t)

    def complete(self, decision: Decision) -> Decision:
        """Return the decision with those who are known, and with what the settings let its events say about them."""
        numbers = {track.number for track in decision.tracks}
        self._recogniser.keep(numbers)
        self._recogniser.refresh(decision.t)
        self._liveness.keep(numbers)
        known = self._recogniser.known
        for number, person in decision.people.items():
            if number in known:
                self._identities[person.number] = known[number]
            else:
                self._identities.pop(person.number, None)
        if decision.signal is not Signal.PASS:
            self._is_open = False
        elif numbers:
            ids = [identity.id for identity in known.values() if identity.id is not None]
            # Two tracks of one person: one of them is a picture, or a person who looks alike.
            is_once = len(set(ids)) == len(ids)
            self._is_open = known.keys() >= numbers and self._liveness.alive >= numbers and is_once
        # PASS may stand a moment longer than the people: nobody else has come.
        events = [self._completed(event) for event in decision.events]
        names = {number: identity.name if self._with_names else "" for number, identity in known.items()}
        return replace(decision, events=events, known=names, everyone_known=self._is_open)

    def _completed(self, event: Event) -> Event:
        """Return an event with what it may say about a person."""
        number = event.data.get("person")
        if event.kind not in EVENTS or not isinstance(number, int):
            return event
        identity = self._identities.get(number)
        # A verdict may come before a person is known, so only the last event of a visit says that they are not.
        is_last = event.kind in ("cleared", "ignored")
        if is_last:
            self._identities.pop(number, None)
        if self._log == "nothing" or (identity is None and not is_last):
            return event
        data: dict[str, object] = {"known": identity is not None}
        if self._log == "id" and identity is not None and identity.id is not None:
            data["enrolled"] = identity.id
        return replace(event, data={**event.data, **data})
