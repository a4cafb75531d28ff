"""The command scripts/vdoor."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from . import layers, runner
from .machine import Machine, MachineError

HELP = """\
A virtual door: the installed product (scripts/install.sh, the service as shipped) in a machine of its own, User-Mode
Linux, with a GPIO chip and a camera made by the kernel. Tried from outside: boot it, pull the plug, fill its disk.
"""
EPILOG = """\
  sudo scripts/vdoor build --apt   make what is missing (the first time about ten minutes), Debian packages too
  scripts/vdoor list               the scenarios
  scripts/vdoor test               all of them (hours); the report: runs/vdoor/vdoor-report.md
  scripts/vdoor test --quick       those that are part of scripts/test (minutes)
  scripts/vdoor test cold_boot     one, by its name or a part of it
  scripts/vdoor shell              a door to play with: commands go to it, "camera masked" shows it somebody

Needs Debian 12 on x86-64 and root (for chroot and mounts while building). What is built lies in ~/.cache/doorlight/vdoor
or in $DOORLIGHT_VDOOR, about 3 GB. Exit codes: 0 as expected, 1 not, 2 wrong usage, 69 this machine cannot do it.
"""


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="scripts/vdoor", description=HELP, epilog=EPILOG, formatter_class=raw)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    build = commands.add_parser("build", help="make what is missing or has changed")
    build.add_argument("--apt", action="store_true", help="first install the Debian packages that are missing")
    commands.add_parser("list", help="name the scenarios")
    commands.add_parser("shell", help="boot a door and give it commands")
    test = commands.add_parser("test", help="run scenarios")
    test.add_argument("names", nargs="*", metavar="NAME", help="only scenarios with this in their names")
    test.add_argument("--quick", action="store_true", help="only those that are quick")
    test.add_argument("--as-built", action="store_true", help="do not build: try what was built last")
    test.add_argument(
        "--results", type=Path, default=runner.RESULTS, metavar="DIR", help="reports (default: runs/vdoor)"
    )
    return top


def say(text: str) -> None:
    print(text, flush=True)


def _build(args: argparse.Namespace) -> int:
    if args.apt:
        layers.install_missing(say)
    layers.build(say)
    if why := layers.probe():
        raise layers.Unsuitable(why)
    say("it runs here: scripts/vdoor test")
    return 0


def _list() -> int:
    for name, module in runner.find().items():
        say(f"{name:20} {'quick' if module.QUICK else '     '}  {runner.first_line(module)}")
    return 0


def _test(args: argparse.Namespace) -> int:
    modules = runner.find()
    chosen = [name for name in modules if not args.names or any(part in name for part in args.names)]
    if unknown := [part for part in args.names if not any(part in name for name in modules)]:
        say(f"vdoor: no scenario is called {', '.join(unknown)}; scripts/vdoor list names them")
        return 2
    if args.quick:
        chosen = [name for name in chosen if modules[name].QUICK]
    if not args.as_built:
        layers.build(say)
    reports = runner.run(chosen, args.results.absolute(), say)
    failed = [r.name for r in reports if not r.ok]
    say(
        f"\n{args.results / 'vdoor-report.md'}: "
        + (f"FAILED: {', '.join(failed)}" if failed else f"all {len(reports)} passed")
    )
    return 1 if failed else 0


def _shell() -> int:
    layers.build(say)
    with runner.place() as (machines, image), Machine(machines / "door", image=image) as door:
        door.boot()
        say("It boots. Any command of the guest, and:  camera CLIP · lamps · cut · boot · exit")
        while (line := _prompt()) is not None:
            word, _, rest = line.strip().partition(" ")
            try:
                if word == "camera":
                    door.camera.show(rest)
                elif word == "lamps":
                    say("\n".join(f"{c.t:9.3f} s  {c.looks}" for c in door.changes()[-10:]))
                elif word == "cut":
                    door.power_cut()
                elif word == "boot":
                    door.boot()
                elif word == "exit":
                    break
                elif word:
                    done = door.run(line, 60)
                    say(done.out + done.err + ("" if done.code == 0 else f"[{done.code}]"))
            except MachineError as error:
                say(str(error))
    return 0


def _prompt() -> str | None:
    try:
        return input("door# ")
    except EOFError:
        return None


def _stopped(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> int:
    # So that machines are switched off on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stopped)
    args = parser().parse_args()
    try:
        if args.command == "list":
            return _list()
        if args.command == "test":
            return _test(args)
        if args.command == "shell":
            return _shell()
        return _build(args)
    except layers.Unsuitable as error:
        print(f"vdoor: {error}", file=sys.stderr)
        return 69
    except layers.BuildError as error:
        print(f"vdoor: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
