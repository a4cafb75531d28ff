"""Addresses with passwords of every form, and the sentences about what is wrong with them."""

from __future__ import annotations

import socket

import pytest

from edge.camera.address import connection_problem, split, status_problem


@pytest.mark.parametrize(
    ("address", "user", "password", "host", "port", "rest"),
    [
        ("rtsp://door/live", "", "", "door", None, "/live"),
        ("http://door:8080", "", "", "door", 8080, ""),
        ("http://door?a=b@c", "", "", "door", None, "?a=b@c"),
        ("http://door/a@b?c=d@e", "", "", "door", None, "/a@b?c=d@e"),
        ("http://door:80/a@b", "", "", "door", 80, "/a@b"),
        ("rtsp://u:p@door/x", "u", "p", "door", None, "/x"),
        ("rtsp://u@door/x", "u", "", "door", None, "/x"),
        ("rtsp://u:p@ss@door:554/x", "u", "p@ss", "door", 554, "/x"),
        ("rtsp://u:p@ss#1@door:554/x", "u", "p@ss#1", "door", 554, "/x"),
        ("rtsp://u:p:q@door/x", "u", "p:q", "door", None, "/x"),
        ("rtsp://u:a/b@door/x", "u", "a/b", "door", None, "/x"),
        ("rtsp://u:a?b@door/x", "u", "a?b", "door", None, "/x"),
        ("rtsp://u:p%40ss%231@door/x", "u", "p@ss#1", "door", None, "/x"),
        ("rtsp://u:100%@door/x", "u", "100%", "door", None, "/x"),
        ("rtsp://u:[x]@[::1]:8554/x", "u", "[x]", "::1", 8554, "/x"),
        ("RTSP://u:é@door/x", "u", "é", "door", None, "/x"),
    ],
)
def test_address_is_split(address: str, user: str, password: str, host: str, port: int | None, rest: str) -> None:
    parts = split(address)
    assert (parts.user, parts.password, parts.host, parts.port, parts.rest) == (user, password, host, port, rest)
    assert split(parts.encoded) == parts, "the encoded address means the same"
    login = parts.encoded.removesuffix(rest).partition("://")[2].rpartition("@")[0]
    assert not set("@#/?[] ") & set(login), "nothing in it can be misunderstood"


@pytest.mark.parametrize(
    "address", ["rtsp:///x", "rtsp://door:99999/", "rtsp://u:p@[door/", "http://door:x/", "http://:80/"]
)
def test_invalid_address(address: str) -> None:
    with pytest.raises(ValueError, match="has no valid"):
        split(address)


def test_failures_have_sentences_of_their_own() -> None:
    errors = [
        socket.gaierror(),
        ConnectionRefusedError(),
        ConnectionResetError(),
        TimeoutError(),
        OSError(101, "No route"),
    ]
    problems = [connection_problem(error, 554)[0] for error in errors]
    problems += [status_problem(code, "Reason", "")[0] for code in (400, 401, 403, 404, 453, 503)]
    problems.append(status_problem(401, "Reason", "me")[0])
    assert len(set(problems)) == len(problems)
