"""Where frames come from: Raspberry Pi camera, V4L2 device, network stream, video file, picture or folder of pictures.

A file is played whole, every frame, on its own clock (number / fps), so that the same file gives the same frames every
time. A camera is live: the newest frame wins and older ones are dropped; one that fails is reopened with back-off.

How a live source stays responsive: a connection is one daemon thread with one `Device` of its own, which it alone
opens, reads and closes. A camera driver may hang in any of these calls, and a hung call can be neither interrupted nor
closed from elsewhere (releasing an OpenCV capture under a thread that reads it crashes). So `LiveSource.read` waits for
news with a limit; a thread that is overdue is written off, left to close its own device should it ever wake, and the
next connection gets a new thread with a new device. While the written-off one still holds the hardware, the new one
finds it busy and tries again later; at most `MOST_STUCK` such threads are tolerated.

A camera may also freeze: pictures come, but it is always the same one. A sensor has noise, so that no two of its
pictures are alike, and one that equals the last to the last bit is not handed out as a new one: it shows nothing that
the last did not, and must not be counted as another look at somebody. If nothing else comes, the source is lost.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import socket
import threading
import time
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from . import glance, pictures
from .config import CameraSettings
from .decoder import Decoder
from .device import Device, Shot, first_s
from .errors import CameraError, InputMissing
from .files import open_plain
from .holders import holders
from .images import Picture, turned
from .picamera import PiCamera
from .records import Frame
from .terminal import is_utf8

#: A device's own time limits come first; a call this much later counts as hung.
GRACE_S = 1.0
#: How long close() waits for the capture thread.
CLOSE_S = 2.0
#: With so many threads hanging in a device, no further one is started until one of them wakes.
MOST_STUCK = 3
#: A still scene from a network camera may be one picture for as long as its compression sends nothing but "no change":
#: until the next key frame, seconds to a minute later. Longer than this, it is frozen.
STILL_STREAM_S = 120.0
#: USB 2 carries about this much of raw pictures (two bytes a pixel) without trouble; beyond it ask for JPEG.
RAW_BYTES_PER_S = 16e6

#: How long FFmpeg may take to open a video file, and for one picture of it.
FILE_S = 30.0

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
PICTURES_HINT = f"pictures are {', '.join(sorted(PICTURES))}"
SCHEMES = frozenset({"rtsp", "rtsps", "http", "https", "udp"})
#: How videos begin: MP4 and QuickTime; Matroska and WebM; AVI; MPEG streams, H.264 and H.265; Ogg; FLV; GIF; PNG and JPEG
#: pictures in a row; Windows Media; Y4M; IVF; MPEG transport streams, plain and with time stamps.
VIDEO_START = re.compile(
    rb"....(ftyp|moov|mdat|free|skip|wide|pnot|styp|sidx|moof|uuid|udta)|\x1aE\xdf\xa3|RIFF....AVI |\0\0\1|\0\0\0\1|OggS\0"
    rb"|FLV\1|GIF8[79]a|\x89PNG\r\n\x1a\n|\xff\xd8\xff|0&\xb2u\x8ef\xcf\x11|YUV4MPEG2 |DKIF\0\0|G.{187}G.{187}G|....G.{191}G.{191}G",
    re.DOTALL,
)
KINDS = '"picamera", a device (/dev/video0), an address (rtsp://…), a video file, a picture or a folder of pictures'


class CameraLost(CameraError):
    """A live source has no new picture; reading on is right, it is being reopened.

    `t` is when it was noticed, in seconds on the source's clock, which runs on without pictures.
    """

    def __init__(self, message: str, hint: str = "", t: float = 0.0) -> None:
        super().__init__(message, hint)
        self.t = t


class Source(ABC):
    """Frames, one after the other; a context manager that opens and closes.

    `name` is fit for messages and events: no password of an address is in it. `live` says whether old frames are
    dropped (a camera) or every frame is played (a file). `length` is the number of frames announced and `fps` the rate
    of a file, both None where unknown; valid once open.
    """

    name: str
    live: bool
    length: int | None = None
    fps: float | None = None

    @property
    def damage(self) -> str | None:
        """What was wrong with a file that was played all the same; None if nothing."""
        return None

    @abstractmethod
    def open(self) -> None:
        """Start, from the beginning. Raises InputMissing for files and CameraError for cameras."""

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame; None when a file has ended. A camera raises CameraLost when there is none in time."""

    @abstractmethod
    def close(self) -> None:
        """Let go of file or device. May be called twice, and never hangs for long."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_source(settings: CameraSettings, source: str | None = None) -> Source:
    """The source that `source` (or else settings.source) describes, not yet opened.

    `rotate` and `mirror` of the settings are for cameras only; files are played as they are.
    Raises InputMissing for an address of a kind that is not known.
    """
    source = source or settings.source
    if source == "picamera":
        return LiveSource(source, partial(PiCamera, settings), settings)
    device = re.match(r"/dev/(video\d+$|v4l/)", source)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    if (device or scheme) and not is_utf8(source):
        raise InputMissing(f"{without_password(source)}: is not UTF-8", f"give {KINDS}")
    if device:
        return LiveSource(source, partial(V4l2, source, settings), settings)
    if scheme and scheme[1].lower() in SCHEMES:
        return LiveSource(without_password(source), partial(Stream, source, settings), settings)
    if scheme:
        raise InputMissing(f"{without_password(source)}: not a kind of address that is known", f"give {KINDS}")
    path = Path(os.path.expanduser(source))
    if os.path.isdir(path) or path.suffix.lower() in PICTURES:
        return PictureFiles(path, settings)
    return VideoFile(path, settings)


def without_password(address: str) -> str:
    """An address without what must not be logged: "rtsp://me:secret@door/1?key=5" to "rtsp://me:***@door/1?…"."""
    scheme, _, rest = address.partition("://")
    # The last "@" anywhere, not urlsplit: a password may hold a "/" that nobody escaped. Better hide too much.
    who, at, where = rest.rpartition("@")
    user, colon, _ = who.partition(":")
    where = re.sub(r"\?.*", "?…", where, flags=re.DOTALL)
    # Some cameras want it in the path: rtsp://door/user=me&password=secret&channel=1
    where = re.sub(r"(?i)((?:pass\w*|pwd|token|key|secret)=)[^&/]*", r"\1***", where)
    return f"{scheme}://{user}{colon and ':***'}{at}{where}"


# ---- Files -----------------------------------------------------------------------------------------------------------


class VideoFile(Source):
    """A video file, every frame of it, at the rate it names (settings.fps where that is absurd).

    One that was cut off plays as far as it goes and ends normally; `truncated` then says how much is missing.
    """

    live = False

    def __init__(self, path: Path, settings: CameraSettings) -> None:
        self.name = str(path)
        self.truncated: str | None = None
        self._path = path
        self._usual_fps = settings.fps
        self._rate = settings.fps
        self._decoder: Decoder | None = None
        self._first: Picture | None = None
        self._number = 0

    def open(self) -> None:
        self.close()
        self._check()
        decoder = self._decoder = Decoder(os.path.abspath(self._path), FILE_S, FILE_S)
        found = decoder.open()
        if found is not None and found.width * found.height > pictures.MOST_PIXELS:
            self.close()
            raise InputMissing(
                f"{self._path}: has {found.width:.0f} x {found.height:.0f} pixels, "
                f"more than the {pictures.MOST_PIXELS / 1e6:.0f} million there is room for",
                "make it smaller: the door needs no more than 640 x 480",
            )
        self._first = decoder.read() if found is not None else None
        if found is None or self._first is None:
            self.close()
            raise InputMissing(
                f"{self._path}: {decoder.failure or 'is neither a video nor a picture that can be read'}",
                "a recording that broke off before its index was written (common with .mp4) cannot be played",
            )
        self._rate = self.fps = sane_fps(found.fps, self._usual_fps)
        self.length = int(found.frames) if math.isfinite(found.frames) and found.frames > 0 else None
        self._number, self.truncated = 0, None

    @property
    def damage(self) -> str | None:
        return self.truncated

    def _check(self) -> None:
        """Say what is wrong with the file where OpenCV would only say "no"."""
        path = self._path
        if not os.path.exists(path):
            hint = f"for a camera write /dev/video{path}" if self.name.isdigit() else f"give {KINDS}"
            raise InputMissing(f"{path}: no such file or folder", hint)
        if not os.path.isfile(path):
            raise InputMissing(f"{path}: is neither a file nor a folder", f"give {KINDS}")
        if not is_utf8(os.path.abspath(path)):
            raise InputMissing(f"{path}: its name is not UTF-8", "rename it")
        try:
            with open_plain(path) as file:
                start = file.read(1024) or b""
        except OSError as error:
            raise InputMissing(f"{path}: cannot be read: {error.strerror}", "check its permissions") from None
        # FFmpeg takes nearly anything for a film: it draws text, opens the files and addresses that a play list names,
        # and listens on the ports of a session description.
        if not VIDEO_START.match(start):
            what = "is none of the kinds of video that are played" if start else "is empty"
            raise InputMissing(f"{path}: {what}", f"give {KINDS}")

    def read(self) -> Frame | None:
        if self._decoder is None:
            return None
        picture = self._decoder.read() if self._first is None else self._first
        self._first = None
        if picture is None:
            if self._decoder.failure:
                self.truncated = f"{self.name}: {self._decoder.failure} after {self._number} frames"
            elif self.length is not None and self._number < self.length - 2:
                # For some containers the length is only an estimate from the duration: two frames fewer mean nothing.
                self.truncated = f"{self.name}: {self._number} of {self.length} announced frames could be decoded"
            self.close()
            return None
        frame = Frame(self._number, self._number / self._rate, picture)
        self._number += 1
        return frame

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = self._first = None


def sane_fps(announced: float, usual: float) -> float:
    """The rate that a video announces; `usual` where that is absurd, as recorders and broken headers may have it."""
    return announced if math.isfinite(announced) and 0 < announced <= 1000 else usual


class PictureFiles(Source):
    """A picture, or the pictures of a folder in natural order (2.jpg before 10.jpg), played at settings.fps.

    `current` is the file of the frame last handed out. A picture of a folder that cannot be read is left out and noted
    in `skipped` as (file name, why), one that breaks off likewise in `flawed`; frames are numbered without gaps.
    """

    live = False

    def __init__(self, path: Path, settings: CameraSettings) -> None:
        self.name = str(path)
        self.fps: float = settings.fps
        self.skipped: list[tuple[str, str]] = []
        self.flawed: list[tuple[str, str]] = []
        self.current: Path | None = None
        self._path = path
        self._pictures: Iterator[tuple[Path, Picture]] = iter(())
        self._first: tuple[Path, Picture] | None = None
        self._number = 0

    def open(self) -> None:
        self.close()
        paths = self._list()
        self.length, self._number, self.current, self.skipped, self.flawed = len(paths), 0, None, [], []
        self._pictures = self._decode(paths)
        # Decoded ahead, so that a folder without any picture that can be read is known now.
        self._first = next(self._pictures, None)
        if self._first is None:
            name, why = self.skipped[0]
            if self._path.is_dir():
                why = f"none of its {len(paths)} pictures can be read ({name}: {why})"
            raise InputMissing(f"{self._path}: {why}", PICTURES_HINT)

    @property
    def damage(self) -> str | None:
        found = []
        for what, some in (("left out", self.skipped), ("damaged", self.flawed)):
            if some:
                name, why = some[0]
                found.append(f"{len(some)} of {self.length} pictures {what} ({name}: {why})")
        return f"{self.name}: {', '.join(found)}" if found else None

    def _list(self) -> list[Path]:
        if not os.path.isdir(self._path):
            if os.path.exists(self._path):
                return [self._path]
            raise InputMissing(f"{self._path}: no such file or folder", f"give {KINDS}")
        try:
            inside = [p for p in self._path.iterdir() if p.suffix.lower() in PICTURES and p.name[0] != "."]
            paths = sorted((p for p in inside if p.is_file()), key=_natural)
        except OSError as error:
            raise InputMissing(f"{self._path}: cannot be read: {error.strerror}", "check its permissions") from None
        if not paths:
            raise InputMissing(f"{self._path}: no picture in this folder", PICTURES_HINT)
        return paths

    def _decode(self, paths: Sequence[Path]) -> Iterator[tuple[Path, Picture]]:
        for path in paths:
            try:
                picture, flaw = pictures.decode(path)
            except OSError as error:
                self.skipped.append((path.name, f"cannot be read: {error.strerror}"))
            except ValueError as error:
                self.skipped.append((path.name, str(error)))
            else:
                if flaw:
                    self.flawed.append((path.name, flaw))
                yield path, picture

    def read(self) -> Frame | None:
        item, self._first = self._first or next(self._pictures, None), None
        if item is None:
            return None
        self.current, picture = item
        frame = Frame(self._number, self._number / self.fps, picture)
        self._number += 1
        return frame

    def close(self) -> None:
        self._pictures, self._first = iter(()), None


def _natural(path: Path) -> tuple[list[Any], str]:
    """Sort key: text without case and numbers by value, by turns; the name itself settles ties."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if k % 2 else part.casefold() for k, part in enumerate(parts)], path.name


