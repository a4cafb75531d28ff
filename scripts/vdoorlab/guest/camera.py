"""The picture at the door: plays raw frames into a v4l2loopback device, which the door opens as its camera.

Takes orders as JSON lines from standard input, and answers each with a line once it is carried out; its `t` says when
that was (CLOCK_BOOTTIME):

  {"show": NAME}       play frames/NAME.yuyv round and round
  {"fps": 15}          at this rate
  {"freeze": true}     the same frame again and again; false goes on
  {"hang": true}       no frames, but the device stays open; false goes on
  {"plugged": false}   let go of the device; true is back

Several at a time are well. Any of them may come with others.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import select
import struct
import sys
import time

SHARED = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEVICE = "/dev/video0"
WIDTH, HEIGHT = 640, 480
SIZE = WIDTH * HEIGHT * 2

# linux/videodev2.h
S_FMT, FORMAT = 0xC0D05605, struct.Struct("=I 4x 6I 176x")  # type, width, height, pixel format, field, line, size
S_PARM, PARM = 0xC0CC5616, struct.Struct("=I 2I 2I 184x")  # type, capability, mode, time per frame
VIDEO_OUTPUT, FIELD_NONE = 2, 1


def opened(fps: float) -> int:
    """The device's writing end, its format and rate set."""
    device = os.open(DEVICE, os.O_RDWR)
    fourcc = int.from_bytes(b"YUYV", "little")
    fcntl.ioctl(device, S_FMT, FORMAT.pack(VIDEO_OUTPUT, WIDTH, HEIGHT, fourcc, FIELD_NONE, 2 * WIDTH, SIZE))
    fcntl.ioctl(device, S_PARM, PARM.pack(VIDEO_OUTPUT, 0, 0, 1000, round(1000 * fps)))
    return device


def main() -> None:
    """Play and obey until standard input ends."""
    now = {"show": "empty", "fps": 15, "freeze": False, "hang": False, "plugged": True}
    frames: mmap.mmap | None = None
    device: int | None = None
    number = 0
    due = time.monotonic()
    while True:
        wait = max(0.0, due - time.monotonic())
        if select.select([sys.stdin], [], [], wait)[0]:
            text = sys.stdin.readline()
            if not text:
                return
            answer: dict[str, str] = {}
            try:
                order = json.loads(text)
                now.update(order)
                if frames is None or "show" in order:
                    with open(f"{SHARED}/frames/{now['show']}.yuyv", "rb") as file:
                        frames = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                    number = 0
                if now["plugged"] and device is None:
                    device = opened(now["fps"])
                elif not now["plugged"] and device is not None:
                    os.close(device)
                    device = None
                due = time.monotonic()
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps({"t": time.clock_gettime(time.CLOCK_BOOTTIME), **answer}), flush=True)
        if time.monotonic() < due:
            continue
        due = max(due + 1 / now["fps"], time.monotonic() - 0.2)
        if device is None or frames is None or now["hang"]:
            continue
        at = number * SIZE % len(frames)
        os.write(device, memoryview(frames)[at : at + SIZE])
        number += not now["freeze"]
