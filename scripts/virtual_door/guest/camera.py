"""Write raw frames into a v4l2loopback device, which the door opens as its camera.

Reads orders as JSON lines from standard input, and answers each with a line when it is carried out, with the time `t`
(CLOCK_BOOTTIME):

  {"show": NAME}       play frames/NAME.yuyv in a loop
  {"fps": 15}          set the frame rate
  {"freeze": true}     repeat the same frame; false: continue
  {"hang": true}       write no frames, keep the device open; false: continue
  {"plugged": false}   close the device; true: open it again

One line may hold several orders.
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


def open_device(fps: float) -> int:
    """Open the device for writing, set format and frame rate, and return its file descriptor."""
    device = os.open(DEVICE, os.O_RDWR)
    fourcc = int.from_bytes(b"YUYV", "little")
    fcntl.ioctl(device, S_FMT, FORMAT.pack(VIDEO_OUTPUT, WIDTH, HEIGHT, fourcc, FIELD_NONE, 2 * WIDTH, SIZE))
    fcntl.ioctl(device, S_PARM, PARM.pack(VIDEO_OUTPUT, 0, 0, 1000, round(1000 * fps)))
    return device


def main() -> None:
    """Write frames and read orders until standard input ends."""
    state = {"show": "empty", "fps": 15, "freeze": False, "hang": False, "plugged": True}
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
                state.update(order)
                if frames is None or "show" in order:
                    with open(f"{SHARED}/frames/{state['show']}.yuyv", "rb") as file:
                        frames = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                    number = 0
                if state["plugged"] and device is None:
                    device = open_device(state["fps"])
                elif not state["plugged"] and device is not None:
                    os.close(device)
                    device = None
                due = time.monotonic()
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps({"t": time.clock_gettime(time.CLOCK_BOOTTIME), **answer}), flush=True)
        if time.monotonic() < due:
            continue
        due = max(due + 1 / state["fps"], time.monotonic() - 0.2)
        if device is None or frames is None or state["hang"]:
            continue
        at = number * SIZE % len(frames)
        os.write(device, memoryview(frames)[at : at + SIZE])
        number += not state["freeze"]
