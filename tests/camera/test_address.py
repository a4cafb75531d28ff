"""Addresses with passwords of every form, and without their passwords."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.camera.address import split, without_password


@pytest.mark.parametrize(
    ("address", "user", "password", "host", "port", "rest"),
    [
        ("rtsp://door/live", "", "", "door", None, "/live"),
        ("http://door:8080", "", "", "door", 8080, ""),
        ("http://door?a=b@c", "", "", "door", None, "/?a=b@c"),
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
        ("http://u#1:p@door/x", "u#1", "p", "door", None, "/x"),
        ("http://u:a/b@door/auth?x=@1", "u", "a/b", "door", None, "/auth?x=@1"),
        ("http://u:p@door/auth?x=@1", "u", "p", "door", None, "/auth?x=@1"),
        ("http://u:a/b?c@door/x", "u", "a/b?c", "door", None, "/x"),
        ("rtsp://u:[x]@[::1]:8554/x", "u", "[x]", "::1", 8554, "/x"),
        ("RTSP://u:é@door/x", "u", "é", "door", None, "/x"),
        ("rtsp://u?1:p@door/x", "u?1", "p", "door", None, "/x"),
        ("rtsp://u?:a/b@door/x?c=1", "u?", "a/b", "door", None, "/x?c=1"),
        ("http://u?1:a?b@door?c=1", "u?1", "a?b", "door", None, "/?c=1"),
        ("http://?u:p@door:80/x", "?u", "p", "door", 80, "/x"),
        ("http://u:80?a@door/x", "u", "80?a", "door", None, "/x"),
        ("http://door?x=1", "", "", "door", None, "/?x=1"),
        ("http://door?x", "", "", "door", None, "/?x"),
        ("http://door:80?x=1", "", "", "door", 80, "/?x=1"),
        ("http://door:80?x", "", "", "door", 80, "/?x"),
        ("http://door:80?x=a@b", "", "", "door", 80, "/?x=a@b"),
        ("http://door?path=/a@b", "", "", "door", None, "/?path=/a@b"),
        ("http://door?t=12:30&mail=a@b", "", "", "door", None, "/?t=12:30&mail=a@b"),
        ("http://[::1]?x=a@b", "", "", "::1", None, "/?x=a@b"),
        ("http://u:p@door?x=1", "u", "p", "door", None, "/?x=1"),
        ("http://u:p@door:80?mail=a@b", "u", "p", "door", 80, "/?mail=a@b"),
        ("http://u:p@q@door?path=/a@b", "u", "p@q", "door", None, "/?path=/a@b"),
    ],
)
def test_address_is_split(address: str, user: str, password: str, host: str, port: int | None, rest: str) -> None:
    parts = split(address)
    assert (parts.user, parts.password, parts.host, parts.port, parts.rest) == (user, password, host, port, rest)
    assert split(parts.encoded) == parts, "the encoded address means the same"
    login = parts.encoded.removesuffix(rest).partition("://")[2].rpartition("@")[0]
    assert not set("@#/?[] ") & set(login), "nothing in it can be misunderstood"


@pytest.mark.parametrize(
    "address", ["rtsp:///x", "rtsp://door:99999/", "rtsp://u:p@[door/", "http://door:x/", "http://:80/", "http://[]/"]
)
def test_invalid_address(address: str) -> None:
    with pytest.raises(ValueError, match="has no valid"):
        split(address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://door:554/live", "rtsp://door:554/live"),
        ("rtsp://me@door/live", "rtsp://me@door/live"),
        ("rtsp://me:secret@door:554/live", "rtsp://me:***@door:554/live"),
        ("rtsp://me:se@cr/et@door/live", "rtsp://me:***@door/live"),
        ("http://door/video?user=me&password=secret", "http://door/video?…"),
        ("http://door:80/a@b", "http://door:80/***@b"),
        ("http://door/a@b", "http://door/a@b"),
        ("http://door/snap?u=me@x.de", "http://door/snap?…"),
        ("http://door:80/secret@x/snap?u=me@x.de", "http://door:80/***@…"),
        ("http://u:a/b@door/auth?x=@1", "http://u:***@…"),
        ("http://u:p@door/snap?password=se@cret", "http://u:***@…"),
        ("http://u@door/snap?password=se@cret", "http://u:***@…"),
        ("http://u:p@door?password=se@cret", "http://u:***@…"),
        ("http://door:80?password=se@cret", "http://door:80?…"),
        ("http://door:x/snap?password=se@cret", "http://door:***@…"),
        ("http://?password=secret@door", "http://***@…"),
        ("rtsp://u?1:secret@door/1", "rtsp://u?1:***@door/1"),
        ("rtsp:/door/?password=se@cret", "rtsp:/door:***@…"),
        ("me:secret@door/snap?password=se@cret", "me:***@…"),
        ("http://door:80/a?mail=b@c", "http://door:80/a?…"),
        ("rtsp://shop/me:secret@door/live", "rtsp://shop/***@door/live"),
        ("rtsp://me:80/secret@door/live", "rtsp://me:80/***@door/live"),
        ("rtsp://me#1:secret@door/live", "rtsp://me#1:***@door/live"),
        ("rtsp://me:secret@[door/", "rtsp://me:***@[door/"),
        ("rtsp://me:sec#ret", "rtsp://me:sec#…"),
        ("/dev/v4l/by-id/cam", "/dev/v4l/by-id/cam"),
        ("rtsp://door/user=me&password=secret&channel=1", "rtsp://door/user=me&password=***&channel=1"),
    ],
)
def test_password_is_hidden(address: str, shown: str) -> None:
    assert without_password(address) == shown


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=12))
def test_any_password_is_hidden(password: str) -> None:
    assume(not re.match(r"\d*/|\d+\?[\w.-]*=", password))  # reads as a port, and a path or a query
    shown = without_password(f"rtsp://me:{password}@door/1")
    assert shown in ("rtsp://me:***@door/1", "rtsp://me:***@…")
    assert "?" in password or "…" not in shown
