"""One request to a webhook: receivers that hang, drip, close half way, redirect, or are another machine than they say."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.link import certificates, http_post
from edge.link.certificates import client_context
from edge.link.http_post import Answer, PostError, post
from support.paths import ROOT
from support.receiver import Receiver, Reply, answer, drip, hang

MakeReceiver = Callable[..., Receiver]
CERTIFICATES = ROOT / "tests" / "support" / "certificates"


@pytest.fixture
def receive() -> Iterator[MakeReceiver]:
    opened: list[Receiver] = []

    def make(reply: Reply = lambda *_: answer(204)) -> Receiver:
        opened.append(Receiver(reply))
        return opened[-1]

    yield make
    for receiver in opened:
        receiver.close()


def test_a_request_arrives_whole(receive: MakeReceiver) -> None:
    receiver = receive()
    body = b"x" * 300_000
    assert post(f"{receiver.url}?a=b%20c", {"X-A": "b"}, body) == Answer(204)
    (call,) = receiver.calls
    assert (call.path, call.body, call.headers["x-a"]) == ("/hook?a=b%20c", body, "b")
    assert call.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, [], Answer(200)),
        (500, [], Answer(500)),
        (303, ["Location: /x"], Answer(303)),
        (429, ["Retry-After: 30"], Answer(429, 30.0)),
        (503, ["retry-after:  7 "], Answer(503, 7.0)),
        (503, ["Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"], Answer(503)),
        (503, ["Retry-After: 99999999999"], Answer(503)),
    ],
)
def test_answers(status: int, headers: list[str], expected: Answer, receive: MakeReceiver) -> None:
    assert post(receive(lambda *_: answer(status, *headers)).url, {}, b"{}") == expected


@pytest.mark.parametrize("reply", [hang, drip])
def test_a_receiver_that_takes_its_time(reply: Reply, receive: MakeReceiver) -> None:
    with pytest.raises(PostError, match=r"127.0.0.1: does not answer in time"):
        post(receive(reply).url, {}, b"{}", timeout_s=0.5)


def test_a_receiver_that_reads_nothing(receive: MakeReceiver) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        with pytest.raises(PostError, match="does not answer in time"):
            post(url, {}, b"x" * 20_000_000, timeout_s=0.5)


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200 OK\r\nX-A: ", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2\r\n\r\n", b"\0" * 100_000]
)
def test_answers_that_are_none(data: bytes, receive: MakeReceiver) -> None:
    with pytest.raises(PostError, match=r"127.0.0.1: does not answer in HTTP|cannot be reached"):
        post(receive(lambda *_: data).url, {}, b"{}")


def test_nothing_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(PostError, match="nothing listens there"):
            post(f"http://127.0.0.1:{unused.getsockname()[1]}/", {}, b"{}")


def test_an_interim_answer_is_no_answer(receive: MakeReceiver) -> None:
    receiver = receive(
        lambda *_: b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" + answer(202)
    )
    assert post(receiver.url, {}, b"{}") == Answer(202)


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_within_the_host(self, status: int, receive: MakeReceiver) -> None:
        receiver = receive(lambda number, _: answer(204) if number else answer(status, "Location: /other?x=1"))
        assert post(receiver.url, {}, b"{}").status == 204
        assert [call.path for call in receiver.calls] == ["/hook", "/other?x=1"]
        assert receiver.calls[1].body == b"{}"

    @pytest.mark.parametrize(
        "target",
        [
            "http://localhost:{port}/x", "http://127.0.0.1:1/x", "http://example.org/", "//example.org/x", "http://[::1]/",
            "file:///etc/passwd", "gopher://127.0.0.1:{port}/", "https://127.0.0.1:{port}/", "http://127.0.0.1:x/", "",
            "http://169.254.169.254/latest", "http://u:p@127.0.0.1:{port}/", "http://2130706433:{port}/",
            "http://[bad", "http://[::1", "//[x]/", "http://\u2100.example.org/",
        ],
    )  # fmt: skip
    def test_to_another_place(self, target: str, receive: MakeReceiver) -> None:
        receiver = receive()
        location = f"Location: {target.format(port=receiver.port)}" if target else "X: y"
        receiver.reply = lambda *_: answer(302, location)
        with pytest.raises(PostError, match=r"127.0.0.1: redirects"):
            post(receiver.url, {}, b"{}")
        assert len({call.path for call in receiver.calls}) == 1

    def test_in_a_circle(self, receive: MakeReceiver) -> None:
        receiver = receive(lambda *_: answer(307, "Location: /hook"))
        with pytest.raises(PostError, match="redirects more than 3 times"):
            post(receiver.url, {}, b"{}")
        assert len(receiver.calls) == 4


class TestTls:
    @pytest.fixture
    def secure(self) -> Iterator[Callable[[str], Receiver]]:
        opened: list[Receiver] = []

        def make(certificate: str) -> Receiver:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATES / f"{certificate}.pem", CERTIFICATES / "server.key")
            opened.append(Receiver(context=context))
            return opened[-1]

        yield make
        for receiver in opened:
            receiver.close()

    def test_own_authority_in_addition(self, secure: Callable[[str], Receiver]) -> None:
        receiver = secure("server")
        assert post(receiver.url, {}, b"{}", client_context(str(CERTIFICATES / "ca.pem"))) == Answer(204)

    @pytest.mark.parametrize(
        ("certificate", "is_set", "words"),
        [
            ("expired", True, "the certificate of the receiver has expired"),
            ("future", False, "the clock of this machine is not set, and may be wrong"),
            ("other-name", True, "the certificate of the receiver is for another name"),
        ],
    )
    def test_a_receiver_that_is_not_trusted(
        self,
        certificate: str,
        is_set: bool,
        words: str,
        secure: Callable[[str], Receiver],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(certificates, "is_set", lambda: is_set)
        receiver = secure(certificate)
        with pytest.raises(PostError, match=words):
            post(receiver.url, {}, b"{}", client_context(str(CERTIFICATES / "ca.pem")))
        assert not receiver.calls

    def test_an_authority_that_nobody_knows(self, secure: Callable[[str], Receiver]) -> None:
        with pytest.raises(PostError, match="of an authority that this machine does not know"):
            post(secure("server").url, {}, b"{}")

    def test_a_receiver_without_tls(self, receive: MakeReceiver) -> None:
        with pytest.raises(PostError, match=r"127.0.0.1: (cannot be reached|does not answer in time)"):
            post(receive(lambda *_: b"").url.replace("http", "https"), {}, b"{}", timeout_s=0.3)


class TestAddresses:
    @pytest.fixture
    def resolve(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
        """Let every name lead to these addresses. Returns the list of the names that are looked up."""

        def to(*addresses: str) -> list[str]:
            asked: list[str] = []

            def look_up(host: str, port: int, **_: Any) -> list[Any]:
                asked.append(host)
                return [(0, 0, 0, "", (address, port)) for address in addresses]

            monkeypatch.setattr(http_post.socket, "getaddrinfo", look_up)
            return asked

        return to

    @pytest.mark.parametrize(
        "address", ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "169.254.169.254", "fe80::1%eth0", "::ffff:127.0.0.1", "224.0.0.1"]
    )  # fmt: skip
    def test_a_name_that_leads_to_this_machine(self, address: str, resolve: Callable[..., list[str]]) -> None:
        resolve(address)
        with pytest.raises(PostError, match=r"^hooks.example.org: leads to this machine$"):
            post("https://hooks.example.org/key/secret", {}, b"{}")

    def test_the_address_is_looked_up_once(
        self, resolve: Callable[..., list[str]], receive: MakeReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        receiver = receive(lambda number, _: answer(204) if number else answer(307, "Location: /b"))
        connect = socket.create_connection
        asked = resolve("192.0.2.1", "192.0.2.1")
        used: list[str] = []

        def connect_here(address: tuple[str, int], timeout: float) -> socket.socket:
            used.append(address[0])
            with socket.socket() as _:
                return connect_raw(receiver.port, timeout)

        monkeypatch.setattr(http_post.socket, "create_connection", connect_here)
        assert connect is not connect_here
        assert post("http://hooks.example.org/a", {}, b"{}").status == 204
        assert (asked, used) == (["hooks.example.org"], ["192.0.2.1", "192.0.2.1"])
        assert receiver.calls[0].headers["host"] == "hooks.example.org"

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_an_address_that_the_settings_name(self, host: str, receive: MakeReceiver) -> None:
        assert post(f"http://{host}:{receive().port}/", {}, b"{}").status == 204

    @pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.org"])
    def test_a_name_that_is_none(self, host: str) -> None:
        with pytest.raises(PostError, match="there is no machine of this name"):
            post(f"https://{host}/key/secret", {}, b"{}")

    @pytest.mark.parametrize("host", ["[.:]", "[1:2]"])
    def test_an_address_that_is_none(self, host: str) -> None:
        with pytest.raises(PostError, match=r"^the url is not an address$|there is no machine of this name"):
            post(f"https://{host}/key/secret", {}, b"{}")

    def test_a_name_that_does_not_exist(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(http_post.socket, "getaddrinfo", fail)
        with pytest.raises(PostError, match=r"^hooks.example.org: there is no machine of this name$"):
            post("https://hooks.example.org/key/secret", {}, b"{}")


def connect_raw(port: int, timeout: float) -> socket.socket:
    """Connect to a port of this machine."""
    connection = socket.socket()
    connection.settimeout(timeout)
    connection.connect(("127.0.0.1", port))
    return connection
