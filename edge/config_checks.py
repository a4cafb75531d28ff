"""Refuse settings that contradict each other, or that their type and range in config.py cannot refuse."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import config_messages, enrolled_paths, light_checks
from .errors import ConfigError
from .link_settings import check_link
from .listen_address import parse_listen
from .source_kind import ADDRESS_HINT, address_problem
from .zone import Zone, crossing_sides, polygon_area, without_closing_corner

if TYPE_CHECKING:
    from .config import Config, DoorSettings, PrivacySettings, UpdateSettings, WebSettings

#: Smallest area of a polygon, as a share of the picture.
MIN_AREA = 1e-4
#: A name of a machine on the network, or an address, without port.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def check(config: Config, given: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Raise ConfigError if values contradict each other.

    `given` are the tables of the file `name`, without the defaults.
    """
    _check_paths(config, name)
    check_door(config.door, name)
    light_checks.check(config.lights, config.relay, given, name)
    _check_people(config, name)
    _check_order(config, name)
    _check_web(config.web, name)
    _check_privacy(config.privacy, name)
    _check_update(config.update, name)
    check_link(config.link, name)


def _check_paths(config: Config, name: str) -> None:
    paths = {
        "camera.source": config.camera.source,
        "models.directory": config.models.directory,
        "events.file": config.events.file,
        "people.file": config.people.file,
        "people.database": config.people.database,
        "web.certificate": config.web.certificate,
        "web.key": config.web.key,
        "web.fleet_database": config.web.fleet_database,
        "update.source": config.update.source,
        "link.ca": config.link.ca,
        "link.certificate": config.link.certificate,
        "link.key": config.link.key,
        "link.password": config.link.password,
    }
    for key, path in paths.items():
        if "\0" in path:
            raise ConfigError(f"{name}: '{key}' has a NUL character", "remove it")
        # In TOML, "\b" and "\n" between double quotes are such characters, too.
        if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in path):
            raise ConfigError(
                f"{name}: '{key}' has a line break or a control character",
                "remove it; a backslash is written between single quotes: '/srv/a\\b'",
            )
        # Refused, not replaced: the service runs as another user, whose home folder is none.
        if home := re.match(r"~([\w-]*)|\$\{?\w+\}?", path):
            rest = path[home.end() :] or "/…"
            raise ConfigError(
                f"{name}: '{key}' begins with {home[0]}, which only a shell replaces",
                f"write the full path: /home/{home[1] or 'USER'}{config_messages.shown(rest)[1:-1]}",
            )
    if problem := address_problem(config.camera.source):
        raise ConfigError(f"{name}: 'camera.source' {problem}", ADDRESS_HINT)


def check_door(door: DoorSettings, name: str) -> None:
    """Raise ConfigError if a polygon of the section is no area, or if no face would count; `name` is the file's."""
    named = {"door.zone": door.zone} if door.zone else {}
    named |= {f"door.ignore[{k}]": area for k, area in enumerate(door.ignore)}
    for key, corners in named.items():
        polygon = without_closing_corner(corners)
        if len(polygon) < 3:
            raise ConfigError(
                f"{name}: '{key}' needs at least 3 corners, not {len(polygon)}",
                "write [x, y] for each corner, as shares of the picture's width and height",
            )
        # With corners in a wrong order, the polygon is not the area that its author has in mind.
        if sides := crossing_sides(polygon):
            raise ConfigError(
                f"{name}: '{key}' crosses itself: the sides after corner {sides[0]} and corner {sides[1]} meet",
                "list the corners in their order around the area",
            )
        if polygon_area(polygon) < MIN_AREA:
            raise ConfigError(f"{name}: '{key}' is a line, not an area", "move its corners apart")
    if door.ignore and Zone(door.zone, door.ignore).is_empty:
        what = "zone" if door.zone else "picture"
        raise ConfigError(
            f"{name}: 'door.ignore' covers the whole {what}: no face would count", "make its areas smaller"
        )


def _check_people(config: Config, name: str) -> None:
    people, is_wanted = config.people, config.relay.when == "PASS and known"
    enrolled_paths.check(config, name)
    if is_wanted and not (people.enabled and people.may_open):
        missing = "may_open" if people.enabled else "enabled"
        raise ConfigError(
            f"{name}: 'relay.when' is \"PASS and known\", but 'people.{missing}' is false",
            f'set {missing} = true under [people], or when = "PASS" under [relay]',
        )
    if is_wanted and not config.door.ignore_still_s:
        raise ConfigError(
            f"{name}: 'relay.when' is \"PASS and known\", but 'door.ignore_still_s' is 0: a picture on the wall could open",
            "remove ignore_still_s = 0",
        )


def _check_web(web: WebSettings, name: str) -> None:
    try:
        parse_listen(web.listen)
    except ValueError as error:
        raise ConfigError(
            f"{name}: 'web.listen' is {config_messages.shown(web.listen)}: {error}",
            'write "127.0.0.1:8080" for this machine only, "0.0.0.0:8080" for the network',
        ) from None
    for host in web.hosts:
        if not _HOST.fullmatch(host):
            shown = config_messages.shown(host)
            raise ConfigError(
                f"{name}: 'web.hosts' has {shown}, which is no name", 'write the name only: "door.example.org"'
            )
    if bool(web.certificate) is not bool(web.key):
        given, missing = ("certificate", "key") if web.certificate else ("key", "certificate")
        raise ConfigError(f"{name}: 'web.{given}' needs 'web.{missing}', too", f"add {missing}, or remove {given}")


def _check_privacy(privacy: PrivacySettings, name: str) -> None:
    for key in ("controller", "sign", "notice"):
        if not getattr(privacy, key).isprintable():
            raise ConfigError(f"{name}: 'privacy.{key}' has a line break or a control character", "write one line")
    if privacy.notice and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", privacy.notice):
        raise ConfigError(
            f"{name}: 'privacy.notice' is {config_messages.shown(privacy.notice)}, which is no web address",
            'write it in full: "https://example.org/door"',
        )


def _check_update(update: UpdateSettings, name: str) -> None:
    source = update.source
    if source and not source.startswith(("/", "https://")):
        raise ConfigError(
            f"{name}: 'update.source' is {config_messages.shown(source)}, which is neither a full path nor an https address",
            'write "https://example.org/doorlight", or a folder such as "/media/updates"',
        )


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