# ---- Cameras ---------------------------------------------------------------------------------------------------------


class _Connection:
    """A capture thread. Times are monotonic seconds.

    When it is `due`: silent until then, it counts as hung. `frozen_since`: it has given one and the same picture since.
    """

    def __init__(self, run: Callable[[_Connection], None], name: str, limit_s: float) -> None:
        self.due = time.monotonic() + limit_s + GRACE_S
        self.frozen_since: float | None = None
        self.thread = threading.Thread(target=run, args=(self,), name=name, daemon=True)


class LiveSource(Source):
    """The newest frame of a camera; see the top of this module.

    `t` counts from the first open(), `number` every captured frame; both go on when the camera is reopened. read() is
    also what notices a hung camera and starts the next connection, so it is to be called as long as frames matter.
    """

    live = True

    def __init__(self, name: str, make: Callable[[], Device], settings: CameraSettings) -> None:
        """`make` gives a new Device for every connection, and must not touch the hardware."""
        self.name = name
        self._make = make
        self._settings = settings
        self._first_s = first_s(settings)
        self._news = threading.Condition()  # guards everything below; notified of a frame, a failure and close()
        self._began: float | None = None
        self._closed = True
        self._newest: Frame | None = None
        self._count = 0
        self._last: Picture | None = None  # the newest picture that was another than the one before it, and since when
        self._last_at = 0.0
        self._connection: _Connection | None = None
        self._stuck: list[threading.Thread] = []
        self._trouble: CameraError | None = None
        self._pause_s = settings.reopen_s
        self._retry_at = 0.0

    def open(self) -> None:
        """Connect and wait for the first picture; with settings.wait return at once and leave the waiting to read().

        Raises CameraError if the camera is not there, cannot be opened, or gives no picture in time.
        """
        self.close()
        self._make().prepare()
        with self._news:
            if self._began is None:
                self._began = time.monotonic()
            self._closed, self._trouble, self._pause_s = False, None, self._settings.reopen_s
            self._last = None
            connection = self._connect()
            if self._settings.wait:
                return
            self._news.wait_for(lambda: self._newest or self._connection is not connection, self._first_s)
            if self._newest:
                return
            trouble = self._trouble
        self.close()
        raise trouble or CameraError(
            f"{self.name}: opened, but gives no picture within {self._first_s:g} s",
            "check cable and power of the camera, and that no other program uses it",
        )

    def read(self) -> Frame:
        """The newest frame, if newer than the last one handed out; waits for it up to settings.timeout_s.

        Raises CameraLost if none comes in time, and goes on reopening the camera the next time it is called.
        """
        with self._news:
            deadline = time.monotonic() + self._settings.timeout_s
            while self._newest is None:
                now = time.monotonic()
                if self._closed or now >= deadline:
                    raise self._lost(now)
                wake = min(deadline, self._tend(now))
                self._news.wait(max(0.0, wake - now))
            frame, self._newest = self._newest, None
            return frame

    def close(self) -> None:
        with self._news:
            self._closed, self._newest = True, None
            connection, self._connection = self._connection, None
            self._news.notify_all()
        if connection:
            connection.thread.join(CLOSE_S)
            with self._news:
                self._stuck.append(connection.thread)  # those that have ended are sorted out by _tend()

    def _lost(self, now: float) -> CameraLost:
        t = now - self._began if self._began is not None else 0.0
        if self._closed:
            return CameraLost(f"{self.name}: is closed", t=t)
        lost = f"no new picture for {self._settings.timeout_s:g} s"
        if self._trouble:
            return CameraLost(f"{self._trouble}; {lost}", self._trouble.hint, t)
        return CameraLost(f"{self.name}: {lost}", "check cable and power of the camera", t)

    def _tend(self, now: float) -> float:
        """Write off a hung connection, start the next when it is time; gives the time to look again."""
        if self._connection and now >= self._connection.due:
            self._stuck.append(self._connection.thread)
            self._failed(CameraError(f"{self.name}: the camera hangs", "unplug it and plug it in again, or restart"))
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if self._connection is None and now >= self._retry_at:
            if len(self._stuck) >= MOST_STUCK:
                return now + self._settings.reopen_most_s
            self._connect()
        return self._connection.due if self._connection else self._retry_at

    def _connect(self) -> _Connection:
        # Opening may take as long as it likes within first_s, and the first picture timeout_s after that.
        limit_s = self._first_s + self._settings.timeout_s
        connection = self._connection = _Connection(self._run, f"camera {self.name}", limit_s)
        connection.thread.start()
        return connection

    def _failed(self, trouble: CameraError) -> None:
        self._connection, self._trouble = None, trouble
        self._retry_at = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, self._settings.reopen_most_s)

    def _run(self, connection: _Connection) -> None:
        """The thread of one connection. Once written off it touches nothing but its own device."""
        device = self._make()
        trouble: CameraError | None = None
        try:
            device.open()
            while self._publish(connection, device.read(), device.still_s):
                pass
        except CameraError as error:
            trouble = error
        except Exception as error:
            trouble = CameraError(f"{self.name}: {type(error).__name__}: {error}")
        finally:
            # Closed before the failure is told, so that the next connection never meets this one at the device.
            with contextlib.suppress(Exception):
                device.close()
        with self._news:
            if self._connection is connection and trouble:
                self._failed(trouble)
                self._news.notify_all()

    def _publish(self, connection: _Connection, shot: Shot, still_s: float) -> bool:
        """Make this the newest frame; False if the connection was written off or the source closed meanwhile.

        Raises CameraError once the connection has given nothing but one picture for settings.timeout_s.
        """
        with self._news:
            now = time.monotonic()  # under the lock: never before a moment that read() has already called blind
            if self._connection is not connection or self._began is None:
                return False
            connection.due = now + self._settings.timeout_s + GRACE_S
            if self._last is None or not _same(shot.picture, self._last):
                self._last, self._last_at = shot.picture, now
            elif now - self._last_at >= still_s and _has_noise(shot):
                # The last picture outlives a connection: a camera still frozen when reopened must not look like a new one.
                self._trouble = CameraError(
                    f"{self.name}: frozen, gives the same picture again and again",
                    "unplug it and plug it in again, or restart",
                )
                connection.frozen_since = now if connection.frozen_since is None else connection.frozen_since
                if now - connection.frozen_since >= self._settings.timeout_s:
                    raise self._trouble
                return True
            self._newest = Frame(self._count, now - self._began, shot.picture, shot.small)
            self._count += 1
            self._trouble, self._pause_s, connection.frozen_since = None, self._settings.reopen_s, None
            self._news.notify_all()
            return True


