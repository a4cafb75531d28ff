"""Load the settings: a TOML file over the commented defaults in default.toml.

The classes below give types and ranges. `_check` covers what involves several keys. To add a setting, add it to its
class and to default.toml, with a comment.
"""

from __future__ import annotations

import reprlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from .errors import ConfigError
from .renamed_settings import check_keys
from .source_kind import ADDRESS_HINT, address_problem
from .system.clock import parse_hours
from .system.files import WrongEncodingError, read_toml
from .zone import Zone, crossing_sides, surface

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=3600)]
Pin = Annotated[int, Meta(ge=0, le=27)]
#: A light or buzzer that is not there.
NO_PIN: Literal["none"] = "none"
OptionalPin = Pin | Literal["none"]
Pattern = Annotated[tuple[Annotated[float, Meta(ge=0.01, le=10)], ...], Meta(min_length=2, max_length=20)]
#: Corners (x, y) as shares of the picture's width and height.
Polygon = Annotated[tuple[tuple[Share, Share], ...], Meta(max_length=100)]
AcceleratorMode = Literal["auto", "cpu", "edgetpu"]
Expression = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]

#: The hint for a wrong value.
SEE_DEFAULTS = "doorlight check-config, without a file, prints every key and the allowed values"


#: The allowed values of keys with a fixed list of values, for the message of a wrong value.
CHOICES = {
    "camera.rotate": "0, 90, 180 or 270",
    "camera.metering": "centre, spot or matrix",
    "lights.green": 'a pin, or "none" for no green lamp',
    "lights.buzzer": 'a pin, or "none" for no buzzer',
    "lights.red": "a pin: STOP and FAULT need a red lamp",
    "models.accelerator": ", ".join(get_args(AcceleratorMode)),
    "expression.agitated": "one of " + ", ".join(get_args(Expression)),
}
MIN_BUZZER_TONE_HZ = 100
#: Smallest area of a polygon, as a share of the picture.
MIN_SURFACE = 1e-4


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the settings file. default.toml explains each key."""


class CameraSettings(Section, frozen=True):
    source: Annotated[str, Meta(min_length=1)]
    width: Annotated[int, Meta(ge=64, le=4096)]
    height: Annotated[int, Meta(ge=64, le=4096)]
    fps: Annotated[float, Meta(gt=0, le=120)]
    picture_s: Annotated[float, Meta(ge=0, le=60)]
    rotate: Literal[0, 90, 180, 270]
    mirror: bool
    grey: bool
    timeout_s: Annotated[float, Meta(ge=0.2, le=10)]
    reopen_s: Annotated[float, Meta(gt=0, le=60)]
    reopen_max_s: Annotated[float, Meta(gt=0, le=600)]
    wait: bool
    min_detail: Annotated[float, Meta(ge=0, le=20)]
    lores_width: Annotated[int, Meta(ge=0, le=4096)]
    max_exposure_s: Annotated[float, Meta(ge=0.001, le=1)]
    metering: Literal["centre", "spot", "matrix"]
    exposure_stops: Annotated[float, Meta(ge=-8, le=8)]


class DoorSettings(Section, frozen=True):
    zone: Polygon
    ignore: Annotated[tuple[Polygon, ...], Meta(max_length=20)]


class ModelSettings(Section, frozen=True):
    directory: str
    accelerator: AcceleratorMode
    threads: Annotated[int, Meta(ge=1, le=16)]


class DetectorSettings(Section, frozen=True):
    threshold: Share
    nms_iou: Annotated[float, Meta(gt=0, lt=1)]
    max_faces: Annotated[int, Meta(ge=1, le=100)]
    idle_search_s: Annotated[float, Meta(ge=0, le=2)]
    settled_search_s: Annotated[float, Meta(ge=0, le=0.5)]


class ExpressionSettings(Section, frozen=True):
    enabled: bool
    agitated: Annotated[tuple[Expression, ...], Meta(min_length=1)]
    recheck_s: Seconds


class TrackerSettings(Section, frozen=True):
    new_score: Share
    match_iou: Annotated[float, Meta(gt=0, lt=1)]
    forget_after_s: Annotated[float, Meta(gt=0, le=10)]
    averaging_s: Annotated[float, Meta(gt=0, le=60)]
    min_face_height: Share
    recheck_s: Seconds
    max_looks_per_frame: Annotated[int, Meta(ge=1, le=100)]
    max_log_odds: Annotated[float, Meta(gt=0, le=10)]


class PolicySettings(Section, frozen=True):
    undecided_max_s: Seconds
    min_looks: Annotated[int, Meta(ge=1, le=100)]
    min_decide_s: Seconds
    masked_threshold: Positive
    unmasked_threshold: Annotated[float, Meta(lt=0)]
    change_to_masked: Positive
    change_to_unmasked: Annotated[float, Meta(lt=0)]
    change_s: Seconds
    agitated_threshold: Share
    calm_threshold: Share
    agitated_s: Seconds
    min_signal_s: Seconds
    alarm_max_s: Annotated[float, Meta(gt=0, le=600)]
    alarm_cooldown_s: Seconds


class LightSettings(Section, frozen=True):
    green: OptionalPin
    red: Pin
    buzzer: OptionalPin
    active_low: bool
    buzzer_active_low: bool
    brightness: Annotated[float, Meta(ge=0.01, le=1)]
    buzzer_tone_hz: Annotated[float, Meta(ge=0, le=5000)]
    alarm_pattern_s: Pattern
    fault_pattern_s: Pattern
    quiet_hours: str

    @property
    def pins(self) -> dict[str, int]:
        """Return the pin (BCM number) of "green", "red" and "buzzer", without those that are not there."""
        pins = {"green": self.green, "red": self.red, "buzzer": self.buzzer}
        return {key: pin for key, pin in pins.items() if isinstance(pin, int)}

    @property
    def resting(self) -> dict[int, bool]:
        """Return the level of each pin when its light or buzzer is off."""
        return {pin: self.buzzer_active_low if key == "buzzer" else self.active_low for key, pin in self.pins.items()}


class EventSettings(Section, frozen=True):
    file: str
    rotate_bytes: Annotated[int, Meta(ge=4096)]
    keep_files: Annotated[int, Meta(ge=1, le=1000)]


class Config(Section, frozen=True):
    """All settings. Only `load` creates it, so every value is checked."""

    camera: CameraSettings
    door: DoorSettings
    models: ModelSettings
    detector: DetectorSettings
    expression: ExpressionSettings
    tracker: TrackerSettings
    policy: PolicySettings
    lights: LightSettings
    events: EventSettings


def default_text() -> str:
    """Return the text of default.toml."""
    return resources.files(__package__).joinpath("default.toml").read_text(encoding="utf-8")


def load(path: Path | None = None) -> Config:
    """Return the settings of a TOML file, with defaults for missing keys; None returns the defaults.

    Raises ConfigError if the file cannot be read, is not TOML, has unknown keys, or has a value of the wrong type, out
    of range, or in contradiction to another value. The message names file and key, the hint what is allowed.
    """
    settings = tomllib.loads(default_text())
    name = "default.toml"
    if path is not None:
        name = str(path)
        given = _read(path)
        check_keys(given, settings, name)
        for section, values in given.items():
            if not isinstance(values, dict):
                raise ConfigError(f"{name}: '{section}' must be a table", f"write [{section}] and its keys below")
            settings[section].update(values)
    try:
        config = msgspec.convert(settings, Config)
    except msgspec.ValidationError as error:
        raise _invalid_value(error, name, settings) from None
    except ValueError:  # msgspec formats the rejected number, and Python refuses to format thousands of digits.
        raise _enormous_number(name, settings) from None
    _check(config, name)
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", "check the path and the permissions") from None
    except WrongEncodingError as error:
        raise ConfigError(f"{path}: is {error.encoding} text, not UTF-8", "save it as UTF-8") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    except ValueError as error:
        raise ConfigError(f"{path}: is not TOML: {error}", "text needs quotes; true and false are lower case") from None


def _invalid_value(error: msgspec.ValidationError, name: str, settings: dict[str, Any]) -> ConfigError:
    """Return the error for a value that msgspec rejects, such as "Expected `int` <= 27 - at `$.lights.green`"."""
    expected, _, where = str(error).partition(" - at `$.")
    key = where.rstrip("`")
    value: Any = settings
    for part in key.replace("]", "").replace("[", ".").split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit():
            value = value[int(part)]
    choices = CHOICES.get(key.partition("[")[0])
    is_wrong_type = key.startswith("lights.") and ", got " in expected
    if choices and (expected.startswith("Invalid enum value") or is_wrong_type):
        expected = f"Expected {choices}"
    expected = expected.replace("`", "").replace("-0.0", "0.0")  # msgspec writes "< 0.0" as "< -0.0".
    return ConfigError(f"{name}: '{key}' is {_format(value)}: {expected}", SEE_DEFAULTS)


def _enormous_number(name: str, settings: dict[str, Any]) -> ConfigError:
    key = next(
        f"{section}.{key}"
        for section, values in settings.items()
        for key, value in values.items()
        if isinstance(value, int) and value.bit_length() > 64
    )
    return ConfigError(f"{name}: '{key}' is an enormous number", SEE_DEFAULTS)


def _format(value: object) -> str:
    """Return a short form of a wrong value, whatever its length and depth."""
    short = reprlib.Repr()
    short.maxstring = short.maxlong = short.maxother = 80
    try:
        return short.repr(value)
    except ValueError:  # Python refuses to format numbers of thousands of digits.
        return "an enormous number"


def _check(config: Config, name: str) -> None:
    """Raise ConfigError if values contradict each other."""
    _check_paths(config, name)
    _check_door(config.door, name)
    _check_pins(config.lights, name)
    _check_lights(config.lights, name)
    _check_order(config, name)


def _check_paths(config: Config, name: str) -> None:
    paths = {
        "camera.source": config.camera.source,
        "models.directory": config.models.directory,
        "events.file": config.events.file,
    }
    for key, path in paths.items():
        if "\0" in path:
            raise ConfigError(f"{name}: '{key}' has a NUL character", "remove it")
    if problem := address_problem(config.camera.source):
        raise ConfigError(f"{name}: 'camera.source' {problem}", ADDRESS_HINT)


def _check_door(door: DoorSettings, name: str) -> None:
    named = {"door.zone": door.zone} if door.zone else {}
    named |= {f"door.ignore[{k}]": area for k, area in enumerate(door.ignore)}
    for key, polygon in named.items():
        if len(polygon) < 3:
            raise ConfigError(
                f"{name}: '{key}' needs at least 3 corners, not {len(polygon)}",
                "write [x, y] for each corner, as shares of the picture's width and height",
            )
        if sides := crossing_sides(polygon):
            raise ConfigError(
                f"{name}: '{key}' crosses itself: the sides after corner {sides[0]} and corner {sides[1]} meet",
                "list the corners in their order around the area",
            )
        if surface(polygon) < MIN_SURFACE:
            raise ConfigError(f"{name}: '{key}' is a line, not an area", "move its corners apart")
    if door.ignore and Zone(door.zone, door.ignore).is_empty:
        what = "zone" if door.zone else "picture"
        raise ConfigError(
            f"{name}: 'door.ignore' covers the whole {what}: no face would count", "make its areas smaller"
        )


def _check_pins(lights: LightSettings, name: str) -> None:
    key_of: dict[int, str] = {}
    for key, pin in lights.pins.items():
        if pin in key_of:
            raise ConfigError(
                f"{name}: 'lights.{key}' is {pin}: that pin already belongs to 'lights.{key_of[pin]}'",
                "give each light and the buzzer a pin of its own",
            )
        key_of[pin] = key


def _check_lights(lights: LightSettings, name: str) -> None:
    if 0 < lights.buzzer_tone_hz < MIN_BUZZER_TONE_HZ:
        raise ConfigError(
            f"{name}: 'lights.buzzer_tone_hz' is {lights.buzzer_tone_hz:g}: too low for a buzzer",
            "use 0 for an active buzzer, which makes its own tone; 100 to 5000 for a passive one",
        )
    for key in ("alarm_pattern_s", "fault_pattern_s"):
        entries = len(getattr(lights, key))
        if entries % 2:
            raise ConfigError(
                f"{name}: 'lights.{key}' has {entries} entries: on and off times come in pairs",
                "add the off time at the end",
            )
    if lights.quiet_hours:
        try:
            parse_hours(lights.quiet_hours)
        except ValueError as error:
            raise ConfigError(
                f"{name}: 'lights.quiet_hours' is {_format(lights.quiet_hours)}: {error}",
                'write "22:00-07:00" for 10 pm to 7 am; "" for no quiet hours',
            ) from None


def _check_order(config: Config, name: str) -> None:
    policy, tracker, camera = config.policy, config.tracker, config.camera
    # Lower key, its value, higher key, its value.
    ordered = (
        ("policy.calm_threshold", policy.calm_threshold, "policy.agitated_threshold", policy.agitated_threshold),
        ("policy.masked_threshold", policy.masked_threshold, "policy.change_to_masked", policy.change_to_masked),
        (
            "policy.change_to_unmasked",
            policy.change_to_unmasked,
            "policy.unmasked_threshold",
            policy.unmasked_threshold,
        ),
        ("policy.change_to_masked", policy.change_to_masked, "tracker.max_log_odds", tracker.max_log_odds),
        ("-policy.change_to_unmasked", -policy.change_to_unmasked, "tracker.max_log_odds", tracker.max_log_odds),
        ("camera.reopen_s", camera.reopen_s, "camera.reopen_max_s", camera.reopen_max_s),
    )
    for low_key, low, high_key, high in ordered:
        if low > high:
            raise ConfigError(
                f"{name}: '{low_key}' is {low:g} but '{high_key}' is {high:g}",
                f"'{low_key}' must not exceed '{high_key}'",
            )
