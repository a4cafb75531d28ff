"""What hostile.py throws at Doorlight: each kind makes a case from a random generator, in the working directory.

Most are good files with a few things wrong, as mere noise is refused at the first byte; the rest is made on purpose:
bombs, loops, pipes, devices, playlists, rude servers, escape sequences.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "scripts" / "demo_data"
MODELS = REPOSITORY / "models_tflite"
NAMES = ("face_detector", "mask_classifier", "expression_classifier")

#: A case takes no longer, and no more memory beyond what it had, than this, unless it says so itself.
LIMIT_S = 20.0
MOST_MIB = 256
#: The same for pictures and videos: one of 64 megapixels takes three times 192 MiB, decoded and copied twice.
PIXELS_MIB = 1024

Random = random.Random


class Case(NamedTuple):
    """One command line, and what may come of it.

    `codes` are the exit codes that fit. After `stop_s` seconds the command is sent the signals `stop_by`; it may die by
    one of `signals`. `around` is entered for the run; `check`, called afterwards, gives
    what is wrong with what was left behind. `process`: as a process of its own, with `environ`.
    """

    argv: list[str]
    codes: frozenset[int]
    limit_s: float = LIMIT_S
    most_mib: int = MOST_MIB
    stop_s: float | None = None
    stop_by: tuple[int, ...] = (signal.SIGTERM,)
    signals: frozenset[int] = frozenset()
    check: Callable[[], Iterable[str]] | None = None
    around: Callable[[], AbstractContextManager[object]] | None = None
    process: bool = False
    environ: dict[str, str] = {}  # noqa: RUF012  (never changed)


class Kind(NamedTuple):
    """`share` of all cases; `waits`: mostly for something, so that many may run at a time; `fresh`: loads its models."""

    make: Callable[[Random, Material], Case]
    share: int
    waits: bool
    fresh: bool


class Material(NamedTuple):
    """Good files, by name."""

    pictures: dict[str, bytes]
    videos: dict[str, bytes]
    models: dict[str, bytes]


KINDS: dict[str, Kind] = {}
#: The shipped models, by name, once load_models() has been called.
LOADED: dict[str, Any] = {}


def kind(share: int, waits: bool = False, fresh: bool = False) -> Callable[[Callable[[Random, Material], Case]], Any]:
    def add(make: Callable[[Random, Material], Case]) -> Callable[[Random, Material], Case]:
        KINDS[make.__name__] = Kind(make, share, waits, fresh)
        return make

    return add


# ---- Good files ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def material() -> Iterator[Material]:
    """Everything good that is then broken; made in a process of its own, as OpenCV starts threads."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        environ = os.environ | {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "SILENT"}
        made = Path(folder) / "material"
        command = [sys.executable, __file__, str(made)]
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the material cannot be made: {done.stderr}")
        yield Material(*pickle.loads(made.read_bytes()))


def _make_material() -> Material:
    import cv2
    import numpy as np

    still = cv2.imread(str(DEMO / "still.jpg"))
    assert still is not None
    small = cv2.resize(still, (160, 120), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    pictures = {}
    encoders: dict[str, tuple[str, Any, list[int]]] = {
        "small.jpg": (".jpg", small, []),
        "progressive.jpg": (".jpg", small, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 4]),
        "grey.jpg": (".jpg", small[:, :, 0], []),
        "small.png": (".png", noise, []),
        "alpha.png": (".png", cv2.cvtColor(noise, cv2.COLOR_BGR2BGRA), []),
        "deep.png": (".png", noise.astype(np.uint16) * 257, []),
        "bits.png": (".png", noise[:, :, 0], [cv2.IMWRITE_PNG_BILEVEL, 1]),
        "small.bmp": (".bmp", noise, []),
        "grey.bmp": (".bmp", noise[:, :, 0], []),
        "small.webp": (".webp", small, [cv2.IMWRITE_WEBP_QUALITY, 60]),
        "lossless.webp": (".webp", noise, [cv2.IMWRITE_WEBP_QUALITY, 101]),
        "small.tiff": (".tiff", noise, []),
        "float.tiff": (".tiff", noise.astype(np.float32), []),
        "small.ppm": (".ppm", noise, []),
        "small.pfm": (".pfm", noise.astype(np.float32), []),
        "small.hdr": (".hdr", noise.astype(np.float32), []),
        "small.jp2": (".jp2", noise, []),
        "small.ras": (".ras", noise, []),
    }
    for name, (ending, picture, how) in encoders.items():
        with contextlib.suppress(cv2.error):
            ok, data = cv2.imencode(ending, picture, how)
            if ok:
                pictures[name] = data.tobytes()
    pictures["turned.jpg"] = _with_exif(pictures["small.jpg"], 6)
    pictures["animated.gif"] = _gif(4)
    pictures["animated.webp"] = _animated_webp(pictures["small.webp"])
    pictures["animated.png"] = _apng()
    videos = {"animated.gif": pictures["animated.gif"], "animated.png": pictures["animated.png"]}
    videos["stills.mjpeg"] = pictures["small.jpg"] * 5
    ways = "MJPG.avi mp4v.mp4 mp4v.mov mp4v.mkv VP80.webm VP90.webm XVID.avi MPG2.mpg mp4v.ts FLV1.flv WMV2.wmv HFYU.avi FFV1.mkv"
    for way in ways.split():
        codec, ending = way.split(".")
        path = f"{codec}.{ending}"
        writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10.0, (160, 120))
        if writer.isOpened():
            for k in range(6):
                writer.write(np.roll(small, 7 * k, axis=1))
            writer.release()
            videos[path] = Path(path).read_bytes()
    models = {name: (MODELS / f"{name}.tflite").read_bytes() for name in NAMES}
    return Material(pictures, videos, models | {"manifest": (MODELS / "manifest.toml").read_bytes()})


def load_models() -> None:
    """Fill LOADED, once in a worker."""
    from edge import cli, config, door, events, interpreter, lights, manifest  # noqa: F401
    from edge.perception import Perception

    if not LOADED:
        perception = Perception(config.load(), manifest.load())
        assert perception.expression is not None
        for stage in (perception.detector, perception.mask, perception.expression):
            LOADED[stage.model.name] = stage.model


def _with_exif(jpeg: bytes, orientation: int, extra: bytes = b"") -> bytes:
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0) + b"\0" * 4
    body = b"Exif\0\0" + tiff + extra
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def _gif(frames: int) -> bytes:
    """A looping GIF of one grey, 16x16."""
    head = b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    loop = b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    frame = b"!\xf9\x04\0\n\0\0\0" + b"," + struct.pack("<HHHHB", 0, 0, 16, 16, 0) + b"\x02\x02\x4c\x01\0"
    return head + loop + frame * frames + b";"


