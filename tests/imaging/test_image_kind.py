"""Kinds of image files, known by their content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.imaging.image_kind import describe_unsupported, is_sequence, is_still_gif, is_supported
from support.image_files import encode, gif, iso_media


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_four_kinds_are_supported(suffix: str) -> None:
    assert is_supported(encode(suffix))
    assert describe_unsupported(encode(suffix)) is None


@pytest.mark.parametrize("data", [b"", b"BMW, a list of cars", b"RIFF    AVI LIST", b"text", b"\xff\xd8", gif(3)])
def test_other_content_is_not_supported(data: bytes) -> None:
    assert not is_supported(data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (iso_media(b"heic", b"mif1"), "HEIC"),
        (iso_media(b"heix"), "HEIC"),
        (iso_media(b"mif1", b"heic"), "HEIC"),
        (iso_media(b"msf1", b"hevc"), "HEIC"),
        (iso_media(b"avif", b"mif1", b"miaf"), "AVIF"),
        (iso_media(b"avis", b"msf1"), "AVIF"),
        (iso_media(b"mif1", b"miaf", b"avif"), "AVIF"),
        (b"II*\0" + bytes(20), "TIFF"),
        (b"MM\0*" + bytes(20), "TIFF"),
        (iso_media(b"crx "), "raw file"),
        (b"\xff\x0a" + bytes(20), "JPEG XL"),
        (b"%PDF-1.7", "PDF"),
        (b"<?xml version='1.0'?>\n<svg xmlns='x'>", "SVG"),
        (b"  <HTML><body>", "web page"),
        (gif(1), "GIF"),
    ],
)
def test_other_kinds_of_picture_are_named(data: bytes, name: str) -> None:
    kind = describe_unsupported(data)
    assert kind is not None
    assert name in kind.name
    assert kind.hint


@pytest.mark.parametrize("data", [b"", b"text", iso_media(b"isom", b"avc1"), iso_media(b"qt  "), gif(2)])
def test_videos_and_unknown_content_are_no_picture(data: bytes) -> None:
    assert describe_unsupported(data) is None


def test_still_gif() -> None:
    assert [is_still_gif(gif(pictures)) for pictures in range(4)] == [False, True, False, False]
    assert not is_still_gif(gif(1)[:-1]), "it may continue"


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_sequence_of_pictures(suffix: str) -> None:
    picture = encode(suffix)
    assert not is_sequence(picture)
    assert not is_sequence(picture + b"\0\0\0\x18ftypmp42"), "the video behind a phone's photo"
    assert is_sequence(3 * picture)


def test_phone_photo_with_a_second_picture_is_no_sequence() -> None:
    picture = encode(".jpg")
    mpf = b"\xff\xe2\0\x08MPF\0II"
    assert not is_sequence(picture[:2] + mpf + picture[2:] + picture + picture)


@given(st.sampled_from((b"GIF89a", b"\0\0\0\x18ftyp", b"\xff\xd8\xff", b"")), st.binary(max_size=80))
def test_any_content_has_an_answer(start: bytes, rest: bytes) -> None:
    is_supported(start + rest)
    is_sequence(start + rest)
    describe_unsupported(start + rest)
