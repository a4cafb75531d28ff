"""Sentences and hints for what is wrong with a network camera or its address."""

from __future__ import annotations

import re
import socket

SPECIAL_CHARACTERS = "in user or password write %40 for @, %23 for #, %3F for ?, %2F for /"
LOGIN_HINT = (
    "write USER:PASSWORD@ before the host, those of the camera and not of its app, and "
    f"{SPECIAL_CHARACTERS}; on a command line, put the address in single quotes"
)
DOWNLOAD_HINT = "download it, and give the path of the file"
PATH_HINT = "look up the path of the stream in the camera's manual"
#: ssl.SSLError.reason if the other side does not speak TLS. The name depends on the version of OpenSSL and on the answer.
NOT_ENCRYPTED = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})


def connection_problem(error: OSError, port: int | None) -> tuple[str, str]:
    """Return what is wrong, and a hint, if the connection to a camera fails."""
    if isinstance(error, socket.gaierror):
        # Without the name: it may be a piece of a password.
        return (
            "unknown host",
            f"check the name, or use the camera's IP address; {SPECIAL_CHARACTERS}",
        )
    if isinstance(error, ConnectionRefusedError):
        return (
            f"connection refused: nothing listens on port {port}",
            "check the port, and that the camera's stream is on",
        )
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return "closes the connection without an answer", "check the port, and that the camera's stream is on"
    if isinstance(error, TimeoutError):
        return "does not answer", "check address, power and network of the camera"
    if getattr(error, "reason", "") in NOT_ENCRYPTED:
        return (
            f"port {port} is not encrypted: it speaks http or rtsp",
            "write http://… for https://…, rtsp://… for rtsps://…",
        )
    reason = error.strerror or str(error)
    return f"cannot be reached: {reason}", "check address and network of the camera"


def status_problem(code: int, reason: str, user: str) -> tuple[str, str]:
    """Return what is wrong, and a hint, for a status code of HTTP or RTSP other than success."""
    # A server may repeat the address in it, with the password of its query, or send anything that would fill the event log.
    status = f"{code} {reason}".strip() if re.fullmatch(r"[\w '-]{0,80}", reason) else str(code)
    if code == 401:
        if user:
            return f"refuses this user or password ({status})", LOGIN_HINT
        return f"needs a user and a password ({status})", LOGIN_HINT
    if 300 <= code < 400:
        return (
            f"redirects in a circle, or to no http:// address ({code})",
            PATH_HINT,
        )  # Python's reason has several lines
    if code == 403:
        return f"forbids the access ({status})", "allow this user to see the stream in the camera's own settings"
    if code in (404, 410, 454):
        return f"has no stream at this address ({status})", PATH_HINT
    if code >= 500 or code in (429, 453):
        return f"reports an error ({status})", "close other viewers of the camera, or restart the camera"
    return f"refuses the request ({status})", PATH_HINT


def too_large(width: float, height: float) -> tuple[str, str]:
    """Return what is wrong, and a hint, for a camera whose pictures have more than MAX_PIXELS."""
    return (
        f"sends pictures of {width:.0f} x {height:.0f} pixels",
        "set the camera to a smaller size: the door needs no more than 640 x 480",
    )
