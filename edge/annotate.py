"""Write copies of pictures and videos with the door's decisions drawn in: the command `doorlight annotate`.

An output is written under a temporary name and renamed when it is complete. OpenCV reports neither a full disk nor most
other failures of its writers, so pictures are encoded in memory, and the frames of a finished video are counted.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2

from .camera.picture_files import PICTURE_SUFFIXES, PictureFiles
from .camera.video_file import VideoFile
from .config import Config
from .door import Pipeline, decide_image
from .drawing import Picture, draw
from .errors import InputError, OutputError, UsageError
from .inference.perception import Perception
from .records import Face
from .system.stderr import captured
from .system.terminal import is_utf8, printable

VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm")
#: FourCC code by file name extension.
CODECS = {".avi": "MJPG", ".webm": "VP80"}
DEFAULT_CODEC = "mp4v"
#: OpenCV's video writers write beyond their buffers if a frame is narrower than 8 pixels.
MIN_VIDEO_SIDE_PX = 16


def annotate(config: Config, perception: Perception, src: str, out: Path) -> None:
    """Annotate a picture, a video, or every picture and video of a folder; `out` is of the same kind as `src`.

    Shows a progress bar on stderr. Raises InputError if an input cannot be read, OutputError if an output cannot be
    written, UsageError if `out` does not fit `src`. Unreadable files of a folder are reported and skipped.
    """
    source = Path(os.path.expanduser(src))
    if os.path.isdir(source):
        _annotate_folder(config, perception, source, out)
    else:
        _annotate_file(config, perception, source, out)


def _annotate_folder(config: Config, perception: Perception, source: Path, out: Path) -> None:
    if os.path.exists(out) and not os.path.isdir(out):
        raise UsageError(f"{out}: is a file, but {source} is a folder", "give an output folder")
    try:
        paths = sorted(
            p for p in source.iterdir() if p.suffix.lower() in (*PICTURE_SUFFIXES, *VIDEOS) and p.name[0] != "."
        )
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror}", "check its permissions") from None
    if not paths:
        raise InputError(f"{source}: no picture or video in this folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be created: {error.strerror}", "choose a writable folder") from None
    if out.resolve() == source.resolve():
        raise UsageError(f"{out}: would overwrite the originals", "choose another output folder")
    problems = []
    with _progress(len(paths), source.name) as advance:
        for path in paths:
            try:
                _annotate_file(config, perception, path, out / path.name, quiet=True)
            except InputError as error:
                problems.append(str(error))
            advance()
    if len(problems) == len(paths):
        raise InputError(f"{source}: none of its {len(paths)} files can be read ({problems[0]})")
    for problem in problems:
        print(f"skipped: {printable(problem)}")


def _annotate_file(config: Config, perception: Perception, source: Path, out: Path, quiet: bool = False) -> None:
    is_picture = source.suffix.lower() in PICTURE_SUFFIXES
    suffixes = PICTURE_SUFFIXES if is_picture else VIDEOS
    if out.suffix.lower() not in suffixes:
        kind = "picture" if is_picture else "video"
        raise UsageError(f"{out}: is not a {kind} like {source}", f"end its name with one of {' '.join(suffixes)}")
    if os.path.exists(out) and out.resolve() == source.resolve():
        raise UsageError(f"{out}: would overwrite the original", "choose another output name")
    if not os.path.isdir(out.parent) or not os.access(out.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{out}: its folder does not exist or is not writable", "choose a writable folder")
    temporary = out.with_name(f".{out.stem}.part{out.suffix}")
    try:
        if is_picture:
            _annotate_picture(config, perception, source, out, temporary)
        else:
            _annotate_video(config, perception, source, out, temporary, quiet)
        os.replace(temporary, out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}", "is the disk full?") from None
    finally:
        temporary.unlink(missing_ok=True)


def _annotate_picture(config: Config, perception: Perception, source: Path, out: Path, temporary: Path) -> None:
    with PictureFiles(source, config.camera) as file:
        frame = file.read()
    assert frame is not None
    drawn = draw(frame.picture, decide_image(config, perception, frame.picture), perception)
    with captured():
        try:
            # cv2.imwrite accepts no names that are not UTF-8 and does not report a full disk.
            done, data = cv2.imencode(out.suffix.lower(), cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        except cv2.error:
            done = False
    if not done:
        height, width = drawn.shape[:2]
        raise OutputError(f"{out}: {width} x {height} pixels are too many for this format", "use a name ending in .png")
    temporary.write_bytes(data.tobytes())


def _annotate_video(
    config: Config, perception: Perception, source: Path, out: Path, temporary: Path, quiet: bool
) -> None:
    if not is_utf8(str(out)):  # OpenCV segfaults on such a name.
        raise OutputError(f"{out}: its name is not UTF-8", "choose another output name")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET. OpenCV reads it at the first use of FFmpeg.
    pipeline = Pipeline(config, perception)
    looks: dict[int, Face] = {}
    writer: cv2.VideoWriter | None = None
    written = 0
    with VideoFile(source, config.camera) as file, _progress(None if quiet else file.length, source.name) as advance:
        try:
            while (frame := file.read()) is not None:
                decision = pipeline.step(frame)
                # A settled face is not looked at in every frame: draw its last look until the next one.
                looks.update(decision.faces)
                drawn = draw(frame.picture, replace(decision, faces=looks), perception)
                if writer is None:
                    writer = _open_writer(out, temporary, drawn, file.fps or config.camera.fps)
                writer.write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
                written += 1
                advance()
        finally:
            if writer is not None:
                writer.release()
    if _count_frames(temporary) < written:
        raise OSError(errno.EIO, "frames are missing")
    if file.damage:
        print(f"note: {printable(file.damage)}")


def _open_writer(out: Path, temporary: Path, first: Picture, fps: float) -> cv2.VideoWriter:
    """Return an open writer to `temporary` for frames of the size of `first`, in the format of `out`."""
    height, width = first.shape[:2]
    if min(width, height) < MIN_VIDEO_SIDE_PX:
        raise OutputError(f"{out}: {width} x {height} pixels are too few for a video")
    codec = CODECS.get(out.suffix.lower(), DEFAULT_CODEC)
    with captured():
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
    if not writer.isOpened():
        raise OutputError(f"{out}: this video format cannot be written here", "use a name ending in .mp4 or .avi")
    return writer


def _count_frames(video: Path) -> int:
    """Return the number of frames in a video file. OpenCV's writer does not report frames that the disk refused."""
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    frames = 0
    while capture.grab():
        frames += 1
    capture.release()
    return frames


@contextlib.contextmanager
def _progress(total: int | None, description: str) -> Iterator[Callable[[], None]]:
    """Show a progress bar on stderr, if that is a terminal and `total` is known; yield a function that advances it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=total is None or not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)
        yield lambda: bar.advance(task)
