"""Draw what the door sees into pictures and videos: boxes, verdicts, scores, the light."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .camera import PICTURES, PictureFiles, VideoFile
from .config import Config
from .door import Decision, Loop, still
from .errors import InputMissing, OutputError, UsageError
from .native import messages
from .perception import Perception
from .policy import Verdict
from .records import Face, Signal
from .terminal import is_utf8, printable

Picture = npt.NDArray[np.uint8]

VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm")
#: OpenCV's writers go beyond their buffers where pictures are narrower than 8 pixels; none that people look at are.
LEAST_SIDE = 16
# RGB.
_COLOURS = {Verdict.MASKED: (40, 190, 90), Verdict.UNMASKED: (230, 60, 50), Verdict.UNKNOWN: (170, 170, 170)}
_LAMPS = {
    Signal.IDLE: ((70, 70, 70), (70, 70, 70)),
    Signal.PASS: ((40, 220, 100), (70, 70, 70)),
    Signal.STOP: ((70, 70, 70), (255, 60, 50)),
    Signal.ALARM: ((70, 70, 70), (255, 60, 50)),
    Signal.FAULT: ((70, 70, 70), (255, 150, 50)),
}
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotate(config: Config, perception: Perception, src: str, out: Path) -> None:
    """Annotate a picture, a video, or every picture and video of a folder; `out` is of the same kind.

    Raises InputMissing for what cannot be read, OutputError for what cannot be written, UsageError where `out` does
    not fit `src`. A progress bar goes to stderr. An output appears under its name only when it is whole.
    """
    source = Path(os.path.expanduser(src))
    if not os.path.isdir(source):
        _one(config, perception, source, out)
        return
    if os.path.exists(out) and not os.path.isdir(out):
        raise UsageError(f"{out}: is a file, but {src} is a folder", "give a folder to write to")
    try:
        names = sorted(p for p in source.iterdir() if p.suffix.lower() in (*PICTURES, *VIDEOS) and p.name[0] != ".")
    except OSError as error:
        raise InputMissing(f"{source}: cannot be read: {error.strerror}", "check its permissions") from None
    if not names:
        raise InputMissing(f"{source}: no picture or video in this folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made: {error.strerror}", "choose a folder that you may write to") from None
    if out.resolve() == source.resolve():
        raise UsageError(f"{out}: would overwrite the originals", "give another folder to write to")
    unread = []
    with _progress(len(names), source.name) as advance:
        for path in names:
            try:
                _one(config, perception, path, out / path.name, quiet=True)
            except InputMissing as error:
                unread.append(str(error))
            advance()
    if len(unread) == len(names):
        raise InputMissing(f"{source}: none of its {len(names)} files can be read ({unread[0]})")
    for problem in unread:
        print(f"left out: {printable(problem)}")


def _one(config: Config, perception: Perception, source: Path, out: Path, quiet: bool = False) -> None:
    picture = source.suffix.lower() in PICTURES
    wanted = PICTURES if picture else VIDEOS
    if out.suffix.lower() not in wanted:
        kind = "picture" if picture else "video"
        raise UsageError(f"{out}: should be a {kind} like {source}", f"end its name with one of {' '.join(wanted)}")
    if os.path.exists(out) and out.resolve() == source.resolve():
        raise UsageError(f"{out}: would overwrite the original", "give another name to write to")
    temporary = out.with_name(f".{out.stem}.part{out.suffix}")
    if not os.path.isdir(out.parent) or not os.access(out.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: its folder is not there or not writable", "choose a folder that you may write to")
    try:
        if picture:
            _still(config, perception, source, out, temporary)
        else:
            _video(config, perception, source, out, temporary, quiet)
        os.replace(temporary, out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}", "is the disk full?") from None
    finally:
        temporary.unlink(missing_ok=True)


def _still(config: Config, perception: Perception, source: Path, out: Path, temporary: Path) -> None:
    with PictureFiles(source, config.camera) as file:
        frame = file.read()
    assert frame is not None
    drawn = draw(frame.picture, still(config, perception, frame.picture), perception)
    with messages():
        try:
            # Not imwrite: it cannot take names that are not UTF-8, nor say that the disk is full.
            done, data = cv2.imencode(out.suffix.lower(), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        except cv2.error:
            done = False
    if not done:
        height, width = drawn.shape[:2]
        raise OutputError(
            f"{out}: {width} x {height} pixels are too much for this kind of picture", "try a name ending in .png"
        )
    temporary.write_bytes(data.tobytes())


def _video(config: Config, perception: Perception, source: Path, out: Path, temporary: Path, quiet: bool) -> None:
    if not is_utf8(str(out)):
        raise OutputError(f"{out}: its name is not UTF-8", "choose another name to write to")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET; read when FFmpeg is first used
    loop = Loop(config, perception)
    looks: dict[int, Face] = {}
    writer: cv2.VideoWriter | None = None
    written = 0
    with VideoFile(source, config.camera) as file, _progress(None if quiet else file.length, source.name) as advance:
        try:
            while (frame := file.read()) is not None:
                decision = loop.step(frame)
                # A settled face is not looked at in every frame: show its last look until the next.
                looks.update(decision.faces)
                drawn = draw(frame.picture, replace(decision, faces=looks), perception)
                if writer is None:
                    size = (drawn.shape[1], drawn.shape[0])
                    if min(size) < LEAST_SIDE:
                        raise OutputError(f"{out}: {size[0]} x {size[1]} pixels are too few for a video")
                    codec = (
                        "MJPG" if out.suffix.lower() == ".avi" else "VP80" if out.suffix.lower() == ".webm" else "mp4v"
                    )
                    with messages():
                        writer = cv2.VideoWriter(
                            str(temporary), cv2.VideoWriter.fourcc(*codec), file.fps or config.camera.fps, size
                        )
                    if not writer.isOpened():
                        raise OutputError(
                            f"{out}: this kind of video cannot be written here", "try a name ending in .mp4 or .avi"
                        )
                writer.write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
                written += 1
                advance()
        finally:
            if writer is not None:
                writer.release()
    if _frames(temporary) < written:
        raise OSError(errno.EIO, "not every frame arrived")
    if file.truncated:
        print(f"note: {printable(file.truncated)}")


def _frames(video: Path) -> int:
    """How many frames a video really has: OpenCV's writer keeps to itself what the disk refused."""
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    found = 0
    while capture.grab():
        found += 1
    capture.release()
    return found


