"""HttpClient: GET requests to the web server of a camera, with its login.

`http_video` and the HTTP process import this module late: Python's HTTP client takes a while to import.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence

from . import network_errors, tls
from .address import DEFAULT_PORTS, Address
from .login import authorization
from .video_formats import recognise

#: Characters that stay as they are in an address: a user may have encoded some already, and forgotten others.
URL_CHARACTERS = "%/:?=&#[]@!$'()*+,;~"


class HttpCameraError(Exception):
    """An HTTP camera gives no pictures. The message follows the name of the camera; `hint` is for the user."""

    def __init__(self, problem: str, hint: str = network_errors.PATH_HINT) -> None:
        super().__init__(problem)
        self.hint = hint


class HttpClient:
    """Requests the address of a camera, once or many times. Used by one thread.

    The first request has no login: the camera's answer says which kind it wants. Later ones send that kind at once.
    """

    def __init__(self, camera: Address, timeout_s: float) -> None:
        """`timeout_s` limits each wait: for the connection, and for each piece of the answer."""
        self._camera = camera
        self._timeout_s = timeout_s
        self._url = urllib.parse.quote(camera.without_login, URL_CHARACTERS)
        self._opener = _make_opener()
        #: The WWW-Authenticate values of the last refusal of `_url`, and the number of logins that answered them.
        self._challenges: Sequence[str] = ()
        self._logins = 0

    def get(self) -> http.client.HTTPResponse:
        """Return the answer to a GET request. Raises HttpCameraError for anything but success."""
        port = self._camera.port or DEFAULT_PORTS.get(self._camera.scheme)
        try:
            return self._open_with_login()
        except urllib.error.HTTPError as error:
            error.close()
            raise HttpCameraError(
                *network_errors.status_problem(error.code, str(error.reason), self._camera.user)
            ) from None
        except urllib.error.URLError as error:
            if isinstance(error.reason, OSError):
                raise HttpCameraError(*network_errors.connection_problem(error.reason, port)) from None
            raise HttpCameraError(f"cannot be opened: {error.reason}") from None
        except OSError as error:
            raise HttpCameraError(*network_errors.connection_problem(error, port)) from None
        except http.client.HTTPException:
            raise HttpCameraError(
                "does not speak HTTP", "check the port, and whether the address begins with rtsp://"
            ) from None

    def _open_with_login(self) -> http.client.HTTPResponse:
        """Return the answer; if the camera asks for a login, or for a new one, repeat the request with it."""
        self._logins += 1
        try:
            return self._open(self._url, self._authorization(self._url, self._challenges, self._logins))
        except urllib.error.HTTPError as error:
            url = error.geturl()
            if error.code != 401 or not self._is_camera(url):
                raise
            challenges = error.headers.get_all("WWW-Authenticate") or ()
            login = self._authorization(url, challenges, 1)
            if not login:
                raise
            error.close()
        # Behind a redirection the login belongs to another address: it must not go to this one, which may be unencrypted.
        self._challenges, self._logins = (challenges, 1) if url == self._url else ((), 0)
        return self._open(url, login)

    def _open(self, url: str, login: str) -> http.client.HTTPResponse:
        request = urllib.request.Request(url)
        if login:
            request.add_unredirected_header("Authorization", login)
        response = self._opener.open(request, timeout=self._timeout_s)
        assert isinstance(response, http.client.HTTPResponse)
        return response

    def _is_camera(self, url: str) -> bool:
        """Return whether `url` is on the camera's host: a redirection may lead elsewhere."""
        return (urllib.parse.urlsplit(url).hostname or "").lower() == self._camera.host.lower()

    def _authorization(self, url: str, challenges: Sequence[str], count: int) -> str:
        """Return the Authorization header for the `count`-th answer to `challenges`; "" if there is none."""
        if not self._camera.user:
            return ""
        parts = urllib.parse.urlsplit(url)
        uri = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        return authorization(self._camera, "GET", uri, challenges, count)


def is_video_file(response: http.client.HTTPResponse, start: bytes) -> bool:
    """Return whether an answer whose body begins with `start` is a video file: it has an end, a camera's stream has none.

    Only a server with a file knows its size or its date, offers it for download, or sends parts of it. An MP4 file that is
    not fragmented, and an AVI file, begin with the list or the number of all their pictures.
    """
    video_format = recognise(start)
    if video_format is None:
        return False
    headers = response.headers
    return (
        response.length is not None
        or any(name in headers for name in ("Content-Range", "Content-Disposition", "Last-Modified", "ETag"))
        or headers.get("Accept-Ranges", "none").lower() != "none"
        or video_format.name == "AVI"
        or (video_format.name == "MP4 or QuickTime" and _is_whole_mp4(start))
    )


def _is_whole_mp4(start: bytes) -> bool:
    """Return whether an MP4 file is not fragmented, as far as its first bytes tell: a stream is."""
    begin = start.find(b"moov") - 4
    if begin < 0:
        return b"mdat" in start  # its pictures come before their list
    moov = start[begin : begin + int.from_bytes(start[begin : begin + 4], "big")]
    return len(moov) == int.from_bytes(moov[:4], "big") and b"mvex" not in moov


def _make_opener() -> urllib.request.OpenerDirector:
    """Return an opener for http:// and https:// alone.

    urllib.request.build_opener would add the proxy of the environment, which does not lead to cameras of this network, and
    redirections to ftp:// addresses.
    """
    opener = urllib.request.OpenerDirector()
    handlers = (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(
            context=tls.unverified_context()
        ),  # also for http://, which may redirect to https://
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    )
    for handler in handlers:
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", "doorlight"), ("Accept", "*/*")]
    return opener
