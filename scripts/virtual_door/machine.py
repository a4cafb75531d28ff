"""A virtual machine: boot it, run commands in it, cut its power.

Every method has a time limit. The machine is a process group, which ends with the `with` block, with Ctrl-C and with
the program that started it. What makes the machine a door (camera, pins, service) is in door.py.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .agent_client import AgentClient, MachineError
from .build import HERE, latest

BOOT_S = 120.0


@dataclass(frozen=True)
class CommandResult:
    """The result of a command in the guest; `code` is None after a timeout."""

    code: int | None
    out: str
    err: str
    seconds: float


class Machine:
    """A virtual machine with its own disks, which exist until it is closed, over any number of boots and power cuts.

    `session` is an empty or missing folder; on the same disk as the image, the image is linked and not copied.
    `image` is the root file system (default: the newest build), `data_mb` the size of the disk of /var/lib/doorlight.
    `has_initramfs`: boot as a Raspberry Pi does, with Debian's initramfs, which mounts the root read-only; systemd makes it writable
    if /etc/fstab says so. Otherwise the kernel mounts the root, writable.
    """

    def __init__(
        self,
        session: Path,
        *,
        image: Path | None = None,
        data_mb: int = 64,
        memory_mb: int = 1024,
        has_initramfs: bool = False,
    ) -> None:
        self.session = session.absolute()
        self.powered_at = 0.0  # host's monotonic time of the last power-on
        self._memory_mb = memory_mb
        self._has_initramfs = has_initramfs
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._agent: AgentClient | None = None
        self._clock_offset_s = 0.0  # host's monotonic time minus guest's CLOCK_BOOTTIME
        for name in ("out", "frames", "guest", "kernel", "at_boot"):
            (self.session / name).mkdir(parents=True)
        for file in (HERE / "guest").glob("*.py"):
            shutil.copy(file, self.session / "guest")
        # Links: a build that replaces these files must not change a running machine.
        for file in latest("kernel").iterdir():
            link_or_copy(file, self.session / "kernel" / file.name)
        if has_initramfs:
            link_or_copy(latest("base") / "initramfs.img", self.session / "kernel/initramfs.img")
        link_or_copy(image or latest("product") / "root.ext4", self.session / "root.ext4")
        data = self.session / "data.ext4"
        with data.open("wb") as disk:
            disk.truncate(data_mb << 20)
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-L", "data", data],
            check=True,
            stdin=subprocess.DEVNULL,
        )

    # ---- Power -------------------------------------------------------------------------------------------------------

    def power_on(self, boot: dict[str, Any], kernel: str, within_s: float) -> None:
        """Start the kernel and wait until the agent answers. Raises MachineError.

        `boot` is what guest/agent.py reads from boot.json; `kernel` is appended to the kernel's command line.
        """
        assert self._process is None, "the machine is on"
        (self.session / "boot.json").write_text(json.dumps(boot))
        (self.session / "pins.log").unlink(missing_ok=True)
        shutil.rmtree(self.session / "at_boot")
        (self.session / "at_boot").mkdir()
        host_end, guest_end = socket.socketpair()
        with (self.session / "console.log").open("ab") as console, guest_end:
            self.powered_at = time.monotonic()
            self._process = subprocess.Popen(
                [*self._kernel_command(guest_end.fileno()), *shlex.split(kernel)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=[guest_end.fileno()],
                env={"TMPDIR": self._memory_folder(), "PATH": "/usr/bin:/bin", "HOME": "/"},
                start_new_session=True,
                preexec_fn=_prepare_process,
            )
        # If this program is killed, the watcher sees the end of its pipe and kills the machine's process group.
        self._watcher = subprocess.Popen(
            ["sh", "-c", f"cat >/dev/null; kill -s KILL -- -{self._process.pid} 2>/dev/null"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/autogroup").write_text("-10")
        self._agent = AgentClient(host_end, lambda: self.is_on)
        try:
            with self._console_in_errors():
                self._agent.wait_ready(within_s)
            before = time.monotonic()
            hello = self.ask({"do": "hello"}, 10)
            self._clock_offset_s = (before + time.monotonic()) / 2 - hello["boottime"]
        except BaseException:
            self.power_cut()
            raise

    def _kernel_command(self, serial_fd: int) -> list[str]:
        folder = self.session
        return [
            *(f"{folder}/kernel/linux", f"mem={self._memory_mb}M", f"dtb={folder}/kernel/door.dtb"),
            *(f"ubd0={folder}/root.cow,{folder}/root.ext4", f"ubd1={folder}/data.ext4", "root=/dev/ubda"),
            *(("ro", f"initrd={folder}/kernel/initramfs.img") if self._has_initramfs else ("rw",)),
            *("con=null", "con0=null,fd:1", f"ssl0=fd:{serial_fd}", "ssl=null", "panic=1"),
            *("quiet", "loglevel=4", "systemd.show_status=0", "audit=0", f"hostfs={folder}"),
        ]

    def _memory_folder(self) -> str:
        """The folder of the file that is the guest's memory."""
        needed = (self._memory_mb + 256) << 20
        return "/dev/shm" if shutil.disk_usage("/dev/shm").free > needed else str(self.session)

    def power_cut(self) -> None:
        """Cut the power: all processes of the machine are killed at once."""
        if self._process is not None:
            self._kill()

    def power_off(self, within_s: float = 60.0) -> None:
        """Run `systemctl poweroff` and wait for the end. Raises MachineError after a timeout."""
        assert self._process is not None
        with contextlib.suppress(MachineError):
            self.ask({"do": "run", "argv": ["systemctl", "poweroff"], "timeout": 10}, 15)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.power_cut()
            raise MachineError(f"the machine was not off after {within_s:.0f} s\n{self._console_tail()}") from None
        self._kill()

    def _kill(self) -> None:
        assert self._process is not None
        assert self._agent is not None
        deadline = time.monotonic() + 10
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            # The kernel's threads are processes of the group, and hold the disks until the last of them has ended.
            while time.monotonic() < deadline:
                os.killpg(self._process.pid, 0)
                time.sleep(0.005)
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None
        self._agent.close()
        self._process = self._agent = None

    @property
    def is_on(self) -> bool:
        """Whether the machine runs; False also if the guest has powered itself off."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """Cut the power and delete the disks; the logs stay in the session's folder."""
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

    # ---- Commands ----------------------------------------------------------------------------------------------------

    def ask(self, request: dict[str, Any], within_s: float) -> dict[str, Any]:
        """Send a request to guest/agent.py and return its answer. Raises MachineError."""
        if self._agent is None:
            raise MachineError("the machine is off")
        with self._console_in_errors():
            answer = self._agent.ask(request, within_s)
        for name in ("out", "err"):
            if file := answer.pop(name + "_file", None):
                answer[name] = (self.session / "out" / file).read_text()
                (self.session / "out" / file).unlink()
        return answer

    def run(self, command: str | list[str], within_s: float = 30.0, input: str = "") -> CommandResult:
        """Run a shell command, or a list of words without a shell, as root. Any exit code is a result."""
        argv = ["sh", "-c", command] if isinstance(command, str) else command
        began = time.monotonic()
        answer = self.ask({"do": "run", "argv": argv, "timeout": within_s, "input": input}, within_s + 15)
        return CommandResult(answer["code"], answer["out"], answer["err"], time.monotonic() - began)

    def sh(self, command: str | list[str], within_s: float = 30.0) -> str:
        """Run a command like `run` and return its output. Raises MachineError if the exit code is not 0."""
        done = self.run(command, within_s)
        if done.code != 0:
            raise MachineError(f"{command!r}: exit code {done.code}\n{done.out}{done.err}")
        return done.out

    def spawn(self, command: str | list[str], log: str = "spawned.log") -> int:
        """Start a program without waiting for it and return its pid. Its output goes to out/`log` of the session."""
        argv = ["sh", "-c", command] if isinstance(command, str) else command
        return int(self.ask({"do": "spawn", "argv": argv, "log": log}, 10)["pid"])

    def read(self, path: str) -> str:
        """Return the text of a file of the guest, without starting a program there."""
        return str(self.ask({"do": "read", "path": path}, 20)["out"])

    def write(self, path: str, text: str | bytes) -> None:
        """Write a file of the guest."""
        data = base64.b64encode(text.encode() if isinstance(text, str) else text).decode()
        done = self.run(["sh", "-c", 'base64 -d >"$1"', "-", path], input=data)
        if done.code:
            raise MachineError(f"{path}: {done.err}")

    @contextlib.contextmanager
    def _console_in_errors(self) -> Iterator[None]:
        """Add the last lines of the console to a MachineError that the guest's state may explain."""
        try:
            yield
        except MachineError as error:
            raise MachineError(f"{error}\n{self._console_tail()}") from error

    def _console_tail(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join((self.session / "console.log").read_text(errors="replace").splitlines()[-15:])
        return ""

    # ---- Time --------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Return the guest's CLOCK_BOOTTIME in seconds, the clock of pins and journal."""
        return time.monotonic() - self._clock_offset_s

    def since_power_on(self, t: float) -> float:
        """Convert a guest time to seconds since power-on: the kernel needs some time until its clock runs."""
        return t + self._clock_offset_s - self.powered_at

    def set_clock(self, when: str) -> None:
        """Set the guest's wall clock (UTC), in a format of date(1)."""
        self.sh(["date", "--utc", "--set", when])

    def suspend(self, seconds: float) -> None:
        """Suspend to idle for some seconds. The real-time clock wakes the guest, so its wall clock must be right."""
        alarm = "/sys/class/rtc/rtc0/wakealarm"
        self.sh(f"echo 0 >{alarm}; echo +{round(seconds)} >{alarm}; echo freeze >/sys/power/state", seconds + 30)


def link_or_copy(source: Path, target: Path) -> None:
    """Link a file, or copy it if source and target are on different disks."""
    try:
        os.link(source, target)
    except OSError:
        subprocess.run(["cp", "--sparse=always", source, target], check=True)


def _prepare_process() -> None:
    """Let this new process end with its parent, and run before other programs of this computer, where permitted.

    For each system call of a guest's process, the host switches twice between two processes. On a busy computer, each switch
    waits for milliseconds at any nice value, but not in real time. On several processors, each switch costs an interrupt: the
    machine gets one, as its guest has one. If the computer has only one, the machine does not run in real time, because the
    program that controls it would not run.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) > 1:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            os.sched_setaffinity(0, {processors[os.getpid() % len(processors)]})
