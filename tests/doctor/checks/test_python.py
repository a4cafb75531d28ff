"""Check `python`."""

from __future__ import annotations

import sys

import pytest

from edge.doctor.checks import python
from support.doctor import FakeMachine, only


def test_python_system_and_board_are_reported(machine: FakeMachine) -> None:
    machine.become_pi()
    machine.add_file("etc/os-release", 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    finding = only(machine.check("python"))
    assert finding.message.startswith(f"Python {sys.version_info.major}.{sys.version_info.minor}")
    assert "Raspberry Pi 4 Model B Rev 1.5, Debian GNU/Linux 12 (bookworm)" in finding.message


def test_a_32_bit_python_under_a_64_bit_kernel_is_bad(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python, "is_32_bit_python_on_64_bits", lambda: True)
    finding = only(machine.check("python"))
    assert finding.severity == "bad"
    assert finding.fix == "install the 64-bit Raspberry Pi OS"
