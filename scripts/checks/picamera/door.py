"""Run the whole door on the sensor: the demo clip, every fault of a camera, and what the camera costs.

usage: python -m checks.picamera.door CLIP RESULTS.json [clip] [faults] [costs]      (in the system of build_root.sh)

Ends with 1 if the decisions differ from those on the clip as a file, or a fault is shown or mended too late.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .sensor import order, show_video

Record = dict[str, Any]

#: Orders to the sensor, and signals to the camera process, that the door must survive.
FAULTS = ("hang", "timeout", "error", "late", "freeze", "black", "stuck", "killed", "stopped")
#: How long a fault lasts: the camera is reopened during it.
FAULT_S = 8.0
#: What a fault may take until the lights show FAULT, and the end of a fault until a picture counts again.
MAX_FAULT_AFTER_S, MAX_BACK_AFTER_S = 4.0, 30.0
#: The decisions on the clip as a camera may come this much earlier or later than on the file.
MAX_SHIFT_S = 0.5
#: The length of the clip and time to start, on a busy machine.
CLIP_S = 60.0
#: A machine that is busy with other things gives the door too few frames for the same decisions.
CLIP_ATTEMPTS = 3
#: The first frames take longer.
WARM_UP_S = 3.0
#: The door is measured over this time.
COSTS_S = 15.0
PATIENCE_S = 60.0


class Door:
    """`doorlight run` with simulated lights; its event log and its processes."""

    def __init__(self, folder: Path, source: str) -> None:
        self.log = folder / "events.jsonl"
        self.log.unlink(missing_ok=True)
        settings = folder / "defaults.toml"
        settings.touch()
        command = [sys.executable, "-m", "edge", "run", "--simulate", "--source", source, "--config", str(settings)]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--events", str(self.log)], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def records(self) -> list[Record]:
        """Return the records of the event log."""
        with contextlib.suppress(FileNotFoundError):
            return [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]
        return []

    def wait_for(self, is_due: Callable[[Record], bool], after: int = 0, patience_s: float = PATIENCE_S) -> int:
        """Wait for a record behind the first `after` ones. Return the number of records up to it."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            for number, record in enumerate(self.records()[after:], after + 1):
                if is_due(record):
                    return number
            if self.process.poll() is not None:
                raise SystemExit(f"FAILED: the door has ended with {self.process.returncode}")
            time.sleep(0.01)
        raise SystemExit(
            f"FAILED: the door did not log in time what it should; its last records: {self.records()[-3:]}"
        )

    def processes(self) -> list[int]:
        """Return the ids of the door and its children."""
        return [self.process.pid, *children(self.process.pid)]

    def stop(self) -> None:
        """Stop the door as systemd does."""
        self.process.terminate()
        self.process.wait(PATIENCE_S)


