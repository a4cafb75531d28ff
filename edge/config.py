"""Load the settings: a TOML file over the commented defaults in default.toml.

The classes below give types and ranges. config_checks.py covers what involves several keys. To add a setting, add it to its
class and to default.toml, with a comment.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from . import config_checks, config_messages, toml_hints
from .errors import ConfigError
from .link_settings import LinkSettings, check_webhook_tables
from .listen_address import parse_listen
from .renamed_settings import check_keys
from .system.files import WrongEncodingError, parse_toml, read_toml_text

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=3600)]
Pin = Annotated[int, Meta(ge=0, le=27)]
OptionalPin = Pin | Literal["none"]
Pattern = Annotated[tuple[Annotated[float, Meta(ge=0.01, le=10)], ...], Meta(min_length=2, max_length=20)]
#: Corners (x, y) as shares of the picture's width and height.
Polygon = Annotated[tuple[tuple[Share, Share], ...], Meta(max_length=100)]
AcceleratorMode = Literal["auto", "cpu", "edgetpu"]
Expression = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


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
    ignore_still_s: Seconds


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
    masked: bool
    masked_alarm: bool

    @property
    def reads_masked(self) -> bool:
        """Return whether expressions are read above a mask, too."""
        return self.enabled and self.masked

    @property
    def alarms_masked(self) -> bool:
        """Return whether a person with a mask may raise an ALARM."""
        return self.reads_masked and self.masked_alarm


class LandmarkSettings(Section, frozen=True):
    enabled: bool
    max_turn: Annotated[float, Meta(gt=0, le=90)]


class PeopleSettings(Section, frozen=True):
    enabled: bool
    file: str
    database: str
    threshold: Share
    min_looks: Annotated[int, Meta(ge=1, le=8)]
    interval_s: Annotated[float, Meta(ge=0.05, le=10)]
    cards: bool
    log: Literal["nothing", "known", "id"]
    page: Literal["nothing", "known", "name"]
    may_open: bool


class TrackerSettings(Section, frozen=True):
    new_score: Share
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
    min_score: Share
    max_misfit: Positive
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


class RelaySettings(Section, frozen=True):
    pin: OptionalPin
    when: Literal["PASS", "PASS and known"]
    seconds: Annotated[float, Meta(ge=0, le=60)]
    fail: Literal["secure", "safe"]
    active_low: bool

    @property
    def pins(self) -> dict[str, int]:
        """Return the pin (BCM number) of "relay"; empty without a relay."""
        return {"relay": self.pin} if isinstance(self.pin, int) else {}

    @property
    def resting(self) -> dict[int, bool]:
        """Return the level of the pin when the relay is off; empty without a relay."""
        return dict.fromkeys(self.pins.values(), self.active_low)


class EventSettings(Section, frozen=True):
    file: str
    rotate_bytes: Annotated[int, Meta(ge=4096)]
    keep_files: Annotated[int, Meta(ge=1, le=1000)]


class WebSettings(Section, frozen=True):
    enabled: bool
    listen: str
    hosts: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(max_length=20)]
    show_faces: bool
    may_configure: bool
    certificate: str
    key: str
    fleet_database: str

    @property
    def address(self) -> tuple[str, int]:
        """Return the host and port of `listen`."""
        return parse_listen(self.listen)


class PrivacySettings(Section, frozen=True):
    answers_required: bool
    controller: Annotated[str, Meta(max_length=200)]
    sign: Annotated[str, Meta(max_length=200)]
    notice: Annotated[str, Meta(max_length=200)]

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Return the keys whose questions are not answered."""
        return tuple(key for key in ("controller", "sign") if not getattr(self, key).strip())


class UpdateSettings(Section, frozen=True):
    source: str


class Config(Section, frozen=True):
    """All settings. Only `load` creates it, so every value is checked."""

    camera: CameraSettings
    door: DoorSettings
    models: ModelSettings
    detector: DetectorSettings
    expression: ExpressionSettings
    landmarks: LandmarkSettings
    people: PeopleSettings
    tracker: TrackerSettings
    policy: PolicySettings
    lights: LightSettings
    relay: RelaySettings
    events: EventSettings
    web: WebSettings
    privacy: PrivacySettings
    update: UpdateSettings
    link: LinkSettings


def default_text() -> str:
    """Return the text of default.toml."""
    return resources.files(__package__).joinpath("default.toml").read_text(encoding="utf-8")


def load(path: Path | None = None) -> Config:
    """Return the settings of a TOML file, with defaults for missing keys; None returns the defaults.

    Raises ConfigError if the file cannot be read, is not TOML, has unknown keys, or has a value of the wrong type, out
    of range, or in contradiction to another value. The message names file and key, the hint what is allowed.
    """
    settings = tomllib.loads(default_text())
    name, given = "default.toml", {}
    if path is not None:
        name = str(path)
        given = _read(path)
        check_keys(given, settings, name)
        for section, values in given.items():
            if not isinstance(values, dict):
                raise ConfigError(f"{name}: '{section}' must be a table", f"write [{section}] and its keys below")
            settings[section].update(values)
    check_webhook_tables(settings["link"]["webhook"], name)
    try:
        config = msgspec.convert(settings, Config)
    except msgspec.ValidationError as error:
        raise config_messages.wrong_value(str(error), name, settings, Config) from None
    except ValueError:  # msgspec formats the rejected number, and Python refuses to format thousands of digits.
        raise config_messages.enormous_number(name, settings, Config) from None
    config_checks.check(config, given, name)
    return _only_answered(config, given)


def _only_answered(config: Config, given: Mapping[str, Mapping[str, Any]]) -> Config:
    """Return the settings without expressions if answers are required and one is missing; `given` are the file's tables.

    The defaults answer nothing, so `expression.enabled` must be in the file.
    """
    privacy = config.privacy
    if not privacy.answers_required or ("enabled" in given.get("expression", {}) and not privacy.unanswered):
        return config
    return msgspec.structs.replace(config, expression=msgspec.structs.replace(config.expression, enabled=False))


def replaced(config: Config, section: str, **values: object) -> Config:
    """Return the settings with values of a section replaced. Raises ConfigError if `load` would refuse them."""
    settings = msgspec.to_builtins(config)
    settings[section].update(values)
    try:
        changed = msgspec.convert(settings, Config)
    except msgspec.ValidationError as error:
        raise config_messages.wrong_value(str(error), "settings", settings, Config) from None
    config_checks.check(changed, {section: values}, "settings")
    return changed


def _read(path: Path) -> dict[str, Any]:
    try:
        text = read_toml_text(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", "check the path and the permissions") from None
    except WrongEncodingError as error:
        raise ConfigError(f"{path}: is {error.encoding} text, not UTF-8", "save it as UTF-8") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    try:
        return parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}", toml_hints.advice(text, str(error))) from None
    except ValueError as error:
        raise ConfigError(f"{path}: is not TOML: {error}", toml_hints.GENERAL) from None
