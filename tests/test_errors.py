"""The exceptions: exit codes, hints and the class tree."""

from __future__ import annotations

import pytest

from edge import errors
from edge.errors import DoorlightError

#: As documented in `doorlight --help`; the codes follow sysexits.h.
EXIT_CODES = {
    "DoorlightError": 1,
    "UsageError": 2,
    "InputError": 66,
    "UnavailableError": 69,
    "ModelError": 69,
    "CameraError": 69,
    "LightsError": 69,
    "OutputError": 74,
    "ConfigError": 78,
}
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


def test_exit_codes() -> None:
    assert {kind.__name__: kind.exit_code for kind in CLASSES} == EXIT_CODES  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_message_and_an_optional_hint(kind: type[DoorlightError]) -> None:
    assert issubclass(kind, DoorlightError)
    error = kind("door.toml: unknown key 'fsp'", "did you mean 'fps'?")
    assert (str(error), error.hint) == ("door.toml: unknown key 'fsp'", "did you mean 'fps'?")
    assert kind("no hint").hint == ""
    assert kind.__doc__


@pytest.mark.parametrize("kind", [errors.ModelError, errors.CameraError, errors.LightsError])
def test_hardware_and_model_errors_are_unavailable_errors(kind: type[DoorlightError]) -> None:
    assert issubclass(kind, errors.UnavailableError)