def children(parent: int) -> list[int]:
    """Return the ids of the child processes of `parent`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def running_door(folder: Path, source: str = "picamera") -> Iterator[Door]:
    """Run a door; stop it at the end."""
    door = Door(folder, source)
    try:
        yield door
    finally:
        door.stop()


# ---- The clip --------------------------------------------------------------------------------------------------------


def decisions(records: Sequence[Record]) -> list[tuple[str, Any, Any]]:
    """Return what was decided: event, signal and person."""
    return [
        (record["event"], record.get("signal"), record.get("person"))
        for record in records
        if record["event"] not in ("started", "stopped")
    ]


def largest_shift_s(one: Sequence[Record], other: Sequence[Record]) -> float:
    """Return how much the times of the same decisions differ at most from their median difference, the time of the start."""
    times = [
        [record["t"] for record in records if record["event"] not in ("started", "stopped")] for records in (one, other)
    ]
    differences = [a - b for a, b in zip(*times, strict=False)]
    return max((abs(each - statistics.median(differences)) for each in differences), default=0.0)


def check_clip(folder: Path, clip: Path, sensor: Path) -> Record:
    """Play the clip as a file and through the camera, and compare the decisions."""
    order(sensor, "hold")
    file = Door(folder, str(clip))
    file.process.wait(CLIP_S)
    expected = file.records()
    count = len(decisions(expected))
    with running_door(folder) as door:
        started = door.wait_for(lambda record: record["event"] == "started")
        time.sleep(WARM_UP_S)
        order(sensor, "play")
        deadline = time.monotonic() + CLIP_S
        while len(decisions(door.records())) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        seen = door.records()[: started + count]
    order(sensor, "play")
    shift_s = largest_shift_s(expected, seen)
    return {
        "decisions": count,
        "shift_s": round(shift_s, 2),
        "ok": count > 0 and decisions(seen) == decisions(expected) and shift_s <= MAX_SHIFT_S,
        "expected": _with_times(expected),
        "seen": _with_times(seen),
    }


def _with_times(records: Sequence[Record]) -> list[str]:
    return [
        f"{record['t']:.2f} s {record.get('signal', record['event'])}"
        for record in records
        if record["event"] not in ("started", "stopped")
    ]


# ---- Faults ----------------------------------------------------------------------------------------------------------


def is_fault(record: Record) -> bool:
    """Return whether the lights begin to show FAULT."""
    return bool(record["event"] == "signal" and record["signal"] == "FAULT")


def is_recovery(record: Record) -> bool:
    """Return whether the lights end to show FAULT."""
    return bool(record["event"] == "signal" and record["before"] == "FAULT")


def check_fault(folder: Path, sensor: Path, fault: str) -> Record:
    """Let the camera fail for FAULT_S while the door runs. Return when the lights showed it, and when it was over."""
    order(sensor, "hold")
    with running_door(folder) as door:
        door.wait_for(lambda record: record["event"] == "started")
        time.sleep(WARM_UP_S)
        count = len(door.records())
        begin = time.monotonic()
        if fault in ("killed", "stopped"):
            for camera in children(door.process.pid):
                os.kill(camera, signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
            end = begin
        else:
            order(sensor, fault)
        if fault == "killed" and not _shows_fault_within(door, count, 2 * MAX_FAULT_AFTER_S):
            return {"fault": fault, "fault_after_s": None, "back_after_s": 0.0, "ok": True}
        count = door.wait_for(is_fault, count)
        fault_after_s = time.monotonic() - begin
        if fault not in ("killed", "stopped"):
            time.sleep(max(0.0, FAULT_S - fault_after_s))
            end = time.monotonic()
            order(sensor, "hold")
        door.wait_for(is_recovery, count)
        back_after_s = time.monotonic() - end
    return {
        "fault": fault,
        "fault_after_s": round(fault_after_s, 1),
        "back_after_s": round(back_after_s, 1),
        "ok": fault_after_s <= MAX_FAULT_AFTER_S and back_after_s <= MAX_BACK_AFTER_S,
    }


def _shows_fault_within(door: Door, count: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(map(is_fault, door.records()[count:])):
            return True
        time.sleep(0.05)
    return False


# ---- Costs -----------------------------------------------------------------------------------------------------------


def measure_costs(folder: Path, sensor: Path) -> Record:
    """Return the time to the first picture, and processor time, memory and descriptors of the door and its children."""
    order(sensor, "play")
    with running_door(folder) as door:
        door.wait_for(lambda record: record["event"] == "started")
        first_light_s = time.monotonic() - door.began
        before, begin = sum(map(_cpu_s, door.processes())), time.monotonic()
        time.sleep(COSTS_S)
        cpu = (sum(map(_cpu_s, door.processes())) - before) / (time.monotonic() - begin)
        pss, private = zip(*map(_memory_mb, door.processes()), strict=True)
        files = [len(os.listdir(f"/proc/{pid}/fd")) for pid in door.processes()]
    return {
        "first_light_s": round(first_light_s, 2),
        "cpu_cores": round(cpu, 3),
        "pss_mb": pss,
        "private_mb": private,
        "descriptors": files,
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> tuple[float, float]:
    """Return the memory of a process in MB, without the video before the sensor: its share of all, and its own."""
    sizes = {"Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    is_video = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in name:  # the first line of a mapping: its addresses
            is_video = line.endswith("/frames")
        elif name in sizes and not is_video:
            sizes[name] += int(rest.split()[0])
    return round(sizes["Pss"] / 1024, 1), round((sizes["Private_Clean"] + sizes["Private_Dirty"]) / 1024, 1)


def main(clip: str, results: str, *parts: str) -> int:
    """Run the parts, write their results, and return the exit code."""
    sensor = Path(os.environ["VIRTUAL_PI_CAMERA"])
    show_video(sensor, Path(clip))
    found: Record = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "clip" in parts:
            for _ in range(CLIP_ATTEMPTS):
                found["clip"] = check_clip(folder, Path(clip), sensor)
                if found["clip"]["ok"]:
                    break
        if "faults" in parts:
            found["faults"] = [check_fault(folder, sensor, fault) for fault in FAULTS]
        if "costs" in parts:
            found["costs"] = measure_costs(folder, sensor)
    Path(results).write_text(json.dumps(found, indent=1))
    checked = [*found.get("faults", ()), *([found["clip"]] if "clip" in found else ())]
    for each in checked:
        print(
            f"{'ok' if each['ok'] else 'FAILED'}: {', '.join(f'{key} {value}' for key, value in each.items() if key != 'ok')}"
        )
    return 0 if all(each["ok"] for each in checked) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
