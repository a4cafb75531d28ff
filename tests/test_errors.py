"""The exception tree: what each class promises to whoever catches or reads it."""

from __future__ import annotations

import pytest

from edge import errors
from edge.errors import DoorlightError

#: The exit codes promised in `doorlight --help`, which follow sysexits.h.
EXIT_CODES = {
    "DoorlightError": 1,
    "UsageError": 2,
    "InputMissing": 66,
    "Unavailable": 69,
    "ModelError": 69,
    "CameraError": 69,
    "LightsError": 69,
    "OutputError": 74,
    "ConfigError": 78,
}
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


def test_every_class_has_its_exit_code() -> None:
    assert {kind.__name__: kind.exit_code for kind in CLASSES} == EXIT_CODES


@pytest.mark.parametrize("kind", CLASSES)
def test_one_tree_with_a_hint(kind: type[DoorlightError]) -> None:
    assert issubclass(kind, DoorlightError)
    error = kind("door.toml: unknown key 'fsp'", "did you mean 'fps'?")
    assert (str(error), error.hint) == ("door.toml: unknown key 'fsp'", "did you mean 'fps'?")
    assert kind("no hint").hint == ""
    assert kind.__doc__


@pytest.mark.parametrize("kind", [errors.ModelError, errors.CameraError, errors.LightsError])
def test_what_cannot_be_used_is_unavailable(kind: type[DoorlightError]) -> None:
    assert issubclass(kind, errors.Unavailable)
