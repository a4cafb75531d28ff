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
ALARM_KEYS = ("agitated_threshold", "calm_threshold", "agitated_s", "alarm_max_s", "alarm_cooldown_s")


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
    """Yield notes about [lights], [expression], [policy], and the thresholds of faces."""
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
    if not config.expression.enabled:
        names = [f"expression.{key}" for key in _changed(config, "expression") if key != "enabled"]
        names += [f"policy.{key}" for key in _changed(config, "policy") if key in ALARM_KEYS]
        if "buzzer" in lights.pins:
            names += [f"lights.{key}" for key in _changed(config, "lights") if key in SOUND_KEYS]
        if names:
            yield f"no effect with expression.enabled = false: {', '.join(names)}"
    if config.link.password:  # then there is a broker
        broker = parse_broker(config.link.broker)
        if not broker.has_tls and broker.host not in ("localhost", "127.0.0.1", "::1"):
            yield "the password of [link] goes through the network unencrypted: mqtts:// is a broker with TLS"
    for webhook in config.link.webhook:
        if webhook.url.startswith("http:") and webhook.token:
            yield f"the token of the webhook {webhook.name} goes through the network unencrypted: use https://"
    threshold, new_score = config.detector.threshold, config.tracker.new_score
    if new_score < threshold:
        yield f"no effect: tracker.new_score is {new_score:g}, below detector.threshold ({threshold:g})"


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
