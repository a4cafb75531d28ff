"""Decide which faces are alive: they move again and again, and a hanging picture does not.

Motion is what `still_things` sees: a shift by half a millimetre, a blink. A person who stands moves by that several times a
second. What crosses a picture, such as a shadow or a hand, moves it too, but soon it hangs as before.

 - A face is alive once it has been in motion for EARN_S, without a pause of PAUSE_S. One motion is no proof.
 - It is alive until it has not moved for ALIVE_S: a person may hold their breath.
 - A face that is exactly where it was before, to a fraction of a pixel, is a picture: its motion does not count.

Something that covers a picture for longer than EARN_S, or a hand that holds it, counts as life until it is gone: nothing here
tells these from a person.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ..records import TIME_EPSILON_S
from ..still_things import Motion

#: Seconds, see above. A person who passes by casts a shadow on a picture for about a second.
EARN_S, PAUSE_S, ALIVE_S = 2.0, 2.0, 10.0


@dataclass(slots=True)
class _Run:
    """A period of motion: the times of its first and last motion, and whether the face is alive: the period has lasted for EARN_S.

    `was_still`: True if a look after the last motion saw none. Without such a look there is no pause: a camera may be slow.
    """

    first: float
    last: float
    is_alive: bool = False
    was_still: bool = False

    def has_ended(self, t: float) -> bool:
        """Return whether the pause between the last motion and `t` is too long."""
        return self.was_still and t - self.last > (ALIVE_S if self.is_alive else PAUSE_S)


class Liveness:
    """The faces that are alive, by the number of their track. Times are seconds on the source's clock."""

    def __init__(self) -> None:
        self._runs: dict[int, _Run] = {}

    @property
    def alive(self) -> set[int]:
        """The numbers of the tracks that are alive."""
        return {number for number, run in self._runs.items() if run.is_alive}

    def look(self, number: int, motion: Motion, first_seen: float, t: float) -> None:
        """Use a look at the face of track `number` at `t`. What moved there before `first_seen` was somebody else."""
        run = self._runs.get(number)
        if motion.is_back:
            self._runs.pop(number, None)
        elif motion.at > (first_seen if run is None else run.last):
            if run is None or run.has_ended(motion.at):
                run = self._runs[number] = _Run(motion.at, motion.at)
            run.last, run.was_still = motion.at, False
            run.is_alive = run.is_alive or run.last - run.first >= EARN_S - TIME_EPSILON_S
        elif run is not None:
            run.was_still = True
            # The run is kept: without it, the next look would take its last motion for a new one.
            run.is_alive = run.is_alive and not run.has_ended(t)

    def keep(self, numbers: Collection[int]) -> None:
        """Forget the tracks that are not among `numbers`."""
        self._runs = {number: run for number, run in self._runs.items() if number in numbers}