def _animated_webp(still: bytes) -> bytes:
    frame = struct.pack("<I", 0)[:3] * 2 + struct.pack("<I", 159)[:3] + struct.pack("<I", 119)[:3] + b"\x32\0\0\0"
    anmf = frame + still[12:]
    chunks = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + struct.pack("<I", 159)[:3] + struct.pack("<I", 119)[:3]
    chunks += b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    chunks += (b"ANMF" + struct.pack("<I", len(anmf)) + anmf) * 3
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, rows: bytes, *, bits: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    """A PNG whose header says what it likes; `rows` as stored, filter bytes included."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + _chunk(b"IDAT", zlib.compress(rows, 6)) + _chunk(b"IEND", b"")


def _apng() -> bytes:
    def control(number: int) -> bytes:
        return _chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 16, 16, 0, 0, 1, 10, 0, 0))

    rows = zlib.compress((b"\0" + b"\x80" * 16) * 16)
    body = _chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)) + _chunk(b"acTL", struct.pack(">II", 2, 0))
    body += control(0) + _chunk(b"IDAT", rows) + control(1) + _chunk(b"fdAT", struct.pack(">I", 2) + rows)
    return b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IEND", b"")


# ---- Breaking them ---------------------------------------------------------------------------------------------------

ODD = (
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    127,
    128,
    255,
    256,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)


def broken(rng: Random, data: bytes, others: Iterable[bytes] = ()) -> bytes:
    """`data` with one to eight things wrong, rather at its beginning, where headers are."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8))):
        if not out:
            break
        reach = len(out) if rng.random() < 0.5 else min(len(out), 400)
        at = rng.randrange(reach)
        what = rng.randrange(12)
        span = rng.choice((1, 2, 4, 16, 100, 1000))
        if what <= 2:
            out[at] ^= 1 << rng.randrange(8)
        elif what == 3:
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, 10, 34))
        elif what <= 5:
            form = rng.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
            size = struct.calcsize(form)
            out[at : at + size] = struct.pack(form, rng.choice(ODD) & ((1 << 8 * size) - 1))
        elif what == 6:
            del out[rng.randrange(len(out)) :]
        elif what == 7:
            del out[at : at + span]
        elif what == 8:
            out[at:at] = out[at : at + span] * rng.choice((1, 2, 50))
        elif what == 9:
            out[at:at] = rng.randbytes(span)
        elif what == 10:
            out[at : at + span] = bytes(min(span, len(out) - at))
        elif others:
            other = rng.choice(list(others))
            begin = rng.randrange(max(1, len(other)))
            out[at : at + span] = other[begin : begin + span]
    return bytes(out)


def sized(rng: Random, data: bytes, width: int, height: int) -> bytes:
    """`data` with every mention of its size, in two or four bytes of either order, changed to absurd ones."""
    for old in (width, height):
        new = rng.choice((0, 1, 2, 15, 8191, 16383, 16384, 20000, 32767, 65500, 65535, 1 << 20, 0x7FFFFFFF, old + 1))
        for form in ("<I", ">I", "<H", ">H"):
            mask = (1 << 8 * struct.calcsize(form)) - 1
            data = data.replace(struct.pack(form, old), struct.pack(form, new & mask))
    return data


def written(name: str | bytes, data: bytes) -> str:
    """A file of the working directory, and its name."""
    path = os.fsdecode(name)
    with open(path, "wb") as file:
        file.write(data)
    return path


ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
VIDEO_ENDINGS = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm")
OTHER_ENDINGS = (".gif", ".tif", ".mpg", ".ts", ".mjpeg", ".flv", ".sdp", ".m3u8", ".txt", ".y4m", ".yuv", ".h264", "")


