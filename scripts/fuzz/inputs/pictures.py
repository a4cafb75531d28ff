"""Broken, huge and odd pictures, and folders of them."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from .breaking import (
    ENDINGS,
    ODD,
    OTHER_ENDINGS,
    VIDEO_ENDINGS,
    broken,
    log_is_whole,
    looked_at,
    nothing_half_written,
    sized,
    written,
)
from .cases import PIXELS_MIB, Case, Material, Random, kind
from .good import chunk, png, with_exif
from .names import impossible, odd_name


@kind(share=40)
def picture(rng: Random, material: Material) -> Case:
    """A picture with errors."""
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
    """A small file that is, or claims to be, a huge picture."""
    sides = (1, 2, 3, 100, 4000, 8000, 8192, 9000, 16384, 20000, 32000, 65500, 65535, 100_000, 1 << 20, (1 << 31) - 1)
    width, height = rng.choice(sides), rng.choice(sides)
    jpegs = [material.pictures[name] for name in ("small.jpg", "progressive.jpg", "grey.jpg")]
    what = rng.randrange(6)
    if what == 0:  # complete, unless that takes too much memory to make
        bits, colour = rng.choice(((1, 0), (8, 0), (8, 2), (16, 6), (8, 3)))
        row = 1 + (min(width, 70_000) * bits * {0: 1, 2: 3, 6: 4, 3: 1}[colour] + 7) // 8
        # Compress in pieces: making the input must not exceed the limit of the case.
        packer, left = zlib.compressobj(1), min(row * min(height, 70_000), 400_000_000)
        packed = bytearray()
        while left > 0:
            packed += packer.compress(bytes(min(left, 1 << 20)))
            left -= 1 << 20
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, rng.choice((0, 0, 1))))
        palette = chunk(b"PLTE", b"\1\2\3") if colour == 3 else b""
        data = (
            b"\x89PNG\r\n\x1a\n" + head + palette + chunk(b"IDAT", bytes(packed + packer.flush())) + chunk(b"IEND", b"")
        )
        ending = ".png"
    elif what == 1:  # text and profile chunks with a high compression ratio
        inside = zlib.compress(bytes(rng.choice((1000, 50_000_000))), 9)
        extra = chunk(rng.choice((b"zTXt", b"iCCP")), b"x\0\0" + inside) * rng.choice((1, 50))
        data, ending = png(64, 48, (b"\0" + bytes(64)) * 48, extra=extra), ".png"
    elif what == 2:
        changed = bytearray(rng.choice(jpegs))
        for marker in (b"\xff\xc0", b"\xff\xc2"):
            at = changed.find(marker)
            if at > 0:
                changed[at + 5 : at + 9] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
        ending, data = ".jpg", bytes(changed)
    elif what == 3:  # progressive, the same scan many times
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
        changed = bytearray(material.pictures["animated.webp"])
        changed[24:30] = struct.pack("<I", width & 0xFFFFFF)[:3] + struct.pack("<I", height & 0xFFFFFF)[:3]
        ending, data = ".webp", bytes(changed)
    return looked_at(rng, written(f"x{ending}", data), ending, limit_s=60.0)


@kind(share=3)
def exif(rng: Random, material: Material) -> Case:
    """Invalid orientations, and tags with wrong offsets."""
    data = with_exif(
        material.pictures["small.jpg"], rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 65535)), rng.randbytes(40)
    )
    if rng.random() < 0.7:
        at = rng.randrange(4, 60)
        data = data[:at] + struct.pack(">I", rng.choice(ODD)) + data[at + 4 :]
    return looked_at(rng, written("x.jpg", data), ".jpg")


@kind(share=6)
def folder(rng: Random, material: Material) -> Case:
    """A folder with valid and broken files, and paths that are no files; in a fifth of the cases, with valid files
    only."""
    os.mkdir("in")
    share_of_faults = 0.0 if rng.random() < 0.2 else 1.0
    for k in range(rng.randrange(1, 8)):
        name = f"{k}{odd_name(rng)}{rng.choice(ENDINGS + VIDEO_ENDINGS + OTHER_ENDINGS)}".encode(
            "utf-8", "surrogateescape"
        )
        name = name.replace(b"/", b"|")
        name = b"in/" + (name[:200] + os.fsencode(Path(os.fsdecode(name)).suffix) if len(name) > 200 else name)
        if rng.random() < 0.3 * share_of_faults:
            impossible(rng, name)
        else:
            data = rng.choice(sorted(material.pictures.values()) + sorted(material.videos.values())[:3])
            written(name, broken(rng, data) if rng.random() < 0.5 * share_of_faults else data)
    if rng.random() < 0.3:
        written("in/good.jpg", material.pictures["small.jpg"])
    if rng.random() < 0.6:
        argv = ["run", "--simulate", "--source", "in", "--events", "events.jsonl"]
        # 66: a file was left out.
        return Case(argv, frozenset({0, 66}), max_mib=PIXELS_MIB, check=log_is_whole)
    codes = frozenset({0, 66, 74})
    return Case(["annotate", "in", "out"], codes, limit_s=40.0, max_mib=PIXELS_MIB, check=nothing_half_written)
