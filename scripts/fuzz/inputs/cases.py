"""The types `Case` and `Kind`, and the registry KINDS, to which the other modules add their kinds."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

#: Default limits of a case; the memory is in addition to that of the process before the case.
LIMIT_S = 20.0
MAX_MIB = 256
#: The memory limit for pictures and videos: 64 megapixels, decoded and copied twice, take three times 192 MiB.
PIXELS_MIB = 1024

Random = random.Random


class Case(NamedTuple):
    """One command line and its permitted results.

    `codes` are the permitted exit codes. After `stop_s` seconds the command receives the signals `stop_by`; it may end
    with one of `signals`. `around` is a context for the run. `check` runs afterwards and yields what is wrong with the
    files. `process`: run a new `doorlight`, with `environ`.
    """

    argv: list[str]
    codes: frozenset[int]
    limit_s: float = LIMIT_S
    max_mib: int = MAX_MIB
    stop_s: float | None = None
    stop_by: tuple[int, ...] = (signal.SIGTERM,)
    signals: frozenset[int] = frozenset()
    check: Callable[[], Iterable[str]] | None = None
    around: Callable[[], AbstractContextManager[object]] | None = None
    process: bool = False
    environ: dict[str, str] = {}  # noqa: RUF012 - never changed


class Kind(NamedTuple):
    """A kind of case: `share` of all cases; `waits`: mostly idle, so many can run in parallel; `fresh`: loads its
    models."""

    make: Callable[[Random, Material], Case]
    share: int
    waits: bool
    fresh: bool


class Material(NamedTuple):
    """Valid files, by name."""

    pictures: dict[str, bytes]
    videos: dict[str, bytes]
    models: dict[str, bytes]


KINDS: dict[str, Kind] = {}


def kind(share: int, waits: bool = False, fresh: bool = False) -> Callable[[Callable[[Random, Material], Case]], Any]:
    """Add the decorated function to KINDS, under its name."""

    def add(make: Callable[[Random, Material], Case]) -> Callable[[Random, Material], Case]:
        KINDS[make.__name__] = Kind(make, share, waits, fresh)
        return make

    return add
