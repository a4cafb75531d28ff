"""A bundle at an https address: continued where it was cut, and only from a server that is trusted."""

from __future__ import annotations

import http.client
import http.server
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.errors import DoorlightError, InputError, UnavailableError, UsageError
from edge.update import bundle, download, fit
from edge.update.download import Client
from releasing import bundle as releasing
from support.update import Box, add_bundle, needs_ssh_keygen, trust

pytestmark = [
    needs_ssh_keygen,
    pytest.mark.skipif(
        shutil.which("openssl") is None, reason="openssl is not installed, which makes the server's certificate"
    ),
]

NUMPY = "wheels/numpy-1.26.4-cp311-cp311-manylinux_2_17_aarch64.whl"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate of localhost and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return folder


class _QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that has seen enough closes the connection."""


class Server:
    """An https server of a folder. It closes a connection after `cuts[name]` bytes of a file's answer, once for each entry."""

    def __init__(self, folder: Path, certificate: Path) -> None:
        self.folder = folder
        self.cuts: dict[str, list[int]] = {}
        self.codes: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.ranges = self.lengths = True
        self.requests: list[tuple[str, str]] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._http = _QuietServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.url = f"https://localhost:{self._http.server_port}/b"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        name = request.path.removeprefix("/b/").removeprefix("/")
        asked = request.headers.get("Range", "")
        self.requests.append((name, asked))
        if name in self.redirects:
            request.send_response(302)
            request.send_header("Location", self.redirects[name])
            request.end_headers()
            return
        path = self.folder / name
        if name in self.codes or not path.is_file():
            request.send_error(self.codes.get(name, 404))
            return
        data, start = path.read_bytes(), 0
        if asked and self.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                request.send_error(416)
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            request.send_response(200)
        rest = data[start:]
        if self.lengths:
            request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        cuts = self.cuts.get(name)
        request.wfile.write(rest[: cuts.pop(0)] if cuts else rest)
        request.close_connection = True


@pytest.fixture
def server(tmp_path: Path, certificate: Path) -> Iterator[Server]:
    made = Server(add_bundle(tmp_path / "bundle"), certificate)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(certificate: Path, waits: list[float]) -> Client:
    return Client(ssl.create_default_context(cafile=certificate / "cert.pem"), waits.append)


@pytest.fixture
def online(box: Box, client: Client) -> Box:
    """A box that trusts the server."""
    box.updater._client = lambda: client
    return box


def refused(box: Box, url: str) -> DoorlightError:
    with pytest.raises(DoorlightError) as caught:
        box.update(url)
    assert (box.version, box.door.starts) == ("0.1.0", 0)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("form", ["folder", "folder/", "tar"])
def test_forms(online: Box, server: Server, form: str) -> None:
    if form == "tar":
        releasing.write_tar(server.folder, server.folder / "doorlight.tar")
    online.update(server.url + {"folder": "", "folder/": "/", "tar": "/doorlight.tar"}[form])
    assert online.version == "0.2.0"
    assert not list(online.layout.staging.glob("*.part"))


def test_nothing_is_downloaded_before_the_signature_is_checked(online: Box, server: Server) -> None:
    trust(online.layout, "other")
    assert "does not trust" in str(refused(online, server.url))
    assert [name for name, _ in server.requests] == ["manifest.json", "manifest.json.sig"]


def test_a_lost_connection_is_continued(online: Box, server: Server, waits: list[float]) -> None:
    server.cuts[NUMPY] = [100, 0, 300]
    online.update(server.url)
    assert online.version == "0.2.0"
    asked = [asked for name, asked in server.requests if name == NUMPY]
    assert asked == ["", "bytes=100-", "bytes=100-", "bytes=400-"]
    assert waits == [2.0, 5.0, 15.0]


def test_the_next_command_continues(online: Box, server: Server) -> None:
    server.cuts[NUMPY] = [1000, 0, 0, 0, 0]
    error = refused(online, server.url)
    assert "the connection is lost again and again" in str(error)
    assert (error.exit_code, "continues where it stopped" in error.hint) == (69, True)
    server.requests.clear()
    online.update(server.url)
    assert online.version == "0.2.0"
    files = [(name, asked) for name, asked in server.requests if name.startswith("wheels/")]
    assert files == [(NUMPY, "bytes=1000-")], "only what was missing"


