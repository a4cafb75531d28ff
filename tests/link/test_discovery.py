"""The description of the door for Home Assistant."""

from __future__ import annotations

import json
import re

import pytest

from edge.link import discovery
from edge.link.topics import Topics
from edge.records import Signal

PAYLOAD = discovery.discovery_payload("entrance-2", Topics("entrance-2"), "0.1.0")
COMPONENTS = PAYLOAD["components"]


def test_home_assistant_requires_these() -> None:
    assert PAYLOAD["origin"]["name"] == "Doorlight"
    assert PAYLOAD["device"]["identifiers"] == ["doorlight_entrance-2"]
    assert discovery.discovery_topic("homeassistant", "entrance-2") == (
        "homeassistant/device/doorlight_entrance-2/config"
    )
    assert len(json.dumps(PAYLOAD)) < 10_000


@pytest.mark.parametrize("key", COMPONENTS)
def test_every_entity_is_complete(key: str) -> None:
    component = COMPONENTS[key]
    assert component["unique_id"] == f"doorlight_entrance-2_{key}"
    assert re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", component["default_entity_id"])
    assert component["default_entity_id"].startswith(f"{component['platform']}.")
    assert "object_id" not in component, "Home Assistant ignores it from 2026.4 on"
    assert component["state_topic"] in (Topics("entrance-2").state, Topics("entrance-2").alarm)
    assert component["name"]


def test_ids_are_unique() -> None:
    assert len({component["unique_id"] for component in COMPONENTS.values()}) == len(COMPONENTS)
    other = discovery.discovery_payload("entrance-3", Topics("entrance-3"), "0.1.0")["components"]
    assert not {each["unique_id"] for each in other.values()} & {each["unique_id"] for each in COMPONENTS.values()}


def test_the_enum_has_every_signal() -> None:
    assert set(COMPONENTS["signal"]["options"]) == {*(signal.value for signal in Signal), "OFF"}
    assert COMPONENTS["alarm"]["event_types"] == [discovery.ALARM_EVENT]


WITH_COMMANDS = discovery.discovery_payload("entrance-2", Topics("entrance-2"), "0.1.0", has_commands=True)
COMMANDS = {key: component for key, component in WITH_COMMANDS["components"].items() if key not in COMPONENTS}


def test_commands_are_there_only_if_they_are_allowed() -> None:
    assert COMMANDS.keys() == {"silence_minutes", "silence", "test_lamps", "command"}
    assert not [each for each in COMPONENTS.values() if "command_topic" in each]
    assert len(json.dumps(WITH_COMMANDS)) < 10_000


@pytest.mark.parametrize("key", COMMANDS)
def test_every_command_has_ids_and_is_not_retained(key: str) -> None:
    component = COMMANDS[key]
    assert component["unique_id"] == f"doorlight_entrance-2_{key}"
    assert "retain" not in component, "Home Assistant's default is false"
    if "command_topic" in component:
        assert component["command_topic"] == "doorlight/entrance-2/command"
        assert "as_timestamp(now())" in component["command_template"]
        assert "qos" not in component


def test_removed_commands_have_a_platform_only() -> None:
    removed = discovery.discovery_payload("d", Topics("d"), "0.1.0", had_commands=True)["components"]
    assert {key: removed[key] for key in COMMANDS} == {
        key: {"platform": component["platform"]} for key, component in COMMANDS.items()
    }
