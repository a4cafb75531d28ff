"""The content of a file decides whether it is a picture or a video, whatever its name."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from edge.camera.factory import open_source
from edge.camera.file_kind import FileKind, kind_of
from edge.camera.picture_files import PictureFile
from edge.camera.video_file import VideoFile
from edge.errors import InputError
from support.camera import quick_settings, read_all, write_video
from support.image_files import encode, gif, iso_media


@pytest.mark.parametrize("name", ["a.jpg", "a.jfif", "a.jpe", "a", "a.mp4", "a.txt", "a.heic", "a.JPG.download"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_picture_with_any_name(tmp_path: Path, name: str, suffix: str) -> None:
    (tmp_path / name).write_bytes(encode(suffix))
    assert kind_of(tmp_path / name) is FileKind.PICTURE
    source = open_source(quick_settings(picture_s=0), str(tmp_path / name))
    assert isinstance(source, PictureFile)
    assert [frame.picture.shape for frame in read_all(source)] == [(30, 40, 3)]


@pytest.mark.parametrize("name", ["clip.mp4", "clip", "clip.jpg", "clip.txt"])
def test_video_with_any_name(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / "x.mp4", "mp4v", frames=3).rename(tmp_path / name)
    assert kind_of(tmp_path / name) is FileKind.VIDEO
    assert len(read_all(open_source(quick_settings(), str(tmp_path / name)))) == 3


@pytest.mark.parametrize("name", ["film.mjpeg", "film"])
def test_sequence_of_pictures_is_a_video(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(3 * encode(".jpg"))
    assert isinstance(open_source(quick_settings(), str(tmp_path / name)), VideoFile)


def test_animated_gif_is_a_video_and_a_still_one_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gif(2))
    (tmp_path / "b").write_bytes(gif(1))
    assert [kind_of(tmp_path / name) for name in "ab"] == [FileKind.VIDEO, FileKind.PICTURE]


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.jpg", "IMG_1", "IMG_1.mp4"])
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (iso_media(b"heic", b"mif1"), "a HEIC picture"),
        (iso_media(b"avif", b"mif1"), "an AVIF picture"),
        (b"II*\0" + bytes(20), "a TIFF picture"),
        (gif(1), "a GIF with a single picture"),
    ],
)
def test_other_kinds_are_refused_by_their_name_with_what_to_do(
    tmp_path: Path, name: str, data: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=f"{name}: is {kind}") as caught:
        open_source(quick_settings(), str(tmp_path / name)).open()
    assert "save it" in caught.value.hint


@pytest.mark.parametrize(("name", "message"), [("a.jpg", "is not a picture"), ("a.mp4", "video"), ("a", "video")])
def test_name_decides_if_the_content_says_nothing(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_text("only text")
    assert kind_of(tmp_path / name) is FileKind.OTHER
    with pytest.raises(InputError, match=message):
        open_source(quick_settings(), str(tmp_path / name)).open()


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\x1f\x07\x00\xbf", "a DV video"),
        (b"\x06\x0e\x2b\x34\x02\x05", "an MXF video"),
        (b"nut/multimedia container\0", "a NUT video"),
        (b".RMF\0\0\0\x12", "a RealMedia video"),
        (b"--ffmpeg\r\nContent-type: image/jpeg\r\n", "a recorded stream of JPEG pictures"),
        (b"\r\n--b\nX-Time: 1\nContent-Length: 5\nContent-Type: image/jpeg\n\n", "a recorded stream of JPEG pictures"),
        (b"RIFF\0\0\0\0AMV LIST", "an AMV video"),
    ],
)
@pytest.mark.parametrize("name", ["film", "my film.mp4"])
def test_videos_that_are_not_played_are_named_with_the_command_that_converts_them(
    tmp_path: Path, name: str, start: bytes, kind: str
) -> None:
    path = tmp_path / name
    path.write_bytes(start + bytes(2000))
    for source in (path, tmp_path):
        with pytest.raises(InputError, match=f"is {kind}") as caught:
            read_all(open_source(quick_settings(), str(source)))
        assert f"ffmpeg -i {shlex.quote(str(path))} -c:v libx264 converted.mp4" in caught.value.hint


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"DDS \x7c\0\0\0", "a DirectDraw picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript drawing"),
        (b"icns\0\0\1\0", "an icon of macOS"),
        (b"\x0a\x05\x01\x08", "a PCX picture"),
        (b"qoif\0\0\0\x28", "a QOI picture"),
        (b"\x01\xda\x01\x01\0\x03", "an SGI picture"),
        (b"\0\0\x02" + bytes(9) + b"\x28\0\x1e\0\x18\0", "a TGA picture"),
        (b"\0\0\x0b" + bytes(9) + b"\x28\0\x1e\0\x08\x20", "a TGA picture"),
    ],
)
def test_rare_pictures_are_named(tmp_path: Path, start: bytes, kind: str) -> None:
    for name in ("a", "a.jpg"):
        (tmp_path / name).write_bytes(start + bytes(2000))
        with pytest.raises(InputError, match=f"is {kind}.*, which cannot be read here") as caught:
            read_all(open_source(quick_settings(), str(tmp_path / name)))
        assert "save it as JPEG" in caught.value.hint


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.mp4", "a"):
        (tmp_path / name).touch()
        with pytest.raises(InputError, match="is empty"):
            read_all(open_source(quick_settings(), str(tmp_path / name)))
    with pytest.raises(InputError, match=r"none of its 3 files can be read \(a: is empty\)"):
        read_all(open_source(quick_settings(), str(tmp_path)))