def _same(one: Picture, other: Picture) -> bool:
    """Whether two pictures are equal to the last bit. Some rows tell nearly always that they are not."""
    return np.array_equal(one[::16], other[::16]) and np.array_equal(one, other)


def _has_noise(shot: Shot) -> bool:
    """Whether noise is to be expected: in all black and all white it is clipped away, and the door calls that blind itself."""
    return glance.unseeing(glance.cells(shot.picture if shot.small is None else shot.small)) is None


class V4l2(Device):
    """A USB or other camera of the Linux kernel, by its /dev/video… or /dev/v4l/by-id/… name."""

    def __init__(self, path: str, settings: CameraSettings) -> None:
        self._path = path
        self._settings = settings
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        if not os.path.exists(self._path):
            there = ", ".join(map(str, sorted(Path("/dev").glob("video*"), key=_natural)))
            hint = f"there are: {there}" if there else "there is no /dev/video* at all: is it plugged in?"
            raise CameraError(f"{self._path}: no such camera", hint)
        capture = self._capture = _capture(self._path, cv2.CAP_V4L2)
        if not capture.isOpened():
            raise self._why("cannot be opened as a camera")
        settings = self._settings
        # The format first: changing it afterwards may reset size and rate.
        if 2 * settings.width * settings.height * settings.fps > RAW_BYTES_PER_S:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
        capture.set(cv2.CAP_PROP_FPS, settings.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a queue in the driver would only make frames old

    def read(self) -> Shot:
        assert self._capture is not None
        picture = _rgb(self._capture)
        if picture is None:
            raise self._why("gives no picture")
        return Shot(turned(picture, self._settings.rotate, self._settings.mirror))

    def _why(self, otherwise: str) -> CameraError:
        """OpenCV only says "no": find out what stands in the way."""
        if not os.path.exists(self._path):
            return CameraError(f"{self._path}: the camera has gone", "check cable and power of the camera")
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_NONBLOCK))
        except PermissionError:
            return CameraError(f"{self._path}: no permission", "sudo usermod -aG video $USER, and log in again")
        except OSError as error:
            otherwise = f"cannot be opened: {error.strerror}"
        users = dict(holders(self._path))
        if users.pop(os.getpid(), None) and not (self._capture and self._capture.isOpened()):
            return CameraError(f"{self._path}: an earlier capture that hangs still holds it", "restart if that lasts")
        if users:
            names = ", ".join(f"{name} (process {pid})" for pid, name in users.items())
            return CameraError(f"{self._path}: is in use by another program: {names}", "stop that program")
        # Only root can see what other users' programs hold, so that nobody found proves nothing.
        return CameraError(
            f"{self._path}: {otherwise}",
            "it may be in use by another program, or one of the extra devices that cameras bring along: "
            "v4l2-ctl --list-devices shows them",
        )

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()