@contextlib.contextmanager
def _progress(total: int | None, what: str) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr where somebody watches; yields the function that advances it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=total is None or not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def draw(picture: Picture, decision: Decision, perception: Perception) -> Picture:
    """A copy of `picture`, (H, W, 3) uint8 RGB, with everyone's box, verdict and scores, and the light, drawn in."""
    out = picture.copy()
    unit = max(0.4, min(out.shape[:2]) / 480)
    for track in decision.tracks:
        if track.seen < decision.t:
            continue
        verdict = decision.verdicts.get(track.person, Verdict.UNKNOWN)
        colour = _COLOURS[verdict]
        x1, y1, x2, y2 = (round(v) for v in track.box)
        cv2.rectangle(out, (x1, y1), (x2, y2), colour, max(1, round(2 * unit)), cv2.LINE_AA)
        words = {Verdict.MASKED: "mask", Verdict.UNMASKED: "no mask", Verdict.UNKNOWN: "?"}[verdict]
        lines = [f"{track.person}: {words} {track.evidence:+.1f}" if track.looks else f"{track.person}: far"]
        face = decision.faces.get(track.person)
        if face is not None and face.expression is not None and perception.expression is not None:
            p, label = max(zip(face.expression, perception.expression.labels, strict=True))
            lines.append(f"{label} {p:.0%}")
        if track.person in decision.agitated:
            lines.append("AGITATED")
        _label(out, lines, x1, y1, colour, unit)
    _lights(out, decision.signal, unit)
    return out


def _label(out: Picture, lines: list[str], x: int, y: int, colour: tuple[int, int, int], unit: float) -> None:
    scale, thick = 0.5 * unit, max(1, round(unit))
    sizes = [cv2.getTextSize(line, _FONT, scale, thick)[0] for line in lines]
    step = max(h for _, h in sizes) + round(7 * unit)
    width, height = max(w for w, _ in sizes) + round(8 * unit), step * len(lines)
    x = max(0, min(x, out.shape[1] - width))
    y = y - height if y >= height else y
    cv2.rectangle(out, (x, y), (x + width, y + height), colour, -1)
    for k, line in enumerate(lines):
        at = (x + round(4 * unit), y + step * (k + 1) - round(5 * unit))
        cv2.putText(out, line, at, _FONT, scale, (255, 255, 255), thick, cv2.LINE_AA)


def _lights(out: Picture, signal: Signal, unit: float) -> None:
    """The box at the door, in the upper left corner: green lamp, red lamp, the signal's name."""
    margin, radius = round(10 * unit), round(13 * unit)
    scale, thick = 0.65 * unit, max(1, round(1.6 * unit))
    name = "ALARM + buzzer" if signal is Signal.ALARM else signal.value
    text = cv2.getTextSize(name, _FONT, scale, thick)[0]
    width, height = 5 * radius + 4 * margin + text[0], 2 * radius + 2 * margin
    panel = out[margin : margin + height, margin : margin + width]
    panel[:] = panel // 4 + 15
    y = margin + height // 2
    for k, colour in enumerate(_LAMPS[signal]):
        at = (2 * margin + radius + round(2.6 * radius) * k, y)
        cv2.circle(out, at, radius, colour, -1, cv2.LINE_AA)
        cv2.circle(out, at, radius, (220, 220, 220), max(1, round(unit)), cv2.LINE_AA)
    words = (2 * margin + round(5.2 * radius), y + text[1] // 2)
    cv2.putText(out, name, words, _FONT, scale, (255, 255, 255), thick, cv2.LINE_AA)
