"""Servers of their own for tests: on loopback, in a temporary folder, killed and started again at will."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: The program; None if it is not installed. Users other than root do not have its folder in PATH.
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
_NUMBERS = itertools.count()
#: Ports below ip_local_port_range, in an order of this process: several may look for one at the same time.
_PORTS = iter(random.Random(os.getpid()).sample(range(10_000, 32_000), 22_000))
#: Settings of Mosquitto: everyone may connect, and it keeps all messages for a collector that is away.
OPEN_BROKER = "allow_anonymous true\nmax_queued_messages 0"
#: A busy machine is slow, and no failure.
_LIMIT_S = 180.0


class MissingError(Exception):
    """A program is not installed; the message says which, and how to install it."""


def free_port() -> int:
    """Return a port of this machine that nothing uses now, another one at each call.

    It is below those that Linux gives to clients: a server that is killed and started again finds its port free.
    """
    for port in _PORTS:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise MissingError("no port from 10000 to 31999 is free")


def listens(port: int) -> bool:
    """Return whether something accepts connections on a port of this machine."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition()` is true. Raises TimeoutError."""
    end = time.monotonic() + _LIMIT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.05)


class Server:
    """A process that can be killed and started again."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of a running server."""
        assert self._process is not None
        return self._process.pid

    def _spawn(self, command: list[str], log: Path | None = None, **options: Any) -> None:
        with contextlib.ExitStack() as stack:
            output: Any = subprocess.DEVNULL if log is None else stack.enter_context(log.open("ab"))
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **options
            )

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal, and wait for the end."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            self._process.wait(_LIMIT_S)
            self._process = None


