"""What is private is removed from a text, whichever way it is written."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edge.config import default_text
from edge.doctor.private_text import HIDDEN, PrivateText, private_values, shown_settings


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("camera rtsp://jan:geheim@10.0.0.7:554/live?key=abc does not answer", "geheim"),
        ("camera rtsp://jan:geheim@10.0.0.7:554/live?key=abc does not answer", "10.0.0.7"),
        ("broker mqtts://praxis.example:8883: refused", "praxis.example"),
        ("connected to 192.168.178.23", "192.168.178.23"),
        ("route 2001:db8:85a3:0:0:8a2e:370:7334 lost", "8a2e"),
        ("address fe80::d3c:1 is used", "fe80::d3c:1"),
        ("wlan0: b8:27:eb:12:34:56 associated", "b8:27:eb:12:34:56"),
        ("mail to anna@praxis.example", "anna"),
        ("password = hunter2", "hunter2"),
        ('"token": "abcdefgh"', "abcdefgh"),
        ("LINK_PASSWORD=hunter2", "hunter2"),
        ("api-key: 12345", "12345"),
        ("the passphrase is tulip", "tulip"),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("Serial : 10000000abcdef01", "10000000abcdef01"),
        ("SerialNumber: ABC123", "ABC123"),
        ("machine 8f14e45fceea167a5a36dedd4bea2543", "8f14e45fceea167a5a36dedd4bea2543"),
        ("/home/anna/door.toml: OK", "anna"),
        ("/media/anna/stick", "anna"),
    ],
)
def test_forms_of_private_texts(text: str, secret: str) -> None:
    hidden = PrivateText([]).hide(text)
    assert secret not in hidden
    assert HIDDEN in hidden


@pytest.mark.parametrize(
    "text",
    [
        "Raspberry Pi 3 Model B, Debian GNU/Linux 13 (trixie), kernel 6.12.117+deb13-arm64",
        "lgpio 0.2.2, numpy 2.2.4",
        "2026-11-27T19:14:05+0000 doorlight[812]: the door has started",
        "/dev/gpiochip0: pinctrl-bcm2835, 54 lines; GPIO17 (green) is free",
        "sha256 OK; a face search takes 2 ms on the CPU (ai_edge_litert)",
        "http.server on 127.0.0.1",
        "0.25 s at 12:34:56",
    ],
)
def test_what_the_developers_need_is_kept(text: str) -> None:
    assert PrivateText([]).hide(text) == text


def test_the_version_of_a_package_is_not_taken_for_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"opencv-python-headless": "4.13.0.92", "lgpio": "0.2.2.0"}
    monkeypatch.setattr("edge.doctor.private_text.installed_version", lambda name: versions.get(name, ""))
    text = "numpy 2.2.4, opencv-python-headless 4.13.0.92, lgpio 0.2.2.0"
    assert PrivateText([]).hide(text) == text
    assert PrivateText([]).hide("host 4.13.0.92") == f"host {HIDDEN}"


@pytest.mark.parametrize("value", ["Dr. Ä. Müller", "x'y\"z", "a b/c?d", "Tür 2\\links"])
def test_known_values_are_found_in_every_usual_encoding(value: str) -> None:
    import json
    import urllib.parse

    private = PrivateText([value])
    for form in (value, value.upper(), repr(value), json.dumps(value), urllib.parse.quote(value, safe="")):
        assert HIDDEN in private.hide(f"before {form} after")
        assert value not in private.hide(f"before {form} after")


def test_a_short_name_is_not_found_inside_of_words() -> None:
    private = PrivateText(["anna"])
    assert private.hide("savanna, anna's Pi") == f"savanna, {HIDDEN}'s Pi"


SETTINGS = """\
[camera]
source = "rtsp://jan:geh%40im@cam.praxis.example:554/live"
rotate = 180
[lights]
green = 5
quiet_hours = "22:00-06:00"
[privacy]
controller = "Praxis Dr. Meier, 030 12345"
[link]
broker = "mqtts://broker.praxis.example"
door = "Hintereingang"
[[link.webhook]]
name = "pager"
url = "https://hooks.example/T0/B1/xyzzy"
events = ["alarm"]
token = "tulpe"
body = { chat_id = "998877", text = "{text}" }
"""


def test_every_text_of_the_settings_is_private_except_the_harmless_ones(tmp_path: Path) -> None:
    file = tmp_path / "door.toml"
    file.write_text(SETTINGS)
    values = set(private_values(str(file), str(tmp_path)))
    private = {"Praxis Dr. Meier, 030 12345", "Hintereingang", "tulpe", "998877", "pager", "geh@im", "jan"}
    assert private <= values
    assert "cam.praxis.example" in values, "a message may name the host alone"
    assert "22:00-06:00" not in values


def test_words_of_the_messages_are_not_taken_for_private_texts(tmp_path: Path) -> None:
    file = tmp_path / "door.toml"
    file.write_text(
        '[camera]\nmetering = "spot"\n[relay]\nfail = "safe"\n[[link.webhook]]\nevents = ["camera_lost", "fault"]\n'
    )
    assert not {"spot", "safe", "camera_lost", "fault"} & set(private_values(str(file), str(tmp_path)))
    assert '[camera] metering = "spot"' in list(
        shown_settings(tomllib.loads(file.read_text()), tomllib.loads(default_text()))
    )


def test_a_source_of_the_command_line_and_a_host_with_a_port_are_private(tmp_path: Path) -> None:
    values = set(private_values("", str(tmp_path), "rtsp://jan:tulpe7@cam.example/live"))
    assert {"jan", "tulpe7", "cam.example"} <= values
    file = tmp_path / "door.toml"
    file.write_text('[link]\nbroker = "broker.example:1883"\n')
    assert "broker.example" in set(private_values(str(file), str(tmp_path)))


@pytest.mark.parametrize("damage", ["[camera\n", "\x00", "source = unquoted\n"])
def test_a_damaged_settings_file_hides_its_texts_too(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "door.toml"
    file.write_text(SETTINGS + damage)
    assert {"Praxis Dr. Meier, 030 12345", "tulpe"} <= set(private_values(str(file), str(tmp_path)))


def test_the_contents_of_the_secrets_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "etc/doorlight/secrets"
    folder.mkdir(parents=True)
    (folder / "broker").write_text("correct horse\n")
    (folder / "webhook").write_bytes(b"\xef\xbb\xbfbattery staple\r\n")
    assert {"correct horse", "battery staple"} <= set(private_values("", str(tmp_path)))


def test_the_contents_of_secrets_in_other_folders_are_private(tmp_path: Path) -> None:
    file = tmp_path / "door.toml"
    file.write_text(
        'nonsense = 1\nlink.password = "/srv/broker"\n[[link.webhook]]\nurl = "secret:/srv/url"\ntoken = "/srv/none"\n'
    )
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv/broker").write_text("correct horse\n")
    (tmp_path / "srv/url").write_text("https://chat.example/battery-staple\n")
    assert {"correct horse", "https://chat.example/battery-staple"} <= set(private_values(str(file), str(tmp_path)))


def test_a_byte_order_mark_hides_no_settings(tmp_path: Path) -> None:
    file = tmp_path / "door.toml"
    file.write_text('\ufeff[web]\nhosts = ["praxis.example", "meier.example"]\n')
    assert {"praxis.example", "meier.example"} <= set(private_values(str(file), str(tmp_path)))


def test_short_names_of_users_are_private(tmp_path: Path) -> None:
    for name in ("eva", "jonathan", "pi"):
        (tmp_path / "home" / name).mkdir(parents=True)
    values = set(private_values("", str(tmp_path)))
    assert {"eva", "jonathan"} <= values
    assert "pi" not in values, "it would be found in ordinary words"


def test_only_numbers_and_harmless_texts_of_the_settings_are_shown() -> None:
    lines = "\n".join(shown_settings(tomllib.loads(SETTINGS), tomllib.loads(default_text())))
    assert "[camera] rotate = 180" in lines
    assert '[lights] quiet_hours = "22:00-06:00"' in lines
    assert "[camera] source = set, not shown" in lines
    assert "[link] webhook = 1 entry, not shown" in lines
    for secret in ("praxis", "Meier", "tulpe", "xyzzy", "998877", "Hinter"):
        assert secret not in lines


def test_keys_that_are_not_known_are_not_shown() -> None:
    """A password may stand in the wrong place."""
    wrong = {"camera": {"geheim": 1, "source": "picamera"}, "hunter2": {"a": 1}, "tulpe": 3}
    lines = list(shown_settings(wrong, tomllib.loads(default_text())))
    assert not {"geheim", "hunter2", "tulpe"} & set(" ".join(lines).split())


@pytest.mark.parametrize("part", ["a", "a.", "x-", "pass", "1:", "a@ ", "http ", "1.1.1.1 ", "serialn", "serial n"])
def test_a_long_line_takes_no_minutes(part: str) -> None:
    """A regular expression that begins anew at every letter of such a line would not end before the test's time is over."""
    text = (part * 20_000)[:20_000]
    assert PrivateText(()).hide(text + f" password=hunter22 {text}").count("hunter22") == 0
