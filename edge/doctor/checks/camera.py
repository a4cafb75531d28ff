"""Check `camera`: list the cameras, take a picture with the door's camera, and assess light and focus."""

from __future__ import annotations

import fcntl
import importlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...counted import counted
from ...errors import DoorlightError
from ...frame_rate import SLOW_HINT, SLOW_PREFIX, SLOW_S, FrameInterval, slow_note
from ...settings_notes import camera_notes
from ..finding import Finding
from ..host import UNIT, Host
from ..picture_quality import assess_picture

if TYPE_CHECKING:
    from ...camera.source import Source
    from ...imaging.blindness import Blindness, BlindnessDetector
    from ...records import Detection, Frame

#: A camera adjusts its exposure during this time after it is opened. Its picture counts afterwards.
SETTLE_S = 1.5
#: A camera that is slow at first is watched for this time.
MEASURE_SLOW_S = 9.0
#: Maximum number of frames of a file that are read to tell noise from a texture.
MAX_FRAMES_OF_FILE = 10

#: VIDIOC_QUERYCAP of linux/videodev2.h: the number of the call, the size of struct v4l2_capability, and the offsets of
#: its fields `capabilities` (of the physical device) and `device_caps` (of this node).
QUERYCAP, QUERYCAP_BYTES, CAPABILITIES_AT, DEVICE_CAPS_AT = 0x80685600, 104, 84, 88
V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_DEVICE_CAPS = 0x1, 1 << 31
#: Names of the Pi's own camera interface, image processor and codecs. They capture too, but only libcamera can use
#: them.
PI_DEVICES = re.compile(r"unicam|bcm2835-|rp1-cfe|pispbe|rpi-")


def check(host: Host) -> Iterator[Finding]:
    """Yield findings with settings that have no effect, with the cameras, and with a picture or the service's status.

    Raises InputError or CameraError if the source cannot be opened.
    """
    from msgspec.structs import replace

    from ...camera.factory import open_source

    for note in camera_notes(host.settings, host.source_name):
        yield Finding("note", note)
    source = open_source(replace(host.settings.camera, wait=False), host.source_name)
    cameras = v4l2_cameras(host)
    if host.is_pi or host.source_name == "picamera":
        cameras += _libcamera_cameras()
    if cameras or source.live:
        yield Finding("ok", f"cameras: {', '.join(cameras) or 'none'}; the door uses {source.name}")
    if host.service_is_running and not host.source:
        yield _service_finding(host.unit_property("StatusText"))
        return
    frame, interval_s, blindness = _take_frame(source, host.settings.camera.min_detail)
    faces = _faces(host, frame)
    yield assess_picture(frame.picture, _confirmed(host, blindness, faces), _face_count(faces))
    if interval_s:
        yield Finding("note", slow_note(interval_s, host.settings.policy.min_looks), SLOW_HINT)


def _service_finding(status: str) -> Finding:
    message = f"in use by the running service; its status: {status or 'none'}"
    if f"camera: {SLOW_PREFIX}" in status:
        return Finding("note", message, SLOW_HINT)
    if status.startswith("FAULT") or "camera:" in status:
        return Finding("bad", message, f"sudo systemctl stop {UNIT}; doorlight doctor; sudo systemctl start {UNIT}")
    return Finding("ok", message)


def _take_frame(source: Source, min_detail: float) -> tuple[Frame, float, Blindness | None]:
    """Return a frame, the interval of a slow camera, and why nothing can be seen by the rules of `doorlight run`.

    The frame is the newest of a camera after SETTLE_S. It is the first of a file, or a later one if that looks like noise.

    Raises CameraLostError if the camera was lost at the end or more than once.
    """
    from ...camera.source import CameraLostError
    from ...imaging.blindness import BlindnessDetector

    interval = FrameInterval()
    detector = BlindnessDetector(min_detail)
    errors: list[CameraLostError] = []
    is_lost = False
    with source:
        frame = source.read()
        assert frame is not None  # a source that opens has at least one frame
        begin = time.monotonic()
        interval.add(frame.t)
        blindness = _find_blindness(detector, frame)
        frames = 1
        while not source.live and detector.is_undecided and frames < MAX_FRAMES_OF_FILE:
            following = source.read()
            if following is None:
                break
            frame, frames = following, frames + 1
            blindness = _find_blindness(detector, frame)
        while source.live:
            elapsed_s = time.monotonic() - begin
            if elapsed_s >= SETTLE_S and (frames > elapsed_s / SLOW_S or elapsed_s >= MEASURE_SLOW_S):
                break
            try:
                frame = source.read() or frame
            except CameraLostError as lost:
                errors.append(lost)
                is_lost = True
                detector.clear()
            else:
                frames, is_lost = frames + 1, False
                interval.add(frame.t)
                blindness = _find_blindness(detector, frame)
    if is_lost or len(errors) > 1:
        raise errors[-1]
    return frame, interval.seconds, blindness


def _find_blindness(detector: BlindnessDetector, frame: Frame) -> Blindness | None:
    from ...imaging.cells import cells

    return detector.find(cells(frame.picture if frame.lores is None else frame.lores), frame.t)


def _faces(host: Host, frame: Frame) -> list[Detection] | None:
    """Return the faces in a frame; None if the models do not work, which the check `models` reports."""
    try:
        return host.perception.detect(frame)
    except DoorlightError:
        return None


def _face_count(faces: list[Detection] | None) -> str:
    if faces is None:
        return "no face search, see the check models"
    return f"{counted(len(faces), 'face')} in view" if faces else "nobody in view"


def _confirmed(host: Host, found: Blindness | None, faces: list[Detection] | None) -> Blindness | None:
    """Return `found`; None if a face in the picture refutes it, by the rules of `doorlight run`."""
    from ...imaging.blindness import confirmed

    return confirmed(found, any(face.score >= host.settings.tracker.new_score for face in faces or ()))


def v4l2_cameras(host: Host) -> list[str]:
    """Return the cameras with a /dev/video node, as in "/dev/video0 (HD Webcam)"."""
    cameras = []
    for folder in host.glob("sys/class/video4linux/video*"):
        name, node = host.read(f"{folder.relative_to(host.root)}/name"), Path(host.root) / "dev" / folder.name
        if PI_DEVICES.match(name):
            continue
        try:
            if _can_capture(node):
                cameras.append(f"{node} ({name})")
        except OSError as error:
            cameras.append(f"{node} ({name}: {error.strerror})")
    return cameras


def _can_capture(node: Path) -> bool:
    """Return whether a V4L2 device captures pictures, not only metadata. Raises OSError."""
    answer = bytearray(QUERYCAP_BYTES)
    device = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, QUERYCAP, answer)
    finally:
        os.close(device)
    capabilities, device_caps = (
        int.from_bytes(answer[at : at + 4], sys.byteorder) for at in (CAPABILITIES_AT, DEVICE_CAPS_AT)
    )
    return bool((device_caps if capabilities & V4L2_CAP_DEVICE_CAPS else capabilities) & V4L2_CAP_VIDEO_CAPTURE)


def _libcamera_cameras() -> list[str]:
    """Return the cameras of libcamera without USB cameras, as in "picamera (imx708)"."""
    try:
        cameras = importlib.import_module("picamera2").Picamera2.global_camera_info()
    except Exception:  # taking a picture reports the reason
        return []
    return [f"picamera ({each.get('Model') or each['Id']})" for each in cameras if "/usb" not in each["Id"]]