class Postgres(Server):
    """PostgreSQL that only a Unix socket in `folder` reaches. As root, it runs as another user. Raises MissingError."""

    def __init__(self, folder: Path, *, is_durable: bool = False) -> None:
        super().__init__()
        self.folder = folder
        self._is_durable = is_durable
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [
            Path(shutil.which("initdb") or "/nonexistent")
        ]
        if not found[-1].exists():
            raise MissingError("PostgreSQL is not installed: apt install postgresql")
        self._programs = found[-1].resolve().parent
        self._as_user = _unprivileged()
        if self._as_user:
            os.chown(folder, self._as_user["user"], self._as_user["group"])
        command = [
            str(self._programs / "initdb"),
            "-D",
            str(folder / "data"),
            "-U",
            "doorlight",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        subprocess.run(
            [*command, "--locale=C", "--no-sync"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=120,
            **self._as_user,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        import psycopg

        options = ["listen_addresses=", f"unix_socket_directories={self.folder}", "max_connections=40"]
        options += [] if self._is_durable else ["fsync=off"]
        settings = [part for each in options for part in ("-c", each)]
        self._spawn(
            [str(self._programs / "postgres"), "-D", str(self.folder / "data"), *settings],
            cwd=self.folder,
            **self._as_user,
        )

        def answers() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.address("postgres")).close()
                return True
            return False

        wait_until(answers, "PostgreSQL does not answer")

    def stop(self) -> None:
        """End it at once, as a crash does."""
        self.kill(signal.SIGQUIT)

    def address(self, name: str, user: str = "doorlight") -> str:
        """Return the address of a database."""
        return f"postgresql:///{name}?host={self.folder}&user={user}"

    def new_database(self, options: str = "") -> str:
        """Make a database, and return its address."""
        import psycopg

        name = f"test{next(_NUMBERS)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as database:
            database.execute(f"CREATE DATABASE {name} {options}")
        return self.address(name)


class Mosquitto(Server):
    """The broker Mosquitto. It stores nothing unless the settings say so. Raises MissingError."""

    def __init__(self, folder: Path, settings: str = OPEN_BROKER) -> None:
        super().__init__()
        if MOSQUITTO is None:
            raise MissingError("Mosquitto is not installed: apt install mosquitto")
        self.port = free_port()
        file = folder / "mosquitto.conf"
        # As another user, it could not read the files of a test; a second line "user" would be an error.
        user = [] if "user root" in settings.splitlines() else ["user root"]
        lines = [f"listener {self.port} 127.0.0.1", *user, settings, ""]
        file.write_text("\n".join(lines))
        self._command = [MOSQUITTO, "-c", str(file)]

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._spawn(self._command)
        wait_until(lambda: listens(self.port), "Mosquitto does not listen")

    def stop(self) -> None:
        """Kill it."""
        self.kill()


class RabbitNode(Server):
    """A node of a RabbitMQ cluster, in `root`: the folder of a Debian 13, or / if this machine has RabbitMQ 4.

    Needs the rights of root. Raises MissingError.
    """

    def __init__(self, root: Path, number: int, count: int, ports: tuple[int, int]) -> None:
        super().__init__()
        if not (root / "usr/lib/rabbitmq/bin/rabbitmq-server").exists():
            raise MissingError(
                f"there is no RabbitMQ in {root}: scripts/fleet/README.md says how to make a Debian 13 with it"
            )
        self.name = f"door{number}@localhost"
        self.port = free_port()
        self._epmd_port, self._first_port = ports
        self._number = number
        self._root = root
        self._folder = root / "tmp/doorlight-rabbitmq"
        self._folder.mkdir(exist_ok=True)
        nodes = "\n".join(
            f"cluster_formation.classic_config.nodes.{k} = door{k}@localhost" for k in range(1, count + 1)
        )
        settings = (Path(__file__).with_name("rabbitmq.conf")).read_text()
        # Of the example, what is about TLS and certificates does not hold on loopback.
        kept = [
            line
            for line in settings.splitlines()
            if not line.startswith(("mqtt.listeners", "ssl_", "mqtt.ssl", "listeners", "load_", "cluster_"))
        ]
        (self._folder / f"{number}.conf").write_text(
            "\n".join(kept)
            + f"\nlisteners.tcp.1 = 127.0.0.1:{free_port()}\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            + "anonymous_login_user = guest\nanonymous_login_pass = guest\n"
            + f"cluster_formation.peer_discovery_backend = classic_config\n{nodes}\n"
        )
        (self._folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        entry = _entry_of(root, "rabbitmq")
        for path in (self._folder, *self._folder.iterdir()):
            os.chown(path, *entry)

    def start(self) -> None:
        """Start it, and return at once: the first start waits for the other nodes."""
        self._spawn(self._command("rabbitmq-server"), self._folder / f"{self._number}.out")

    def wait(self) -> None:
        """Wait until it listens."""
        wait_until(lambda: listens(self.port), f"{self.name} does not listen")

    def end_names(self) -> None:
        """End the name service that all nodes share, once all are killed: it is a daemon that outlives them."""
        subprocess.run(self._command("epmd", "-kill"), capture_output=True, timeout=60, check=False)

    def _command(self, program: str, *args: str) -> list[str]:
        folder = "/tmp/doorlight-rabbitmq"
        variables = {
            "HOME": folder,
            "ERL_EPMD_PORT": self._epmd_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": self._first_port + self._number,
            "RABBITMQ_CONFIG_FILE": f"{folder}/{self._number}.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            # Three nodes share the processors of this machine: do not wait busily.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        environment = [f"{name}={value}" for name, value in variables.items()]
        inside = ["env", *environment, program if program == "epmd" else f"/usr/lib/rabbitmq/bin/{program}", *args]
        return ["chroot", "--userspec=rabbitmq:rabbitmq", str(self._root), *inside]


def rabbit_cluster(root: Path, count: int = 3) -> list[RabbitNode]:
    """Start a new cluster, and return its nodes."""
    shutil.rmtree(root / "tmp/doorlight-rabbitmq", ignore_errors=True)
    ports = free_port(), 40_000 + os.getpid() % 1000 * 10
    nodes = [RabbitNode(root, number, count, ports) for number in range(1, count + 1)]
    for node in nodes:
        node.start()
    for node in nodes:
        node.wait()
    return nodes


def _entry_of(root: Path, user: str) -> tuple[int, int]:
    """Return the ids of a user and its group in the passwd file below `root`."""
    for line in (root / "etc/passwd").read_text().splitlines():
        if line.startswith(f"{user}:"):
            return int(line.split(":")[2]), int(line.split(":")[3])
    raise MissingError(f"there is no user {user} in {root}")


def _unprivileged() -> dict[str, Any]:
    """Return arguments for subprocess: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise MissingError("PostgreSQL refuses to run as root, and there is no other user")
