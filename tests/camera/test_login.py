"""Logins: the examples of the standards, and the choice among several offers."""

from __future__ import annotations

import secrets
import subprocess
import sys

import pytest

from edge.camera import login
from edge.camera.address import split
from support.command import environment

CAMERA = split("http://Mufasa:Circle%20of%20Life@www.example.org/dir/index.html")
OFFER = 'realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="o"'


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_example_of_rfc_7616(monkeypatch: pytest.MonkeyPatch, algorithm: str, response: str) -> None:
    client_nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    monkeypatch.setattr(secrets, "token_hex", lambda _: client_nonce)
    answer = login.authorization(CAMERA, "GET", "/dir/index.html", [f"Digest {OFFER}, algorithm={algorithm}"])
    assert f'response="{response}"' in answer
    assert 'opaque="o"' in answer


def test_each_digest_has_another_client_nonce() -> None:
    answers = {login.authorization(CAMERA, "GET", "/", [f"Digest {OFFER}"]) for _ in range(2)}
    assert len(answers) == 2


def test_digest_without_qop_is_that_of_rfc_2069() -> None:
    answer = login.authorization(CAMERA, "GET", "/", ['Digest realm="r", nonce="n"'])
    assert answer.startswith('Digest username="Mufasa", realm="r", nonce="n", uri="/", response="')
    assert "qop" not in answer


@pytest.mark.parametrize(
    ("offers", "scheme"),
    [
        (['Basic realm="r"'], "Basic"),
        (['Basic realm="r"', f"Digest {OFFER}"], "Digest"),
        ([f"Digest {OFFER}", 'Basic realm="r"'], "Digest"),
        ([f"Digest {OFFER}, algorithm=SHA-512-256", 'Basic realm="r"'], "Basic"),
        (["Bearer"], ""),
        ([], ""),
    ],
)
def test_digest_is_preferred(offers: list[str], scheme: str) -> None:
    assert login.authorization(CAMERA, "GET", "/", offers).partition(" ")[0] == scheme


def test_a_long_word_takes_no_time() -> None:
    """In a child, because a regular expression that tries each letter of it could not be interrupted here."""
    code = """if True:
        from edge.camera import address, login
        print(login.authorization(address.split("rtsp://u:p@h/x"), "DESCRIBE", "/", ["Digest " + "a" * 1_000_000]))
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment()
    )
    assert done.stdout.startswith("Digest ")
