"""The far side's hands inside the virtual door: does what the test bench asks over a serial line.

Runs as root on the guest's own Python, before anything of the door is up (see `UNIT` in ../layers.py). Asked by one
JSON object a line on /dev/ttyS0, answers by one line with the same `id`. What is longer than a line should be goes
through the folder that both sides see. Knows nothing of Doorlight.
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

# Nothing that is slow to import: the machine's boot waits for this.
GUEST = os.path.dirname(os.path.abspath(__file__))
SHARED = os.path.dirname(GUEST)
sys.path.insert(0, GUEST)

import camera
import pins

SHORT = 2000  # characters that go over the line; longer text goes through a file


class Feeder:
    """The camera's feeder, a process of its own."""

    def __init__(self) -> None:
        theirs, self._orders = os.pipe()
        self._answers, said = os.pipe()
        if os.fork() == 0:
            os.dup2(theirs, 0)
            os.dup2(said, 1)
            os.closerange(3, 64)
            camera.main()
            os._exit(0)
        os.close(theirs)
        os.close(said)

    def order(self, order: dict) -> dict:
        """Carry out an order. Raises OSError where the feeder has died."""
        os.write(self._orders, json.dumps(order).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            more = os.read(self._answers, 65536)
            if not more:
                raise OSError("the camera's feeder has died")
            answer += more
        return json.loads(answer)


class Agent:
    """Answers requests, each in a thread of its own, so that a hanging one keeps nobody waiting."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._feeder: Feeder | None = None
        self._feeder_lock = threading.Lock()

    def say(self, answer: dict) -> None:
        data = json.dumps(answer).encode() + b"\n"
        with self._lock:
            while data:
                data = data[os.write(self._line, data) :]

    def serve(self) -> None:
        """Read requests for ever."""
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
        self.say(answer)

    def do_hello(self, _: dict) -> dict:
        """Who is there, and what the guest's clocks say."""
        return {"boottime": time.clock_gettime(time.CLOCK_BOOTTIME), "realtime": time.time()}

    def do_run(self, request: dict) -> dict:
        """Run a program to its end, or its whole process group's at `timeout`: code (None then), out, err."""
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
        return {"code": code, **self._long("out", out, request["id"]), **self._long("err", err, request["id"])}

    def do_spawn(self, request: dict) -> dict:
        """Start a program and leave it alone: its pid. Its output goes to a file that both sides see."""
        with open(f"{SHARED}/out/{request['log']}", "wb") as log:
            process = subprocess.Popen(
                request["argv"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        threading.Thread(target=process.wait, daemon=True).start()
        return {"pid": process.pid}

    def do_read(self, request: dict) -> dict:
        """A file's text, without starting a program."""
        with open(request["path"], errors="replace") as file:
            return self._long("out", file.read(), request["id"])

    def do_camera(self, request: dict) -> dict:
        """Pass an order on to the camera's feeder, which answers once it is carried out."""
        with self._feeder_lock:
            self._feeder = self._feeder or Feeder()
            try:
                return self._feeder.order(request["order"])
            except OSError:
                self._feeder = None  # the next order gets a new one
                raise

    def _long(self, name: str, text: str, number: int) -> dict:
        if len(text) <= SHORT:
            return {name: text}
        with open(f"{SHARED}/out/{number}.{name}", "w") as file:
            file.write(text)
        return {name + "_file": f"{number}.{name}"}


def sh(script: str) -> None:
    """Run a shell script of the preparation; what goes wrong is said on the console and in the journal."""
    subprocess.run(["sh", "-euc", script], check=True, stdin=subprocess.DEVNULL)


def prepare(agent: Agent) -> None:
    """Make the machine a door without a program: camera, data disk, somebody who watches the pins."""
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
        # The files are kept as the last power cut left them, before the door itself can mend anything.
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
    # To systemd first, so that boot goes on.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(os.environ["NOTIFY_SOCKET"])
        notify.send(b"READY=1")
    agent.say({"id": 0, "problem": problem})
    agent.serve()


if __name__ == "__main__":
    main()