class Stream(Device):
    """A camera in the network, by its rtsp://, http:// or udp:// address, through OpenCV's FFmpeg."""

    still_s = STILL_STREAM_S

    def __init__(self, address: str, settings: CameraSettings) -> None:
        self._address = address
        self._name = without_password(address)
        self._settings = settings
        self._decoder: Decoder | None = None

    def open(self) -> None:
        self._decoder = Decoder(self._address, first_s(self._settings), self._settings.timeout_s)
        found = self._decoder.open()
        if found is not None and found.width * found.height > pictures.MOST_PIXELS:
            raise CameraError(
                f"{self._name}: sends pictures of {found.width:.0f} x {found.height:.0f} pixels",
                "set it to send smaller ones: the door needs no more than 640 x 480",
            )
        if found is None:
            raise CameraError(f"{self._name}: {self._why()}", "check address, user, password and network of the camera")

    def _why(self) -> str:
        """FFmpeg keeps the reason to itself: see whether there is anybody at that address at all."""
        try:
            parts = urllib.parse.urlsplit(self._address)
            port = parts.port or {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}.get(parts.scheme.lower())
            if parts.hostname and port and parts.scheme.lower() != "udp":
                socket.create_connection((parts.hostname, port), timeout=2).close()
        except ValueError:
            return "is not an address that makes sense"
        except OSError as error:
            return f"cannot be reached: {error.strerror or error}"
        return "cannot be opened as a stream"

    def read(self) -> Shot:
        assert self._decoder is not None
        picture = self._decoder.read()
        if picture is None:
            why = self._decoder.failure or "the stream has stopped"
            raise CameraError(f"{self._name}: {why}", "check power and network of the camera")
        return Shot(turned(picture, self._settings.rotate, self._settings.mirror))

    def close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()


# ---- OpenCV ----------------------------------------------------------------------------------------------------------


def _capture(source: str, backend: int) -> cv2.VideoCapture:
    """An OpenCV capture, opened or not, without the chatter of OpenCV: our own errors say it better."""
    logging: Any = cv2
    if not hasattr(logging, "setLogLevel"):  # newer than 4.11
        logging = logging.utils.logging
    logging.setLogLevel(0)  # not even errors
    capture = cv2.VideoCapture()
    capture.open(source, backend)
    return capture


def _rgb(capture: cv2.VideoCapture) -> Picture | None:
    """The next frame, (H, W, 3) uint8 RGB; None if there is none."""
    ok, picture = capture.read()
    if not ok or picture is None or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        return None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
