"""A head that is turned away and looks bare is undecided: it makes nobody "no mask", and takes nobody's verdict away."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from edge import config
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.pipeline import Decision, Pipeline
from edge.policy import Verdict
from edge.records import Detection, Face, Frame, Signal
from support.clip import frame_at

CONFIG = config.load()
CALM = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
#: Looks at a face, as perception reports them: probability of a mask, whether it is undecided.
BARE, MASKED, TURNED = (0.02, False), (0.98, False), (0.02, True)


class Visit:
    """A person in front of the camera, whose looks the test chooses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.look = BARE
        perception = Perception(CONFIG, manifest.load())
        monkeypatch.setattr(perception, "classify", self._classify)
        self._pipeline = Pipeline(CONFIG, perception)
        self._picture = frame_at(11.0)
        self._number = 0

    def _classify(self, picture: npt.NDArray[np.uint8], found: Detection) -> Face:
        probability, is_undecided = self.look
        expression = None if is_undecided or probability > 0.5 else CALM
        return Face(found.box, found.score, probability, expression, None, is_undecided)

    def watch(self, look: tuple[float, bool], seconds: float) -> Iterator[Decision]:
        """Yield the decision for each frame, at 10 frames/s."""
        self.look = look
        for _ in range(round(seconds * 10)):
            yield self._pipeline.step(Frame(self._number, self._number / 10, self._picture))
            self._number += 1


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Visit:
    return Visit(monkeypatch)


def test_a_bare_profile_gets_no_verdict(visit: Visit) -> None:
    decisions = list(visit.watch(TURNED, 4.0))
    assert {d.signal for d in decisions} == {Signal.IDLE}
    assert not [event for d in decisions for event in d.events]
    (track,) = decisions[-1].tracks
    assert (track.looks, track.evidence, track.expression_looks) == (40, 0.0, 0)
    last = list(visit.watch(BARE, 2.0))[-1]
    assert last.signal is Signal.STOP, "the face has turned to the camera"


def test_without_the_stage_the_same_look_is_no_mask(visit: Visit) -> None:
    assert list(visit.watch(BARE, 2.0))[-1].signal is Signal.STOP


def test_a_masked_profile_counts(visit: Visit) -> None:
    assert list(visit.watch(MASKED, 2.0))[-1].signal is Signal.PASS


@pytest.mark.parametrize(
    ("look", "signal", "verdict"), [(MASKED, Signal.PASS, Verdict.MASKED), (BARE, Signal.STOP, Verdict.UNMASKED)]
)
def test_who_turns_away_keeps_the_verdict(
    visit: Visit, look: tuple[float, bool], signal: Signal, verdict: Verdict
) -> None:
    list(visit.watch(look, 2.0))
    decisions = list(visit.watch(TURNED, 4.0))
    assert {d.signal for d in decisions} == {signal}
    (track,) = decisions[-1].tracks
    assert decisions[-1].verdict(track.number) is verdict
    assert abs(track.evidence) < 0.1, "old looks count less and less"


def test_a_mask_that_is_taken_off_while_turned_away_is_noticed(visit: Visit) -> None:
    list(visit.watch(MASKED, 2.0))
    list(visit.watch(TURNED, 2.0))
    assert list(visit.watch(BARE, 3.0))[-1].signal is Signal.STOP
