"""The settings that `training.sweep` tries, and their values."""

from __future__ import annotations

from typing import Any

from edge import config
from edge.errors import ConfigError, UsageError

#: Settings that a recording can show: those that act behind the models. `detector.threshold` acts on recorded scores.
SECTIONS = ("tracker", "policy")
OTHER_KEYS = (
    "detector.threshold", "detector.idle_search_s", "detector.settled_search_s", "expression.recheck_s",
)  # fmt: skip
#: --all tries each setting at these multiples of its value.
FACTORS = (0.5, 0.75, 0.9, 1.0, 1.12, 1.35, 1.8)


def value_of(settings: config.Config, key: str) -> Any:
    """Return the value of SECTION.KEY; None if there is no such setting."""
    section, _, name = key.partition(".")
    return getattr(getattr(settings, section, None), name, None)


def number_keys(settings: config.Config) -> list[str]:
    """Return the keys of all numbers in SECTIONS."""
    keys = [f"{section}.{name}" for section in SECTIONS for name in getattr(settings, section).__struct_fields__]
    return [key for key in keys if _is_number(value_of(settings, key))]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def parsed(item: str, settings: config.Config) -> tuple[str, list[float]]:
    """Return key and values of a --set option. Raises UsageError if the setting or a value cannot be tried."""
    key, _, values = item.partition("=")
    if key not in number_keys(settings) and key not in OTHER_KEYS:
        raise UsageError(f"--set {item}: '{key}' is no number that changes what a recording shows")
    try:
        numbers = [float(value) for value in values.split(",")]
    except ValueError:
        raise UsageError(f"--set {item}: write numbers after =, separated by commas") from None
    for number in numbers:
        try:
            changed(settings, key, number)
        except ConfigError as error:
            raise UsageError(f"--set {item}: {error}") from None
    return key, numbers


def changed(settings: config.Config, key: str, value: float) -> config.Config:
    """Return the settings with one value changed. Raises ConfigError if the door would refuse it."""
    section, _, name = key.partition(".")
    is_count = isinstance(value_of(settings, key), int)
    return config.replaced(settings, section, **{name: round(value) if is_count else value})


def around(settings: config.Config, key: str) -> list[float]:
    """Return values around a setting's, without those that the door would refuse."""
    now = value_of(settings, key)
    tried = [round(now * factor, 3) for factor in FACTORS] if now else [0.0, 0.25, 0.5, 1.0]
    values = sorted({float(round(v)) if isinstance(now, int) else v for v in tried})
    out = []
    for value in values:
        try:
            changed(settings, key, value)
        except ConfigError:
            continue
        out.append(value)
    return out
