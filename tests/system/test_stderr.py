"""Output of native code is captured, and stderr works afterwards."""

from __future__ import annotations

import gc
import os

import pytest

from edge.system.stderr import MAX_CAPTURED_BYTES, captured


def test_captures_what_native_code_writes(capfd: pytest.CaptureFixture[str]) -> None:
    with captured() as lines:
        os.write(2, b"one\ntwo \xff\n")
    assert lines == ["one", "two \N{REPLACEMENT CHARACTER}"]
    os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"


def test_restores_stderr_after_an_exception(capfd: pytest.CaptureFixture[str]) -> None:
    gc.collect()  # what earlier tests left open must not be closed in between
    before = len(os.listdir("/proc/self/fd"))
    lines: list[str] = []

    def fail() -> None:
        nonlocal lines
        with captured() as lines:
            os.write(2, b"x" * (2 * MAX_CAPTURED_BYTES))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert lines == ["x" * MAX_CAPTURED_BYTES]
    os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"
    assert len(os.listdir("/proc/self/fd")) == before, "a file descriptor leaked"
