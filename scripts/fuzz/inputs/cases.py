"""What a case of hostile input is, and the kinds of them there are; each module of this package adds some."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

#: A case takes no longer, and no more memory beyond what it had, than this, unless it says so itself.
LIMIT_S = 20.0
MAX_MIB = 256
#: The same for pictures and videos: one of 64 megapixels takes three times 192 MiB, decoded and copied twice.
PIXELS_MIB = 1024

Random = random.Random


class Case(NamedTuple):
    """One command line, and what may come of it.

    `codes` are the exit codes that fit. After `stop_s` seconds the command is sent the signals `stop_by`; it may die by
    one of `signals`. `around` is entered for the run; `check`, called afterwards, gives
    what is wrong with what was left behind. `process`: as a process of its own, with `environ`.
    """

    argv: list[str]
    codes: frozenset[int]
    limit_s: float = LIMIT_S
    most_mib: int = MAX_MIB
    stop_s: float | None = None
    stop_by: tuple[int, ...] = (signal.SIGTERM,)
    signals: frozenset[int] = frozenset()
    check: Callable[[], Iterable[str]] | None = None
    around: Callable[[], AbstractContextManager[object]] | None = None
    process: bool = False
    environ: dict[str, str] = {}  # noqa: RUF012


class Kind(NamedTuple):
    """`share` of all cases; `waits`: mostly for something, so that many may run at a time; `fresh`: loads its models."""

    make: Callable[[Random, Material], Case]
    share: int
    waits: bool
    fresh: bool


class Material(NamedTuple):
    """Good files, by name."""

    pictures: dict[str, bytes]
    videos: dict[str, bytes]
    models: dict[str, bytes]


KINDS: dict[str, Kind] = {}


def kind(share: int, waits: bool = False, fresh: bool = False) -> Callable[[Callable[[Random, Material], Case]], Any]:
    def add(make: Callable[[Random, Material], Case]) -> Callable[[Random, Material], Case]:
        KINDS[make.__name__] = Kind(make, share, waits, fresh)
        return make

    return add
