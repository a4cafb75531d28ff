"""The checks of `doorlight doctor`: small functions that look at one thing each and yield what they find.

Each takes a `Machine` and may raise, hang, or end the process: doctor.py, which runs them, is prepared for that. What
needs more than the standard library is imported inside, so that where NumPy is broken, something is left to say so.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import importlib
import importlib.metadata
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from .errors import DoorlightError, LightsError, Unavailable
from .machine import REPAIR, UNIT, Machine, ask

if TYPE_CHECKING:
    from .images import Picture

Verdict = Literal["ok", "note", "bad"]  # a door works with notes

#: How long a new camera is watched before its picture counts: by then it has settled on an exposure.
SETTLE_S = 1.5
#: With less room than this (bytes) the log soon stops.
LEAST_BYTES = 20e6
#: An fsync that takes this long (seconds); with the second, a line is no longer on the disk within a second.
SLOW_S, TOO_SLOW_S = 0.2, 0.8
#: A disk that has kept us waiting for so long (seconds) is not asked again.
LONG_ENOUGH_S = 3.0
#: Degrees Celsius shortly before a Pi slows down, and from which it does (a 3B+ a little from 60 on).
WARM_C, HOT_C = 70, 80
#: What `vcgencmd get_throttled` means by its bits: now, and 16 bits higher since boot.
THROTTLED = ("under-voltage", "processor held back", "throttled", "soft temperature limit")
POWER = "use the official power supply of this Pi, and no thin or long cable"
COOL = "give it a heat sink, a fan, or a box with holes"


class Finding(NamedTuple):
    """What a check has found. `mend` is a command, or what to do where no command can."""

    verdict: Verdict
    found: str
    mend: str = ""


def python(machine: Machine) -> Iterator[Finding]:
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', machine.read("etc/os-release"), re.MULTILINE)
    where = ", ".join(filter(None, [machine.model, system[1] if system else "", platform.machine()]))
    yield Finding("ok", f"Python {platform.python_version()} in {sys.prefix} on {where}")


def libraries(machine: Machine) -> Iterator[Finding]:
    def tflite() -> str:
        from .interpreter import runtime  # which needs NumPy itself

        return runtime()[0].replace("_", "-")

    needed: dict[str, Callable[[], object]] = {
        "numpy": lambda: importlib.import_module("numpy"),
        "opencv-python-headless": lambda: importlib.import_module("cv2"),
        "msgspec": lambda: importlib.import_module("msgspec"),
        "gpiozero": lambda: importlib.import_module("gpiozero"),
        "ai-edge-litert": tflite,
    }
    there = []
    for name, bring in needed.items():
        try:
            module = bring()
        except Exception as error:  # one that was built for another NumPy raises whatever it likes
            yield Finding(
                "bad",
                f"{name} cannot be imported: {type(error).__name__}: {error}",
                getattr(error, "hint", "") or f"{sys.executable} -m pip install --force-reinstall {name}; or {REPAIR}",
            )
        else:
            name = module if isinstance(module, str) else name
            there.append(f"{name} {_version(name) or getattr(module, '__version__', '')}".strip())
    there += [f"{name} {version}" for name in ("lgpio", "picamera2") if (version := _version(name))]
    if there:
        yield Finding("ok", ", ".join(there))
    if _version("lgpio") == "0.0.0.2":
        yield Finding(
            "bad" if machine.is_pi else "note",
            "lgpio 0.0.0.2 is PyPI's empty package, not the library",
            f"{sys.executable} -m pip uninstall lgpio; sudo apt install python3-lgpio",
        )


def _version(package: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return ""


def configuration(machine: Machine) -> Iterator[Finding]:
    from . import config

    path = machine.option("config")
    config.load(Path(path) if path else None)
    yield Finding("ok", f"{path} is right" if path else "the defaults, as no file was named (--config)")


def models(machine: Machine) -> Iterator[Finding]:
    import numpy as np

    from . import manifest
    from .perception import models
    from .records import Frame

    found = manifest.load(machine.models_folder)
    damaged = False
    for name in models(machine.settings):
        try:
            found.read(name)
        except DoorlightError as error:
            damaged = True
            yield Finding("bad", str(error), error.hint)
    if not damaged:
        seen = Frame(0, 0.0, np.zeros((480, 640, 3), np.uint8))
        took_s = []
        for _ in range(4):  # the first one warms up
            began = time.perf_counter()
            machine.perception.find(seen)
            took_s.append(time.perf_counter() - began)
        yield Finding(
            "ok",
            f"{', '.join(models(machine.settings))} in {found.folder}: sha256 right; looking for faces takes "
            f"{1000 * min(took_s):.0f} ms on the CPU ({machine.perception.runtime})",
        )


def service(machine: Machine) -> Iterator[Finding]:
    of = machine.service
    if "trouble" in of:
        yield Finding("note", f"no systemd to ask: {of['trouble']}")
        return
    journal = f"sudo journalctl -u {UNIT} -b -e"
    state, restarts = of.get("ActiveState", ""), of.get("NRestarts", "0")
    if of.get("LoadState") != "loaded":
        yield Finding("note", f"not installed ({UNIT}: {of.get('LoadState')})", "sudo scripts/install.sh")
    elif state == "active":
        said = f"running; it says: {of.get('StatusText') or 'nothing'}; watchdog {of.get('WatchdogUSec')}"
        again = restarts != "0"
        yield Finding(
            "note" if again else "ok", f"{said}; restarted {restarts} times" if again else said, journal * again
        )
    elif state == "inactive":
        yield Finding("note", "installed, but not running", f"sudo systemctl enable --now {UNIT}")
    else:
        why = f"{of.get('Result')}, exit code {of.get('ExecMainStatus')}, restarted {restarts} times"
        yield Finding("bad", f"{state} ({of.get('SubState')}): {why}", journal)


def camera(machine: Machine) -> Iterator[Finding]:
    from msgspec.structs import replace

    from .camera import CameraLost, open_source
    from .records import Frame

    watched = machine.watches
    source = open_source(replace(machine.settings.camera, wait=False), watched)
    there = _v4l2(machine) + (_libcamera() if machine.is_pi or watched == "picamera" else [])
    if there or source.live:
        yield Finding("ok", f"cameras here: {', '.join(there) or 'none'}; the door watches {source.name}")
    if machine.running and not machine.source:
        status = machine.of_service("StatusText")
        blind = status.startswith("FAULT") or "camera:" in status
        mend = f"sudo systemctl stop {UNIT}; doorlight doctor; sudo systemctl start {UNIT}" if blind else ""
        yield Finding(
            "bad" if blind else "ok", f"in use by the running service, which says: {status or 'nothing'}", mend
        )
        return
    with source:
        frame: Frame | None = source.read()
        settled = time.monotonic() + SETTLE_S
        while source.live and time.monotonic() < settled:
            with contextlib.suppress(CameraLost):
                frame = source.read()
    assert frame is not None  # what opens has one
    try:
        number = len(machine.perception.find(frame))
        faces = {0: "nobody in view", 1: "1 face in view"}.get(number, f"{number} faces in view")
    except DoorlightError:
        faces = "faces not looked for, see models"
    yield seen(frame.picture, faces)


def _v4l2(machine: Machine) -> list[str]:
    """What can be watched by its /dev/video name: "/dev/video0 (HD Webcam)"."""
    querycap, capabilities, device_capabilities, captures = 0x80685600, 84, 88, 0x1  # linux/videodev2.h
    found = []
    for folder in machine.glob("sys/class/video4linux/video*"):
        name, node = machine.read(f"{folder.relative_to(machine.root)}/name"), Path(machine.root) / "dev" / folder.name
        # The stations of the Pi's own camera, and its codecs: they capture as well, but for libcamera alone.
        if re.match(r"unicam|bcm2835-|rp1-cfe|pispbe|rpi-", name):
            continue
        answer = bytearray(104)
        try:
            device = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, querycap, answer)
            finally:
                os.close(device)
        except OSError as error:
            found.append(f"{node} ({name}: {error.strerror})")
            continue
        whole, own = (int.from_bytes(answer[at : at + 4], sys.byteorder) for at in (capabilities, device_capabilities))
        if (own if whole >> 31 else whole) & captures:
            found.append(f"{node} ({name})")
    return found


def _libcamera() -> list[str]:
    try:
        attached = importlib.import_module("picamera2").Picamera2.global_camera_info()
    except Exception:  # the attempt to take a picture says why
        return []
    return [f"picamera ({each.get('Model') or each['Id']})" for each in attached if "/usb" not in each["Id"]]


def seen(picture: Picture, faces: str = "") -> Finding:
    """What `picture`, (H, W, 3) uint8 RGB, says about light and focus.

    Sharpness is the energy of the Laplacian (slightly smoothed, as noise is not sharpness) relative to that of the
    picture, 320 pixels wide, in thousandths. Sharp photographs have 10 to 55, smeared ones and those blurred by more than
    1 in 150 of their width have 0.5 to 4.
    """
    import cv2
    import numpy as np

    height, width = picture.shape[:2]
    small = cv2.resize(picture, (320, max(1, round(320 * height / width))), interpolation=cv2.INTER_AREA)
    luma = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    dark, middle, bright = np.percentile(luma, (1, 50, 99))
    burnt, contrast = float((luma >= 250).mean()), float(luma.std())
    edges = cv2.Laplacian(cv2.GaussianBlur(luma, (0, 0), 1.0), cv2.CV_32F)
    sharpness = 1000 * float(edges.var()) / max(contrast**2, 1.0)
    said = f"brightness {luma.mean():.0f} of 255, {burnt:.0%} burnt out, sharpness {sharpness:.1f}, {faces}"
    verdict: Verdict = "note"
    if bright < 24:
        verdict, what, mend = "bad", "black", "take off the lens cap or what covers the lens; switch on a light"
    elif bright - dark < 12:
        verdict, what, mend = (
            "bad",
            "one even colour",
            "uncover the lens; if it is free: check the camera's cable, then another camera",
        )
    elif burnt > 0.15 and middle < 90:
        what = "bright light behind what is to be seen"
        mend = (
            'turn the camera away from the window; or in [camera] metering = "spot", exposure_stops = 1.0 (Pi camera)'
        )
    elif burnt > 0.3:
        what, mend = "too bright", "shade the lens; or in [camera] exposure_stops = -1.0 (Pi camera)"
    elif luma.mean() < 45:
        what, mend = "dark", "a lamp at the door; or in [camera] exposure_stops = 1.0 (Pi camera)"
    elif contrast > 12 and sharpness < 4:
        what = "blurred (or nothing in view has edges)"
        mend = "take off the protective film, clean the lens, turn its focus ring; was something moving?"
    else:
        verdict, what, mend = "ok", "bright and sharp enough", ""
    return Finding(verdict, f"a picture of {width}x{height}: {what} ({said.rstrip(', ')})", mend)


def coral(machine: Machine) -> Iterator[Finding]:
    from . import accelerator, manifest
    from .perception import models

    mode, there = machine.settings.models.accelerator, accelerator.devices(Path(machine.root))
    names = ", ".join(
        f"{each.name} ({'ready' if each.initialised else 'its firmware not loaded yet'})" for each in there
    )
    if mode == "cpu" or not there:
        wanted = mode == "edgetpu"
        yield Finding(
            "bad" if wanted else "ok",
            f"{names or 'no Coral'}; the models run on the CPU" + ("" if there else f", accelerator = {mode!r}"),
            "plug it into a USB 3 port, by its own cable; is it in lsusb?" if wanted else "",
        )
        return
    if machine.running:  # one process at a time: ours would disturb it
        status = machine.of_service("StatusText")
        serves = "Edge TPU (" in status
        yield Finding("ok" if serves else "note", f"{names}; the running service says: {status}")
        return
    found = accelerator.report(manifest.load(machine.models_folder), models(machine.settings), Path(machine.root))
    if found.ready:
        yield Finding("ok", f"{names}; the models run on it ({found.library}, {found.runtime})")
    else:
        # Models compiled for it do not come along, and the door works without.
        verdict: Verdict = "note" if found.library and found.without_twin and mode == "auto" else "bad"
        yield Finding(verdict, f"{names}, but the models run on the CPU: {found.problem}", found.hint)


def lights(machine: Machine) -> Iterator[Finding]:
    from . import gpio
    from .lights import Lights

    of = machine.settings.lights
    pins = {f"GPIO{pin} ({key})": pin for key in ("green", "red", "buzzer") for pin in [getattr(of, key)]}
    if machine.running and not machine.simulate:
        try:
            chip = gpio.header_chip()
        except LightsError as error:
            yield Finding("note", f"the service runs; this user cannot see its pins: {error}", "sudo doorlight doctor")
            return
        if chip:
            held = {name: gpio.holder(chip, pin) for name, pin in pins.items()}
            said = ", ".join(f"{name} held by {who or 'nobody'}" for name, who in held.items())
            restart = "" if all(held.values()) else f"sudo systemctl restart {UNIT}"
            yield Finding("note" if restart else "ok", f"the service runs; {chip}: {said}", restart)
            return
    told: list[str] = []
    with Lights(of, machine.simulate, told.append) as opened:
        if not opened.simulated:
            yield Finding("ok", f"{gpio.header_chip()}: {', '.join(pins)} are free")
        elif machine.simulate:
            yield Finding("ok", "simulated, as asked for")
        else:
            verdict: Verdict = "bad" if machine.is_pi else "note"
            yield Finding(verdict, told[0], "ls -l /dev/gpiochip*; sudo apt full-upgrade" if machine.is_pi else "")


def permissions(machine: Machine) -> Iterator[Finding]:
    user, watched = machine.user, machine.watches
    patterns = ["dev/media*", "dev/video*", "dev/dma_heap/*"] if watched == "picamera" else []
    patterns += [watched.lstrip("/")] if watched.startswith("/dev/") else []
    patterns += ["dev/gpiochip*"] if machine.is_pi and not machine.simulate else []
    nodes = [node for pattern in patterns for node in machine.glob(pattern)]
    closed: dict[str, list[Path]] = {}
    for node in nodes:
        if not user.may(node, os.R_OK | os.W_OK):
            status = node.stat()
            mend = f"sudo udevadm trigger; if that is not enough: {REPAIR}, which brings udev rules"
            if status.st_gid and status.st_mode & 0o060 == 0o060:
                again = "log in again" if user.me else f"sudo systemctl restart {UNIT}"
                mend = f"sudo usermod -aG {_group(status.st_gid)} {user.name}; then {again}"
            closed.setdefault(mend, []).append(node)
    for mend, some in closed.items():
        names = ", ".join(map(str, some[:3])) + (f" and {len(some) - 3} more" if len(some) > 3 else "")
        yield Finding("bad", f"{user.name} may not use {names}", mend)
    groups = ", ".join(sorted(_group(each) for each in user.groups))
    if not nodes:
        yield Finding("ok", f"{user.name} (groups {groups}): there are no device files of camera and lights to be used")
    elif not closed:
        yield Finding("ok", f"{user.name} (groups {groups}) may use all {len(nodes)} device files of camera and lights")
    if not user.me and os.geteuid():
        yield Finding("note", f"the service runs as {user.name}: this user may see less", "sudo doorlight doctor")


def _group(number: int) -> str:
    with contextlib.suppress(KeyError):
        return grp.getgrgid(number).gr_name
    return str(number)


def events(machine: Machine) -> Iterator[Finding]:
    path, user, settings = machine.events_file, machine.user, machine.settings.events
    folder = path.absolute().parent
    if not folder.is_dir():
        yield Finding("bad", f"{path}: there is no folder {folder}", f"sudo install -d -o {user.name} {folder}")
        return
    disk = os.statvfs(folder)
    if disk.f_flag & os.ST_RDONLY:
        yield Finding(
            "bad",
            f"{folder}: its disk is read-only",
            "sudo dmesg | grep -iE 'mmc|ext4|i/o error' (a failing card turns read-only by itself); sudo mount -o remount,rw /",
        )
        return
    for what, wanted in ((folder, os.W_OK | os.X_OK), (path, os.R_OK | os.W_OK)):
        if what.exists() and not user.may(what, wanted):
            yield Finding("bad", f"{what}: {user.name} may not write there", f"sudo chown {user.name}: {what}")
            return
    free, needed = disk.f_bavail * disk.f_frsize, settings.rotate_bytes * (settings.keep + 1)
    room = f"{path}: {free / 1e6:,.0f} MB free"
    clear = "sudo apt clean; sudo journalctl --vacuum-size=50M; df -h"
    if free < LEAST_BYTES:
        yield Finding("bad", f"{room}: next to nothing", clear)
    elif free < needed:
        yield Finding("note", f"{room}, but a full log takes {needed / 1e6:,.0f} MB", clear)
    if machine.running and "event log:" in (said := machine.of_service("StatusText")):
        yield Finding("bad", f"the running service says: {said}", "sudo dmesg | grep -iE 'mmc|ext4|i/o error'")
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("note", f"{room}; this user cannot measure how fast it is", "sudo doorlight doctor")
        return
    took_s = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(5):
            began = time.perf_counter()
            os.write(file.fileno(), b"." * 199 + b"\n")
            os.fsync(file.fileno())
            took_s.append(time.perf_counter() - began)
            if sum(took_s) > LONG_ENOUGH_S:
                break
    median_s = statistics.median(took_s)
    verdict: Verdict = "bad" if median_s > TOO_SLOW_S else "note" if median_s > SLOW_S else "ok"
    slow = "" if verdict == "ok" else "another SD card (class A1 or A2), or another disk in [events] file"
    yield Finding(
        verdict, f"{room}, a line is on the disk in {1000 * median_s:.1f} ms (fsync, median of {len(took_s)})", slow
    )


def temperature(machine: Machine) -> Iterator[Finding]:
    zones = [
        machine.read(f"{zone.relative_to(machine.root)}/temp")
        for zone in machine.glob("sys/class/thermal/thermal_zone*")
    ]
    degrees = max((int(text) / 1000 for text in zones if text.lstrip("-").isdigit()), default=None)
    if degrees is not None:
        hot: Verdict = "bad" if degrees >= HOT_C else "note" if degrees >= WARM_C else "ok"
        verdict: Verdict = hot if machine.is_pi else "ok"  # a PC is made for more
        yield Finding(verdict, f"{degrees:.0f} °C", COOL if verdict != "ok" else "")
    try:
        bits = int(ask("vcgencmd", "get_throttled").removeprefix("throttled="), 16)
    except (Unavailable, ValueError) as error:
        if machine.is_pi:
            yield Finding("note", f"nothing known of the power supply: {error}", "sudo doorlight doctor")
        elif degrees is None:
            yield Finding("ok", "no sensor here")
        return
    now = [name for k, name in enumerate(THROTTLED) if bits >> k & 1]
    before = [name for k, name in enumerate(THROTTLED) if bits >> (k + 16) & 1 and name not in now]
    said = "; ".join(f"{when}: {', '.join(names)}" for when, names in (("now", now), ("since boot", before)) if names)
    volts = THROTTLED[0] in now + before
    mend = POWER if volts else COOL
    if said:
        yield Finding("bad" if {"under-voltage", "throttled"} & set(now) else "note", said, mend)
    else:
        yield Finding("ok", "power supply and processor speed right since boot")


def journal(machine: Machine) -> Iterator[Finding]:
    # Not by whether there is /var/log/journal: Raspberry Pi OS has it, and a setting that journald is not to use it. What
    # is in memory is removed from /run as soon as the disk takes over.
    if machine.glob("run/log/journal/*"):
        yield Finding(
            "note",
            f"in memory only, gone with a reboot; the event log is not: {machine.events_file}",
            r"sudo mkdir -p /etc/systemd/journald.conf.d && printf '[Journal]\nStorage=persistent\nSystemMaxUse=50M\n' | "
            "sudo tee /etc/systemd/journald.conf.d/90-persistent.conf && sudo systemctl restart systemd-journald",
        )
    elif machine.glob("var/log/journal/*"):
        yield Finding("ok", "on the disk")
    else:
        yield Finding("note", "no journal of systemd here; the event log needs none")


def clock(machine: Machine) -> Iterator[Finding]:
    from .clock import is_set

    with contextlib.suppress(Unavailable):
        if ask("timedatectl", "show", "-p", "NTPSynchronized", "--value") == "yes":
            yield Finding("ok", "synchronised by the network")
            return
    if is_set():
        yield Finding("ok", "set, by the network or by a clock chip")
    else:
        yield Finding(
            "note",
            "not set by anybody since boot: times in the event log may be wrong (their order is not), and the buzzer "
            "keeps no quiet hours",
            "sudo timedatectl set-ntp true, with a network; without one: a clock chip with a battery",
        )
