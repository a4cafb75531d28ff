"""Exceptions: one tree, each class with its exit code, each instance with a hint for the user.

`edge.cli.main` prints message and hint and exits with `exit_code`. The codes follow sysexits.h; `doorlight --help`
documents them.
"""

from __future__ import annotations


class DoorlightError(Exception):
    """Base class of all errors that Doorlight raises on purpose.

    The message has the form "<where>: <what is wrong>", where <where> is a file, a key or a device. `hint` names one
    command or one action that solves the problem; it may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(DoorlightError):
    """The command line is wrong."""

    exit_code = 2


class InputError(DoorlightError):
    """An input file or folder does not exist or cannot be read, or pictures or videos of a folder cannot be read."""

    exit_code = 66


class UnavailableError(DoorlightError):
    """Hardware, a model, a broker or a database cannot be used."""

    exit_code = 69


class ModelError(UnavailableError):
    """A model is missing, damaged, or differs from its description in the manifest."""


class CameraError(UnavailableError):
    """A camera cannot be opened or delivers no frames."""


class LightsError(UnavailableError):
    """A GPIO pin or chip cannot be used."""


class OutputError(DoorlightError):
    """A file cannot be written."""

    exit_code = 74


class ConfigError(DoorlightError):
    """The settings file is wrong; the message names the file and the key."""

    exit_code = 78
