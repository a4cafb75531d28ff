"""Work shared by processes."""

from __future__ import annotations

import os
import signal

import cv2
import numpy as np
import pytest

from training.workers import in_processes


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_outcomes_are_in_order_and_start_is_called_in_each_process(jobs: int) -> None:
    started: list[int] = []
    here = os.getpid()
    got = list(in_processes(lambda n: (n * n, os.getpid(), len(started)), range(6), jobs, lambda: started.append(1)))
    assert [square for square, _, _ in got] == [0, 1, 4, 9, 16, 25]
    assert all((pid == here) == (jobs == 1) for _, pid, _ in got)
    assert all(starts == (jobs > 1) for _, _, starts in got)


def test_opencv_works_in_the_processes_after_it_has_used_threads_here() -> None:
    picture = np.zeros((2000, 2000, 3), np.uint8)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        cv2.GaussianBlur(picture, (0, 0), 3)  # starts OpenCV's threads
        got = list(in_processes(lambda _: cv2.GaussianBlur(picture, (0, 0), 3).shape, range(4), 2))
        assert got == [picture.shape] * 4
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(threads)


def test_the_processes_end_although_the_command_handles_the_stop_signal() -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    outcomes = in_processes(lambda n: n, range(50), 2)
    assert next(outcomes) == 0
    outcomes.close()  # type: ignore[attr-defined]  # ends the pool while it has work
