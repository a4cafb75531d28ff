"""The settings of the link: what is refused, with which words, and that no message has a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import config
from edge.cli import main
from edge.errors import ConfigError
from edge.link_settings import Broker, is_webhook_address, parse_broker

WEBHOOK = '[[link.webhook]]\nname = "a"\nurl = "https://example.org/x"\nevents = ["ALARM"]\n'


@pytest.mark.parametrize(
    ("text", "broker"),
    [
        ("mqtt://192.168.1.5", Broker("192.168.1.5", 1883, False)),
        ("mqtts://broker.example.org", Broker("broker.example.org", 8883, True)),
        ("mqtts://broker_1:8884/", Broker("broker_1", 8884, True)),
        ("mqtt://[fe80::1]:1883", Broker("fe80::1", 1883, False)),
    ],
)
def test_brokers(text: str, broker: Broker) -> None:
    assert parse_broker(text) == broker


@pytest.mark.parametrize(
    "text",
    ["broker", "broker:1883", "http://broker", "mqtt://", "mqtt://a:0", "mqtt://a:99999", "mqtt://a b", "mqtt://a/x",
     "mqtt://anna:hunter2@broker", "MQTT:/x", "mqtt://-a", "mqtt://a\n"],
)  # fmt: skip
def test_no_brokers(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_broker(text)
    assert "hunter2" not in str(caught.value)


#: By case: lines below [link], and words of the message.
WRONG = {
    "login in the address": ('broker = "mqtt://anna:hunter2@broker"', "'link.broker' has a login in it"),
    "user without password": ('broker = "mqtt://b"\nusername = "anna"', "'link.username' needs 'link.password'"),
    "password without broker": ('password = "x"\nusername = "y"', "'link.broker' is missing"),
    "certificate without TLS": (
        'broker = "mqtt://b"\ncertificate = "/a"\nkey = "b"',
        "'link.broker' is without TLS, but has a certificate",
    ),
    "key without certificate": ('broker = "mqtts://b"\nkey = "b"', "'link.key' needs 'link.certificate'"),
    "password that is no name": (
        'broker = "mqtt://b"\nusername = "y"\npassword = "hunter2 !"',
        "'link.password' is not the name of a file",
    ),
    "door with a wildcard": ('door = "a/#"', "'link.door' is no name"),
    "prefix with a wildcard": ('discovery_prefix = "#"', "'link.discovery_prefix' is no topic"),
    "webhook that is a text": ('webhook = "https://hunter2"', "'link.webhook' is not a list of tables"),
    "webhook without url": ('[[link.webhook]]\nname = "a"\nevents = ["ALARM"]', "'url' is missing"),
    "webhook with a misspelt key": (f"{WEBHOOK}ur = 1", "unknown key 'ur'"),
    "webhook twice": (f"{WEBHOOK}{WEBHOOK}", "'link.webhook[1].name' is there twice"),
    "webhook with a login": (
        WEBHOOK.replace("example", "anna:hunter2@example"),
        "'link.webhook[0].url' has a login in it",
    ),
    "webhook that is no address": (WEBHOOK.replace("https://example.org/x", "hunter2"), "url' is not an address"),
    "webhook with port 0": (WEBHOOK.replace("org/x", "org:0/hunter2"), "url' has no port from 1 to 65535"),
    "webhook with port 70000": (WEBHOOK.replace("org/x", "org:70000/hunter2"), "url' has no port from 1 to 65535"),
    "webhook with two dots": (WEBHOOK.replace("example.org", "a..hunter2"), "url' is not an address"),
    "webhook with a long label": (WEBHOOK.replace("example.org", f"{'a' * 64}.org"), "url' is not an address"),
    "broker with two dots": ('broker = "mqtt://a..hunter2"', "'link.broker' is not the address of a broker"),
    "webhook with a blank": (WEBHOOK.replace("/x", "/x hunter2"), "url' is not an address"),
    "webhook with a list as url": (WEBHOOK.replace('"https', '["https').replace('/x"', '/x"]'), "'url' has a value"),
    "webhook with a number as event": (WEBHOOK.replace('"ALARM"', "3"), "'events' has a value of the wrong type"),
    "webhook without events": (WEBHOOK.replace('"ALARM"', ""), "'events' has a value of the wrong type"),
    "webhook with a date in its body": (f"{WEBHOOK}body = {{ a = 2026-01-01 }}", "'body' has a value that JSON lacks"),
    "webhook with an infinite body": (f"{WEBHOOK}body = {{ a = inf }}", "'body' has a value that JSON lacks"),
    "webhook with an enormous number": (f"{WEBHOOK}body = {{ a = {'9' * 5000} }}", "door.toml: "),
    "webhook with a negative time": (f"{WEBHOOK}interval_s = -1", "'interval_s' is not a time up to a day"),
    "webhook with true as time": (f"{WEBHOOK}interval_s = true", "'interval_s' has a value of the wrong type"),
    "webhook with a secret that is no name": (f'{WEBHOOK}secret = "hunter2 !"', "is not the name of a file"),
    "webhook with no name of a secret": (WEBHOOK.replace("https://example.org/x", "secret:"), "is not the name of a file"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_and_no_secret(lines: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "door.toml"
    file.write_text(f"[link]\n{lines}\n")
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert words in str(caught.value)
    assert caught.value.hint
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def test_everything_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "door.toml"
    file.write_text(
        '[link]\ndoor = "e-1"\nbroker = "mqtts://b:1"\nusername = "u"\npassword = "p"\nca = "/ca.pem"\n'
        'certificate = "/c.pem"\nkey = "/k.pem"\nhome_assistant = false\ndiscovery_prefix = "ha/1"\n'
        f'{WEBHOOK}secret = "s"\ntoken = "t"\ninterval_s = 0\nbody = {{ a = ["{{text}}", 1, {{ b = true }}] }}\n'
        '[[link.webhook]]\nname = "b"\nurl = "secret:url"\nevents = ["FAULT"]\n'
    )
    link = config.load(file).link
    assert link.is_wanted
    assert [webhook.name for webhook in link.webhook] == ["a", "b"]
    assert main(["check-config", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: OK\n"


def test_secrets_without_encryption_are_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "door.toml"
    lines = '[link]\nbroker = "mqtt://{}"\nusername = "u"\npassword = "p"\n'
    file.write_text(lines.format("192.168.1.5") + WEBHOOK.replace("https", "http") + 'token = "t"\n')
    assert main(["check-config", str(file)]) == 0
    notes = capsys.readouterr().out.splitlines()[1:]
    assert len(notes) == 2
    assert all("unencrypted" in note for note in notes)
    file.write_text(lines.format("localhost"))
    assert main(["check-config", str(file)]) == 0
    assert "unencrypted" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "host", ["a", "b-1", "door_2.local", "example.org", "1.2.3.4", "[::1]", "a--b.c", f"{'a' * 63}.org"]
)
def test_hosts(host: str) -> None:
    assert is_webhook_address(f"https://{host}/x")
    assert is_webhook_address(f"https://{host}:65535")
    assert not is_webhook_address(f"https://{host}:65536")
    assert parse_broker(f"mqtt://{host}:1").port == 1
