"""One virtual door: boot it, speak with it, show it something, look at its lamps, pull its plug.

    with Machine(Path("/tmp/session")) as door:
        door.boot()
        door.camera.show("masked")
        door.wait_for("green", within_s=5)

Everything has a time limit. The machine is a process group of its own, which ends with the `with` block, with Ctrl-C and
with the death of the program that started it.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import itertools
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from . import layers

STATE = "/var/lib/doorlight"
LOG = f"{STATE}/events.jsonl"
#: By then what has happened is in the event log, as the door promises.
ON_DISK_S = 1.0
#: Levels of (green, red, buzzer) as pins.log writes them, by what they look like.
LOOKS = {"000": "off", "100": "green", "010": "red", "011": "red+buzzer", "---": "no chip"}
BOOT_S = 120.0

T = TypeVar("T")


class MachineError(Exception):
    """The virtual machine itself did not do what was asked: no answer, no boot, a command that failed."""


@dataclass(frozen=True)
class Done:
    """How a command in the guest ended; `code` is None where it ran out of time."""

    code: int | None
    out: str
    err: str
    seconds: float


@dataclass(frozen=True)
class Change:
    """The pins took these levels at `t`, seconds since power-on (guest, suspended time included); `looks` says which
    lamps that is: off, green, red, red+buzzer, no chip, or the three bits (green, red, buzzer) of what must not be."""

    t: float
    levels: str

    @property
    def looks(self) -> str:
        return LOOKS.get(self.levels, self.levels)


class Camera:
    """The picture at the door. Clips: see clips.py. Every order is carried out when its method returns, and that
    gives the time since power-on at which it was."""

    def __init__(self, door: Machine) -> None:
        self._door = door

    def order(self, **order: Any) -> float:
        """Any orders of guest/camera.py; the time since power-on at which they were carried out."""
        if "show" in order:
            self._door.share_clip(order["show"])
        return float(self._door.ask({"do": "camera", "order": order}, 20)["t"])

    def show(self, clip: str) -> float:
        """Play a clip round and round from now on."""
        return self.order(show=clip)

    def freeze(self, frozen: bool = True) -> float:
        """The same picture, byte for byte, again and again."""
        return self.order(freeze=frozen)

    def hang(self, hanging: bool = True) -> float:
        """No new picture, while the device stays there and open."""
        return self.order(hang=hanging)

    def plug(self, plugged: bool = True) -> float:
        """Without: the feeder lets go of the device, which then is no camera any more (/dev/video0 stays)."""
        return self.order(plugged=plugged)

    def fps(self, fps: float) -> float:
        """So many pictures a second."""
        return self.order(fps=fps)


class Machine:
    """A virtual door with disks of its own, which live until it is closed: any number of boots and power cuts.

    `session` is an empty or missing folder, best on one disk with the image, which is then linked and not copied.
    `image`: the root file system (default: the product as built). `data_mb`: size of the disk at /var/lib/doorlight.
    """

    def __init__(self, session: Path, *, image: Path | None = None, data_mb: int = 64, memory_mb: int = 1024) -> None:
        self.session = session.absolute()
        self.camera = Camera(self)
        self.powered_at = 0.0  # host's monotonic time of the last power-on
        self._memory_mb = memory_mb
        self._process: subprocess.Popen[bytes] | None = None
        self._warden: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._waiting: dict[int, list[Any]] = {}
        self._news = threading.Condition()
        self._numbers = itertools.count(1)
        self._offset = 0.0
        for name in ("out", "frames", "guest", "kernel", "at_boot"):
            (self.session / name).mkdir(parents=True)
        for file in (layers.HERE / "guest").glob("*.py"):
            shutil.copy(file, self.session / "guest")
        # Links: a build that puts newer layers in their place must not change a running machine.
        for file in layers.newest("kernel").iterdir():
            _link(file, self.session / "kernel" / file.name)
        _link(image or layers.newest("product") / "root.ext4", self.session / "root.ext4")
        data = self.session / "data.ext4"
        with data.open("wb") as file:
            file.truncate(data_mb << 20)
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-L", "data", data],
            check=True,
            stdin=subprocess.DEVNULL,
        )

    # ---- Power -------------------------------------------------------------------------------------------------------

    def boot(
        self,
        *,
        wait_for: str = "agent",
        camera: dict[str, Any] | None = None,
        no_camera: bool = False,
        service: bool = True,
        early: str = "",
        data: str = "/dev/ubdb",
        data_options: str = "",
        kernel: str = "",
        within_s: float = BOOT_S,
    ) -> None:
        """Switch the power on.

        `wait_for`: "agent" (commands can be run, systemd still boots) or "ready" (doorlight.service is active).
        `camera`: first orders for it (default: the clip "empty"); `no_camera`: no /dev/video0 at all. `service=False`
        keeps doorlight.service from starting by itself (then: `start_service`). `early` is a shell script run as root
        before the data disk is mounted (say, dmsetup), `data` what is then mounted at /var/lib/doorlight ("": nothing),
        with `data_options` for mount. `kernel`: more words for the kernel's command line.
        """
        assert self._process is None, "it is on already"
        orders = None if no_camera else {"show": "empty", **(camera or {})}
        if orders is not None:
            self.share_clip(orders["show"])
        boot = {"camera": orders, "early": early, "data": data, "data_options": data_options}
        (self.session / "boot.json").write_text(json.dumps(boot))
        (self.session / "pins.log").unlink(missing_ok=True)
        shutil.rmtree(self.session / "at_boot")
        (self.session / "at_boot").mkdir()
        ours, theirs = socket.socketpair()
        memory = "/dev/shm" if shutil.disk_usage("/dev/shm").free > (self._memory_mb + 256) << 20 else str(self.session)
        argv = [
            *(str(self.session / "kernel/linux"), f"mem={self._memory_mb}M", f"dtb={self.session}/kernel/door.dtb"),
            *(f"ubd0={self.session}/root.cow,{self.session}/root.ext4", f"ubd1={self.session}/data.ext4"),
            *(
                "root=/dev/ubda",
                "rw",
                "con=null",
                "con0=null,fd:1",
                f"ssl0=fd:{theirs.fileno()}",
                "ssl=null",
                "panic=1",
            ),
            *("quiet", "loglevel=4", "systemd.show_status=0", "audit=0", f"vdoor={self.session}"),
            *(() if service else ("systemd.unit=basic.target",)),
            *shlex.split(kernel),
        ]
        with (self.session / "console.log").open("ab") as console, theirs:
            self.powered_at = time.monotonic()
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=[theirs.fileno()],
                env={"TMPDIR": memory, "PATH": "/usr/bin:/bin", "HOME": "/"},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        # Should this program be killed, the end of the pipe tells the warden, which ends the machine's processes.
        self._warden = subprocess.Popen(
            ["sh", "-c", f"cat >/dev/null; kill -s KILL -- -{self._process.pid} 2>/dev/null"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        # Ahead of whatever else this computer does, where that is allowed: what is measured is the door.
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/autogroup").write_text("-10")
        self._line = ours
        self._waiting = {0: []}
        threading.Thread(target=self._listen, args=(ours,), daemon=True).start()
        try:
            problem = self._answer(0, within_s)["problem"]
            if problem:
                raise MachineError(f"the machine could not be prepared: {problem}\n{self._console_tail()}")
            before = time.monotonic()
            hello = self.ask({"do": "hello"}, 10)
            self._offset = (before + time.monotonic()) / 2 - hello["boottime"]
            if wait_for == "ready":
                self.wait_service(within_s)
        except BaseException:
            self.power_cut()
            raise

    def power_cut(self) -> None:
        """Pull the plug: every process of the machine dies at once, wherever it is."""
        if self._process is None:
            return
        self._kill()

    def power_off(self, within_s: float = 60.0) -> None:
        """`systemctl poweroff`, and wait until it is off."""
        assert self._process is not None
        with contextlib.suppress(MachineError):
            self.ask({"do": "run", "argv": ["systemctl", "poweroff"], "timeout": 10}, 15)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.power_cut()
            raise MachineError(f"it was not off after {within_s:.0f} s\n{self._console_tail()}") from None
        self._kill()

    def _kill(self) -> None:
        assert self._process is not None
        assert self._line is not None
        limit = time.monotonic() + 10
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            # The kernel's threads are processes too, and hold the disks until the last of them is dead.
            while time.monotonic() < limit:
                os.killpg(self._process.pid, 0)
                time.sleep(0.005)
        if self._warden is not None:
            self._warden.kill()
            self._warden.communicate()
            self._warden = None
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()
        self._process = self._line = None

    @property
    def on(self) -> bool:
        """Whether it runs; False also where the guest has switched itself off."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Pull the plug for good and throw the disks away; logs stay in the session's folder."""
        self.power_cut()
        for name in ("root.cow", "root.ext4", "data.ext4"):
            (self.session / name).unlink(missing_ok=True)
        for name in ("frames", "kernel", "guest"):
            shutil.rmtree(self.session / name, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- The line ----------------------------------------------------------------------------------------------------

    def _listen(self, line: socket.socket) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := line.recv(65536):
                *texts, rest = (rest + data).split(b"\n")
                for text in texts:
                    with contextlib.suppress(ValueError), self._news:
                        answer = json.loads(text)
                        if answer.get("id") in self._waiting:
                            self._waiting[answer["id"]].append(answer)
                            self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _answer(self, number: int, within_s: float) -> dict[str, Any]:
        limit = time.monotonic() + within_s
        with self._news:
            while not self._waiting[number]:
                left = limit - time.monotonic()
                if not self.on:
                    raise MachineError(f"the machine has ended\n{self._console_tail()}")
                if left <= 0:
                    raise MachineError(f"no answer within {within_s:.0f} s\n{self._console_tail()}")
                self._news.wait(min(left, 0.5))
            answer: dict[str, Any] = self._waiting.pop(number)[0]
        return answer

    def ask(self, request: dict[str, Any], within_s: float) -> dict[str, Any]:
        """One request to guest/agent.py and its answer."""
        if self._line is None:
            raise MachineError("the machine is off")
        number = next(self._numbers)
        with self._news:
            self._waiting[number] = []
        self._line.sendall(json.dumps({"id": number, **request}).encode() + b"\n")
        answer = self._answer(number, within_s)
        if "error" in answer:
            raise MachineError(f"{request}: {answer['error']}")
        for name in ("out", "err"):
            if file := answer.pop(name + "_file", None):
                answer[name] = (self.session / "out" / file).read_text()
                (self.session / "out" / file).unlink()
        return answer

    def run(self, command: str | list[str], within_s: float = 30.0, input: str = "") -> Done:
        """Run a shell line, or a list of words without a shell, as root; any exit code is an answer."""
        argv = ["sh", "-c", command] if isinstance(command, str) else command
        began = time.monotonic()
        answer = self.ask({"do": "run", "argv": argv, "timeout": within_s, "input": input}, within_s + 15)
        return Done(answer["code"], answer["out"], answer["err"], time.monotonic() - began)

    def sh(self, command: str | list[str], within_s: float = 30.0) -> str:
        """Like `run`, for what must succeed: its output. Raises MachineError."""
        done = self.run(command, within_s)
        if done.code != 0:
            raise MachineError(f"{command!r}: exit code {done.code}\n{done.out}{done.err}")
        return done.out

    def spawn(self, command: str | list[str], log: str = "spawned.log") -> int:
        """Start something and leave it alone: its pid. What it says is in out/`log` of the session's folder."""
        argv = ["sh", "-c", command] if isinstance(command, str) else command
        return int(self.ask({"do": "spawn", "argv": argv, "log": log}, 10)["pid"])

    def read(self, path: str) -> str:
        """A file of the guest, without starting a program there."""
        return str(self.ask({"do": "read", "path": path}, 20)["out"])

    def write(self, path: str, text: str | bytes) -> None:
        """Write a file of the guest."""
        data = base64.b64encode(text.encode() if isinstance(text, str) else text).decode()
        done = self.run(["sh", "-c", 'base64 -d >"$1"', "-", path], input=data)
        if done.code:
            raise MachineError(f"{path}: {done.err}")

    def _console_tail(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join((self.session / "console.log").read_text(errors="replace").splitlines()[-15:])
        return ""

    # ---- Time --------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since power-on by the guest's clock (CLOCK_BOOTTIME), as pins and journal have them."""
        return time.monotonic() - self._offset

    def since_power_on(self, t: float) -> float:
        """Seconds from the switch to a guest time: what the kernel takes before its clock runs is in it."""
        return t + self._offset - self.powered_at

    def set_clock(self, when: str) -> None:
        """Wall time, as date(1) understands it."""
        self.sh(["date", "--utc", "--set", when])

    def suspend(self, seconds: float) -> None:
        """Suspend to idle, and wake up by the real-time clock, which counts by the wall clock: that must be right."""
        self.sh(
            f"echo 0 >/sys/class/rtc/rtc0/wakealarm; echo +{round(seconds)} >/sys/class/rtc/rtc0/wakealarm; echo freeze >/sys/power/state",
            seconds + 30,
        )

    # ---- The door ----------------------------------------------------------------------------------------------------

    def share_clip(self, clip: str) -> None:
        """Make a clip of the cache (or a path of raw frames) one that the camera can show by its name."""
        target = self.session / "frames" / f"{clip}.yuyv"
        if not target.exists():
            source = layers.newest("clips") / f"{clip}.yuyv"
            if not source.exists():
                raise MachineError(
                    f"no clip {clip!r}; there are: {', '.join(sorted(p.stem for p in source.parent.glob('*.yuyv')))}"
                )
            _link(source, target)

    def changes(self, since: float = 0.0) -> list[Change]:
        """What the pins did since then (seconds since power-on), the state at that moment first."""
        found: list[Change] = []
        for t, _, levels in self._pins():
            if found and levels == found[-1].levels:
                continue
            if t < since:
                found.clear()
            found.append(Change(max(t, since), levels))
        return found

    def _pins(self) -> Iterator[tuple[float, float, str]]:
        with contextlib.suppress(FileNotFoundError):
            for line in (self.session / "pins.log").read_text().split("\n")[:-1]:
                t, wall, levels = line.split()
                yield float(t), float(wall), levels

    def looks(self) -> str:
        """The lamps now: see `Change.looks`. A blinking lamp is now on, now off."""
        found = self.changes()
        return found[-1].looks if found else "nobody looked"

    def wait_for(self, looks: str, within_s: float, since: float | None = None) -> Change:
        """The first moment after `since` (default: now) at which the lamps look so. Raises MachineError."""
        since = self.now() if since is None else since
        return self.wait_until(
            lambda: next((c for c in self.changes(since) if c.looks == looks), None),
            within_s,
            lambda: f"{looks} did not come; the lamps: {self.changes(since)[-8:]}",
        )

    def wait_until(
        self, test: Callable[[], T | None], within_s: float, otherwise: Callable[[], str] | str = "it did not happen"
    ) -> T:
        """Ask `test` again and again until its answer is true, and give that. Raises MachineError."""
        limit = time.monotonic() + within_s
        while True:
            if found := test():
                return found
            if time.monotonic() > limit:
                text = otherwise if isinstance(otherwise, str) else otherwise()
                raise MachineError(f"after {within_s:g} s: {text}")
            time.sleep(0.02)

    def properties(self, *names: str, unit: str = "doorlight.service") -> dict[str, str]:
        """What `systemctl show` says of a unit."""
        text = self.sh(["systemctl", "show", unit, *(f"--property={name}" for name in names)])
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def wait_service(self, within_s: float = BOOT_S) -> dict[str, str]:
        """Wait until the service is active, which is when it has said READY: its state, PID and times.

        Times are in seconds since power-on, as `since` of `changes`: `started` when systemd started it, `ready`.
        """
        names = (
            "ActiveState",
            "SubState",
            "MainPID",
            "NRestarts",
            "ExecMainStartTimestampMonotonic",
            "ActiveEnterTimestampMonotonic",
        )
        seen: dict[str, str] = {}

        def active() -> dict[str, str] | None:
            seen.update(self.properties(*names))
            return seen if seen.get("ActiveState") == "active" else None

        self.wait_until(active, within_s, lambda: f"the service is {seen}\n{self.journal()[-2000:]}")
        for name, source in (("started", names[4]), ("ready", names[5])):
            seen[name] = str(int(seen[source]) / 1e6)
        return seen

    def start_service(self, within_s: float = BOOT_S) -> dict[str, str]:
        """Go on with a boot that stopped short of the service (`service=False`), and wait until that is ready."""
        self.sh("systemctl start --no-block multi-user.target", 30)
        return self.wait_service(within_s)

    def events(self, at_boot: bool = False) -> list[dict[str, Any]]:
        """Every event in the log, rotated files too, oldest first; `at_boot`: as the last boot found them on the disk.

        A line that is no JSON object is handed out as {"damaged": text}.
        """
        return [_event(line) for line in self.event_lines(at_boot)]

    def event_lines(self, at_boot: bool = False) -> list[str]:
        """The log's lines as they are on the disk a second from now; the last one may be torn."""
        if at_boot:
            files = (self.session / "at_boot").glob("events.jsonl*")
            text = "".join(p.read_text(errors="replace") for p in sorted(files, key=_age, reverse=True))
        else:
            time.sleep(ON_DISK_S)
            text = self.sh(f"cd {STATE}; cat $(ls -r events.jsonl.[0-9]* 2>/dev/null) events.jsonl 2>/dev/null || true")
        return text.splitlines()

    def journal(self, unit: str = "doorlight.service", *more: str) -> str:
        """The journal of a unit, this boot, with times since power-on. Empty where the machine is off."""
        with contextlib.suppress(MachineError):
            return self.run(["journalctl", "--no-pager", "-b", "-o", "short-monotonic", "-u", unit, *more]).out
        return ""

    def save(self, folder: Path) -> None:
        """Leave what tells of a failure in a folder: journal, events, pins, console."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("pins.log", "console.log", "boot.json"):
            with contextlib.suppress(OSError):
                shutil.copy(self.session / name, folder / name)
        for name in ("out", "at_boot"):
            shutil.copytree(self.session / name, folder / name, dirs_exist_ok=True)
        if self.on:
            with contextlib.suppress(MachineError):
                (folder / "journal.txt").write_text(
                    self.run(["journalctl", "--no-pager", "-b", "-o", "short-monotonic"]).out
                )
                (folder / "events.jsonl").write_text("\n".join(self.event_lines()) + "\n")
                (folder / "status.txt").write_text(
                    self.run("systemctl status doorlight.service; systemctl --failed").out
                )


def _age(path: Path) -> int:
    """0 for events.jsonl, 1 for events.jsonl.1, …"""
    return int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0


def _event(line: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    return {"damaged": line}


def _die_with_parent() -> None:
    """Runs in the new process: it gets SIGKILL when the program that started it dies (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _link(source: Path, target: Path) -> None:
    """A link where they are on one disk, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        subprocess.run(["cp", "--sparse=always", source, target], check=True)
