"""A decision as the page shows it: JSON values, with boxes as shares of the picture. No pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..config import Config
from ..inference.perception import sigmoid
from ..lights.lights import is_quiet_now
from ..pipeline import Decision
from ..policy import Person, Verdict, agitation_of
from ..records import Box, Signal, Track
from ..zone import Zone

#: Of the JSON object. A page of another version says that the door must be restarted.
VERSION = 1


class Snapshots:
    """Describes the decisions of one door."""

    def __init__(
        self,
        config: Config,
        source: str,
        runs_on: Callable[[], str],
        problems: Callable[[], list[str]],
        zone: Callable[[], Zone] | None = None,
        silenced_until: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`source` is a name without passwords. The functions return what the models run on, what is degraded, where faces
        count (default: the settings), and until when the network has silenced the buzzer (UTC; None: not at all).
        """
        self._silenced_until = silenced_until
        self._config = config
        self._zone = zone or (lambda: Zone(config.door.zone, config.door.ignore))
        self._source = source
        self._runs_on = runs_on
        self._problems = problems

    def describe(self, decision: Decision, size: tuple[int, int] | None, frame_rate: float) -> dict[str, Any]:
        """Return the JSON object of a decision. `size` is (width, height) of the frame in pixels; None without one."""
        config, zone = self._config, self._zone()
        people = []
        if size is not None:
            present = [track for track in decision.tracks if track.last_seen >= decision.t]
            people = [self._person(track, decision, size, frame_rate) for track in present]
        return {
            "version": VERSION,
            "t": round(decision.t, 3),
            "signal": decision.signal.value,
            "lights": self._lights(decision.signal),
            "silenced_until": self._silenced_until(),
            "fault": decision.fault,
            "source": self._source,
            "frame_rate": round(frame_rate, 1),
            "runs_on": self._runs_on(),
            "problems": self._problems(),
            "size": None if size is None else list(size),
            "zone": [list(corner) for corner in zone.zone],
            "ignore": [[list(corner) for corner in area] for area in zone.ignore],
            "min_face_height": config.tracker.min_face_height,
            "expression": config.expression.enabled,
            "people": people,
            "outside": [] if size is None else [shares(box, size) for box in (*decision.outside, *decision.still)],
        }

    def _lights(self, signal: Signal) -> dict[str, str]:
        """Return the state of each light: "on", "off", "blinks", "silent" (quiet hours, or on request) or "none"."""
        pins = self._config.lights.pins
        red = {Signal.STOP: "on", Signal.ALARM: "on", Signal.FAULT: "blinks"}.get(signal, "off")
        buzzer = "off"
        if signal is Signal.ALARM:
            is_silent = is_quiet_now(self._config.lights) or self._silenced_until() is not None
            buzzer = "silent" if is_silent else "on"
        return {
            "green": ("on" if signal is Signal.PASS else "off") if "green" in pins else "none",
            "red": red,
            "buzzer": buzzer if "buzzer" in pins else "none",
        }

    def _person(self, track: Track, decision: Decision, size: tuple[int, int], frame_rate: float) -> dict[str, Any]:
        person = decision.people.get(track.number) or Person(track.first_seen)
        what, seconds = self._next_decision(track, person, decision.t, frame_rate)
        is_masked = person.verdict is Verdict.MASKED
        # Before the first verdict, the page shows what is known of a face that looks bare.
        bare = track.agitation if track.last_expression is not None else None
        agitation = agitation_of(track, person) if is_masked else bare
        shows_known = self._config.people.enabled and self._config.people.page != "nothing"
        return {
            "track": track.number,
            "person": person.number,
            "known": shows_known and track.number in decision.known,
            "name": decision.known.get(track.number, "") if shows_known else "",
            "box": shares(track.box, size),
            "verdict": person.verdict.value,
            "too_far": track.height < self._config.tracker.min_face_height,
            "evidence": round(sigmoid(max(-50.0, min(track.evidence, 50.0))), 3) if track.looks else None,
            "agitation": None if agitation is None else round(agitation, 3),
            "agitated": person.agitated,
            "above_mask": is_masked,
            "next": what,
            "next_s": None if seconds is None else round(max(seconds, 0.0), 2),
        }

    def _next_decision(
        self, track: Track, person: Person, t: float, frame_rate: float
    ) -> tuple[str | None, float | None]:
        """Return what will be decided next about a person, and in how many seconds if nothing changes.

        "verdict" without seconds: the evidence is not clear enough for one.
        """
        policy = self._config.policy
        if person.verdict is Verdict.UNKNOWN:
            if track.first_look is None or track.last_look is None:
                return None, None
            rest_s = policy.min_decide_s - (track.last_look - track.first_look)
            missing_looks_s = (policy.min_looks - track.looks) / max(frame_rate, 0.1)
            is_clear = not policy.unmasked_threshold < track.evidence < policy.masked_threshold
            return "verdict", max(rest_s, missing_looks_s) if is_clear or rest_s > 0 else None
        if person.doubt_since is not None:
            return "change", policy.change_s - (t - person.doubt_since)
        if person.agitation_since is not None and not person.agitated:
            return "agitation", policy.agitated_s - (t - person.agitation_since)
        return None, None


def shares(box: Box, size: tuple[int, int]) -> list[float]:
    """Return [left, top, width, height] of a box, as shares of the picture, clipped to it."""
    width, height = size
    x1, x2 = (min(max(x / width, 0.0), 1.0) for x in (box.x1, box.x2))
    y1, y2 = (min(max(y / height, 0.0), 1.0) for y in (box.y1, box.y2))
    return [round(value, 4) for value in (x1, y1, x2 - x1, y2 - y1)]
