"""The settings of `doorlight link`: their types, and what their texts mean. Nothing of the link itself is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from .errors import ConfigError
from .listen_address import is_local, parse_listen

#: A name of a door or a webhook, as a regular expression.
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_LABEL = r"[A-Za-z0-9_-]{1,63}"
_HOST = rf"\[[0-9A-Fa-f:.]+\]|(?![_-])({_LABEL}\.)*{_LABEL}(?<![_-])"
_BROKER = re.compile(rf"(?P<scheme>mqtts?)://(?P<host>{_HOST})(:(?P<port>\d{{1,5}}))?/?")
_WEBHOOK = re.compile(rf"https?://({_HOST})(:(?P<port>\d{{1,5}}))?([/?][!-~]*)?")
#: The file of a secret: its name in the folder of the secrets, or its path.
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}|/[^\0]+")
#: Begins the url of a webhook that is in the file of a secret, because it has a key in it.
SECRET_PREFIX = "secret:"
_EXAMPLE = '[[link.webhook]] and below it: name = "office", url = "https://…", events = ["ALARM"]'
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class WebhookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A [[link.webhook]] of the settings. default.toml explains each key."""

    name: str
    url: Annotated[str, Meta(min_length=1)]
    events: Annotated[tuple[str, ...], Meta(min_length=1, max_length=50)]
    secret: str = ""
    token: str = ""
    interval_s: Annotated[float, Meta(ge=0, le=86400)] = 60.0
    body: dict[str, Any] = {}


class LinkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table [link] of the settings. default.toml explains each key."""

    door: str
    broker: str
    username: str
    password: str
    ca: str
    certificate: str
    key: str
    home_assistant: bool
    discovery_prefix: Annotated[str, Meta(min_length=1)]
    commands: bool
    metrics_listen: str
    webhook: Annotated[tuple[WebhookSettings, ...], Meta(max_length=20)]

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to connect to."""
        return bool(self.broker or self.webhook or self.metrics_listen)


class Broker(NamedTuple):
    """Where the MQTT broker listens."""

    host: str
    port: int
    has_tls: bool

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_broker(text: str) -> Broker:
    """Parse "mqtts://broker.example.org:8883". Raises ValueError, with the reason and without the text.

    >>> parse_broker("mqtt://[::1]")
    Broker(host='::1', port=1883, has_tls=False)
    """
    if "@" in text:
        raise ValueError("has a login in it")
    match = _BROKER.fullmatch(text)
    if match is None:
        raise ValueError("is not the address of a broker")
    port = int(match["port"] or _PORTS[match["scheme"]])
    if not 1 <= port <= 65535:
        raise ValueError("has no port from 1 to 65535")
    return Broker(match["host"].strip("[]"), port, match["scheme"] == "mqtts")


