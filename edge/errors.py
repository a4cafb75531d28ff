"""Everything that can go wrong on purpose: one tree, each with its exit code and a hint for the person reading it."""

from __future__ import annotations


class DoorlightError(Exception):
    """Base of all of Doorlight's own errors.

    The message names what is wrong (file, key, device); `hint` says how to mend it. `exit_code` follows sysexits.h.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(DoorlightError):
    """The command line does not make sense."""

    exit_code = 2


class InputMissing(DoorlightError):
    """A file, folder or picture to be read is not there or cannot be read."""

    exit_code = 66


class Unavailable(DoorlightError):
    """Hardware or a model cannot be used."""

    exit_code = 69


class ModelError(Unavailable):
    """A model is missing, damaged, or not the one that the manifest describes."""


class CameraError(Unavailable):
    """A camera cannot be opened, or gives no picture."""


class LightsError(Unavailable):
    """A GPIO pin or chip cannot be used."""


class OutputError(DoorlightError):
    """A file cannot be written."""

    exit_code = 74


class ConfigError(DoorlightError):
    """The configuration file is wrong; the message names file and key."""

    exit_code = 78
