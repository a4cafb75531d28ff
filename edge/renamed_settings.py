"""Report the unknown keys of a settings file, with the right name of each renamed or misspelt key.

If you rename a setting, add its old name to `RENAMED`; if you remove one, add it to `REMOVED`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import ConfigError

#: By section: old name to current name.
RENAMED: dict[str, dict[str, str]] = {
    "camera": {
        "reopen_most_s": "reopen_max_s",
        "small_width": "lores_width",
        "longest_exposure_s": "max_exposure_s",
    },
    "detector": {
        "overlap": "nms_iou",
        "most_faces": "max_faces",
        "rest_s": "idle_search_s",
        "settled_s": "settled_search_s",
    },
    "expression": {
        "look_again_s": "recheck_s",
    },
    "tracker": {
        "gone_s": "forget_after_s",
        "memory_s": "averaging_s",
        "least_height": "min_face_height",
        "look_again_s": "recheck_s",
        "most_looks": "max_looks_per_frame",
        "look_limit": "max_log_odds",
    },
    "policy": {
        "doubt_s": "undecided_max_s",
        "looks": "min_looks",
        "decide_s": "min_decide_s",
        "masked_from": "masked_threshold",
        "unmasked_from": "unmasked_threshold",
        "to_masked": "change_to_masked",
        "to_unmasked": "change_to_unmasked",
        "agitated_from": "agitated_threshold",
        "calm_below": "calm_threshold",
        "hold_s": "min_signal_s",
        "alarm_most_s": "alarm_max_s",
        "alarm_again_s": "alarm_cooldown_s",
    },
    "lights": {
        "alarm_s": "alarm_pattern_s",
        "fault_s": "fault_pattern_s",
        "quiet": "quiet_hours",
    },
    "events": {
        "keep": "keep_files",
    },
}

#: By section: settings that are gone, and why.
REMOVED: dict[str, dict[str, str]] = {
    "tracker": dict.fromkeys(("match_iou", "overlap"), "a face is matched to where it is expected"),
}

#: At most this many misspelt keys are listed. Renamed keys are always listed.
MAX_LISTED = 20
#: Longer key names are cut off in the list.
MAX_KEY_LENGTH = 40


def check_keys(given: Mapping[str, Any], settings: Mapping[str, Any], name: str) -> None:
    """Raise ConfigError if the tables `given` from file `name` have keys that the complete `settings` do not have.

    One error names all unknown keys.
    """
    unknown = list(_unknown_keys(given, settings))
    if not unknown:
        return
    if len(unknown) == 1:
        section, key = unknown[0]
        path = f"{section}.{key}" if section else key
        raise ConfigError(f"{name}: unknown key '{path}'", _hint(section, key, settings))
    listed: dict[str, list[str]] = {}
    misspelt = 0
    for section, key in unknown:
        if not _is_renamed(section, key):
            misspelt += 1
            if misspelt > MAX_LISTED:
                continue
        listed.setdefault(section, []).append(_item(section, key, settings))
    text = "; ".join(
        f"[{section}] {', '.join(items)}" if section else ", ".join(items) for section, items in listed.items()
    )
    if misspelt > MAX_LISTED:
        text += f"; and {misspelt - MAX_LISTED} more"
    raise ConfigError(
        f"{name}: {len(unknown)} unknown keys: {text}",
        "rename, move or delete them; doorlight check-config, without a file, prints every key",
    )


def _unknown_keys(given: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (section, key) of each unknown key; the section is "" for an unknown section or a key outside of one."""
    for section, values in given.items():
        if section not in settings:
            yield "", section
        elif isinstance(values, dict):
            yield from ((section, key) for key in values if key not in settings[section])


def _is_renamed(section: str, key: str) -> bool:
    return key in RENAMED.get(section, {})


def _sections_of(key: str, settings: Mapping[str, Any]) -> list[str]:
    """Return the sections that have a key of this name, as headings: ["[lights]"]."""
    return [f"[{section}]" for section, values in settings.items() if key in values]


def _similar(section: str, key: str, settings: Mapping[str, Any]) -> str | None:
    """Return the most similar name of a key in the section, or, outside of one, of a section or "section.key"."""
    if section:
        names = {name: name for name in settings[section]}
    else:
        names = {name: f"{each}.{name}" for each, values in settings.items() for name in values}
        names |= {each: each for each in settings}
    return next((names[name] for name in difflib.get_close_matches(key, names, 1)), None)


def _hint(section: str, key: str, settings: Mapping[str, Any]) -> str:
    """Return the hint for the only unknown key of a file."""
    prefix = f"{section}." if section else ""
    if _is_renamed(section, key):
        return f"it is now called '{prefix}{RENAMED[section][key]}'"
    if reason := REMOVED.get(section, {}).get(key):
        return f"delete it: {reason}"
    if not section and (current := [f"'{each}.{names[key]}'" for each, names in RENAMED.items() if key in names]):
        return f"it is now called {' or '.join(current)}"
    if sections := _sections_of(key, settings):
        return f"it belongs under {' or '.join(sections)}"
    similar = _similar(section, key, settings)
    if similar is not None:
        return f"did you mean '{prefix}{similar}'?"
    return f"allowed here: {', '.join(settings[section] if section else settings)}"


def _item(section: str, key: str, settings: Mapping[str, Any]) -> str:
    """Return the entry of a key in the list of unknown keys."""
    if _is_renamed(section, key):
        return f"{key} is now {RENAMED[section][key]}"
    if reason := REMOVED.get(section, {}).get(key):
        return f"{key} (delete it: {reason})"
    if sections := _sections_of(key, settings):
        return f"{key} (belongs under {' or '.join(sections)})"
    similar = _similar(section, key, settings)
    shown = key if len(key) <= MAX_KEY_LENGTH else f"{key[:MAX_KEY_LENGTH]}…"
    return f"{shown} (did you mean {similar}?)" if similar is not None else f"{shown} (no such setting)"
