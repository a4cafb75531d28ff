"""The command scripts/vdoor."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from .agent_client import MachineError
from .build import CHECKOUT, BuildError, UnsupportedHostError, build
from .build_steps import all_steps
from .door import Door
from .host import check_build_host, install_missing_packages, why_not_runnable
from .lab import RESULTS, machine_room
from .suites import NAMES

SCENARIOS = CHECKOUT / "tests/virtual_door"
DESCRIPTION = """\
A virtual door: the installed product (scripts/install.sh, the service as shipped) in a virtual machine (User-Mode Linux)
with a simulated GPIO chip and camera. Tests control it from outside: boot it, cut its power, fill its disk.
"""
EPILOG = """\
  sudo scripts/vdoor build --apt     build what is missing (the first time: about ten minutes) and install Debian packages
  scripts/vdoor list                 list the scenarios
  scripts/vdoor test                 run all scenarios (hours); the report is runs/vdoor/vdoor-report.md
  scripts/vdoor test --quick         run the scenarios that scripts/test runs too (minutes)
  scripts/vdoor test -k cold_boot    run one scenario; all options of pytest work
  scripts/vdoor shell                boot a door and type commands; "camera masked" shows a person with a mask
  scripts/vdoor --suite bookworm …   all of this with Debian 12 (kernel 6.1, systemd 252, Python 3.11); the default is
                                     trixie: Debian 13 (kernel 6.12, systemd 257, Python 3.13)

The build needs Debian on x86-64 and root (for chroot and mounts). It is cached in ~/.cache/doorlight/vdoor or
$DOORLIGHT_VDOOR, about 2 GB for each suite. Exit codes: those of pytest for list and test (0: all passed, 1: a scenario failed);
0: OK, 1: a build step failed, 2: wrong usage, 69: this computer cannot build or run it.
"""


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="scripts/vdoor", description=DESCRIPTION, epilog=EPILOG, formatter_class=raw)
    # Before or after the command.
    suite = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    for words in (top, suite):
        words.add_argument("--suite", choices=NAMES, help=f"the Debian release in the machine (default: {NAMES[0]})")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    build_command = commands.add_parser("build", parents=[suite], help="build what is missing or out of date")
    build_command.add_argument("--apt", action="store_true", help="first install the missing Debian packages")
    commands.add_parser("list", parents=[suite], help="list the scenarios")
    commands.add_parser("shell", parents=[suite], help="boot a door and type commands")
    test = commands.add_parser(
        "test", parents=[suite], help="run scenarios; further arguments go to pytest", allow_abbrev=False
    )
    test.add_argument("--quick", action="store_true", help="run only the scenarios that are not marked 'slow'")
    test.add_argument("--as-built", action="store_true", help="do not build; test the newest build")
    test.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="reports (default: runs/vdoor)")
    return top


def say(text: str) -> None:
    print(text, flush=True)


def _build() -> None:
    build(all_steps(), say, check_build_host)


def _build_command(apt: bool) -> int:
    if apt:
        install_missing_packages(say)
    _build()
    if problem := why_not_runnable():
        raise UnsupportedHostError(problem)
    say("User-Mode Linux runs on this computer; continue with: scripts/vdoor test")
    return 0


def _pytest(*arguments: str, **env: str) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, env={**os.environ, **env}).returncode


def _list_command() -> int:
    return _pytest("--collect-only", "-v", "-m", "virtual_door", str(SCENARIOS))


def _test_command(args: argparse.Namespace, arguments: list[str]) -> int:
    if not args.as_built:
        _build()
    markers = "virtual_door and not slow" if args.quick else "virtual_door"
    has_path = any(Path(word.split("::")[0]).exists() for word in arguments if not word.startswith("-"))
    paths = [] if has_path else [str(SCENARIOS)]
    as_built = {"VDOOR_AS_BUILT": "1"} if args.as_built else {}
    return _pytest("-m", markers, *paths, *arguments, VDOOR_RESULTS=str(args.results.absolute()), **as_built)


def _shell_command() -> int:
    _build()
    with machine_room() as room, Door(room.folder / "door", image=room.image) as door:
        door.boot()
        say("The door boots. Type a command of the guest, or:  camera CLIP · lamps · cut · boot · exit")
        while (line := _prompt()) is not None:
            word, _, rest = line.strip().partition(" ")
            if word == "exit":
                break
            try:
                _shell_line(door, line, word, rest)
            except MachineError as error:
                say(str(error))
    return 0


def _shell_line(door: Door, line: str, word: str, rest: str) -> None:
    if word == "camera":
        door.camera.show(rest)
    elif word == "lamps":
        say("\n".join(f"{c.t:9.3f} s  {c.lamps}" for c in door.pin_changes()[-10:]))
    elif word == "cut":
        door.power_cut()
    elif word == "boot":
        door.boot()
    elif word:
        done = door.run(line, 60)
        say(done.out + done.err + ("" if done.code == 0 else f"[{done.code}]"))


def _prompt() -> str | None:
    try:
        return input("door# ")
    except EOFError:
        return None


def _exit_on_signal(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> int:
    # With sys.exit, the machines are powered off on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit_on_signal)
    args, arguments = parser().parse_known_args()
    if arguments and args.command != "test":
        parser().error(f"unrecognized arguments: {' '.join(arguments)}")
    if args.suite:
        os.environ["VDOOR_SUITE"] = args.suite  # pytest is a child process
    try:
        if args.command == "list":
            return _list_command()
        if args.command == "test":
            return _test_command(args, arguments)
        if args.command == "shell":
            return _shell_command()
        return _build_command(args.apt)
    except UnsupportedHostError as error:
        print(f"vdoor: {error}", file=sys.stderr)
        return 69
    except BuildError as error:
        print(f"vdoor: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
