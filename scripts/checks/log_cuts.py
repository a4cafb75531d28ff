#!/usr/bin/env python3
"""Cut the power of a disk while events are written to it, and look for every event that was durable.

    sudo python scripts/checks/log_cuts.py --cuts 50

The disk is a new ext4 file system on a loop device. What has reached its image at a random moment is what a power cut leaves on
a disk without a cache; scripts/vdoor does the same with a cache. Each cut goes on with the disk of the one before.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))

from edge.counted import counted
from edge.events.appender import Appender
from edge.events.numbering import last_used_number
from edge.events.reader import read
from edge.events.record import encode

IMAGE_BYTES = 64 << 20
KEEP_FILES = 1000
#: Exit codes of e2fsck: clean, or mended.
E2FSCK_GOOD = (0, 1)
WRITE = "--write"


def main() -> int:
    if sys.argv[1:2] == [WRITE]:
        write(Path(sys.argv[2]), int(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=50)
    cuts = parser.parse_args().cuts
    if os.geteuid() != 0:
        parser.error("mounting needs root: sudo")
    if "DOORLIGHT_LOG_CUTS" not in os.environ:
        # In a view of the mounts of its own. Another process that copies this view would keep the disk mounted.
        os.environ["DOORLIGHT_LOG_CUTS"] = "yes"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    rng = random.Random(cuts)
    wrong = restored = 0
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch, "disk.ext4")
        with image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        run("mke2fs", "-q", "-t", "ext4", "-b", "4096", str(image))
        for number in range(1, cuts + 1):
            rotate_bytes = rng.choice((4096, 20_000, 5_000_000))
            durable = cut(image, rotate_bytes, rng)
            in_log, found, damaged = repaired(image, rotate_bytes)
            is_right = found == list(range(1, len(found) + 1)) and len(found) >= durable and not damaged
            wrong += not is_right
            restored += len(found) - in_log
            verdict = "ok" if is_right else f"WRONG: {counted(damaged, 'line')} damaged"
            print(
                f"cut {number}: {durable} events were durable, {in_log} in the log, {len(found)} after the next start: {verdict}"
            )
    print(f"{counted(cuts, 'cut')}, {counted(restored, 'event')} restored, {wrong} wrong")
    return 1 if wrong else 0


def write(path: Path, rotate_bytes: int) -> None:
    """Write events until the process is killed; print the number of each that is durable."""
    log = Appender(path, rotate_bytes, KEEP_FILES)
    log.open()
    seq = last_used_number(path, 0, 0)
    print(seq, flush=True)
    while True:
        text = "x" * random.randrange(300)
        lines = [encode({"seq": seq + k, "event": "calm", "text": text}) for k in range(1, random.randint(2, 4))]
        seq += len(lines)
        while lines:
            del lines[: log.append(lines)]
        print(seq, flush=True)
        time.sleep(random.expovariate(30))


def cut(image: Path, rotate_bytes: int, rng: random.Random) -> int:
    """Let events be written, and leave in `image` what is on the disk at a random moment. Return the last durable number."""
    with mounted(image, "noatime") as (device, folder):
        command = [sys.executable, __file__, WRITE, str(folder / "events.jsonl"), str(rotate_bytes)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            numbers = [writer.stdout.readline()]
            end = time.monotonic() + rng.uniform(0, 12)
            while time.monotonic() < end:
                numbers.append(writer.stdout.readline())
            writer.send_signal(signal.SIGSTOP)
            # The kernel may still write: the copy is one moment only if nothing was written meanwhile.
            before, after = "", "no"
            while before != after or before.split()[8] != "0":
                before = Path("/sys/block", Path(device).name, "stat").read_text()
                shutil.copyfile(image, image.with_suffix(".cut"))
                after = Path("/sys/block", Path(device).name, "stat").read_text()
            writer.kill()
            numbers += writer.stdout.read().splitlines()
    image.with_suffix(".cut").replace(image)
    return int(numbers[-1])


def repaired(image: Path, rotate_bytes: int) -> tuple[int, list[int], int]:
    """Start again on the disk. Return the lines in the log before, the numbers after, and how many lines are damaged."""
    checked = subprocess.run(["e2fsck", "-p", str(image)], stdout=subprocess.DEVNULL, check=False)
    if checked.returncode not in E2FSCK_GOOD:
        raise subprocess.CalledProcessError(checked.returncode, checked.args)
    with mounted(image, "defaults") as (_, folder):
        path = folder / "events.jsonl"
        in_log = sum(file.read_bytes().count(b"}\n") for file in path.parent.glob(f"{path.name}*"))
        log = Appender(path, rotate_bytes, KEEP_FILES)
        log.open()
        log.close()
        reading = read(path)
        numbers = [record["seq"] for record in reading]
    return in_log, numbers, reading.damaged


@contextlib.contextmanager
def mounted(image: Path, options: str) -> Iterator[tuple[str, Path]]:
    """Mount the file system of `image`, and take it off again; yield its loop device and folder."""
    with tempfile.TemporaryDirectory(dir=image.parent) as scratch, contextlib.ExitStack() as undo:
        device = run("losetup", "--find", "--show", str(image))
        undo.callback(run, "losetup", "--detach", device)
        run("mount", "-o", options, device, scratch)
        undo.callback(run, "umount", scratch)
        yield device, Path(scratch)


def run(*command: str) -> str:
    """Run a program; return its output. Raises CalledProcessError."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