def log_is_whole(path: str = "events.jsonl") -> Iterator[str]:
    """What is wrong with an event log that a door has closed."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return
    if data and not data.endswith(b"\n"):
        yield "the event log ends in the middle of a line"
    for line in data.splitlines():
        try:
            if not isinstance(json.loads(line), dict):
                yield f"the event log has {line[:80]!r}"
        except ValueError:
            yield f"the event log has {line[:80]!r}"


def nothing_half_written() -> Iterator[str]:
    for path in Path().rglob(".*"):
        if ".part" in path.name:
            yield f"{path} is left behind"


def looked_at(rng: Random, source: str, ending: str, **more: Any) -> Case:
    """A picture or video goes through `run`, or through `annotate`."""
    more = {"most_mib": PIXELS_MIB, "codes": frozenset({0, 66})} | more
    if rng.random() < 0.6:
        argv = ["run", "--simulate", "--source", source, "--events", "events.jsonl"]
        return Case(argv, check=log_is_whole, **more)
    same = ending if ending in ENDINGS + VIDEO_ENDINGS else ".mp4"
    out = rng.choice((same, same, rng.choice(ENDINGS + VIDEO_ENDINGS)))
    # 2: another kind of file asked for than was given. 74: OpenCV's writers do not take every size and rate.
    more["codes"] |= {2, 74}
    return Case(["annotate", source, f"out{out}"], check=nothing_half_written, **more)


# ---- Pictures --------------------------------------------------------------------------------------------------------


@kind(share=40)
def picture(rng: Random, material: Material) -> Case:
    """A picture with something wrong."""
    name = rng.choice(sorted(material.pictures))
    data = material.pictures[name]
    if rng.random() < 0.15:
        data = sized(rng, data, *((160, 120) if name.endswith((".jpg", ".webp")) else (64, 48)))
    if rng.random() < 0.9:
        data = broken(rng, data, material.pictures.values())
    ending = Path(name).suffix if rng.random() < 0.6 else rng.choice(ENDINGS)
    if ending not in ENDINGS:
        ending = rng.choice(ENDINGS + OTHER_ENDINGS)
    if rng.random() < 0.05:
        ending = ending.upper()
    return looked_at(rng, written(f"x{ending}", data), ending.lower())


@kind(share=4)
def bomb(rng: Random, material: Material) -> Case:
    """A small file that says it is an enormous picture, or really is one."""
    sides = (1, 2, 3, 100, 4000, 8000, 8192, 9000, 16384, 20000, 32000, 65500, 65535, 100_000, 1 << 20, (1 << 31) - 1)
    width, height = rng.choice(sides), rng.choice(sides)
    jpegs = [material.pictures[name] for name in ("small.jpg", "progressive.jpg", "grey.jpg")]
    what = rng.randrange(6)
    if what == 0:  # all there, if it is not too much to make
        bits, colour = rng.choice(((1, 0), (8, 0), (8, 2), (16, 6), (8, 3)))
        row = 1 + (min(width, 70_000) * bits * {0: 1, 2: 3, 6: 4, 3: 1}[colour] + 7) // 8
        # Compressed piece by piece: making it must not take what is then forbidden.
        packer, left = zlib.compressobj(1), min(row * min(height, 70_000), 400_000_000)
        packed = bytearray()
        while left > 0:
            packed += packer.compress(bytes(min(left, 1 << 20)))
            left -= 1 << 20
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, rng.choice((0, 0, 1))))
        palette = _chunk(b"PLTE", b"\1\2\3") if colour == 3 else b""
        data = (
            b"\x89PNG\r\n\x1a\n"
            + head
            + palette
            + _chunk(b"IDAT", bytes(packed + packer.flush()))
            + _chunk(b"IEND", b"")
        )
        ending = ".png"
    elif what == 1:  # text and profile chunks that unpack to a lot
        inside = zlib.compress(bytes(rng.choice((1000, 50_000_000))), 9)
        extra = _chunk(rng.choice((b"zTXt", b"iCCP")), b"x\0\0" + inside) * rng.choice((1, 50))
        data, ending = png(64, 48, (b"\0" + bytes(64)) * 48, extra=extra), ".png"
    elif what == 2:
        data = bytearray(rng.choice(jpegs))
        for marker in (b"\xff\xc0", b"\xff\xc2"):
            at = bytes(data).find(marker)
            if at > 0:
                data[at + 5 : at + 9] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
        ending, data = ".jpg", bytes(data)
    elif what == 3:  # progressive, the same scan thousands of times
        data = jpegs[1]
        scan = data[data.find(b"\xff\xda") : -2]
        data, ending = data[:-2] + scan * rng.choice((10, 300)) + data[-2:], ".jpg"
    elif what == 4:
        bits = rng.choice((1, 4, 8, 24, 32))
        rows = struct.pack(
            "<IiiHHIIiiII", 40, width, rng.choice((height, -height)), 1, bits, rng.choice((0, 1, 2, 3)), 0, 0, 0, 0, 0
        )
        data, ending = b"BM" + struct.pack("<IHHI", 1000, 0, 0, rng.choice((54, 1078, 0))) + rows + bytes(2000), ".bmp"
    else:
        data = bytearray(material.pictures["animated.webp"])
        data[24:30] = struct.pack("<I", width & 0xFFFFFF)[:3] + struct.pack("<I", height & 0xFFFFFF)[:3]
        ending, data = ".webp", bytes(data)
    return looked_at(rng, written(f"x{ending}", data), ending, limit_s=60.0)


@kind(share=3)
def exif(rng: Random, material: Material) -> Case:
    """Orientations that there are not, and tags that point anywhere."""
    data = _with_exif(
        material.pictures["small.jpg"], rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 65535)), rng.randbytes(40)
    )
    if rng.random() < 0.7:
        at = rng.randrange(4, 60)
        data = data[:at] + struct.pack(">I", rng.choice(ODD)) + data[at + 4 :]
    return looked_at(rng, written("x.jpg", data), ".jpg")


@kind(share=6)
def folder(rng: Random, material: Material) -> Case:
    """A folder of good, broken and impossible things."""
    os.mkdir("in")
    good = False
    for k in range(rng.randrange(1, 8)):
        name = f"{k}{odd_name(rng)}{rng.choice(ENDINGS + VIDEO_ENDINGS + OTHER_ENDINGS)}".encode(
            "utf-8", "surrogateescape"
        )
        name = name.replace(b"/", b"|")
        name = b"in/" + (name[:200] + os.fsencode(Path(os.fsdecode(name)).suffix) if len(name) > 200 else name)
        if rng.random() < 0.3:
            impossible(rng, name)
        else:
            data = rng.choice(sorted(material.pictures.values()) + sorted(material.videos.values())[:3])
            written(name, data if rng.random() < 0.5 else broken(rng, data))
    if good := rng.random() < 0.3:
        written("in/good.jpg", material.pictures["small.jpg"])
    if rng.random() < 0.6:
        codes = frozenset({0}) if good else frozenset({0, 66})
        argv = ["run", "--simulate", "--source", "in", "--events", "events.jsonl"]
        return Case(argv, codes, most_mib=PIXELS_MIB, check=log_is_whole)
    codes = frozenset({0, 66, 74})
    return Case(["annotate", "in", "out"], codes, limit_s=40.0, most_mib=PIXELS_MIB, check=nothing_half_written)


# ---- Videos ----------------------------------------------------------------------------------------------------------


@kind(share=36)
def video(rng: Random, material: Material) -> Case:
    """A video with something wrong."""
    name = rng.choice(sorted(material.videos))
    data = material.videos[name]
    if rng.random() < 0.2:
        data = sized(rng, data, 160, 120)
    if rng.random() < 0.9:
        data = broken(rng, data, material.videos.values())
    ending = Path(name).suffix if rng.random() < 0.7 else rng.choice(VIDEO_ENDINGS + OTHER_ENDINGS)
    return looked_at(rng, written(f"x{ending}", data), ending, limit_s=40.0)


@kind(share=4)
def sizes(rng: Random, material: Material) -> Case:
    """A stream of pictures that change their size on the way."""
    return looked_at(rng, written("x.mjpeg", _sizes(rng)), ".mp4", limit_s=40.0)


def _sizes(rng: Random) -> bytes:
    import cv2
    import numpy as np

    sides = (1, 2, 8, 16, 17, 64, 160, 640, 2000, 8000, 16000)
    out = b""
    for _ in range(rng.randrange(2, 6)):
        width, height = rng.choice(sides), rng.choice(sides)
        if width * height <= 20_000_000:
            colour = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, rng.choice((0x411111, 0x221111, 0x111111))]
            out += cv2.imencode(".jpg", np.full((height, width, 3), rng.randrange(256), np.uint8), colour)[1].tobytes()
    return out


PLAYLISTS = (
    "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{0}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:1\n" + "#EXTINF:1,\n{0}\n" * 1000,
    "ffconcat version 1.0\nfile {0}\n",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 26\n",
    "[playlist]\nFile1={0}\n",
    '<?xml version="1.0"?><MPD><BaseURL>{0}</BaseURL></MPD>',
    "<asx><entry><ref href='{0}'/></entry></asx>",
    "RTSPtext\nrtsp://127.0.0.1/\n",
    "GIF89a {0}",
    "YUV4MPEG2 W1000000 H1000000 F1:0\nFRAME\n{0}",
    "YUV4MPEG2 W64 H48 F25:1\nFRAME\n{0}",
)


@kind(share=4)
def playlist(rng: Random, material: Material) -> Case:
    """Text that names other files, which FFmpeg might follow: here into a pipe that nobody writes to."""
    os.mkfifo("pipe.ts")
    written("other.ts", material.videos["mp4v.ts"])
    target = rng.choice(("pipe.ts", "other.ts", os.path.abspath("pipe.ts"), "/dev/zero", "file:///dev/zero", "x.m3u8"))
    text = rng.choice(PLAYLISTS).format(target).encode()
    if rng.random() < 0.6:  # past a check for text
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice((b"\1", b"\0", b"\n#\1\n", b"\x1b[2J")) + text[at:]
    ending = rng.choice(VIDEO_ENDINGS + OTHER_ENDINGS)
    return looked_at(rng, written(f"x{ending}", text), ending)


# ---- Things that are no files ----------------------------------------------------------------------------------------


def impossible(rng: Random, name: bytes) -> None:
    """Make something of that name which is no plain file to be read."""
    what = rng.randrange(12)
    if what == 0:
        os.mkfifo(name)
    elif what == 1:
        os.symlink(name, name)  # to itself
    elif what == 2:
        os.symlink(b"b" + os.path.basename(name), name)
        os.symlink(os.path.basename(name), os.path.join(os.path.dirname(name), b"b" + os.path.basename(name)))
    elif what == 3:
        os.symlink(rng.choice(("/dev/zero", "/dev/urandom", "/dev/full", "/dev/tty")), name)
    elif what == 4:
        os.symlink(
            rng.choice(("/dev/null", "/proc/self/mem", "/proc/self/maps", "/proc/kmsg", "/sys/kernel/notes")), name
        )
    elif what == 5:
        os.symlink("nowhere", name)
    elif what == 6:
        os.mkdir(name)
    elif what == 7:
        server = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):  # names of sockets are short
            server.bind(name)
    elif what == 8:
        written(name, b"")
    elif what == 9:
        written(name, b"")
        os.truncate(name, rng.choice((1 << 20, 1 << 30, 1 << 31, 1 << 33)))  # nothing but a hole
    elif what == 10:
        written(name, rng.randbytes(rng.choice((1, 100, 5000))))
    else:
        written(name, b"x" * 5000)
        os.chmod(name, 0)


@kind(share=10, waits=True, fresh=True)
def no_file(rng: Random, material: Material) -> Case:
    """A pipe, a device, a loop of links … wherever the command line takes a file."""
    good = written("good.jpg", material.pictures["small.jpg"])
    ending = rng.choice((".jpg", ".png", ".mp4", ".mkv", ".jsonl", ".toml", ""))
    name = f"thing{ending}"
    if rng.random() < 0.15:
        name = rng.choice(
            (
                "/dev/zero",
                "/dev/null",
                "/dev/full",
                "/dev/stdin",
                "/proc/self/fd",
                "/",
                ".",
                "..",
                "/dev/pts",
                "/proc/self/mem",
            )
        )
    else:
        impossible(rng, os.fsencode(name))
    run = ["run", "--simulate", "--source", good, "--events", "events.jsonl"]
    ways: list[tuple[list[str], set[int]]] = [
        (["run", "--simulate", "--source", name, "--events", "events.jsonl"], {0, 66}),
        ([*run, "--config", name], {0, 78}),
        ([*run, "--models", name], {69}),
        (["run", "--simulate", "--source", good, "--events", name], {0, 74}),
        (["events", name], {0, 66}),
        (["events", "--since", "1h", name], {0, 66}),
        (["check-config", name], {0, 78}),
        (["annotate", name, "out.png"], {0, 2, 66, 74}),
        (["annotate", name, "out.mp4"], {0, 2, 66, 74}),
        (["annotate", good, name], {0, 2, 74}),
        (["lights", "--test", "--simulate", "--seconds", "0.01", "--config", name], {0, 78}),
    ]
    if rng.random() < 0.3:  # a folder with such a thing in the place of its manifest, or of a model
        shutil.copytree(MODELS, "models")
        inside = rng.choice(("manifest.toml", *(f"{model}.tflite" for model in NAMES)))
        os.unlink(f"models/{inside}")
        impossible(rng, os.fsencode(f"models/{inside}"))
        ways.append(([*run, "--models", "models"], {69}))
        ways.reverse()
        argv, codes = ways[0]
    else:
        argv, codes = rng.choice(ways)
    return Case(argv, frozenset(codes), check=nothing_half_written)


# ---- Names -----------------------------------------------------------------------------------------------------------

ODDITIES = (
    "\n",
    "\r",
    "\t",
    "\x1b[2J",
    "\x1b]0;you\x07",
    "\x1bP+q\x1b\\",
    "\x9b31m",
    "\x7f",
    "\u202e",
    "\u2028",
    "\u200b",
    "\ufeff",
    "\udcff",
    "\udcc3(",
    "\U0001f600",
    "é",
    "%s",
    "%d",
    "%03d",
    "{person}",
    "[bold]",
    "[/]",
    "|",
    ";",
    "'",
    '"',
    "\\",
    " ",
    "?",
    "*",
    "~",
    ":",
    "a" * 120,
)


def odd_name(rng: Random) -> str:
    """Part of a file name that nobody wants to see on a terminal."""
    return "".join(rng.choice(ODDITIES) for _ in range(rng.choice((0, 1, 1, 2, 3))))


@kind(share=16)
def name(rng: Random, material: Material) -> Case:
    """Newlines, escape sequences and bytes that are no UTF-8 in names of files, there or not, and in addresses."""
    ending = rng.choice((".jpg", ".mp4", ".jsonl", ".toml", ""))
    odd = (f"x{odd_name(rng)}{odd_name(rng)}")[:180] + ending
    if rng.random() < 0.1:
        odd = rng.choice(("-", "--", "~", "~nobody/", "http:/", "file:", "concat:", "pipe:0", "x" * 300, "", " ")) + odd
    with contextlib.suppress(OSError):
        data = {
            ".jpg": material.pictures["small.jpg"],
            ".mp4": material.videos["mp4v.mp4"],
            ".toml": b"[camera]\nfps = 5\n",
        }
        if rng.random() < 0.7:
            written(odd, data.get(ending, b'{"seq": 1, "event": "started"}\n'))
    run = ["run", "--simulate", "--events", "events.jsonl"]
    address = (
        rng.choice(
            (
                "rtsp://127.0.0.1:1/",
                "http://",
                "gopher://",
                "rtsp://u:p@",
                "udp://",
                "http://[::1",
                "http://127.0.0.1:x/",
            )
        )
        + odd
    )
    good = written("good.jpg", material.pictures["small.jpg"])
    argv, codes = rng.choice(
        (
            ([*run, f"--source={odd}"], {0, 66}),
            ([*run, "--source", good, f"--config={odd}"], {0, 78}),
            ([*run, "--source", good, f"--models={odd}"], {0, 69}),
            (["run", "--simulate", "--source", good, f"--events={odd}"], {0, 74}),
            (["annotate", "--", odd, "out.jpg"], {0, 2, 66}),
            (["annotate", "--", odd, "out.mp4"], {0, 2, 66}),
            (["annotate", "--", good, odd], {0, 2, 74}),
            (["events", "--", odd], {0, 66}),
            (["events", "--kind", odd, "--", odd], {0, 66}),
            (["events", f"--since={odd}"], {2, 66}),
            (["check-config", "--", odd], {0, 78}),
            ([odd or "x"], {2}),
            (["run", f"--{odd}"], {2}),
            (["lights", "--test", "--seconds", odd], {2}),
            ([*run, f"--config={_quick()}", f"--source={address}"], {0, 66, 69}),
        )
    )
    if "good.jpg" in argv and odd in ("", "."):
        codes = codes | {0}
    return Case(argv, frozenset(codes), check=log_is_whole)


def _quick(wait: bool = False) -> str:
    """Settings under which a camera is given up soon."""
    text = f"[camera]\nwait = {str(wait).lower()}\ntimeout_s = 0.2\nreopen_s = 0.05\nreopen_most_s = 0.2\n"
    return written("quick.toml", text.encode())


# ---- Settings --------------------------------------------------------------------------------------------------------

VALUES = (
    "nan",
    "inf",
    "-inf",
    "-nan",
    "1e400",
    "5e-324",
    "-0.0",
    "0",
    "-1",
    "1",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "1" * 400,
    "1" * 5000,
    "0x" + "f" * 5000,
    "1e" + "9" * 5000,
    '"' + "x" * 100_000 + '"',
    '"\\u0000"',
    '"a\\u0000b.jpg"',
    '"\\u001b[2J"',
    '"\\n\\n"',
    '"\U0001f600"',
    '"22:00-07:00"',
    '"99:99-99:99"',
    '"٢٢:٠٠-٠٧:٠٠"',
    '"picamera"',
    '"cpu"',
    "true",
    "[]",
    "[[]]",
    "{}",
    "[0.1, 0.1]",
    "[nan, nan]",
    "[0.5" + ", 0.5" * 19 + "]",
    "[" * 200 + "]" * 200,
    "[" * 20_000 + "]" * 20_000,
    "{a=" * 3000 + "1" + "}" * 3000,
    "1979-05-27T07:32:00Z",
    "2020-02-30",
    "07:32:00",
    "0000-01-01",
    '["angry", "\\u001b[2J"]',
    '["angry"]',
    "'''\n" + "x\n" * 1000 + "'''",
)


def settings_text(rng: Random) -> bytes:
    """A configuration file, or something that looks a little like one."""
    text = (REPOSITORY / "edge" / "default.toml").read_text()
    keys = {section: list(values) for section, values in tomllib.loads(text).items()}
    what = rng.randrange(8)
    if what <= 2:
        return broken(rng, text.encode(), [value.encode() for value in VALUES])
    if what <= 5:
        lines = []
        for section in rng.sample(sorted(keys), rng.randrange(1, 4)):
            lines.append(f"[{section}]")
            some = rng.sample(keys[section], min(len(keys[section]), rng.randrange(1, 4)))
            lines += [f"{key} = {rng.choice(VALUES)}" for key in some]
            if rng.random() < 0.1:
                lines.append(f'"{rng.choice(ODDITIES[16:28])}" = 1')
        return "\n".join(lines).encode("utf-8", "surrogateescape")
    if what == 6:
        size = rng.choice((1000, 20_000, 200_000))
        dots = "a." * (size // 2) + "a"
        return rng.choice(
            (
                dots + " = 1",
                f"[{dots}]",
                f"[{'.'.join(['a'] * 1000)}]\n" + "".join(f"k{n} = 1\n" for n in range(size // 8)),
                "[" * size,
                "camera = " + "[" * size,
                "\n".join(f"[t{n}]" for n in range(size // 8)),
                "\n".join(f"[[camera.t{n}]]" for n in range(size // 16)),
                "camera = " + "{a=" * (size // 3),
                '"' + "\\u0041" * (size // 6) + '" = 1',
                "x" * size + " = 1",
                "#" * size,
                "\n" * size,
                "k = '" + "x" * size,
                "[camera]\nsource = '''" + "'" * size,
            )
        ).encode()
    return rng.choice(
        (rng.randbytes(2000), b"\xff\xfe" + text.encode("utf-16-le"), b"\xef\xbb\xbf" + text.encode(), b"\0" * 4096)
    )


@kind(share=24)
def settings(rng: Random, material: Material) -> Case:
    """`check-config` with a broken file."""
    return Case(["check-config", written("x.toml", settings_text(rng))], frozenset({0, 78}))


@kind(share=5)
def settings_run(rng: Random, material: Material) -> Case:
    """A door under such settings: whatever is let through must work."""
    os.mkdir("in")
    for k in range(3):
        written(f"in/{k}.jpg", material.pictures["small.jpg"])
    argv = ["run", "--simulate", "--config", written("x.toml", settings_text(rng)), "--source", "in"]
    return Case([*argv, "--events", "events.jsonl"], frozenset({0, 69, 78}), most_mib=PIXELS_MIB, check=log_is_whole)


@kind(share=5)
def settings_paths(rng: Random, material: Material) -> Case:
    """The paths in the settings, as nasty as TOML allows."""
    odd = rng.choice((*ODDITIES, "\0", "a\0b", "/dev/zero", "", ".", "/", "x" * 5000, "nowhere/x")) + odd_name(rng)
    odd = odd.encode("utf-8", "replace").decode()
    key = rng.choice(("camera.source", "models.directory", "events.file"))
    text = f"{key} = {json.dumps(odd, ensure_ascii=True)}\n"
    argv = ["run", "--simulate", "--config", written("x.toml", text.encode())]
    if key != "camera.source":
        argv += ["--source", written("good.jpg", material.pictures["small.jpg"])]
    return Case(argv, frozenset({0, 66, 69, 74, 78}), check=log_is_whole)


# ---- Models ----------------------------------------------------------------------------------------------------------


def _models(manifest: bytes, models: dict[str, bytes]) -> str:
    os.mkdir("models")
    written("models/manifest.toml", manifest)
    for name in NAMES:
        if name in models:
            written(f"models/{name}.tflite", models[name])
        else:
            os.symlink(MODELS / f"{name}.tflite", f"models/{name}.tflite")
    return "models"


def _run_models(rng: Random, material: Material, folder: str, codes: Iterable[int], **more: Any) -> Case:
    still = written(
        "x.jpg", material.pictures["small.jpg"] if rng.random() < 0.3 else (DEMO / "still.jpg").read_bytes()
    )
    argv = ["run", "--simulate", "--source", still, "--models", folder, "--events", "events.jsonl"]
    return Case(argv, frozenset(codes), check=log_is_whole, **({"most_mib": PIXELS_MIB} | more))


@kind(share=8, fresh=True)
def manifest(rng: Random, material: Material) -> Case:
    """A broken manifest.toml beside the right models."""
    data = material.models["manifest"]
    what = rng.randrange(5)
    if what <= 1:
        data = broken(rng, data, [value.encode() for value in VALUES])
    elif what <= 3:
        lines = data.decode().splitlines()
        for _ in range(rng.choice((1, 1, 2, 4))):
            number = rng.randrange(len(lines))
            key, equals, _ = lines[number].partition(" = ")
            if equals:
                lines[number] = f"{key} = {rng.choice(VALUES)}"
        data = "\n".join(lines).encode()
    else:  # rows that belong to other models
        text = data.decode()
        one, other = rng.sample(NAMES, 2)
        text = text.replace(one, "\0").replace(other, one).replace("\0", other)
        if rng.random() < 0.5:  # the files, too: every row is right, under another name
            text = text.replace(f'file = "{one}.', 'file = "\0').replace(f'file = "{other}.', f'file = "{one}.')
            text = text.replace("\0", f"{other}.")
        data = text.encode()
    return _run_models(rng, material, _models(data, {}), {0, 69})


@kind(share=8, fresh=True)
def model(rng: Random, material: Material) -> Case:
    """A model with something wrong, and a manifest that fits it: the checksum does not help here."""
    name = rng.choice(NAMES)
    data = material.models[name]
    text = material.models["manifest"].decode()
    what = rng.randrange(6)
    if what == 0:
        new = rng.choice((b"", b"TFL3", data[:1000], data[: len(data) // 2], rng.randbytes(5000), bytes(5000)))
    elif what == 1:
        new = broken(rng, data)
    else:  # in the tables at the end, where the graph is; the weights before them only change what comes out
        at = max(0, data.rfind(b"TFL3")) if rng.random() < 0.1 else rng.randrange(len(data) - 60_000, len(data))
        new = data[:at] + broken(rng, data[at:])
    text = text.replace(hashlib.sha256(data).hexdigest(), hashlib.sha256(new).hexdigest())
    return _run_models(rng, material, _models(text.encode(), {name: new}), {0, 69}, limit_s=60.0)


@kind(share=3, fresh=True)
def checksum(rng: Random, material: Material) -> Case:
    """A damaged model: one bit is enough to refuse it."""
    name = rng.choice(NAMES)
    data = bytearray(material.models[name])
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return _run_models(
        rng, material, _models(material.models["manifest"], {name: bytes(data)}), {69}, most_mib=MOST_MIB
    )


# ---- Event logs ------------------------------------------------------------------------------------------------------

TIMES = (
    "2026-11-20T19:34:46.000Z",
    "2026-11-20T19:34:46",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01",
    "1583-01-01T00:00:00Z",
    "2026-W01-1T00:00:00Z",
    "20261120T193446Z",
    "",
    "\x1b[2J",
)
ODD_JSON = (
    "null",
    "true",
    "NaN",
    "-Infinity",
    "1e999",
    "-1",
    "0",
    "9223372036854775808",
    "1" * 4000,
    "9" * 4300,
    "1" * 5000,
    '"\\ud800"',
    '"\\u001b[2J"',
    '"\\n"',
    '"' + "x" * 20_000 + '"',
    "[" * 300 + "]" * 300,
    "[" * 985 + "]" * 985,
    "[" * 5000 + "]" * 5000,
    '{"a":' * 950 + "1" + "}" * 950,
    "{}",
    "[]",
    '""',
    '"\u202e"',
)
EVENTS = ("started", "signal", "unmasked", "cleared", "camera_lost", "log_lost", "log_repaired", "stopped", "new_one")


def log_text(rng: Random, seq: int = 1, longest: int = 1 << 27) -> bytes:
    """A log, or something that looks like one, with a line of up to `longest` bytes."""
    many = 200_000 if longest > 1 << 22 else 2000
    what = rng.randrange(14)
    if what == 0:
        return rng.choice(
            (b"", b"\n", b"\n" * many, b"{}\n" * (many // 10), b"\0" * 100_000, rng.randbytes(5000), b"x", b"{")
        )
    if what == 1:
        return (
            rng.choice((b"{", b'{"event":"', b"[" * 30, b"\0"))
            + b"x" * rng.choice((1 << 20, 1 << 22, longest))
            + rng.choice((b"", b"\n"))
        )
    lines = []
    for number in range(seq, seq + rng.choice((1, 3, 10, 40))):
        line: dict[str, object] = {"seq": number, "time": "2026-11-20T19:34:46.000Z", "t": number / 10}
        line |= {"event": rng.choice(EVENTS), "person": 1, "evidence": -1.5, "signal": "STOP", "count": 3}
        text = json.dumps(line)
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            key = rng.choice(("seq", "time", "t", "event", "signal", "person", "count", "extra\x1b[2J"))
            value = json.dumps(rng.choice(TIMES)) if key == "time" and rng.random() < 0.8 else rng.choice(ODD_JSON)
            text = text[:-1] + f", {json.dumps(key)}: {value}}}"
        lines.append(text.encode("utf-8", "surrogatepass"))
    data = b"\n".join(lines) + rng.choice((b"\n", b"\n", b"\n", b"", b"\r\n", b"\n\0\0\0\0"))
    if rng.random() < 0.5:
        data = broken(rng, data, (b"\xff\xfe", b"\x1b[2J", b"\n", b"\xed\xa0\x80"))
    if rng.random() < 0.05:
        data = data.decode("utf-8", "replace").encode("utf-16")
    return data


def _logs(rng: Random) -> str:
    written("x.jsonl", log_text(rng, 100))
    for ending in (".1", ".2", ".3", ".01", ".1٣", ".999999999999999999999", ".1.gz"):
        if rng.random() < 0.15:
            name = f"x.jsonl{ending}"
            if rng.random() < 0.2:
                impossible(rng, os.fsencode(name))
            else:
                written(name, log_text(rng))
    return "x.jsonl"


@kind(share=24)
def log(rng: Random, material: Material) -> Case:
    """`events` of a broken log."""
    argv = ["events", _logs(rng)]
    if rng.random() < 0.3:
        argv += ["--since", rng.choice(("1h", "0s", "9" * 300 + "d", "1" * 400 + "s", "1.5m"))]
    if rng.random() < 0.3:
        argv += ["--kind", rng.choice(EVENTS)]
    return Case(argv, frozenset({0, 66}))


@kind(share=10)
def repair(rng: Random, material: Material) -> Case:
    """A door that goes on with a broken log: it ends whole, and numbers that can be read rise."""
    path = _logs(rng)
    before = Path(path).stat().st_size
    still = written("x.jpg", material.pictures["small.jpg"])

    def check() -> Iterator[str]:
        data = Path(path).read_bytes()
        if not data.endswith(b"\n"):
            yield "the log ends in the middle of a line"
        last = [json.loads(line) for line in data.rstrip(b"\n").split(b"\n")[-2:]]
        if [line["event"] for line in last] != ["started", "stopped"]:
            yield f"the log ends with {last}"
        if not 0 < last[0]["seq"] < last[1]["seq"] < 1 << 53:
            yield f"numbers that do not rise: {last}"

    def whole() -> Iterator[str]:
        # What never was a log is left alone, and said.
        return iter(()) if Path(path).stat().st_size == before else check()

    argv = ["run", "--simulate", "--source", still, "--events", path]
    return Case(argv, frozenset({0, 74}), most_mib=MOST_MIB, check=whole)


@kind(share=3, waits=True)
def follow(rng: Random, material: Material) -> Case:
    """`events --follow` of a log to which rubbish is added, which is cut, and which is rotated away."""
    path = _logs(rng)

    @contextlib.contextmanager
    def writing() -> Iterator[None]:
        def work() -> None:
            for _ in range(rng.randrange(1, 12)):
                time.sleep(0.05)
                with contextlib.suppress(OSError):
                    what = rng.randrange(6)
                    if what <= 3:
                        with open(path, "ab") as file:
                            file.write(log_text(rng, 1000, 1 << 22))
                    elif what == 4:
                        os.truncate(path, rng.randrange(2000))
                    else:
                        os.rename(path, f"{path}.1")

        thread = threading.Thread(target=work)
        thread.start()
        yield
        thread.join()

    return Case(
        ["events", "--follow", path], frozenset({0, 66, 130}), stop_s=1.5, stop_by=(signal.SIGINT,), around=writing
    )


# ---- Cameras ---------------------------------------------------------------------------------------------------------


@kind(share=6, waits=True)
def v4l2(rng: Random, material: Material) -> Case:
    """A camera whose driver gives nonsense, through OpenCV's own class."""
    import cv2
    import numpy as np

    def nonsense() -> Any:
        what = rng.randrange(10)
        side = rng.choice((0, 1, 2, 63, 640))
        if what == 0:
            return False, None
        if what == 1:
            return True, None
        if what == 2:
            return True, np.zeros((side, rng.choice((0, 1, 480))), np.uint8)
        if what == 3:
            return True, np.zeros((side, 480, rng.choice((1, 2, 4, 5))), np.uint8)
        if what == 4:
            return True, np.full((64, 64, 3), np.nan, rng.choice((np.float32, np.float64)))
        if what == 5:
            return True, np.zeros((64, 64, 3), np.uint16)
        if what == 6:
            time.sleep(rng.choice((0.1, 0.5, 3.0)))
        if what == 7:
            raise rng.choice(
                (cv2.error("x\n\x1b[2J"), MemoryError(), ValueError("\n"), SystemError(), OSError(5, "\x1b"))
            )
        return True, np.zeros((max(side, 1), 480, 3), np.uint8)

    opens = rng.random() < 0.9

    class Capture:
        def open(self, *arguments: object) -> bool:
            if rng.random() < 0.1:
                raise cv2.error("open")
            return opens

        def isOpened(self) -> bool:
            return opens

        def set(self, *arguments: object) -> bool:
            return rng.random() < 0.5

        def get(self, *arguments: object) -> float:
            return rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e300))

        def read(self) -> Any:
            return nonsense()

        def release(self) -> None:
            if rng.random() < 0.05:
                raise cv2.error("release")

    @contextlib.contextmanager
    def faked() -> Iterator[None]:
        real, cv2.VideoCapture = cv2.VideoCapture, Capture  # type: ignore[misc,assignment]
        exists = os.path.exists
        os.path.exists = lambda path: path == "/dev/video0" or exists(path)
        try:
            yield
        finally:
            cv2.VideoCapture = real  # type: ignore[misc]
            os.path.exists = exists

    wait = rng.random() < 0.8
    argv = ["run", "--simulate", "--config", _quick(wait), "--source", "/dev/video0", "--events", "events.jsonl"]
    codes = frozenset({0}) if wait else frozenset({0, 69})
    signals = frozenset({signal.SIGTERM}) - ({signal.SIGTERM} if wait else set())
    return Case(argv, codes, stop_s=0.8, signals=signals, around=faked, check=log_is_whole)


@kind(share=9, waits=True)
def stream(rng: Random, material: Material) -> Case:
    """A server that sends rubbish, half of what it should, nothing at all, or never ends."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    rtsp = rng.random() < 0.4
    udp = not rtsp and rng.random() < 0.1

    @contextlib.contextmanager
    def serving() -> Iterator[None]:
        stop = threading.Event()

        def answer(client: socket.socket) -> None:
            with client, contextlib.suppress(OSError):
                client.settimeout(3.0)
                (_rtsp if rtsp else _http)(rng, material, client, stop)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

        def shout() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                data = broken(rng, material.videos["mp4v.ts"])
                while not stop.is_set():
                    for at in range(0, len(data), 1316):
                        with contextlib.suppress(OSError):
                            out.sendto(data[at : at + 1316], ("127.0.0.1", port))
                    time.sleep(0.05)

        thread = threading.Thread(target=shout if udp else accept, daemon=True)
        thread.start()
        yield
        stop.set()
        server.close()

    address = f"udp://127.0.0.1:{port}" if udp else f"{'rtsp' if rtsp else 'http'}://127.0.0.1:{port}/x"
    address += rng.choice(("", "", ".mjpg", "?action=stream", ".m3u8", ".mp4"))
    argv = ["run", "--simulate", "--config", _quick(wait=True), "--source", address, "--events", "events.jsonl"]
    return Case(
        argv,
        frozenset({0}),
        most_mib=PIXELS_MIB,
        stop_s=rng.choice((0.8, 2.5)),
        signals=frozenset({signal.SIGTERM}),  # before the door runs, it ends it at once
        around=serving,
        check=log_is_whole,
    )


def _pour(client: socket.socket, stop: threading.Event, piece: bytes, most: int) -> None:
    """Send the same again and again."""
    sent = 0
    while sent < most and not stop.is_set():
        client.sendall(piece)
        sent += len(piece)


def _http(rng: Random, material: Material, client: socket.socket, stop: threading.Event) -> None:
    client.recv(4096)
    what = rng.randrange(14)
    jpeg = material.pictures["small.jpg"]
    multipart = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n"
    part = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
    if what == 0:
        return
    if what == 1:
        stop.wait(30)
    elif what == 2:
        client.sendall(rng.randbytes(5000))
    elif what == 3:
        _pour(client, stop, b"HTTP/1.0 200 OK\r\n" + b"X-Y: " + b"z" * 4000, 1 << 28)
    elif what == 4:
        _pour(client, stop, b"X: y\r\n" * 1000, 1 << 28)
    elif what == 5:
        host, port = client.getsockname()
        client.sendall(
            b"HTTP/1.0 302 Found\r\nLocation: %s\r\n\r\n"
            % rng.choice((b"file:///dev/zero", b"http://%s:%d/x" % (host.encode(), port), b"/x" * 5000, b"pipe:0"))
        )
    elif what == 6:
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % rng.choice((0, 1 << 62, -1)) + jpeg)
    elif what == 7:
        client.sendall(multipart)
        while not stop.is_set():
            client.sendall(part % (len(jpeg), broken(rng, jpeg) if rng.random() < 0.6 else jpeg))
            time.sleep(0.02)
    elif what == 8:  # half a picture, then silence
        client.sendall(
            multipart + (part % (len(jpeg), jpeg)) * 3 + (part % (len(jpeg), jpeg))[: rng.randrange(100, 3000)]
        )
        stop.wait(30)
    elif what == 9:  # a picture that never ends
        client.sendall(multipart + b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg[:-2])
        _pour(client, stop, b"\x55" * 65536, 1 << 32)
    elif what == 10:  # sizes that change, or are absurd
        for _ in range(3):
            data = _sizes(rng) if rng.random() < 0.5 else sized(rng, jpeg, 160, 120)
            client.sendall(multipart + part % (len(data), data))
    elif what == 11:  # byte by byte
        for byte in multipart + part % (len(jpeg), jpeg):
            client.sendall(bytes([byte]))
            time.sleep(0.01)
    elif what == 12:
        data = material.videos[rng.choice(sorted(material.videos))]
        client.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/x\r\n\r\n" + broken(rng, data))
    else:
        target = rng.choice(("/x.ts", "file:///dev/zero", "http://127.0.0.1:1/x.ts", "x.m3u8"))
        kind = b"HTTP/1.0 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\r\n"
        client.sendall(kind + rng.choice(PLAYLISTS).format(target).encode())


def _rtsp(rng: Random, material: Material, client: socket.socket, stop: threading.Event) -> None:
    what = rng.randrange(8)
    if what == 0:
        stop.wait(30)
        return
    if what == 1:
        client.sendall(rng.randbytes(5000))
        return
    sdp = b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:t\r\n"
    if what == 2:
        sdp = broken(rng, sdp)
    if what == 3:
        sdp = (
            b"v=0\r\n"
            + b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=%s\r\n"
            % (b"Z0IAH" * 3000)
            * 50
        )
    while request := client.recv(65536):
        number = next((line[5:].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"cseq:")), b"1")
        verb = request.split(b" ")[0]
        head = b"RTSP/1.0 200 OK\r\nCSeq: " + number + b"\r\nSession: 1;timeout=60\r\n"
        if what == 4 and rng.random() < 0.4:
            head = rng.choice(
                (
                    b"RTSP/1.0 401 No\r\nCSeq: " + number + b'\r\nWWW-Authenticate: Digest realm="x", nonce="y"\r\n',
                    broken(rng, head),
                )
            )
        if verb == b"DESCRIBE":
            client.sendall(head + b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(sdp) + sdp)
        elif verb == b"SETUP":
            client.sendall(head + b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")
        elif verb == b"PLAY":
            client.sendall(head + b"\r\n")
            if what == 5:
                stop.wait(30)
            jpeg = struct.pack(
                ">BBHBBBB",
                0,
                0,
                0,
                rng.choice((0, 1, 64, 255)),
                rng.choice((0, 50, 255)),
                rng.choice((0, 20, 255)),
                rng.choice((0, 15, 255)),
            )
            count = 0
            while not stop.is_set():
                count += 1
                rtp = struct.pack(
                    ">BBHII", 0x80, 26 | rng.choice((0, 0x80)), count & 0xFFFF, count * 3000 & 0xFFFFFFFF, 1
                )
                packet = rtp + jpeg + rng.randbytes(rng.choice((0, 10, 1000)))
                if rng.random() < 0.3:
                    packet = broken(rng, packet)
                client.sendall(b"$" + struct.pack(">BH", rng.choice((0, 0, 0, 1, 7)), len(packet) & 0xFFFF) + packet)
                time.sleep(0.005)
        else:
            client.sendall(head + b"Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n")


# ---- Real processes --------------------------------------------------------------------------------------------------


@kind(share=4, waits=True)
def process(rng: Random, material: Material) -> Case:
    """One of the others as a `doorlight` of its own, in one language or another."""
    others = [
        picture,
        bomb,
        folder,
        video,
        sizes,
        settings,
        settings_paths,
        log,
        repair,
        name,
        model,
        manifest,
        no_file,
        exif,
    ]
    case: Case = rng.choice(others)(rng, material)
    environ = rng.choice(({}, {"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"PYTHONUTF8": "1"}, {"PYTHONDEVMODE": "1"}))
    return case._replace(process=True, limit_s=max(60.0, case.limit_s), environ=dict(environ))


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(pickle.dumps(tuple(_make_material())))
