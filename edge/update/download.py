"""A bundle at an https address: each file is continued where a connection was lost."""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import DoorlightError, InputError, UnavailableError, UsageError
from ..system.clock import EARLIEST_TIME_S
from . import bundle, fit
from .bundle import Bundle
from .manifest import MAX_BUNDLE_BYTES, BundleFile

TIMEOUT_S = 30.0
#: Waits between attempts, in seconds. Each starts where the one before has stopped.
WAITS_S = (2.0, 5.0, 15.0, 30.0)
_EXAMPLE = "for example https://example.org/doorlight"
AGAIN = "run the command again: it continues where it stopped"


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        if not newurl.lower().startswith("https://"):
            fp.close()
            raise urllib.error.URLError("it redirects to an address without https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Client:
    """Reads files from https addresses. `context` has the certificates that are trusted; by default those of the system."""

    def __init__(self, context: ssl.SSLContext | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        handler = urllib.request.HTTPSHandler(context=context or ssl.create_default_context())
        # No http, ftp or file, whatever a redirect names.
        self._opener = urllib.request.OpenerDirector()
        for each in (
            handler,
            _OnlyHttps(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.UnknownHandler(),
            urllib.request.ProxyHandler(),
        ):
            self._opener.add_handler(each)
        self._sleep = sleep

    def read(self, url: str, max_bytes: int) -> bytes:
        """Return a small file. Raises InputError if it is not there or too large, UnavailableError without a network."""
        data: bytes = self._with_retries(lambda: self._read(url, max_bytes), url)
        if len(data) > max_bytes:
            raise InputError(f"{url}: is too large", "is it the address of a bundle?")
        return data

    def _read(self, url: str, max_bytes: int) -> bytes:
        with self._opener.open(urllib.request.Request(url), timeout=TIMEOUT_S) as answer:
            data: bytes = answer.read(max_bytes + 1)
        return data

    def download(self, url: str, target: Path, size: int | None, max_bytes: int = MAX_BUNDLE_BYTES) -> None:
        """Download a file to `target`, after what is there from an attempt before. `size` is that of the whole file, if known.

        Raises InputError if it is not there or larger, UnavailableError if the connection is lost too often, and OutputError.
        """
        self._with_retries(lambda: self._continue(url, target, size, max_bytes), url)

    def _continue(self, url: str, target: Path, size: int | None, max_bytes: int) -> None:
        there = target.stat().st_size if target.exists() else 0
        if size is not None and there == size:
            return
        request = urllib.request.Request(url, headers={"Range": f"bytes={there}-"} if there else {})
        try:
            answer = self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            error.close()
            # It is complete already, or longer than the file is now: the caller compares, and starts again if it is wrong.
            return
        with answer:
            # A server that does not know ranges sends all of it.
            continues = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {there}-")
            announced = answer.headers.get("Content-Length", "")
            end = (there if continues else 0) + int(announced) if announced.isdigit() else None
            if size is None:
                fit.check_room(target.parent, 0 if end is None else end - (there if continues else 0))
            try:
                file = target.open("ab" if continues else "wb")
            except OSError as error:
                raise bundle.not_written(target, error) from None
            with file:
                position = there if continues else 0
                while chunk := answer.read(bundle.CHUNK_BYTES):
                    position += len(chunk)
                    if position > min(max_bytes, MAX_BUNDLE_BYTES if size is None else size):
                        raise InputError(f"{url}: is larger than it should be", "ask for the bundle again")
                    if size is None and end is None:  # the server does not say how much comes
                        fit.check_room(target.parent, len(chunk))
                    try:
                        file.write(chunk)
                        file.flush()
                    except OSError as error:
                        raise bundle.not_written(target, error) from None
            if (end is not None and position < end) or (size is not None and position < size):
                raise http.client.IncompleteRead(b"")

    def _with_retries(self, action: Callable[[], Any], url: str) -> Any:
        for wait_s in (*WAITS_S, None):
            try:
                return action()
            except DoorlightError:
                raise
            except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a redirect to no address
                if isinstance(error, urllib.error.HTTPError):
                    error.close()  # it is the answer, too
                if wait_s is None or not _may_pass(error):
                    raise _problem(url, error) from None
            self._sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")


def _may_pass(error: Exception) -> bool:
    """Return whether another attempt may succeed."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (408, 429, 500, 502, 503, 504)
    reason = getattr(error, "reason", error)
    return not isinstance(reason, ssl.SSLCertVerificationError | http.client.InvalidURL | ValueError | str)


def _problem(url: str, error: Exception) -> DoorlightError:
    """Return the error in words, with what to do."""
    if isinstance(error, urllib.error.HTTPError):
        hint = "is it the address of a bundle's folder, or of its tar file?"
        return InputError(f"{url}: the server answers {error.code} {error.reason}", hint)
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        if time.time() < EARLIEST_TIME_S:
            now = time.strftime("%Y-%m-%d", time.gmtime(time.time()))
            return UnavailableError(
                f"{url}: the clock is not set ({now}), so no certificate is valid",
                "wait until the network has set it (timedatectl), or use a stick",
            )
        return UnavailableError(
            f"{url}: its certificate is not trusted: {reason.verify_message}",
            "is the address right? is the date? see: timedatectl",
        )
    if isinstance(reason, socket.gaierror):
        return UnavailableError(f"{url}: the name of the server is not found", "is there a network? " + AGAIN)
    if isinstance(reason, http.client.IncompleteRead | http.client.RemoteDisconnected | ConnectionResetError):
        return UnavailableError(f"{url}: the connection is lost again and again", AGAIN)
    words = reason if isinstance(reason, str) else getattr(reason, "strerror", None) or str(reason) or "no answer"
    return UnavailableError(f"{url}: cannot be reached: {words}", "is there a network? " + AGAIN)


def check_address(url: str) -> None:
    """Raise UsageError if an address has no https, or is none that a request can have."""
    if not url.lower().startswith("https://"):
        raise UsageError(
            f"{url.partition('://')[0]}://…: updates come by https only", "use an https address, or a stick"
        )
    server = url.split("/")[2]
    if not server:
        raise UsageError(f"{url}: names no server", _EXAMPLE)
    if "@" in server or "?" in url or "#" in url:
        raise UsageError("the address has a login, a ? or a #", "use an address that needs none: the bundle is signed")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{url}: has a space or a letter that an address cannot have", "write it as %20, %C3%B6, …")
    try:
        parts = urllib.parse.urlsplit(url)
        is_right = bool(parts.hostname) and parts.port != 0
        # As the resolver does: no empty label, none of more than 63 letters.
        (parts.hostname or "").encode("idna")
    except ValueError:  # UnicodeError, too
        is_right = False
    if not is_right:
        raise UsageError(f"{url}: the name or the port of the server is wrong", _EXAMPLE)


class AddressBundle(Bundle):
    """A bundle in a folder at an https address."""

    def __init__(self, url: str, client: Client) -> None:
        self.where = url.rstrip("/")
        self._client = client

    def read(self, name: str, max_bytes: int) -> bytes:
        return self._client.read(f"{self.where}/{name}", max_bytes)

    def copy(self, name: str, file: BundleFile, target: Path) -> None:
        url = f"{self.where}/{name}"
        part = target.with_name(f"{target.name}.part")
        resumed = part.exists()
        self._client.download(url, part, file.bytes, file.bytes)
        if resumed and bundle.sha256_of(part) != file.sha256:
            # What was there is of another file of this name.
            part.unlink()
            self._client.download(url, part, file.bytes, file.bytes)
        bundle.check(name, file, part.stat().st_size, bundle.sha256_of(part))
        part.replace(target)


def download_tar(url: str, folder: Path, client: Client) -> Path:
    """Download a tar file to `folder`, and return its path there. It is continued if it is there in part.

    Raises what `Client.download` raises.
    """
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    target = folder / f"{name}.tar.part"
    client.download(url, target, None)
    return target
