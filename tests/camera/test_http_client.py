"""HttpClient: which requests a camera receives, and which of them carry the login."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
from collections.abc import Iterator

import pytest

from edge.camera import address, tls
from edge.camera.http_client import HttpCameraError, HttpClient
from support import network_cameras
from support.network_cameras import HttpCamera, serving


class RecordingCamera(HttpCamera):
    """An HttpCamera that keeps path and Authorization header of each request."""

    requests: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.requests.append((self.path, self.headers.get("Authorization", "")))
        super().do_GET()


@pytest.fixture
def server() -> Iterator[str]:
    RecordingCamera.requests = []
    with serving(RecordingCamera) as host:
        yield host


def client(server: str, path: str) -> HttpClient:
    return HttpClient(address.split(f"http://u:p%40ss%231:%25@{server}/{path}"), timeout_s=60.0)


def get(camera: HttpClient, times: int) -> None:
    for _ in range(times):
        with camera.get() as response:
            assert response.status == 200
            response.read()


@pytest.mark.parametrize("kind", ["basic", "digest"])
def test_only_the_first_request_is_sent_twice(server: str, kind: str) -> None:
    get(client(server, f"login/{kind}/snapshot"), 3)
    logins = [login.partition(" ")[0].lower() for _, login in RecordingCamera.requests]
    assert logins == ["", kind, kind, kind]


def test_digest_counts_its_logins_and_follows_a_new_nonce(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = client(server, "login/digest/snapshot")
    get(camera, 2)
    monkeypatch.setattr(network_cameras, "NONCE", "another")
    get(camera, 2)
    sent = [re.findall(r'\bnonce="(\w+)"|nc=(\w+)', login) for _, login in RecordingCamera.requests]
    numbers = [(login[0][0], int(login[1][1], 16)) for login in sent if login]
    assert numbers == [("abc", 1), ("abc", 2), ("abc", 3), ("another", 1), ("another", 2)]


def test_login_of_a_redirection_is_not_sent_to_the_address_that_redirects(server: str) -> None:
    get(client(server, "redirect-to-login"), 2)
    assert [path for path, login in RecordingCamera.requests if login] == ["/login/basic/snapshot"] * 2
    assert ("/redirect-to-login", "") in RecordingCamera.requests


def test_redirection_to_another_host_gets_no_login(server: str) -> None:
    with pytest.raises(HttpCameraError, match="401"):
        client(server, "redirect-elsewhere").get()
    assert not any(login for _, login in RecordingCamera.requests)


def test_proxy_of_the_environment_is_ignored(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    get(client(server, "snapshot"), 1)


def test_certificates_of_authorities_are_not_loaded(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[ssl.SSLContext] = []
    make = tls.unverified_context

    def record() -> ssl.SSLContext:
        contexts.append(make())
        return contexts[-1]

    monkeypatch.setattr(tls, "unverified_context", record)
    get(client(server, "snapshot"), 3)
    (context,) = contexts
    assert context.cert_store_stats()["x509"] == 0
    assert not context.check_hostname


def test_door_does_not_import_the_http_client_for_a_camera() -> None:
    """The parent of the HTTP process imports its module, too."""
    code = "import sys; from edge.camera import factory; print({'urllib.request', 'http.client', 'ssl'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "set()\n"
