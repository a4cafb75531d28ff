"""The door as a device of Home Assistant: one retained message that describes all its entities.

See https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload. An empty message on the same topic removes the
device with all its entities.
"""

from __future__ import annotations

from typing import Any

from ..remote_commands import MAX_SILENCE_MIN
from .door_state import SIGNALS
from .topics import Topics

#: The only event of the entity "alarm".
ALARM_EVENT = "alarm"
#: How long the button "Silence the buzzer" silences it, in minutes.
BUTTON_SILENCE_MIN = 10
ONLINE, OFFLINE = b"online", b"offline"


def device_id(door: str) -> str:
    """Return the id of the device."""
    return f"doorlight_{door}"


def discovery_topic(prefix: str, door: str) -> str:
    """Return the topic of the message."""
    return f"{prefix}/device/{device_id(door)}/config"


def discovery_payload(
    door: str, topics: Topics, version: str, *, has_commands: bool = False, had_commands: bool = False
) -> dict[str, Any]:
    """Return the message. `has_commands`: with the entities that command the door; `had_commands`: they are removed."""
    components = {**_main_entities(topics), **_diagnostic_entities()}
    commands = _command_entities(topics)
    if has_commands:
        components |= commands
    # An entity that only has a platform is removed. If it were left out, it would stay as a ghost.
    removed = {key: {"platform": each["platform"]} for key, each in commands.items()} if had_commands else {}
    return {
        "device": {
            "identifiers": [device_id(door)],
            "name": f"Doorlight {door}",
            "manufacturer": "Doorlight",
            "model": "Doorlight",
            "sw_version": version,
        },
        "origin": {"name": "Doorlight", "sw_version": version},
        "availability": [{"topic": topics.availability}],
        "qos": 1,
        "components": {
            **removed,
            **{key: _with_ids(key, component, door, topics) for key, component in components.items()},
        },
    }


def _main_entities(topics: Topics) -> dict[str, dict[str, Any]]:
    """Return the entities that Home Assistant shows first: signal, problem, counts of today and alarm."""
    return {
        "signal": {
            "platform": "sensor",
            "name": "Signal",
            "device_class": "enum",
            "options": list(SIGNALS),
            "icon": "mdi:traffic-light",
            "value_template": "{{ value_json.signal }}",
        },
        "problem": {
            "platform": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            "value_template": "{{ 'ON' if value_json.problem else 'OFF' }}",
            "json_attributes_topic": topics.state,
            "json_attributes_template": "{{ {'reason': value_json.problem, 'blind': value_json.blind} | tojson }}",
        },
        "people_today": {
            "platform": "sensor",
            "name": "People today",
            "icon": "mdi:account-group",
            "state_class": "total",
            "last_reset_value_template": "{{ value_json.today.since }}",
            "value_template": "{{ value_json.today.people }}",
        },
        "masked_today": {
            "platform": "sensor",
            "name": "Masked today",
            "icon": "mdi:face-mask",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "suggested_display_precision": 0,
            "value_template": "{{ none if value_json.today.share_masked is none else value_json.today.share_masked * 100 }}",
        },
        "alarm": {
            "platform": "event",
            "name": "Alarm",
            "icon": "mdi:alarm-light",
            "event_types": [ALARM_EVENT],
            "state_topic": topics.alarm,
        },
    }


def _diagnostic_entities() -> dict[str, dict[str, Any]]:
    """Return the entities that Home Assistant lists as diagnostics."""
    return {
        "temperature": {
            "platform": "sensor",
            "name": "Temperature",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
            "entity_category": "diagnostic",
            "value_template": "{{ value_json.temperature_c }}",
        },
        "frame_rate": {
            "platform": "sensor",
            "name": "Frames per second",
            "icon": "mdi:camera-timer",
            "unit_of_measurement": "frames/s",
            "state_class": "measurement",
            "entity_category": "diagnostic",
            "value_template": "{{ value_json.frames_per_s }}",
        },
        "disk_free": {
            "platform": "sensor",
            "name": "Disk free",
            "device_class": "data_size",
            "unit_of_measurement": "MB",
            "state_class": "measurement",
            "entity_category": "diagnostic",
            "value_template": "{{ value_json.disk_free_mb }}",
        },
        "software": {
            "platform": "update",
            "name": "Software",
            "entity_category": "diagnostic",
            # Without a known latest version there must be no such key: null is no text.
            "value_template": "{% set installed = {'installed_version': value_json.version} %}"
            "{% if value_json.latest_version %}"
            "{{ dict(installed, latest_version=value_json.latest_version) | tojson }}"
            "{% else %}{{ installed | tojson }}{% endif %}",
        },
    }


def _command_entities(topics: Topics) -> dict[str, dict[str, Any]]:
    """Return the entities that command the door, and the one with the result of the last command."""
    return {
        "silence_minutes": {
            "platform": "number",
            "name": "Buzzer silenced for",
            "icon": "mdi:volume-off",
            "min": 0,
            "max": MAX_SILENCE_MIN,
            "step": 1,
            "mode": "box",
            "unit_of_measurement": "min",
            "command_topic": topics.command,
            "command_template": _command("silence_buzzer", ", 'minutes': value | int"),
            "value_template": "{{ value_json.commands.silenced_min }}",
        },
        "silence": {
            "platform": "button",
            "name": f"Silence the buzzer for {BUTTON_SILENCE_MIN} minutes",
            "icon": "mdi:volume-off",
            "command_topic": topics.command,
            "command_template": _command("silence_buzzer", f", 'minutes': {BUTTON_SILENCE_MIN}"),
        },
        "test_lamps": {
            "platform": "button",
            "name": "Test the lamps",
            "icon": "mdi:lightbulb-on",
            "entity_category": "diagnostic",
            "command_topic": topics.command,
            "command_template": _command("test_lamps"),
        },
        "command": {
            "platform": "sensor",
            "name": "Last command",
            "icon": "mdi:message-reply-text",
            "entity_category": "diagnostic",
            "value_template": "{{ value_json.commands.last }}",
        },
    }


def _command(name: str, fields: str = "") -> str:
    """Return a template of Home Assistant for a command with its time."""
    return "{{ {'command': '" + name + "'" + fields + ", 'time': as_timestamp(now())} | tojson }}"


def _with_ids(key: str, component: dict[str, Any], door: str, topics: Topics) -> dict[str, Any]:
    """Return an entity with its ids, and with the state's topic if it has no topic of its own."""
    unique_id = f"{device_id(door)}_{key}"
    state = {} if component["platform"] == "button" else {"state_topic": topics.state}
    return {
        **state,
        **component,
        "unique_id": unique_id,
        "default_entity_id": f"{component['platform']}.{unique_id}".lower().replace("-", "_"),
    }
