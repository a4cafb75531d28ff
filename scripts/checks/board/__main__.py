"""The command scripts/checks/board.sh."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType

from virtual_door.build import CHECKOUT, BuildError, BuildStep, UnsupportedHostError, build, out_of_date

from . import build_steps, results, steps
from .boards import BOARDS, Board, check_machine
from .build_steps import GUEST_FOLDER, check_host, image
from .emulator import Emulator, EmulatorError
from .record import StepRecord
from .results import Result
from .steps import Step

RESULTS = CHECKOUT / "runs/board"
#: From power-on to the first step.
BOOT_S = {False: 240.0, True: 900.0}
DESCRIPTION = """\
Boot an emulated Raspberry Pi 3 or 4 (QEMU) with Debian 13 for arm64 and Doorlight as scripts/install.sh installs it, and
compare the levels of its pins, read in the chip's registers, with what Doorlight says: doctor, lights --test, the demo
clip, killed and hanging processes, and the service booted by systemd.
"""
EPILOG = """\
  sudo scripts/checks/board.sh                    build what is missing, and run all steps
  sudo scripts/checks/board.sh --only clip,doctor run some steps
  scripts/checks/board.sh --as-built              do not build: skip everything if the SD card is not there
  scripts/checks/board.sh --list                  list the steps

