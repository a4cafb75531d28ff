"""Find out why an RTSP camera does not open: ask it once for its description, because FFmpeg reports no reason."""

from __future__ import annotations

import contextlib
import re
import socket
import time

from . import network_errors
from .address import DEFAULT_PORTS, Address
from .login import authorization

#: For the connection, and for each answer.
TIMEOUT_S = 2.0
MAX_ANSWER_BYTES = 1 << 16


def problem(camera: Address) -> tuple[str, str]:
    """Return what is wrong with an RTSP address, and a hint."""
    port = camera.port or DEFAULT_PORTS[camera.scheme]
    try:
        with contextlib.closing(_connect(camera, port)) as connection:
            code, reason, headers = _describe(connection, camera, 1, "")
            if code == 401 and camera.user:
                challenges = re.findall(r"(?im)^WWW-Authenticate:(.*)$", headers)
                login = authorization(camera, "DESCRIBE", camera.without_login, challenges)
                if login:
                    code, reason, headers = _describe(connection, camera, 2, f"Authorization: {login}")
    except OSError as error:
        return network_errors.connection_problem(error, port)
    except ValueError:
        return "does not speak RTSP", "check the port, and whether the address begins with http://"
    if code != 200:
        return network_errors.status_problem(code, reason, camera.user)
    return "cannot be opened as a stream", "set the camera to H.264, H.265 or MJPEG, without encryption"


def _connect(camera: Address, port: int) -> socket.socket:
    connection = socket.create_connection((camera.host, port), timeout=TIMEOUT_S)
    if camera.scheme == "rtsps":
        from . import tls

        return tls.unverified_context().wrap_socket(connection, server_hostname=camera.host)
    return connection


def _describe(connection: socket.socket, camera: Address, number: int, login: str) -> tuple[int, str, str]:
    """Return status code, reason and headers of the answer to DESCRIBE. Raises OSError, and ValueError if it is no RTSP."""
    lines = [f"DESCRIBE {camera.without_login} RTSP/1.0", f"CSeq: {number}", "Accept: application/sdp", login]
    request = "\r\n".join(filter(None, lines)) + "\r\n\r\n"
    connection.settimeout(TIMEOUT_S)
    connection.sendall(request.encode("utf-8", "surrogateescape"))
    answer = b""
    deadline = time.monotonic() + TIMEOUT_S
    while b"\r\n\r\n" not in answer:
        # A camera that sends a byte now and then gains no time: LiveSource gives up its thread, and has only a few.
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        more = connection.recv(4096)
        answer += more
        if not answer:
            raise ConnectionResetError
        if not more or len(answer) > MAX_ANSWER_BYTES:
            raise ValueError
    head = answer.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    match = re.match(r"RTSP/\d\.\d (\d{3}) ?([^\r\n]*)", head)
    if match is None:
        raise ValueError
    return int(match[1]), match[2], head
