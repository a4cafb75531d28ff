"""Paths that are no regular files, and file names with control characters."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket

from .breaking import log_is_whole, nothing_half_written, quick_settings, written
from .cases import Case, Material, Random, kind
from .good import MODELS, NAMES


def impossible(rng: Random, name: bytes) -> None:
    """Create something under this name that is no readable regular file, or an odd one."""
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
        with contextlib.suppress(OSError):  # the name of a socket must be short
            server.bind(name)
    elif what == 8:
        written(name, b"")
    elif what == 9:
        written(name, b"")
        os.truncate(name, rng.choice((1 << 20, 1 << 30, 1 << 31, 1 << 33)))  # a sparse file
    elif what == 10:
        written(name, rng.randbytes(rng.choice((1, 100, 5000))))
    else:
        written(name, b"x" * 5000)
        os.chmod(name, 0)


@kind(share=10, waits=True, fresh=True)
def no_file(rng: Random, material: Material) -> Case:
    """A pipe, a device, a loop of links … for each argument of the command line that is a file."""
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
        (["check-config", name], {0, 66, 78}),
        (["annotate", name, "out.png"], {0, 2, 66, 74}),
        (["annotate", name, "out.mp4"], {0, 2, 66, 74}),
        (["annotate", good, name], {0, 2, 74}),
        (["lights", "--test", "--simulate", "--seconds", "0.01", "--config", name], {0, 78}),
    ]
    if rng.random() < 0.3:  # such a path instead of a manifest or a model
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
    """Return a part of a file name with control characters and other special characters."""
    return "".join(rng.choice(ODDITIES) for _ in range(rng.choice((0, 1, 1, 2, 3))))


@kind(share=16)
def name(rng: Random, material: Material) -> Case:
    """Newlines, escape sequences and invalid UTF-8 in names of present and missing files, and in addresses."""
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
            (["events", f"--kind={odd}", "--", odd], {2, 66}),
            (["events", f"--since={odd}"], {2, 66}),
            (["check-config", "--", odd], {0, 66, 78}),
            ([odd or "x"], {2}),
            (["run", f"--{odd}"], {2}),
            (["lights", "--test", "--seconds", odd], {2}),
            ([*run, f"--config={quick_settings()}", f"--source={address}"], {0, 66, 69}),
        )
    )
    if "good.jpg" in argv and odd in ("", "."):
        codes = codes | {0}
    return Case(argv, frozenset(codes), check=log_is_whole)