The build needs root and
  apt install qemu-system-arm qemu-user-static mmdebstrap arch-test device-tree-compiler swig kmod \\
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross
A python3.13 in $PATH (with pyenv: PYENV_VERSION=3.13.0) saves minutes: otherwise an emulated one compiles the packages.
The first time it takes 40 minutes on two cores that other programs use too (23 of them: pip under qemu-user), and 4 GB of
disk in ~/.cache/doorlight/board (or $DOORLIGHT_BOARD).
A run takes 15 minutes. The report is runs/board/board-report.md. Exit codes: 0 passed (or skipped with --as-built), 1 a
step failed or did not run, 2 wrong usage, 69 this computer cannot build or run it.
"""


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="scripts/checks/board.sh", description=DESCRIPTION, epilog=EPILOG, formatter_class=raw
    )
    top.add_argument("--only", metavar="STEPS", type=lambda text: text.split(","), help="names of steps, with commas")
    top.add_argument("--as-built", action="store_true", help="do not build; test the newest build, if there is one")
    top.add_argument("--list", action="store_true", help="list the steps")
    top.add_argument(
        "--machine",
        choices=sorted(BOARDS),
        default="raspi3b",
        help="QEMU's machine (default: raspi3b; raspi4b needs QEMU 9, which Debian 12 does not have)",
    )
    top.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="reports (default: runs/board)")
    return top


def say(text: str) -> None:
    print(text, flush=True)


def qemu_command(board: Board, folder: Path, names: Iterable[str], systemd: bool) -> list[str]:
    """Return QEMU's command line for an image's folder, and the names of steps. The SD card is not changed."""
    start = "/sbin/init" if systemd else f"/{GUEST_FOLDER}/init"
    append = [
        *(f"console={board.console},115200", "loglevel=4", "panic=1"),
        *(f"init={start}", f"board.steps={','.join(names)}", "systemd.show_status=0"),
        # The emulated board is slower than any: systemd's own units need more than their 90 s. Doorlight's unit keeps its limit.
        "systemd.default_timeout_start_sec=900",
        # There is no graphics chip: its drivers wait for it.
        "modprobe.blacklist=vc4,v3d",
    ]
    return [
        *("qemu-system-aarch64", "-M", board.machine, "-kernel", f"{folder}/kernel", "-initrd", f"{folder}/initrd"),
        *("-dtb", f"{folder}/{board.tree}", "-drive", f"file={folder}/sd.img,if=sd,format=raw,snapshot=on"),
        *("-append", " ".join(append), *board.serial, "-display", "none", "-monitor", "none", "-no-reboot"),
    ]


def run_boot(board: Board, folder: Path, chosen: Sequence[Step], logs: Path, found: dict[str, Result]) -> None:
    """Boot the board once, run the chosen steps, and fill their results. Those after one that does not end are not run."""
    systemd = chosen[0].systemd
    command = qemu_command(board, folder, (step.name for step in chosen), systemd)
    console = logs / f"console-{'systemd' if systemd else 'plain'}.log"
    with Emulator(command, board.registers, console) as emulator:
        since, begun_at, limit_s = 0, 0.0, BOOT_S[systemd]
        for step in chosen:
            result = found[step.name]
            try:
                begin = emulator.wait_for(f"^BOARD begin {step.name}\\b", limit_s, since)
                end = emulator.wait_for(f"^BOARD end {step.name}$", step.limit_s, since)
            except EmulatorError as error:
                result.seconds = emulator.now() - begun_at
                result.fail(str(error))
                say(result.render())
                for later in chosen[chosen.index(step) + 1 :]:
                    found[later.name].problems.append(f"the board did not get through {step.name}")
                return
            first, last = emulator.lines.index(begin), emulator.lines.index(end)
            record = StepRecord(emulator.lines[first : last + 1], list(emulator.changes), begin.t, end.t)
            # From power-on for the first step: the boot belongs to it.
            result.seconds, begun_at, since, limit_s = end.t - begun_at, end.t, last, 30.0
            if emulator.pins_error:
                result.fail(emulator.pins_error)
            step.check(record, result)
            say(result.render())
        say(f"the pins were read {emulator.polls / max(emulator.now(), 1):.0f} times a second")


def decisions_here() -> list[dict[str, object]]:
    """Play the clip on this machine; return its events."""
    clip = CHECKOUT / "scripts/assets/demo/door.mp4"
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "events.jsonl"
        subprocess.run(
            [sys.executable, "-m", "edge", "run", "--simulate", "--source", clip, "--events", log],
            cwd=scratch,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
            stdout=subprocess.DEVNULL,
            timeout=300,
            check=True,
        )
        return steps.read_events(log)


def qemu_version() -> str:
    done = subprocess.run(["qemu-system-aarch64", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.split("\n")[0]


def run_all(board: Board, only: Sequence[str] | None, folder: Path) -> list[Result]:
    """Run the steps, or those named; return all results, with "not run" for the others."""
    known = steps.all_steps(decisions_here() if only is None or "clip" in only else [], board)
    found = {step.name: Result(step.name, step.description) for step in known}
    chosen = [step for step in known if only is None or step.name in only]
    for result in found.values():
        if only is not None and result.name not in only:
            result.problems.append("not asked for (--only)")
    folder.mkdir(parents=True, exist_ok=True)
    for systemd in (False, True):
        if part := [step for step in chosen if step.systemd is systemd]:
            run_boot(board, image().folder, part, folder, found)
    about = {
        "date": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
        "board": f"{board.machine}, {qemu_version()}",
        "system": "Debian 13 (trixie), arm64, with its own kernel",
        "host": f"{platform.platform()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}",
        "build": image().key,
    }
    results.write(folder, list(found.values()), about)
    return [found[step.name] for step in chosen]


def _list(board: Board) -> int:
    for step in steps.all_steps([], board):
        say(f"{step.name:20} {step.limit_s:4.0f} s at most  {step.description}")
    return 0


def _why_skipped(needed: Sequence[BuildStep], board: Board) -> str:
    try:
        check_machine(board)
    except UnsupportedHostError as error:
        return str(error)
    if out_of_date(needed):
        return "its SD card is not built, or out of date: sudo scripts/checks/board.sh"
    return ""


def _exit_on_signal(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def _use_own_cache() -> None:
    """Keep the results of the build apart from those of the virtual door, which has steps and a lock of its own."""
    own = os.environ.get("DOORLIGHT_BOARD") or str(Path.home() / ".cache/doorlight/board")
    os.environ["DOORLIGHT_VDOOR"] = own


def main() -> int:
    _use_own_cache()
    # With sys.exit, the emulator is switched off on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit_on_signal)
    args = parser().parse_args()
    board = BOARDS[args.machine]
    if args.list:
        return _list(board)
    if unknown := set(args.only or ()) - {step.name for step in steps.all_steps([], board)}:
        parser().error(f"--only: no such step: {', '.join(sorted(unknown))} (see --list)")
    needed = build_steps.all_steps()
    try:
        if args.as_built:
            if reason := _why_skipped(needed, board):
                say(f"SKIPPED: the emulated Raspberry Pi: {reason}")
                return 0
        else:
            check_machine(board)
            build(needed, say, check_host)
        done = run_all(board, args.only, args.results.absolute())
    except UnsupportedHostError as error:
        print(f"checks/board.sh: {error}", file=sys.stderr)
        return 69
    except BuildError as error:
        print(f"checks/board.sh: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    passed = sum(result.verdict == "passed" for result in done)
    say(f"{passed} of {len(done)} steps passed: {args.results}/board-report.md")
    return results.exit_code(done)


if __name__ == "__main__":
    sys.exit(main())
