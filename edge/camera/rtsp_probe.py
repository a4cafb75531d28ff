"""Find out why an RTSP camera does not open: ask it once for its description, because FFmpeg reports no reason."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket

from . import address
from .address import Address

TIMEOUT_S = 2.0
MAX_ANSWER_BYTES = 1 << 16


def problem(camera: Address) -> tuple[str, str]:
    """Return what is wrong with an RTSP address, and a hint."""
    port = camera.port or address.DEFAULT_PORTS[camera.scheme]
    try:
        with contextlib.closing(_connect(camera, port)) as connection:
            code, reason, headers = _describe(connection, camera, 1, "")
            if code == 401 and camera.user:
                login = _authorization(camera, headers)
                code, reason, headers = _describe(connection, camera, 2, login) if login else (code, reason, headers)
    except OSError as error:
        return address.connection_problem(error, port)
    except ValueError:
        return "does not speak RTSP", "check the port, and whether the address begins with http://"
    if code != 200:
        return address.status_problem(code, reason, camera.user)
    return "cannot be opened as a stream", "set the camera to H.264, H.265 or MJPEG, without encryption"


def _connect(camera: Address, port: int) -> socket.socket:
    connection = socket.create_connection((camera.host, port), timeout=TIMEOUT_S)
    if camera.scheme == "rtsps":
        return address.tls_context().wrap_socket(connection, server_hostname=camera.host)
    return connection


def _describe(connection: socket.socket, camera: Address, number: int, login: str) -> tuple[int, str, str]:
    """Return status code, reason and headers of the answer to DESCRIBE. Raises OSError, and ValueError if it is no RTSP."""
    lines = [f"DESCRIBE {camera.without_login} RTSP/1.0", f"CSeq: {number}", "Accept: application/sdp", login]
    request = "\r\n".join(filter(None, lines)) + "\r\n\r\n"
    connection.sendall(request.encode("utf-8", "surrogateescape"))
    answer = b""
    while b"\r\n\r\n" not in answer:
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


def _authorization(camera: Address, headers: str) -> str:
    """Return the Authorization header for the answer `headers`; "" for an unknown kind of login."""
    digest = re.search(r"(?im)^WWW-Authenticate:\s*Digest\s+(.*)$", headers)
    if digest:
        fields = dict(re.findall(r'(\w+)="([^"]*)"', digest[1]))
        realm, nonce, uri = fields.get("realm", ""), fields.get("nonce", ""), camera.without_login
        secret = _md5(f"{camera.user}:{realm}:{camera.password}")
        request = _md5(f"DESCRIBE:{uri}")
        names = f'username="{camera.user}", realm="{realm}", nonce="{nonce}", uri="{uri}"'
        if "auth" in fields.get("qop", ""):
            answer = _md5(f"{secret}:{nonce}:00000001:doorlight:auth:{request}")
            return f'Authorization: Digest {names}, qop=auth, nc=00000001, cnonce="doorlight", response="{answer}"'
        return f'Authorization: Digest {names}, response="{_md5(f"{secret}:{nonce}:{request}")}"'
    if re.search(r"(?im)^WWW-Authenticate:\s*Basic", headers):
        return "Authorization: Basic " + base64.b64encode(f"{camera.user}:{camera.password}".encode()).decode()
    return ""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
