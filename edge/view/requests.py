"""What a client of the door's socket may ask.

- {"ask": "explain", "stage": "mask" | "expression" | "face", "t": 1.5}: why the models answered so about each face of the
  frame that was handed over with this time, or of the newest one. The answer's "state" is "done", or why there is none:
  "no_picture", "no_face", "off" (the settings turn the stage off), "busy" (with another question), "slow", "failed".
- {"ask": "set_areas", "zone": [[0.2, 0.1], …], "ignore": [[[0, 0], …], …]}: where faces count from now on, and after a
  restart. {"ask": "undo_areas"} takes the last change back. The "state" is "off" without `[web] may_configure`, "busy", or
  one of `areas_process`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from ..config import Config
from ..records import Box
from .area_keeper import AreaKeeper
from .explainer import Explainer, Question
from .offer import Offer
from .server import Reply
from .snapshot import shares

#: Faces of a frame that are explained, the largest first.
MAX_FACES = 4


class Explain(msgspec.Struct, tag_field="ask", tag="explain"):
    """A request for an explanation."""

    stage: Literal["mask", "expression", "face"] = "mask"
    t: float | None = None


class SetAreas(msgspec.Struct, tag_field="ask", tag="set_areas"):
    """A request for other areas. `areas_process` checks them: here, nothing may take long."""

    zone: list[Any]
    ignore: list[Any]


class UndoAreas(msgspec.Struct, tag_field="ask", tag="undo_areas"):
    """A request to take back the last change of the areas."""


class DoorRequests:
    """Answers requests to a door with these settings. For use by one thread; see `server.Requests`."""

    def __init__(
        self, config: Config, make_explainer: Callable[[], Explainer], areas: AreaKeeper | None = None
    ) -> None:
        """`make_explainer` is called with the first question. Without `areas`, the page may not change them."""
        self._config = config
        self._areas = areas
        self._make_explainer = make_explainer
        self._explainer: Explainer | None = None

    def handle(self, request: dict[str, Any], offers: Sequence[Offer], client: object, reply: Reply) -> None:
        """Answer a request; "malformed" if it is none of those above."""
        try:
            asked = msgspec.convert(request, Explain | SetAreas | UndoAreas)
        except (msgspec.ValidationError, UnicodeEncodeError):  # JSON may have half a character: "\ud800"
            reply({"state": "malformed"}, b"")
            return
        if isinstance(asked, Explain):
            self._explain(asked, offers, client, reply)
        elif self._areas is None:
            reply({"state": "off"}, b"")
        else:
            self._areas.change(
                {"zone": asked.zone, "ignore": asked.ignore} if isinstance(asked, SetAreas) else None, reply
            )

    def forget(self, client: object) -> None:
        """Drop the questions of `client`."""
        if self._explainer is not None:
            self._explainer.forget(client)

    def close(self) -> None:
        """End the explainer."""
        if self._explainer is not None:
            self._explainer.close()

    def _explain(self, asked: Explain, offers: Sequence[Offer], client: object, reply: Reply) -> None:
        if asked.stage not in explained_stages(self._config):
            reply({"state": "off"}, b"")
            return
        with_time = [offer for offer in offers if asked.t is not None and round(offer.decision.t, 3) == asked.t]
        offer = [*offers, *with_time][-1] if offers else None
        if offer is None or offer.frame is None or offer.size is None:
            reply({"state": "no_picture"}, b"")
            return
        question = question_about(offer, asked.stage)
        if question is None:
            reply({"state": "no_face"}, b"")
            return
        if self._explainer is None:
            self._explainer = self._make_explainer()
        self._explainer.ask(question, client, reply)


def explained_stages(config: Config) -> list[str]:
    """Return the stages that may be asked about."""
    return ["mask", *(["expression"] if config.expression.enabled else []), "face"]


def question_about(offer: Offer, stage: str) -> Question | None:
    """Return the question about the faces of an offer with a frame, the largest first; None if there is no face."""
    assert offer.frame is not None
    decision, size = offer.decision, offer.size
    assert size is not None
    found: list[tuple[Box, dict[str, object]]] = []
    for track in decision.tracks:
        if track.last_seen >= decision.t:
            person = decision.people.get(track.number)
            found.append((track.box, {"counts": True, "person": None if person is None else person.number}))
    found += [(box, {"counts": False, "person": None}) for box in (*decision.outside, *decision.still)]
    found.sort(key=lambda item: -item[0].width * item[0].height)
    if not found:
        return None
    asked = found[:MAX_FACES]
    return Question(
        key=(decision.t, stage),
        picture=offer.frame.picture,
        job={"stage": stage, "faces": [box for box, _ in asked], "hidden": offer.faces},
        about={
            "t": round(decision.t, 3),
            "stage": stage,
            "size": list(size),
            "people": [{**about, "box": shares(box, size)} for box, about in asked],
            "left_out": len(found) - len(asked),
        },
    )
