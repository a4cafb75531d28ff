"""Events in words, for the terminal."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

from ..system.terminal import printable
from .record import EventRecord, parse_time, timestamp

#: A file that is played does not last longer.
MAX_PLAYED_S = 1e8

_SIGNALS = {
    "IDLE": "nobody is there",
    "PASS": "everyone wears a mask",
    "STOP": "someone wears no mask",
    "ALARM": "someone looks agitated",
    "FAULT": "the door is blind",
}
_EVENTS = {
    "started": "the door has started",
    "scene": "the file {file} begins",
    "stopped": "the door has stopped",
    "masked": "person {person} wears a mask",
    "unmasked": "person {person} wears no mask",
    "agitated": "person {person} looks agitated",
    "calm": "person {person} is calm again",
    "maybe_agitated": "person {person} may look agitated",
    "cleared": "person {person} has gone, after {dwell_s} s",
    "ignored": "person {person} never moves and is ignored, after {dwell_s} s",
    "camera_lost": "the camera is lost",
    "camera_back": "the camera is back",
    "accelerator_lost": "the Edge TPU is not in use; the models run on the CPU",
    "accelerator_back": "the models run on the Edge TPU",
    "fault": "the door has failed",
    "source_damaged": "part of the source could not be read",
    "clock_set": "the clock was set; it would show {before}",
    "view": "watching on the page {state}",
    "areas_set": "the areas were changed on the page: faces count in {share} of the picture, before in {before}",
    "buzzer_silenced": "the buzzer is silenced for {minutes} minutes, until {until}",
    "buzzer_back": "the buzzer is not silenced any more",
    "lamps_tested": "a test lights both lamps for {seconds} s",
    "command_refused": "a command from the network is refused: {command}",
    "log_lost": "{count} events are missing here: the log could not be written",
    "log_repaired": "{bytes} bytes of a torn line were removed from the log",
}
#: The same for a count of 1, with the field that counts.
_SINGULARS = {
    "buzzer_silenced": ("minutes", "the buzzer is silenced for {minutes} minute, until {until}"),
    "log_lost": ("count", "{count} event is missing here: the log could not be written"),
    "log_repaired": ("bytes", "{bytes} byte of a torn line was removed from the log"),
}
#: The reasons for which a door stops, and verdicts.
_VALUES = {
    "end of source": "the source has ended",
    "terminated": "on request",
    "error": "after an error",
    "masked": "with a mask",
    "unmasked": "without a mask",
    "began": "began",
    "ended": "ended",
}
#: Fields of events. "people 1" is the singular of "people".
_PHRASES = {
    "evidence": "{} sure",
    "agitation": "agitation {}",
    "people": "{} people",
    "people 1": "{} person",
    "frames": "{} frames",
    "frames 1": "{} frame",
    "simulated": "lights simulated",
    "before": "was {}",
    "runtime": "models run by {}",
    "undone": "the change before was undone",
    "known": "known",
    "known not": "not known",
    "enrolled": "enrolled as {}",
    "above_mask": "judged above the mask, uncertain",
}
_UNDECIDED = "nobody is decided yet"
#: Everything that `describe_event` translates.
MESSAGES = (
    *_SIGNALS.values(),
    *_EVENTS.values(),
    *(text for _, text in _SINGULARS.values()),
    *_VALUES.values(),
    *_PHRASES.values(),
    _UNDECIDED,
)

#: Names for `events --kind`: events, and signals that are shown.
KINDS = ("signal", *_SIGNALS, *_EVENTS)


def describe(record: EventRecord) -> str:
    """Return an event as one line: local time, new signal, what happened, and the other fields in brackets.

        10:00:03         person 3 wears no mask (86 % sure)
        10:00:03  STOP   someone wears no mask (was IDLE, 1 person)

    An unknown kind of event is shown with its fields as JSON.
    """
    moment = timestamp(record)
    return f"{moment.astimezone().strftime('%H:%M:%S') if moment else '--:--:--'}  {describe_without_time(record)}"


def describe_played(record: EventRecord) -> str:
    """Return an event of a played file as one line, as `describe`, but with its time in the file."""
    t = record.get("t")
    seconds = f"{t:8.2f}" if isinstance(t, int | float) and abs(t) < MAX_PLAYED_S else "   --.--"
    return f"{seconds} s  {describe_without_time(record)}"


def describe_without_time(record: EventRecord) -> str:
    """Return the line of `describe` without the time."""
    if not _is_known(record):
        return describe_event(record)
    signal = str(record.get("signal", "?")) if record.get("event") == "signal" else ""
    return printable(f"{signal:5}  {describe_event(record)}".rstrip())


def describe_event(record: EventRecord, translate: Callable[[str], str] = str) -> str:
    """Return the line of `describe` without time and signal.

    `translate` returns a phrase in another language; the phrases have {fields} of their own (see MESSAGES).
    """
    kind = str(record.get("event", "?"))
    fields = {key: value for key, value in record.items() if key not in ("seq", "time", "t", "event")}
    if not _is_known(record):
        return printable(f"{kind} {json.dumps(fields, ensure_ascii=False)}")
    if kind == "signal":
        signal = str(fields.pop("signal", "?"))
        text = translate(_SIGNALS[signal]) if signal in _SIGNALS else ""
        if signal == "IDLE" and fields.get("people"):
            text = translate(_UNDECIDED)
        fields.pop("reason", None)  # the event before it, camera_lost, has the same reason
    else:
        field, singular = _SINGULARS.get(kind, ("", ""))
        sentence = singular if singular and fields.get(field) == 1 else _EVENTS[kind]
        used = set(re.findall(r"{(\w+)}", sentence))
        values = {key: _value_text(key, fields.pop(key, "?")) for key in used}
        values = {key: translate(_VALUES[value]) if value in _VALUES else value for key, value in values.items()}
        text = translate(sentence).format(**values)
    if kind == "started":
        fields.pop("live", None)  # the kind of source says it
    rest = ", ".join(filter(None, (_phrase(key, value, translate) for key, value in fields.items())))
    return printable(f"{text}{f' ({rest})' if rest else ''}".strip())


def _phrase(key: str, value: object, translate: Callable[[str], str]) -> str:
    """Return a field in words; "" if it says nothing new. A field or value that is not expected is shown as it is."""
    match key, value:
        case "evidence", int() | float():
            # The averaged log-odds of the verdict that the sentence names. From 50 on, the rest is lost in rounding.
            share = 1 / (1 + math.exp(-min(abs(value), 50)))
            return translate(_PHRASES["evidence"]).format(_percent(share))
        case "agitation", int() | float() if 0 <= value <= 1:
            return translate(_PHRASES["agitation"]).format(_percent(value))
        case "people" | "frames", int():
            return translate(_PHRASES[f"{key} 1" if value == 1 else key]).format(value) if value else ""
        case "simulated", bool():
            return translate(_PHRASES["simulated"]) if value else ""
        case "before" | "runtime", str():
            return translate(_PHRASES[key]).format(value)
        case "decision_s", int() | float():
            return ""  # for statistics
        case "reason" | "verdict" | "source", str():
            return translate(_VALUES[value]) if value in _VALUES else value
        case "by", "page":
            return ""  # the sentence says it
        case "known", bool():
            return translate(_PHRASES["known" if value else "known not"])
        case "enrolled", str():
            return translate(_PHRASES["enrolled"]).format(value)
        case "undone" | "above_mask", bool():
            return translate(_PHRASES[key]) if value else ""
    return f"{key} {_value_text(key, value)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _is_known(record: EventRecord) -> bool:
    kind = str(record.get("event", "?"))
    return kind == "signal" or kind in _EVENTS


def _value_text(key: str, value: object) -> str:
    if key == "until" and (moment := parse_time(value)) is not None:
        return moment.astimezone().strftime("%H:%M")
    if key in ("share", "before") and isinstance(value, int | float):
        return _percent(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)
