"""The Debian releases that a virtual door can have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """A Debian release: its name, the versions of its kernel and its Python.

    `has_lgpio_wheel`: lgpio has a package for this Python in PyPI. For later ones, it has only the source.
    """

    name: str
    title: str
    kernel: str
    python: str
    has_lgpio_wheel: bool


#: The first one is the default: today's Raspberry Pi OS is Debian 13.
SUITES = (
    Suite("trixie", "Debian 13", "6.12", "3.13", has_lgpio_wheel=False),
    Suite("bookworm", "Debian 12", "6.1", "3.11", has_lgpio_wheel=True),
)
NAMES = tuple(suite.name for suite in SUITES)
