"""Break valid files, and check the files that a case must leave intact."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from .cases import LIMIT_S, PIXELS_MIB, Case, Random

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
    """Return `data` with one to eight errors, half of them in its first bytes, where headers are."""
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
    """Return `data` with absurd values for its size, wherever that occurs in two or four bytes of either byte order."""
    for old in (width, height):
        new = rng.choice((0, 1, 2, 15, 8191, 16383, 16384, 20000, 32767, 65500, 65535, 1 << 20, 0x7FFFFFFF, old + 1))
        for form in ("<I", ">I", "<H", ">H"):
            mask = (1 << 8 * struct.calcsize(form)) - 1
            data = data.replace(struct.pack(form, old), struct.pack(form, new & mask))
    return data


def written(name: str | bytes, data: bytes) -> str:
    """Write a file into the working directory and return its name."""
    path = os.fsdecode(name)
    with open(path, "wb") as file:
        file.write(data)
    return path


ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
VIDEO_ENDINGS = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm")
OTHER_ENDINGS = (".gif", ".tif", ".mpg", ".ts", ".mjpeg", ".flv", ".sdp", ".m3u8", ".txt", ".y4m", ".yuv", ".h264", "")


def log_is_whole(path: str = "events.jsonl") -> Iterator[str]:
    """Yield what is wrong with an event log that a door has closed."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return
    if data and not data.endswith(b"\n"):
        yield "the event log ends with an incomplete line"
    for line in data.splitlines():
        try:
            if not isinstance(json.loads(line), dict):
                yield f"the event log has {line[:80]!r}"
        except ValueError:
            yield f"the event log has {line[:80]!r}"


def nothing_half_written() -> Iterator[str]:
    """Yield temporary files that were not removed."""
    for path in Path().rglob(".*"):
        if ".part" in path.name:
            yield f"{path} was not removed"


def looked_at(rng: Random, source: str, ending: str, limit_s: float = LIMIT_S) -> Case:
    """Return a case that gives a picture or video to `run` or `annotate`."""
    if rng.random() < 0.6:
        argv = ["run", "--simulate", "--source", source, "--events", "events.jsonl"]
        return Case(argv, frozenset({0, 66}), limit_s, PIXELS_MIB, check=log_is_whole)
    same = ending if ending in ENDINGS + VIDEO_ENDINGS else ".mp4"
    out = rng.choice((same, same, rng.choice(ENDINGS + VIDEO_ENDINGS)))
    # 2: the output is another kind of file than the input. 74: OpenCV's writers do not support every size and rate.
    codes = frozenset({0, 2, 66, 74})
    return Case(["annotate", source, f"out{out}"], codes, limit_s, PIXELS_MIB, check=nothing_half_written)


def quick_settings(wait: bool = False) -> str:
    """Write settings with short camera timeouts and return their file name."""
    text = f"[camera]\nwait = {str(wait).lower()}\ntimeout_s = 0.2\nreopen_s = 0.05\nreopen_max_s = 0.2\n"
    return written("quick.toml", text.encode())
