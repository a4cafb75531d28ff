"""Notes about valid settings without effect, or without the intended one: for `check-config`, `run` and `doctor`.

If you add a key to [camera], add it to `EFFECTIVE_FOR`.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator

from .config import Config, Section, load
from .link_settings import parse_broker
from .source_kind import CAMERAS, PICTURE_SUFFIXES, RAW_VIDEO_SUFFIXES, VIDEO_SUFFIXES, SourceKind, source_kind

ALL: tuple[SourceKind, ...] = (*CAMERAS, "file")
#: For each key of [camera]: the kinds of source on which it has an effect.
EFFECTIVE_FOR: dict[str, tuple[SourceKind, ...]] = {
    **dict.fromkeys(("source", "rotate", "mirror", "grey", "min_detail"), ALL),
    **dict.fromkeys(("timeout_s", "reopen_s", "reopen_max_s", "wait"), CAMERAS),
    **dict.fromkeys(("width", "height"), ("Pi camera", "USB camera")),
    "fps": ("Pi camera", "USB camera", "HTTP camera", "file"),
    "picture_s": ("file",),
    **dict.fromkeys(("lores_width", "max_exposure_s", "metering", "exposure_stops"), ("Pi camera",)),
}
#: Keys of [camera] without effect on these files, although they have one on others.
WITHOUT_EFFECT_ON = {"video with time stamps": ("fps", "picture_s"), "picture": ("fps",)}
#: Keys of [lights] that only concern the buzzer, and keys of [policy] that only concern the alarm.
BUZZER_KEYS = ("buzzer_active_low", "buzzer_tone_hz", "alarm_pattern_s", "quiet_hours")
SOUND_KEYS = ("buzzer_tone_hz", "alarm_pattern_s", "quiet_hours")  # without the level of the pin at rest
#: The Raspberry Pi pulls GPIO0 to GPIO8 up, and the others down, until a program drives them.
FIRST_PULLED_DOWN = 9
#: A pulse that is shorter starts a device of its own, such as a turnstile or a door opener.
MAX_CONTACT_S = 1.0
ALARM_KEYS = ("agitated_threshold", "calm_threshold", "agitated_s", "alarm_max_s", "alarm_cooldown_s")

#: A lower [policy] min_score lets everything pass, and a higher one few: people stay above this in 197 walk-ups.
MIN_EFFECTIVE_SCORE, MAX_PEOPLE_SCORE = 0.1, 0.74
#: The same for max_misfit: people stay below the second.
MAX_EFFECTIVE_MISFIT, MIN_PEOPLE_MISFIT = 20.0, 1.5
#: A person may stand without a visible movement for some seconds.
MIN_STILL_S = 10.0


def camera_notes(config: Config, source: str = "") -> Iterator[str]:
    """Yield notes about [camera] for a source (default: camera.source)."""
    camera = config.camera
    source = source or camera.source
    kind = source_kind(source)
    changed = _changed(config, "camera")
    name = _kind_of_file(source) if kind == "file" else kind
    unused = [key for key in changed if kind not in EFFECTIVE_FOR[key] or key in WITHOUT_EFFECT_ON.get(name, ())]
    if unused:
        article = "an" if name.startswith("HTTP") else "a"
        yield f"no effect on {article} {name}: {_names('camera', unused)}"
    if kind == "HTTP camera" and _is_named_video(source):
        of_cameras = [key for key in changed if "file" not in EFFECTIVE_FOR[key] or key == "fps"]
        if of_cameras := [key for key in of_cameras if key not in unused]:
            yield f"no effect if the address is a video, not a camera: {_names('camera', of_cameras)}"
    if kind == "Pi camera" and "lores_width" in changed and camera.lores_width >= camera.width:
        yield f"no effect: camera.lores_width is {camera.lores_width}, not less than camera.width ({camera.width})"
    if kind == "Pi camera" and "max_exposure_s" in changed and camera.max_exposure_s > 1 / camera.fps:
        yield f"camera.max_exposure_s is limited to {1 / camera.fps:.3g} s by camera.fps ({camera.fps:g})"


def other_notes(config: Config) -> Iterator[str]:
    """Yield notes about [lights], [relay], [expression], [policy], and the thresholds of faces."""
    lights = config.lights
    for key, pin in lights.pins.items():
        if pin == 0:
            absent = {"green": "no green lamp", "buzzer": "no buzzer"}.get(key)
            remedy = f'; for {absent} write {key} = "none"' if absent else ""
            yield f"lights.{key} = 0 is the pin GPIO0, which is reserved for add-on boards{remedy}"
    if "buzzer" not in lights.pins:
        unused = [key for key in _changed(config, "lights") if key in BUZZER_KEYS]
        if unused:
            yield f"no effect without a buzzer: {_names('lights', unused)}"
    yield from _relay_notes(config)
    if not config.expression.enabled:
        names = [f"expression.{key}" for key in _changed(config, "expression") if key != "enabled"]
        names += [f"policy.{key}" for key in _changed(config, "policy") if key in ALARM_KEYS]
        if "buzzer" in lights.pins:
            names += [f"lights.{key}" for key in _changed(config, "lights") if key in SOUND_KEYS]
        if names:
            yield f"no effect with expression.enabled = false: {', '.join(names)}"
    else:
        yield from _masked_notes(config)
    if config.link.password:  # then there is a broker
        broker = parse_broker(config.link.broker)
        if not broker.has_tls and broker.host not in ("localhost", "127.0.0.1", "::1"):
            yield "the password of [link] goes through the network unencrypted: mqtts:// is a broker with TLS"
    for webhook in config.link.webhook:
        if webhook.url.startswith("http:") and webhook.token:
            yield f"the token of the webhook {webhook.name} goes through the network unencrypted: use https://"
    if not config.landmarks.enabled and (unused := [k for k in _changed(config, "landmarks") if k != "enabled"]):
        yield f"no effect with landmarks.enabled = false: {_names('landmarks', unused)}"
    if not config.people.enabled and (
        unused := [k for k in _changed(config, "people") if k not in ("enabled", "file")]
    ):
        yield f"no effect with people.enabled = false: {_names('people', unused)}"
    if config.people.may_open and config.relay.when == "PASS":
        yield 'no effect with relay.when = "PASS": people.may_open'
    threshold, new_score = config.detector.threshold, config.tracker.new_score
    if new_score < threshold:
        yield f"no effect: tracker.new_score is {new_score:g}, below detector.threshold ({threshold:g})"
    yield from _consistency_notes(config)


def _consistency_notes(config: Config) -> Iterator[str]:
    """Yield notes about values that let every face pass, or none."""
    score, misfit, still_s = config.policy.min_score, config.policy.max_misfit, config.door.ignore_still_s
    if score < MIN_EFFECTIVE_SCORE:
        yield f"policy.min_score is {score:g}: every face has such a score, so what flickers is decided, too"
    elif score > MAX_PEOPLE_SCORE:
        yield f"policy.min_score is {score:g}: people stay above {MAX_PEOPLE_SCORE:g}, so some are never decided"
    if misfit >= MAX_EFFECTIVE_MISFIT:
        yield f"policy.max_misfit is {misfit:g}: hardly anything is so inconsistent, so what jumps is decided, too"
    elif misfit < MIN_PEOPLE_MISFIT:
        yield f"policy.max_misfit is {misfit:g}: people reach {MIN_PEOPLE_MISFIT:g}, so some are never decided"
    if still_s == 0:
        yield "door.ignore_still_s is 0: posters and statues count as people"
    elif still_s < MIN_STILL_S:
        yield f"door.ignore_still_s is {still_s:g} s: a person who stands still may be ignored; {MIN_STILL_S:g} is safe"


def _masked_notes(config: Config) -> Iterator[str]:
    """Yield notes about expressions above a mask."""
    expression = config.expression
    if expression.masked_alarm and not expression.masked:
        yield "no effect with expression.masked = false: expression.masked_alarm"
    elif expression.masked_alarm:
        yield (
            "expression.masked_alarm is true: an expression above a mask is uncertain, so the alarm may be raised by calm "
            "people who wear a mask"
        )
    elif expression.masked:
        yield (
            "expression.masked is true: expressions above a mask are shown and logged as uncertain, and never raise an alarm; "
            "the sign at the door must name them (doorlight sign)"
        )


def _relay_notes(config: Config) -> Iterator[str]:
    relay = config.relay
    if not isinstance(relay.pin, int):
        if unused := [key for key in _changed(config, "relay") if key != "pin"]:
            yield f"no effect without a relay (relay.pin): {_names('relay', unused)}"
        return
    if relay.pin == 0:
        yield "relay.pin = 0 is the pin GPIO0, which is reserved for add-on boards"
    if relay.active_low is (relay.pin >= FIRST_PULLED_DOWN):
        level, others = ("low", "GPIO4 to GPIO8") if relay.active_low else ("high", "GPIO9 to GPIO27")
        lock = "unlocked" if relay.fail == "secure" else "locked"
        yield (
            f"GPIO{relay.pin} (relay.pin) is pulled {level} until the door has started: the relay may be on ({lock}) "
            f"meanwhile; use one of {others}"
        )
    if relay.fail == "safe" and 0 < relay.seconds < MAX_CONTACT_S:
        yield (
            f'with relay.fail = "safe" the relay is on all the time, except for {relay.seconds:g} s (relay.seconds): a '
            'turnstile or a door opener needs "secure"'
        )


def privacy_notes(config: Config) -> Iterator[str]:
    """Yield a note if the questions of a door in use are not answered."""
    if config.privacy.answers_required and config.privacy.unanswered:
        yield f"not answered: {_names('privacy', [*config.privacy.unanswered])}; until then no expression is read"


def _kind_of_file(source: str) -> str:
    """Return the kind of a file for a note, from its name."""
    if _is_named_video(source):
        return "video with time stamps"
    return "picture" if os.path.splitext(source)[1].lower() in PICTURE_SUFFIXES else "file"


def _is_named_video(source: str) -> bool:
    """Return whether a path, or an address without its query, is named like a video that has time stamps."""
    if "://" in source:
        source = re.split(r"[?#]", source)[0]
    return os.path.splitext(source)[1].lower() in VIDEO_SUFFIXES - RAW_VIDEO_SUFFIXES


def _names(section: str, keys: list[str]) -> str:
    return ", ".join(f"{section}.{key}" for key in keys)


@functools.cache
def _defaults() -> Config:
    """Return the default settings, which take a while to read: once for all sections."""
    return load()


def _changed(config: Config, section: str) -> list[str]:
    """Return the keys of a section whose values differ from the defaults."""
    given: Section = getattr(config, section)
    default: Section = getattr(_defaults(), section)
    return [key for key in given.__struct_fields__ if getattr(given, key) != getattr(default, key)]
