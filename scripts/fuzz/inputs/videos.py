"""Broken videos, streams with changing picture sizes, and playlists."""

from __future__ import annotations

import os
from pathlib import Path

from .breaking import OTHER_ENDINGS, VIDEO_ENDINGS, broken, looked_at, sized, written
from .cases import Case, Material, Random, kind


@kind(share=36)
def video(rng: Random, material: Material) -> Case:
    """A video with errors."""
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
    """A stream whose picture size changes."""
    return looked_at(rng, written("x.mjpeg", changing_sizes(rng)), ".mp4", limit_s=40.0)


def changing_sizes(rng: Random) -> bytes:
    """Return JPEG pictures of different sizes, one after the other."""
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
    """Text that names other files, which FFmpeg might open: for example a pipe without a writer."""
    os.mkfifo("pipe.ts")
    written("other.ts", material.videos["mp4v.ts"])
    target = rng.choice(("pipe.ts", "other.ts", os.path.abspath("pipe.ts"), "/dev/zero", "file:///dev/zero", "x.m3u8"))
    text = rng.choice(PLAYLISTS).format(target).encode()
    if rng.random() < 0.6:  # so that a check for text does not detect it
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice((b"\1", b"\0", b"\n#\1\n", b"\x1b[2J")) + text[at:]
    ending = rng.choice(VIDEO_ENDINGS + OTHER_ENDINGS)
    return looked_at(rng, written(f"x{ending}", text), ending)
