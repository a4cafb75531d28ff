"""Addresses without their passwords."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.camera.source import without_password


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://door:554/live", "rtsp://door:554/live"),
        ("rtsp://me@door/live", "rtsp://me@door/live"),
        ("rtsp://me:secret@door:554/live", "rtsp://me:***@door:554/live"),
        ("rtsp://me:se@cr/et@door/live", "rtsp://me:***@door/live"),
        ("http://door/video?user=me&password=secret", "http://door/video?…"),
        ("rtsp://door/user=me&password=secret&channel=1", "rtsp://door/user=me&password=***&channel=1"),
    ],
)
def test_password_is_hidden(address: str, shown: str) -> None:
    assert without_password(address) == shown


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=0x2FF), max_size=12))
def test_any_password_is_hidden(password: str) -> None:
    assert without_password(f"rtsp://me:{password}@door/1") == "rtsp://me:***@door/1"
