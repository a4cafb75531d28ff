"""A process that has no open files or threads left."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from collections.abc import Iterator
from typing import NoReturn

import pytest


@contextlib.contextmanager
def few_more_files(count: int) -> Iterator[None]:
    """Let this process open at most `count` files beside the last one that is open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open no further file."""
    opened: list[int] = []
    with few_more_files(1):
        try:
            with contextlib.suppress(OSError):
                while True:
                    opened.append(os.open(os.devnull, os.O_RDONLY))
            yield
        finally:
            for file in opened:
                os.close(file)


@contextlib.contextmanager
def no_more_threads() -> Iterator[None]:
    """Let this process start no further thread. Python raises the same error; a limit of the kernel does not hold for root."""

    def refuse(_: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield
