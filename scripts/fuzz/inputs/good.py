"""The valid files from which broken ones are made, and the shipped models."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .cases import Material

REPOSITORY = Path(__file__).resolve().parents[3]
DEMO = REPOSITORY / "scripts" / "assets" / "demo"
MODELS = REPOSITORY / "models_tflite"
NAMES = ("face_detector", "mask_classifier", "expression_classifier")
#: The shipped models by name, after load_models().
LOADED: dict[str, Any] = {}


@contextlib.contextmanager
def material() -> Iterator[Material]:
    """Make the valid files, in a child process because OpenCV starts threads."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        environ = os.environ | {
            "PYTHONPATH": str(REPOSITORY / "scripts"),
            "OPENCV_FFMPEG_LOGLEVEL": "-8",
            "OPENCV_LOG_LEVEL": "SILENT",
        }
        made = Path(folder) / "material"
        command = [sys.executable, "-m", __package__, str(made)]
        done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"could not make the valid files: {done.stderr}")
        yield Material(*pickle.loads(made.read_bytes()))


def make_material() -> Material:
    """Make pictures and videos with OpenCV, in the working directory, and read the models."""
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
    pictures["turned.jpg"] = with_exif(pictures["small.jpg"], 6)
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
    """Load the shipped models into LOADED, once in each worker."""
    from edge import config
    from edge.inference import manifest
    from edge.inference.perception import Perception

    if not LOADED:
        perception = Perception(config.load(), manifest.load())
        assert perception.expression is not None
        for stage in (perception.detector, perception.mask, perception.expression):
            LOADED[stage.model.name] = stage.model


def with_exif(jpeg: bytes, orientation: int, extra: bytes = b"") -> bytes:
    """Return a JPEG with an EXIF orientation and further bytes after it."""
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0) + b"\0" * 4
    body = b"Exif\0\0" + tiff + extra
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def _gif(frames: int) -> bytes:
    """Return a looping GIF, 16x16, of one colour."""
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


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, rows: bytes, *, bits: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    """Return a PNG with any header; `rows` are the stored bytes, filter bytes included."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


def _apng() -> bytes:
    def control(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 16, 16, 0, 0, 1, 10, 0, 0))

    rows = zlib.compress((b"\0" + b"\x80" * 16) * 16)
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)) + chunk(b"acTL", struct.pack(">II", 2, 0))
    body += control(0) + chunk(b"IDAT", rows) + control(1) + chunk(b"fdAT", struct.pack(">I", 2) + rows)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")