def test_a_server_without_ranges_sends_all_again(online: Box, server: Server) -> None:
    server.ranges = False
    server.cuts[NUMPY] = [100]
    online.update(server.url)
    assert online.version == "0.2.0"


def test_a_tar_file_is_continued(online: Box, server: Server) -> None:
    releasing.write_tar(server.folder, server.folder / "d.tar")
    server.cuts["d.tar"] = [3000, 5000]
    online.update(f"{server.url}/d.tar")
    assert online.version == "0.2.0"
    assert [asked for name, asked in server.requests] == ["", "bytes=3000-", "bytes=8000-"]


def test_a_full_disk_is_seen_before_a_tar_file_is_downloaded(
    online: Box, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    releasing.write_tar(server.folder, server.folder / "d.tar")
    monkeypatch.setattr(fit, "PROGRAM_BYTES", 1 << 60)
    error = refused(online, f"{server.url}/d.tar")
    assert "MB are free; the update needs" in str(error)
    assert not list(online.layout.staging.iterdir())


def test_a_tar_file_of_unknown_length_does_not_fill_the_disk(
    online: Box, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    releasing.write_tar(server.folder, server.folder / "d.tar")
    server.lengths = False
    staging, room = online.layout.staging, 5000

    def statvfs(_: object) -> SimpleNamespace:
        return SimpleNamespace(
            f_frsize=1, f_bavail=fit.PROGRAM_BYTES + room - sum(part.stat().st_size for part in staging.iterdir())
        )

    monkeypatch.setattr(bundle, "CHUNK_BYTES", 1000)
    with monkeypatch.context() as patch:
        patch.setattr(fit.os, "statvfs", statvfs)
        assert "MB are free; the update needs" in str(refused(online, f"{server.url}/d.tar"))
    assert [part.stat().st_size for part in staging.iterdir()] == [room]
    online.update(f"{server.url}/d.tar")
    assert online.version == "0.2.0"


def test_the_start_of_another_file_is_thrown_away(online: Box, server: Server) -> None:
    candidate = online.updater.choose(server.url)
    target = online.layout.staging / candidate.digest[:16] / NUMPY
    target.parent.mkdir(parents=True)
    for start in (b"another file", b"x" * (server.folder / NUMPY).stat().st_size):
        target.with_name(f"{target.name}.part").write_bytes(start)
        server.requests.clear()
        online.updater._stage(candidate)
        assert target.read_bytes() == (server.folder / NUMPY).read_bytes()
        assert [asked for name, asked in server.requests if name == NUMPY][-1] == ""
        target.unlink()


def test_a_changed_file(online: Box, server: Server) -> None:
    path = server.folder / NUMPY
    path.write_bytes(b"x" * path.stat().st_size)
    assert "is not the file that was signed" in str(refused(online, server.url))
    path.write_bytes(b"x" * (path.stat().st_size + 1))
    assert "is larger than it should be" in str(refused(online, server.url))


def test_a_damaged_tar_file_is_downloaded_again(online: Box, server: Server) -> None:
    (server.folder / "d.tar").write_bytes(b"x" * 5000)
    assert "is no tar file" in str(refused(online, f"{server.url}/d.tar"))
    (server.folder / "d.tar").unlink()
    releasing.write_tar(server.folder, server.folder / "d.tar")
    online.update(f"{server.url}/d.tar")
    assert online.version == "0.2.0"


@pytest.mark.parametrize(
    ("code", "tries", "exit_code"), [(404, 1, 66), (403, 1, 66), (401, 1, 66), (500, 5, 66), (503, 5, 66)]
)
def test_answers_of_the_server(online: Box, server: Server, code: int, tries: int, exit_code: int) -> None:
    server.codes["manifest.json"] = code
    error = refused(online, server.url)
    assert f"the server answers {code}" in str(error)
    assert (len(server.requests), error.exit_code) == (tries, exit_code)


def test_a_large_manifest(online: Box, server: Server) -> None:
    (server.folder / "manifest.json").write_bytes(b" " * 3_000_000)
    assert "is too large" in str(refused(online, server.url))


def test_a_redirect_to_https_is_followed(online: Box, server: Server) -> None:
    (server.folder / "m2").write_bytes((server.folder / "manifest.json").read_bytes())
    server.redirects["manifest.json"] = f"{server.url}/m2"
    online.update(server.url)
    assert online.version == "0.2.0"


@pytest.mark.parametrize("target", ["http://localhost:1/x", "file:///etc/passwd", "ftp://localhost/x"])
def test_other_redirects_are_not(online: Box, server: Server, target: str) -> None:
    server.redirects["manifest.json"] = target
    error = refused(online, server.url)
    assert "redirects to an address without https" in str(error) or "is not allowed" in str(error)
    assert len(server.requests) == 1


def test_a_certificate_that_is_not_trusted(box: Box, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(box, server.url)
    assert "its certificate is not trusted" in str(error)
    assert error.exit_code == 69
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 1.78e9)
    error = refused(box, server.url)
    assert "the clock is not set (19" in str(error)
    assert "timedatectl" in error.hint


def test_the_name_in_the_certificate_counts(online: Box, server: Server) -> None:
    assert "is not trusted" in str(refused(online, server.url.replace("localhost", "127.0.0.1")))


def test_nobody_there(online: Box, server: Server) -> None:
    url = server.url
    server.close()
    error = refused(online, url)
    assert "cannot be reached: Connection refused" in str(error)
    server._thread = threading.Thread(target=time.sleep, args=(0,))
    server._thread.start()
    server._http.shutdown = lambda: None  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/b",
        "ftp://example.org/b",
        "https://user:secret@example.org/b",
        "https://example.org/b?x=1",
        "https://a/#b",
    ],
)
def test_other_addresses(box: Box, url: str) -> None:
    error = refused(box, url)
    assert isinstance(error, UsageError)
    assert "secret" not in f"{error} {error.hint}"


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (TimeoutError("timed out"), "cannot be reached: timed out"),
        (OSError(101, "Network is unreachable"), "cannot be reached: Network is unreachable"),
    ],
)
def test_problems_of_the_network(client: Client, waits: list[float], reason: Exception, says: str) -> None:
    def fail() -> None:
        raise reason

    with pytest.raises(UnavailableError, match=says):
        client._with_retries(fail, "https://x")
    assert len(waits) == 4


