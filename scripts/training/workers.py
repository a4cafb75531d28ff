"""Processes that share the work of a command."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import cv2

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

#: What a worker process does with each task.
_do: Callable[[Any], Any]


def in_processes(
    do: Callable[[Task], Outcome], tasks: Sequence[Task], jobs: int, start: Callable[[], None] | None = None
) -> Iterator[Outcome]:
    """Yield do(task) of each task in order, computed by `jobs` processes, or here if `jobs` is 1.

    The processes are forked, so that `do` may be any function with any data; tasks and outcomes are pickled. `start` is
    called first in each process.
    """
    if jobs == 1:
        yield from map(do, tasks)
        return
    threads = cv2.getNumThreads()
    # Ends OpenCV's threads: a forked process would wait forever for those that it has not inherited.
    cv2.setNumThreads(1)
    try:
        with multiprocessing.get_context("fork").Pool(jobs, _start, (do, start)) as pool:
            yield from pool.imap(_call, tasks)
    finally:
        cv2.setNumThreads(threads)


def _start(do: Callable[[Any], Any], start: Callable[[], None] | None) -> None:
    global _do
    _do = do
    # The pool ends its processes by SIGTERM. A handler inherited from the command would only take note of it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if start is not None:
        start()


def _call(task: object) -> object:
    return _do(task)
