"""Without the link nobody sees anything, wherever the request comes from."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from edge.web import access, hosts
from edge.web.page import TOKEN_COOKIE
from edge.web.rate_limit import MAX_ADDRESSES, RateLimit
from edge.web.token import TokenCheck, new_token, store
from support.web import TOKEN, make_client

PATHS = [
    "/",
    "/live",
    "/live/next",
    "/live/picture.jpg",
    "/setup",
    "/events",
    "/statistics",
    "/health",
    "/nothing",
    "/setup/lines",
]


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with make_client(folder) as client:
        yield client


@pytest.fixture
def stranger(folder: Path) -> Iterator[TestClient]:
    with make_client(folder, token=None) as client:
        yield client


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "ü" * 20])
def test_no_or_a_wrong_token_is_refused(stranger: TestClient, token: str | None) -> None:
    cookie = {} if token is None else {b"cookie": f"{TOKEN_COOKIE}={token}".encode()}
    for path in PATHS:
        answer = stranger.get(path, headers=cookie)
        assert answer.status_code == 401
        assert answer.headers["content-type"].startswith("text/html")
        assert "sudo doorlight web --new-link" in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_no_method_gets_around_the_token(stranger: TestClient, method: str) -> None:
    assert stranger.request(method, "/live", params={"token": TOKEN}).status_code == 401


def test_the_link_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(stranger: TestClient) -> None:
    answer = stranger.get("/", params={"token": TOKEN})
    assert answer.status_code == 200, "a redirect would lose a SameSite=Strict cookie when the link is in a mail"
    assert answer.headers["refresh"] == "0; url=/"
    cookie = SimpleCookie(answer.headers["set-cookie"])[TOKEN_COOKIE]
    assert cookie.value == TOKEN
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["path"], cookie["secure"]) == ("strict", "/", "")
    assert TOKEN not in answer.text
    assert stranger.get("/live").status_code == 200


def test_with_https_the_cookie_is_secure(folder: Path) -> None:
    with make_client(folder, token=None) as stranger:
        answer = stranger.get("https://localhost/", params={"token": TOKEN})
    assert SimpleCookie(answer.headers["set-cookie"])[TOKEN_COOKIE]["secure"]


def test_wrong_links_are_limited_and_right_cookies_still_work(client: TestClient) -> None:
    client.cookies.clear()
    codes = [client.get("/", params={"token": f"guess{k}"}).status_code for k in range(access.WRONG_BURST + 3)]
    assert codes == [401] * access.WRONG_BURST + [429] * 3
    assert client.get("/", params={"token": TOKEN}).status_code == 429, "also for the right one: it may be a guess"
    client.cookies.set(TOKEN_COOKIE, TOKEN)
    assert client.get("/live").status_code == 200


def test_too_many_requests(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "BURST", 5)
    monkeypatch.setattr(access, "PER_S", 0.0)
    with make_client(folder) as client:
        codes = [client.get("/static/icon.svg").status_code for _ in range(7)]
    assert codes == [200] * 5 + [429] * 2


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "",
        "localhost@evil.example",
        "8.8.8.8",
        "a b",
        "[::2]",
    ],
)
def test_a_foreign_host_is_refused_before_the_token(client: TestClient, host: str) -> None:
    answer = client.get("/live", headers={"host": host})
    assert answer.status_code == 403
    assert "picture" not in answer.text


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("localhost", True), ("LOCALHOST:8080", True), ("127.0.0.1:1", True), ("[::1]:8080", True), ("[::1]", True),
        ("192.168.1.7:80", True), ("door.local", True), ("door.local.:80", True), ("DOOR", True), ("door.example.org", True),
        ("192.168.1.8", False), ("door.evil", False), ("[::1", False), ("localhost:x", False), ("localhost:", False),
        (":80", False), ("0.0.0.0", False), ("[fe80::1]", False), ("127.0.0.1.evil.example", False), ("2130706433", False),
    ],
)  # fmt: skip
def test_hosts_of_this_machine(header: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts.socket, "gethostname", lambda: "Door")
    names = hosts.known_names(("door.example.org",))
    assert hosts.is_ours(header, names, "192.168.1.7") is expected
    assert hosts.is_ours(header, names, "::ffff:192.168.1.7") is expected


def test_two_host_headers_are_refused(client: TestClient) -> None:
    request = client.build_request("GET", "/live")
    request.headers = type(request.headers)([("host", "localhost"), ("host", "evil.example")])
    assert client.send(request).status_code == 403


FORM = {"zone": "", "ignore": ""}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://localhost:8081"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {},
        {"origin": "http://localhost:8080"},
    ],
)
def test_a_form_of_another_site_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    """With or without the headers that browsers send: such a form does not know the key of ours."""
    assert client.post("/setup/lines", data=FORM, headers=headers).status_code == 403


def test_our_own_form_is_accepted(client: TestClient) -> None:
    key = TokenCheck(TOKEN, None).form_key(TOKEN)
    assert key in client.get("/setup").text
    answer = client.post("/setup/lines", data={**FORM, "form_key": key}, headers={"origin": "http://localhost:8080"})
    assert answer.status_code == 200
    cross = client.post("/setup/lines", data={**FORM, "form_key": key}, headers={"origin": "http://evil.example"})
    assert cross.status_code == 403


@pytest.mark.parametrize("body", [b"x" * 40_000, b"form_key=" + b"%ff" * 10, b"&" * 5000, b"\xff\xfe"])
def test_broken_forms(client: TestClient, body: bytes) -> None:
    answer = client.post("/setup/lines", content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert answer.status_code in (400, 403, 413)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../page.py", "/static/%2e%2e/page.py", "/static/..%2fpage.py", "/static/%2e%2e%2f%2e%2e%2fconfig.py",
        "/static//etc/passwd", "/static/..\\page.py", "/static/%00", "/static/", "/static/nothing.css",
        "//evil.example/", "/live/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/live/next/../../x", "/LIVE",
    ],
)  # fmt: skip
def test_path_tricks_find_nothing(client: TestClient, path: str) -> None:
    request = client.build_request("GET", "http://localhost:8080/")
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = client.send(request)
    assert answer.status_code in (404, 405)
    assert "import" not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize("path", ["/live", "/static/doorlight.css", "/nothing", "/?token=x"])
def test_every_answer_has_the_headers_that_keep_others_out(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin", (
        "the link has the token in its address, and forms need an Origin"
    )
    assert "server" not in headers
    if not path.startswith("/static"):
        assert headers["cache-control"] == "no-store"


def test_a_new_link_makes_the_one_before_invalid(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "token"
    check = TokenCheck(None, file)
    assert not check.exists
    assert not check.is_valid("")
    first, second = new_token(), new_token()
    assert first != second
    store(file, first)
    assert check.is_valid(first)
    store(file, second)
    assert not check.is_valid(first)
    assert check.is_valid(second)
    assert second not in file.read_text(), "only the hash is stored"
    file.write_text("")
    assert not check.is_valid("")


def test_rate_limit_forgets_with_time_and_stays_small() -> None:
    now = 0.0
    limit = RateLimit(2, 0.5, clock=lambda: now)
    assert [limit.take("a") for _ in range(3)] == [True, True, False]
    assert limit.is_exhausted("a")
    assert limit.take("b")
    now = 2.0
    assert limit.take("a")
    for k in range(3 * MAX_ADDRESSES):
        limit.take(str(k))
    assert len(limit._left) == MAX_ADDRESSES


def test_an_impossible_origin_is_another_site(folder: Path) -> None:
    with make_client(folder, token=None) as client:
        assert client.post("/setup/lines", headers={"origin": "http://["}).status_code == 403
