"""A video is recognised by its content, whatever its name; what cannot be decoded is named."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera.video_file import VideoFile
from edge.camera.video_formats import HEADER_BYTES, recognise
from edge.errors import InputError
from support.camera import quick_settings, read_all, write_video
from support.video_bytes import RAW_H264, RAW_H265, mkv, mp4, numbered

#: By format: the name that OpenCV's writer needs, its codec, and the name under which the file is played.
WRITTEN = {
    "MP4 or QuickTime": ("a.mp4", "mp4v", "film.jpg"),
    "Matroska or WebM": ("a.webm", "VP80", "film"),
    "AVI": ("a.avi", "MJPG", "film.m3u8"),
    "MPEG program stream": ("a.mpg", "MPG2", "film%03d.png"),
    "MPEG transport stream": ("a.ts", "mp4v", "film.txt"),
    "Flash video": ("a.flv", "FLV1", "film.mp4"),
    "Windows Media": ("a.wmv", "WMV2", "film"),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_content_decides_whatever_the_name(tmp_path: Path, kind: str) -> None:
    name, fourcc, given = WRITTEN[kind]
    path = tmp_path / name
    size = 160, 120
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*fourcc), 25, size)
    assert writer.isOpened()
    for k in range(5):
        writer.write(np.full((120, 160, 3), 60 + 20 * k, np.uint8))
    writer.release()
    path = path.rename(tmp_path / given)
    found = recognise(path.read_bytes()[:HEADER_BYTES])
    assert found is not None
    assert found.name == kind
    frames = read_all(VideoFile(path, quick_settings()))
    assert [frame.t for frame in frames] == pytest.approx([k / 25 for k in range(5)], abs=1e-3)
    assert [round(float(frame.picture.mean()) / 20) for frame in frames] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (RAW_H264, "H.264 or H.265"),
        (RAW_H264[1:], "H.264 or H.265"),
        (RAW_H265, "H.264 or H.265"),
        (b"\0\0\1\x09\xf0", "H.264 or H.265"),
        (b"\0\0\1\xba\x44", "MPEG program stream"),
        (b"\0\0\1\xb3\x16", "MPEG-1, MPEG-2 or MPEG-4 video"),
        (b"\0\0\1\0\0\0\1\x20", "MPEG-1, MPEG-2 or MPEG-4 video"),
        (b"FLV\1\5", "Flash video"),
        (b"\0\0\0\1ftypisom", "MP4 or QuickTime"),
        (b"G" + b"a" * 187 + b"G" + b"b" * 187 + b"G", "MPEG transport stream"),
        (b"text", None),
        (b"#EXTM3U\n", None),
        (b"ffconcat version 1.0\n", None),
        (b"", None),
        (bytes(100), None),
    ],
)
def test_formats(start: bytes, name: str | None) -> None:
    found = recognise(start)
    assert (found and found.name) == name


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (mp4([b"junk"] * 3, [40] * 3, codec=b"av01"), "AV1"),
        (mkv([b"junk"] * 3, [0, 40, 80], codec=b"V_AV1"), "AV1"),
        (mkv([b"junk"] * 3, [0, 40, 80], codec=b"V_MPEGI/ISO/VVC"), "H.266 (VVC)"),
        (mkv([b"junk"] * 3, [0, 40, 80], codec=b"V_FUTURE\x1b[2J"), "V_FUTURE[2J"),
        (mp4([b"junk"] * 3, [40] * 3, codec=b"fut1"), "fut1"),
    ],
)
def test_missing_decoder_is_named(tmp_path: Path, data: bytes, codec: str) -> None:
    (tmp_path / "film.mp4").write_bytes(data)
    with pytest.raises(InputError) as caught:
        VideoFile(tmp_path / "film.mp4", quick_settings()).open()
    assert str(caught.value).endswith(f"OpenCV {cv2.__version__} cannot decode its video, which is coded as {codec}")
    assert "convert it" in caught.value.hint
    assert caught.value.exit_code == 66


def test_encrypted_video_and_video_without_index(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(mp4([b"junk"] * 3, [40] * 3, codec=b"encv"))
    with pytest.raises(InputError, match="encrypted"):
        VideoFile(path, quick_settings()).open()
    path.write_bytes(mp4(numbered(3), [40] * 3, has_index=False))
    with pytest.raises(InputError, match="has no index") as caught:
        VideoFile(path, quick_settings()).open()
    assert "ended before" in caught.value.hint


def test_damaged_video_of_a_common_codec_is_not_blamed_on_the_decoder(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(mp4([b"junk"] * 3, [40] * 3, codec=b"avc1"))
    with pytest.raises(InputError, match="no picture of this video can be decoded") as caught:
        VideoFile(tmp_path / "film.mp4", quick_settings()).open()
    assert "damaged" in caught.value.hint


def test_name_that_ffmpeg_would_take_for_an_address_or_a_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = write_video(tmp_path / "a.avi", "MJPG", frames=3).read_bytes()
    for name in ("concat:a", os.fsdecode(b"\xff")):  # the second is not UTF-8
        Path(name).write_bytes(whole)
        assert len(read_all(VideoFile(Path(name), quick_settings()))) == 3, name
