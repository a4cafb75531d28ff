"""Settings: one TOML file over the commented defaults in default.toml, checked before anything starts."""

from __future__ import annotations

import difflib
import reprlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from .clock import parse_hours
from .errors import ConfigError
from .files import read_toml

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=3600)]
Pin = Annotated[int, Meta(ge=0, le=27)]
Pattern = Annotated[tuple[Annotated[float, Meta(ge=0.01, le=10)], ...], Meta(min_length=2, max_length=20)]
AcceleratorMode = Literal["auto", "cpu", "edgetpu"]
Expression = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]

ALLOWED = "doorlight check-config, without a file, prints every key and what is allowed"


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table of the file. default.toml says what each key means."""


class CameraSettings(Section, frozen=True):
    source: Annotated[str, Meta(min_length=1)]
    width: Annotated[int, Meta(ge=64, le=4096)]
    height: Annotated[int, Meta(ge=64, le=4096)]
    fps: Annotated[float, Meta(gt=0, le=120)]
    rotate: Literal[0, 90, 180, 270]
    mirror: bool
    timeout_s: Annotated[float, Meta(ge=0.2, le=10)]
    reopen_s: Annotated[float, Meta(gt=0, le=60)]
    reopen_most_s: Annotated[float, Meta(gt=0, le=600)]
    wait: bool
    small_width: Annotated[int, Meta(ge=0, le=4096)]
    longest_exposure_s: Annotated[float, Meta(ge=0.001, le=1)]
    metering: Literal["centre", "spot", "matrix"]
    exposure_stops: Annotated[float, Meta(ge=-8, le=8)]
    grey: bool


class ModelSettings(Section, frozen=True):
    directory: str
    accelerator: AcceleratorMode
    threads: Annotated[int, Meta(ge=1, le=16)]


class DetectorSettings(Section, frozen=True):
    threshold: Share
    overlap: Annotated[float, Meta(gt=0, lt=1)]
    most_faces: Annotated[int, Meta(ge=1, le=100)]
    rest_s: Annotated[float, Meta(ge=0, le=2)]
    settled_s: Annotated[float, Meta(ge=0, le=0.5)]


class ExpressionSettings(Section, frozen=True):
    enabled: bool
    agitated: Annotated[tuple[Expression, ...], Meta(min_length=1)]
    look_again_s: Seconds


class TrackerSettings(Section, frozen=True):
    new_score: Share
    overlap: Annotated[float, Meta(gt=0, lt=1)]
    gone_s: Annotated[float, Meta(gt=0, le=10)]
    memory_s: Annotated[float, Meta(gt=0, le=60)]
    least_height: Share
    look_again_s: Seconds
    most_looks: Annotated[int, Meta(ge=1, le=100)]
    look_limit: Annotated[float, Meta(gt=0, le=10)]


class PolicySettings(Section, frozen=True):
    doubt_s: Seconds
    looks: Annotated[int, Meta(ge=1, le=100)]
    decide_s: Seconds
    masked_from: Positive
    unmasked_from: Annotated[float, Meta(lt=0)]
    to_masked: Positive
    to_unmasked: Annotated[float, Meta(lt=0)]
    change_s: Seconds
    agitated_from: Share
    calm_below: Share
    agitated_s: Seconds
    hold_s: Seconds
    alarm_most_s: Annotated[float, Meta(gt=0, le=600)]
    alarm_again_s: Seconds


class LightSettings(Section, frozen=True):
    green: Pin
    red: Pin
    buzzer: Pin
    active_low: bool
    buzzer_active_low: bool
    brightness: Annotated[float, Meta(ge=0.01, le=1)]
    buzzer_tone_hz: Annotated[float, Meta(ge=0, le=5000)]
    alarm_s: Pattern
    fault_s: Pattern
    quiet: str

    @property
    def resting(self) -> dict[int, bool]:
        """By pin, its level when nothing is lit."""
        return {self.green: self.active_low, self.red: self.active_low, self.buzzer: self.buzzer_active_low}


class EventSettings(Section, frozen=True):
    file: str
    rotate_bytes: Annotated[int, Meta(ge=4096)]
    keep: Annotated[int, Meta(ge=1, le=1000)]


class Config(Section, frozen=True):
    """All settings; made by `load` alone, so that every value has been checked."""

    camera: CameraSettings
    models: ModelSettings
    detector: DetectorSettings
    expression: ExpressionSettings
    tracker: TrackerSettings
    policy: PolicySettings
    lights: LightSettings
    events: EventSettings


def default_text() -> str:
    """The commented default file."""
    return resources.files(__package__).joinpath("default.toml").read_text(encoding="utf-8")


def load(path: Path | None = None) -> Config:
    """Read a configuration file over the defaults; None gives the defaults.

    Raises ConfigError, naming file, key and what is allowed, for a file that cannot be read, is not TOML, has an
    unknown key, a value of the wrong type or out of range, or values that contradict each other.
    """
    settings = tomllib.loads(default_text())
    name = "default.toml"
    if path is not None:
        name = str(path)
        try:
            given = read_toml(path)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}", "check the path after --config") from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
        except ValueError as error:
            raise ConfigError(
                f"{path}: is not TOML: {error}", "text needs quotes; true and false are lower case"
            ) from None
        _merge(settings, given, name)
    try:
        config = msgspec.convert(settings, Config)
    except msgspec.ValidationError as error:
        raise _explained(error, name, settings) from None
    except ValueError:  # msgspec would write out the number that is not among those allowed, and Python does not
        raise _enormous(name, settings) from None
    _contradictions(config, name)
    return config


def _merge(settings: dict[str, Any], given: dict[str, Any], name: str, prefix: str = "") -> None:
    for key, value in given.items():
        if key not in settings:
            close = difflib.get_close_matches(key, settings, 1)
            hint = f"did you mean '{prefix}{close[0]}'?" if close else f"allowed here: {', '.join(settings)}"
            raise ConfigError(f"{name}: unknown key '{prefix}{key}'", hint)
        if isinstance(settings[key], dict):
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{name}: '{prefix}{key}' must be a table", f"write [{prefix}{key}] and its keys below"
                )
            _merge(settings[key], value, name, f"{key}.")
        else:
            settings[key] = value


def _explained(error: msgspec.ValidationError, name: str, settings: dict[str, Any]) -> ConfigError:
    """msgspec says "Expected `int` <= 27 - at `$.lights.green`": turn it into file, key, allowed and found."""
    what, _, where = str(error).partition(" - at `$.")
    key = where.rstrip("`")
    found: Any = settings
    for part in key.replace("]", "").replace("[", ".").split("."):
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit():
            found = found[int(part)]
    for section in Config.__struct_fields__:
        if key.startswith(f"{section}."):
            field_type = _allowed(section, key.partition(".")[2].partition("[")[0])
            if field_type and what.startswith("Invalid enum value"):
                what = f"Expected {field_type}"
    what = what.replace("`", "").replace("-0.0", "0.0")  # msgspec writes "< 0.0" as "< -0.0"
    return ConfigError(f"{name}: '{key}' is {_shown(found)}: {what}", ALLOWED)


def _enormous(name: str, settings: dict[str, Any]) -> ConfigError:
    key = next(
        f"{section}.{key}"
        for section, values in settings.items()
        for key, value in values.items()
        if isinstance(value, int) and value.bit_length() > 64
    )
    return ConfigError(f"{name}: '{key}' is an enormous number", ALLOWED)


def _shown(value: object) -> str:
    """A wrong value as a person can read it, however long or deep."""
    short = reprlib.Repr()
    short.maxstring = short.maxlong = short.maxother = 80
    try:
        return short.repr(value)
    except ValueError:  # Python does not write out numbers of thousands of digits
        return "an enormous number"


def _allowed(section: str, key: str) -> str:
    choices = {
        ("camera", "rotate"): "0, 90, 180 or 270",
        ("models", "accelerator"): ", ".join(get_args(AcceleratorMode)),
        ("camera", "metering"): "centre, spot or matrix",
        ("expression", "agitated"): "one of " + ", ".join(get_args(Expression)),
    }
    return choices.get((section, key), "")


def _contradictions(config: Config, name: str) -> None:
    policy, lights, camera = config.policy, config.lights, config.camera
    paths = (("camera.source", camera.source), ("models.directory", config.models.directory))
    for key, path in (*paths, ("events.file", config.events.file)):
        if "\0" in path:
            raise ConfigError(f"{name}: '{key}' has a NUL character in it", "no file has such a name")
    pins: dict[int, str] = {}
    for key in ("green", "red", "buzzer"):
        pin = getattr(lights, key)
        if pin in pins:
            raise ConfigError(
                f"{name}: 'lights.{key}' is {pin}: that pin already belongs to 'lights.{pins[pin]}'",
                "give each light and the buzzer a pin of its own",
            )
        pins[pin] = key
    if 0 < lights.buzzer_tone_hz < 100:
        raise ConfigError(
            f"{name}: 'lights.buzzer_tone_hz' is {lights.buzzer_tone_hz:g}: no buzzer sounds that low",
            "0 for an active buzzer, which makes its own tone; 100 to 5000 for a passive one",
        )
    for key, pattern in (("alarm_s", lights.alarm_s), ("fault_s", lights.fault_s)):
        if len(pattern) % 2:
            raise ConfigError(
                f"{name}: 'lights.{key}' has {len(pattern)} entries: on and off take turns, so they come in pairs",
                "end it with the seconds off before it begins again",
            )
    if lights.quiet:
        try:
            parse_hours(lights.quiet)
        except ValueError as error:
            raise ConfigError(
                f"{name}: 'lights.quiet' is {lights.quiet!r}: {error}",
                'write "22:00-07:00" for ten in the evening to seven in the morning; "" for no quiet hours',
            ) from None
    ordered = (
        ("policy.calm_below", policy.calm_below, "policy.agitated_from", policy.agitated_from),
        ("policy.masked_from", policy.masked_from, "policy.to_masked", policy.to_masked),
        ("policy.to_unmasked", policy.to_unmasked, "policy.unmasked_from", policy.unmasked_from),
        ("policy.to_masked", policy.to_masked, "tracker.look_limit", config.tracker.look_limit),
        ("-policy.to_unmasked", -policy.to_unmasked, "tracker.look_limit", config.tracker.look_limit),
        ("camera.reopen_s", camera.reopen_s, "camera.reopen_most_s", camera.reopen_most_s),
    )
    for low_key, low, high_key, high in ordered:
        if low > high:
            raise ConfigError(
                f"{name}: thresholds crossed: '{low_key}' is {low:g} but '{high_key}' is {high:g}",
                f"'{low_key}' must not exceed '{high_key}'",
            )