def test_an_error_of_ours_is_not_retried(client: Client, waits: list[float]) -> None:
    def fail() -> None:
        raise InputError("no")

    action: Callable[[], None] = fail
    with pytest.raises(InputError):
        client._with_retries(action, "https://x")
    assert not waits


def test_the_address_needs_a_host() -> None:
    with pytest.raises(UsageError):
        download.check_address("https://")


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost:1/d\u00f6rlight",
        "https://localhost:1/a b",
        "https://localhost:1/\udcff",
        "https://[::1/x",
        "https://a..b/x",
        f"https://{'a' * 64}.example/x",
        "https://host:abc/x",
        "https://host:70000/x",
        "https://host:0/x",
        "https://:1/x",
    ],
)
def test_addresses_that_no_request_can_have(url: str) -> None:
    with pytest.raises(UsageError):
        download.check_address(url)


@pytest.mark.parametrize("url", ["https://example.org", "https://[::1]:8443/x/%C3%B6", "HTTPS://a.b:1/x.tar"])
def test_addresses_that_are_right(url: str) -> None:
    download.check_address(url)


@pytest.mark.parametrize(
    "error", [http.client.InvalidURL("port"), UnicodeError("label"), ValueError("Invalid IPv6 URL")]
)
def test_a_redirect_to_no_address_is_not_tried_again(error: Exception, client: Client, waits: list[float]) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(UnavailableError):
        client._with_retries(fail, "https://x")
    assert not waits
