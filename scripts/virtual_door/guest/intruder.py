"""Try what an attacker could do who controls the door's process.

Runs in place of `doorlight` with the settings of its unit, and for comparison without them
(tests/virtual_door/test_intruder.py). Writes a JSON object to the path given: `tries` (attempt → "denied: …" or "GOT
THROUGH: …"), `folders` (where a file could be created), `files` and `devices` (what could be opened for writing),
`seen` (number of files and folders), `sees` (processes of other users), `status` (its own privileges, from
/proc/self/status).
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NR_BPF, NR_INIT_MODULE, NR_KEXEC, NR_PERF = 321, 175, 246, 298  # x86-64


def call(name: str, *arguments: object) -> str:
    """Call a C function that returns -1 on failure. Raises OSError."""
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "done"


def read(path: str) -> str:
    with open(path, "rb") as file:
        return f"{len(file.read(200))} bytes read"


def opened(path: str, flags: int = os.O_RDWR) -> str:
    os.close(os.open(path, flags | os.O_NONBLOCK))
    return "opened"


def set_user_id() -> str:
    os.setresuid(0, 0, 0)
    return "is root"


def run_set_user_id() -> str:
    """/usr/local/bin/vdoor-id is a copy of id, owned by root, mode 4755."""
    done = subprocess.run(["/usr/local/bin/vdoor-id", "-u"], capture_output=True, text=True)
    if done.stdout.strip() != "0":
        raise PermissionError(f"runs as {done.stdout.strip() or done.stderr.strip()}")
    return "runs as root"


def make_set_user_id() -> str:
    path = os.path.abspath("intruder-suid")
    with open(path, "w"):
        pass
    try:
        os.chmod(path, 0o4755)
    finally:
        os.unlink(path)
    return "made"


def writable_code() -> str:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    return "mapped"


def real_time() -> str:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return "done"


TRIES: dict[str, Callable[[], str]] = {
    "a TCP socket": lambda: str(socket.socket(socket.AF_INET, socket.SOCK_STREAM)),
    "a UDP socket": lambda: str(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "a TCP socket over IPv6": lambda: str(socket.socket(socket.AF_INET6, socket.SOCK_STREAM)),
    "a raw IP socket": lambda: str(socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "a packet socket": lambda: str(socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "read a user's home": lambda: read("/home/user/secret"),
    "list /home": lambda: str(len(os.listdir("/home")) or 1 / 0),
    "read root's home": lambda: read("/root/secret"),
    "read the passwords": lambda: read("/etc/shadow"),
    "read the kernel's messages": lambda: read("/dev/kmsg"),
    "become root": set_user_id,
    "run a set-user-ID program as root": run_set_user_id,
    "make a set-user-ID program": make_set_user_id,
    "a user name space": lambda: call("unshare", CLONE_NEWUSER),
    "a network name space": lambda: call("unshare", CLONE_NEWNET),
    "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "memory to write and run": writable_code,
    "a real-time priority": real_time,
    "set the clock": lambda: str(time.clock_settime(time.CLOCK_REALTIME, time.time())),
    "set the host's name": lambda: str(socket.sethostname("intruder")),
    "load a kernel module": lambda: call("syscall", NR_INIT_MODULE, b"", 0, b""),
    "load a BPF program": lambda: call("syscall", NR_BPF, 0, ctypes.create_string_buffer(64), 64),
    "watch the machine's performance": lambda: call("syscall", NR_PERF, ctypes.create_string_buffer(112), 0, -1, -1, 0),
    "trace another process": lambda: call("ptrace", 16, 1, 0, 0),
    "send init a signal": lambda: str(os.kill(1, 0)),
    "make a device": lambda: str(os.mknod("/tmp/intruder", 0o600 | stat.S_IFBLK, os.makedev(98, 0))),
    "open the disk": lambda: opened("/dev/ubda", os.O_RDONLY),
    "open memory": lambda: opened("/dev/mem", os.O_RDONLY),
    "open the system's watchdog": lambda: opened("/dev/watchdog", os.O_WRONLY),
    "open the test bench's serial line": lambda: opened("/dev/ttyS0"),
    "change a kernel setting": lambda: opened("/proc/sys/kernel/core_pattern", os.O_WRONLY),
    "change its own limits": lambda: opened("/sys/fs/cgroup/system.slice/doorlight.service/memory.max", os.O_WRONLY),
}


def attempt(action: Callable[[], str]) -> str:
    """Make an attempt in a child process: a success must not help the next attempt."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            result = f"GOT THROUGH: {action()}"
        except Exception as error:
            result = f"denied: {type(error).__name__}: {error}"
        os.write(writer, result.encode()[:2000])
        os._exit(0)
    os.close(writer)
    output = b""
    while more := os.read(reader, 4096):
        output += more
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    return output.decode() or f"denied: killed ({status})"


def walk() -> tuple[list[str], list[str], list[str], int]:
    """Walk the file system. Return folders where a file can be created, files and devices that can be opened for
    writing, and the number of files and folders."""
    folders, files, devices, seen = [], [], [], 0
    for folder, names, inside in os.walk("/"):
        if folder == "/proc":
            names[:] = [name for name in names if not name.isdigit()]  # skip the processes, this one included
        seen += 1 + len(inside)
        if os.access(folder, os.W_OK | os.X_OK):
            path = os.path.join(folder, ".intruder")
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                os.unlink(path)
                folders.append(folder)
            except OSError:
                pass
        for name in inside:
            path = os.path.join(folder, name)
            if os.path.islink(path) or "watchdog" in name or not os.access(path, os.W_OK):
                continue
            device = stat.S_ISCHR(os.stat(path).st_mode) or stat.S_ISBLK(os.stat(path).st_mode)
            if not device and not stat.S_ISREG(os.stat(path).st_mode):
                continue  # sockets and pipes
            try:
                opened(path, os.O_WRONLY | os.O_NOCTTY)
            except OSError:
                continue
            (devices if device else files).append(path)
    return folders, files, devices, seen


def visible_processes() -> list[str]:
    """Return the visible processes of other users."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                owner = os.stat(f"/proc/{name}").st_uid
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    command = file.read(100).replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if owner != os.getuid():
                found.append(f"{name} {command}")
    return found


def main() -> None:
    folders, files, devices, seen = walk()
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    found = {
        "tries": {name: attempt(action) for name, action in TRIES.items()},
        "folders": folders,
        "files": files,
        "devices": devices,
        "seen": seen,
        "sees": visible_processes(),
        "status": {
            name: status.get(name, "") for name in ("Uid", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
        },
    }
    with open(sys.argv[1], "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