def check_webhook_tables(tables: object, name: str) -> None:
    """Raise ConfigError if `link.webhook` is no list of tables with the right keys. `name` is the file's."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{name}: 'link.webhook' is not a list of tables", f"write {_EXAMPLE}")
    known = WebhookSettings.__struct_fields__
    for k, table in enumerate(tables):
        where = f"{name}: 'link.webhook[{k}]'"
        if unknown := [key for key in table if key not in known]:
            raise ConfigError(f"{where}: unknown key '{unknown[0][:40]}'", f"allowed here: {', '.join(known)}")
        if missing := [key for key in ("name", "url", "events") if key not in table]:
            raise ConfigError(f"{where}: '{missing[0]}' is missing", f"write {_EXAMPLE}")
        # Not left to msgspec: it names a wrong value, and an url may have a key in it.
        types: dict[str, tuple[type, ...]] = {
            "name": (str,), "url": (str,), "events": (list,), "secret": (str,), "token": (str,),
            "interval_s": (int, float), "body": (dict,),
        }  # fmt: skip
        for key, value in table.items():
            is_wrong = not isinstance(value, types[key]) or isinstance(value, bool) or value in ("", [])
            if is_wrong or (key == "events" and not all(isinstance(event, str) for event in value)):
                raise ConfigError(f"{where}: '{key}' has a value of the wrong type", f"write {_EXAMPLE}")
        try:
            json.dumps(table.get("body", {}), allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise ConfigError(f"{where}: 'body' has a value that JSON lacks", "write texts, numbers, lists") from None
        if not 0 <= table.get("interval_s", 0) <= 86400:
            raise ConfigError(f"{where}: 'interval_s' is not a time up to a day", "write seconds: interval_s = 60")


def check_link(link: LinkSettings, name: str) -> None:
    """Raise ConfigError if a text of the section means nothing, or if texts contradict each other.

    No message has a value that may be a secret by mistake.
    """
    if link.door and not re.fullmatch(NAME, link.door):
        raise ConfigError(f"{name}: 'link.door' is no name", 'write letters, digits, - and _: "entrance-2"')
    if not re.fullmatch(rf"{NAME}(/{NAME})*", link.discovery_prefix):
        raise ConfigError(f"{name}: 'link.discovery_prefix' is no topic", 'write "homeassistant", as in Home Assistant')
    if link.metrics_listen:
        _check_metrics_listen(link.metrics_listen, name)
    if link.broker:
        _check_broker(link, name)
    elif link.commands:
        raise ConfigError(f"{name}: 'link.commands' needs 'link.broker', too", "add broker, or write commands = false")
    elif link.username or link.password or link.certificate:
        raise ConfigError(f"{name}: 'link.broker' is missing", 'write broker = "mqtts://HOST:8883"')
    for key, text in named_secrets(link):
        if text and not _SECRET.fullmatch(text):
            raise ConfigError(
                f"{name}: '{key}' is not the name of a file",
                "write the secret into a file in /etc/doorlight/secrets, and its name here",
            )
    names = [webhook.name for webhook in link.webhook]
    for k, webhook in enumerate(link.webhook):
        where = f"{name}: 'link.webhook[{k}]"
        if not re.fullmatch(NAME, webhook.name):
            raise ConfigError(f"{where}.name' is no name", 'write letters, digits, - and _: "office"')
        if webhook.name in names[:k]:
            raise ConfigError(f"{where}.name' is there twice", "give each webhook a name of its own")
        is_secret = webhook.url.startswith(SECRET_PREFIX)
        if not is_secret and re.match(r"[^/]*//[^/?]*@", webhook.url):
            raise ConfigError(f"{where}.url' has a login in it", f'write url = "{SECRET_PREFIX}NAME", or use token')
        if not is_secret and not _WEBHOOK.fullmatch(webhook.url):
            raise ConfigError(
                f"{where}.url' is not an address", f'write https://…, or "{SECRET_PREFIX}NAME" for one in a file'
            )
        if not is_secret and not is_webhook_address(webhook.url):
            raise ConfigError(f"{where}.url' has no port from 1 to 65535", "write https://HOST, or https://HOST:8443")


def is_webhook_address(text: str) -> bool:
    """Return whether a text is the address of a webhook."""
    match = _WEBHOOK.fullmatch(text)
    return match is not None and 1 <= int(match["port"] or 443) <= 65535


def _check_broker(link: LinkSettings, name: str) -> None:
    try:
        broker = parse_broker(link.broker)
    except ValueError as error:
        raise ConfigError(
            f"{name}: 'link.broker' {error}",
            'write "mqtts://HOST:8883" with TLS, "mqtt://HOST:1883" without; username and password are keys of their own',
        ) from None
    if bool(link.username) is not bool(link.password):
        given, missing = ("username", "password") if link.username else ("password", "username")
        raise ConfigError(f"{name}: 'link.{given}' needs 'link.{missing}', too", f"add {missing}, or remove {given}")
    if bool(link.certificate) is not bool(link.key):
        given, missing = ("certificate", "key") if link.certificate else ("key", "certificate")
        raise ConfigError(f"{name}: 'link.{given}' needs 'link.{missing}', too", f"add {missing}, or remove {given}")
    if not broker.has_tls and (link.certificate or (link.ca and not link.webhook)):
        raise ConfigError(f"{name}: 'link.broker' is without TLS, but has a certificate", 'write "mqtts://HOST:8883"')


def _check_metrics_listen(text: str, name: str) -> None:
    try:
        host, _ = parse_listen(text)
    except ValueError as error:
        raise ConfigError(f"{name}: 'link.metrics_listen' {error}", 'write "127.0.0.1:9187"') from None
    if not is_local(host):
        raise ConfigError(
            f"{name}: 'link.metrics_listen' is not this machine only: anyone in the network could read the figures",
            'write "127.0.0.1:9187", or let node_exporter read what doorlight metrics --out writes',
        )


def named_secrets(link: LinkSettings) -> Iterator[tuple[str, str]]:
    """Yield key and text of everything that may name the file of a secret; the text is empty, a name, or a full path."""
    yield "link.password", link.password
    yield "link.key", link.key
    for k, webhook in enumerate(link.webhook):
        yield f"link.webhook[{k}].secret", webhook.secret
        yield f"link.webhook[{k}].token", webhook.token
        if webhook.url.startswith(SECRET_PREFIX):
            yield f"link.webhook[{k}].url", webhook.url.removeprefix(SECRET_PREFIX) or " "
