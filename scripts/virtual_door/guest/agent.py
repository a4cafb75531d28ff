"""The agent of the test bench in the guest: carries out requests that arrive over a serial line.

It runs as root on Debian's Python, before the door starts (see AGENT_UNIT in ../build_steps.py). A request is one JSON
object a line on /dev/ttyS0; the answer is one line with the same `id`. Long texts go through a file in the folder that
host and guest share. The agent uses nothing of Doorlight.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import tty

# Only fast imports: the boot waits for this program.
GUEST = os.path.dirname(os.path.abspath(__file__))
SHARED = os.path.dirname(GUEST)
sys.path.insert(0, GUEST)

import camera
import pins

MAX_INLINE = 2000  # characters; a longer text goes through a file


class CameraProcess:
    """Run camera.py in a child process and send it orders."""

    def __init__(self) -> None:
        child_stdin, self._orders = os.pipe()
        self._answers, child_stdout = os.pipe()
        if os.fork() == 0:
            os.dup2(child_stdin, 0)
            os.dup2(child_stdout, 1)
            os.closerange(3, 64)
            camera.main()
            os._exit(0)
        os.close(child_stdin)
        os.close(child_stdout)

    def order(self, order: dict) -> dict:
        """Send an order and return the answer. Raises OSError if the child process has ended."""
        os.write(self._orders, json.dumps(order).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            more = os.read(self._answers, 65536)
            if not more:
                raise OSError("the camera's process has ended")
            answer += more
        return json.loads(answer)


class Agent:
    """Answer requests, each in its own thread, so that a request that hangs does not block the others."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._camera: CameraProcess | None = None
        self._camera_lock = threading.Lock()

    def send(self, answer: dict) -> None:
        data = json.dumps(answer).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._line, data) :]

    def serve(self) -> None:
        """Read requests in an endless loop."""
        rest = b""
        while True:
            rest += os.read(self._line, 65536)
            *lines, rest = rest.split(b"\n")
            for text in lines:
                if text.strip():
                    threading.Thread(target=self._answer, args=(text,), daemon=True).start()

    def _answer(self, text: bytes) -> None:
        answer: dict = {}
        try:
            request = json.loads(text)
            answer["id"] = request["id"]
            answer.update(getattr(self, "do_" + request["do"])(request))
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        self.send(answer)

    def do_hello(self, _: dict) -> dict:
        """Return the guest's clocks."""
        return {"boottime": time.clock_gettime(time.CLOCK_BOOTTIME), "realtime": time.time()}

    def do_run(self, request: dict) -> dict:
        """Run a program and return code, out and err. At `timeout` kill its process group; the code is then None."""
        process = subprocess.Popen(
            request["argv"],
            stdin=subprocess.PIPE if request.get("input") else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root",
                "LANG": "C.UTF-8",
            },
        )
        code: int | None
        try:
            out, err = process.communicate(request.get("input") or None, request["timeout"])
            code = process.returncode
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            code = None
        return {
            "code": code,
            **self._text_field("out", out, request["id"]),
            **self._text_field("err", err, request["id"]),
        }

    def do_spawn(self, request: dict) -> dict:
        """Start a program without waiting for it and return its pid. Its output goes to a file in the shared folder."""
        with open(f"{SHARED}/out/{request['log']}", "wb") as log:
            process = subprocess.Popen(
                request["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        threading.Thread(target=process.wait, daemon=True).start()
        return {"pid": process.pid}

    def do_read(self, request: dict) -> dict:
        """Return the text of a file, without starting a program."""
        with open(request["path"], errors="replace") as file:
            return self._text_field("out", file.read(), request["id"])

    def do_camera(self, request: dict) -> dict:
        """Send an order to the camera, which answers when it has carried out the order."""
        with self._camera_lock:
            self._camera = self._camera or CameraProcess()
            try:
                return self._camera.order(request["order"])
            except OSError:
                self._camera = None  # the next order starts a new process
                raise

    def _text_field(self, name: str, text: str, number: int) -> dict:
        if len(text) <= MAX_INLINE:
            return {name: text}
        with open(f"{SHARED}/out/{number}.{name}", "w") as file:
            file.write(text)
        return {name + "_file": f"{number}.{name}"}


def sh(script: str) -> None:
    """Run a shell script; its errors go to the console and the journal."""
    subprocess.run(["sh", "-euc", script], check=True, stdin=subprocess.DEVNULL)


def prepare(agent: Agent) -> None:
    """Prepare the machine: start the observer of the pins and the camera, mount the data disk."""
    with open(f"{SHARED}/boot.json") as file:
        boot = json.load(file)
    if os.fork() == 0:
        pins.main(f"{SHARED}/pins.log")
    if boot["camera"] is not None:
        sh(f"insmod {SHARED}/kernel/v4l2loopback.ko video_nr=0 exclusive_caps=1 card_label=door")
        agent.do_camera({"order": boot["camera"]})
    if boot["early"]:
        sh(boot["early"])
    if boot["data"]:
        # Copy the files as the last power cut left them, before the door can repair them.
        sh(
            f"mkdir -p /var/lib/doorlight; mount {boot['data_options']} {boot['data']} /var/lib/doorlight;"
            f"find /var/lib/doorlight -maxdepth 1 -type f -exec cp {{}} {SHARED}/at_boot/ \\;"
        )


def main() -> None:
    line = os.open("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(line, termios.TCSANOW)
    agent = Agent(line)
    problem = None
    try:
        prepare(agent)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    # Notify systemd first, so that the boot continues.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(os.environ["NOTIFY_SOCKET"])
        notify.send(b"READY=1")
    agent.send({"id": 0, "problem": problem})
    agent.serve()


if __name__ == "__main__":
    main()
