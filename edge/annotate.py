"""Draw the door's decisions into copies of pictures and videos, or into a picture of a camera: `doorlight annotate`.

An output is written under a temporary name and renamed when it is complete. OpenCV reports neither a full disk nor most
other failures of its writers, so pictures are encoded in memory, and the frames of a finished video are counted.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from .camera.factory import open_source
from .camera.file_kind import FileKind
from .camera.folder import list_folder, nothing_readable, unreadable
from .camera.picture_files import PictureFile
from .camera.source import LeftOut, Source
from .config import Config
from .counted import counted
from .door import decisions
from .drawing import VERDICT_TEXTS, Drawing
from .errors import CameraError, InputError, OutputError, UsageError
from .imaging.image_writer import check_folder, encode, temporary_name
from .inference.perception import Perception
from .pipeline import PICTURE_S, Decision, Pipeline, decide_image
from .source_kind import PICTURE_SUFFIXES
from .system.files import is_same_file
from .system.terminal import printable
from .video_writer import VIDEO_SUFFIXES, VideoWriter, output_fps

if TYPE_CHECKING:
    from .people.presence import Presence

#: Default for how long a camera is watched.
CAMERA_S = 3.0


@dataclass(frozen=True)
class Written:
    """A file that was written. `summary` says what it shows, `notes` what the user should know about it."""

    path: Path
    summary: str
    notes: tuple[str, ...] = ()


@dataclass
class Result:
    """The files that were written, and the files of a folder that were left out."""

    written: list[Written] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


#: Makes what recognises enrolled people for one pipeline; None recognises nobody.
MakePresence = Callable[[], "Presence | None"]


def annotate(
    config: Config,
    perception: Perception,
    src: str,
    out: Path,
    camera_s: float = CAMERA_S,
    make_presence: MakePresence = lambda: None,
) -> Result:
    """Annotate a picture, a video, or every picture and video of a folder; `out` is of the same kind as `src`.

    A camera is watched for `camera_s` seconds; its last picture is written. `make_presence` is called for each file.

    Shows a progress bar on stderr. Raises InputError if an input cannot be read, CameraError if a camera gives no
    picture, OutputError if an output cannot be written, UsageError if `out` does not fit `src`.
    """
    folder = Path(os.path.expanduser(src))
    if os.path.isdir(folder):
        return _annotate_folder(config, perception, folder, out, make_presence)
    # The service waits for a camera that is missing. Here it is an error at once.
    source = open_source(replace(config.camera, wait=False), src)
    with _progress(source.name) as advance:  # without the password of an address
        return Result([_annotate_source(config, perception, source, out, advance, make_presence, camera_s)])


def _annotate_folder(
    config: Config, perception: Perception, folder: Path, out: Path, make_presence: MakePresence
) -> Result:
    if os.path.exists(out) and not os.path.isdir(out):
        raise UsageError(f"{out}: is a file, but {folder} is a folder", "give an output folder")
    files, left_out = list_folder(folder)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be created: {error.strerror}", "choose a writable folder") from None
    if is_same_file(out, folder):
        raise UsageError(f"{out}: would overwrite the originals", "choose another output folder")
    names = output_names(files)
    result = Result(left_out=left_out)
    with _progress(folder.name, len(files)) as advance:
        for (path, _), name in zip(files, names, strict=True):
            try:
                source = open_source(config.camera, os.path.abspath(path))
                result.written.append(
                    _annotate_source(config, perception, source, out / name, lambda *_: None, make_presence)
                )
            except InputError as error:
                left_out.append(unreadable(Path(os.path.abspath(path)), error))
            advance(1, None)
    if not result.written:
        raise nothing_readable(folder, left_out)
    return result


def output_names(files: list[tuple[Path, FileKind]]) -> list[str]:
    """Return the name of the output for each file: its own, with an ending that can be written and is widely shown."""
    names: list[str] = []
    used: set[str] = {path.name.casefold() for path, _ in files}
    for path, kind in files:
        is_picture = kind is FileKind.PICTURE
        kept, ending = (PICTURE_SUFFIXES, ".jpg") if is_picture else ((".mp4", ".webm"), ".mp4")
        name = path.name
        if path.suffix.lower() not in kept:
            name = path.stem + ending
            if name.casefold() in used:
                name = path.name + ending
            while name.casefold() in used:
                name = f"_{name}"
            used.add(name.casefold())
        names.append(name)
    return names


#: Advances the progress bar by a number of steps; the second argument is the total, or None if it has not changed.
Advance = Callable[[float, float | None], None]


def _annotate_source(
    config: Config,
    perception: Perception,
    source: Source,
    out: Path,
    advance: Advance,
    make_presence: MakePresence,
    camera_s: float = CAMERA_S,
) -> Written:
    """Annotate one source, which is not a folder, into the file `out`."""
    is_picture = source.live or isinstance(source, PictureFile)
    if source.live:  # opening a camera takes seconds
        _check_output(source, out, is_picture)
    temporary = temporary_name(out)
    try:
        with source:
            if not source.live:  # a source that is neither is no reason for another name of the output
                _check_output(source, out, is_picture)
            presence = make_presence()
            if is_picture and not source.live:
                written = _annotate_picture(config, perception, presence, source, out, temporary)
            else:
                pipeline, drawing = Pipeline(config, perception, presence), Drawing(config, perception)
                if source.live:
                    written = _annotate_camera(pipeline, drawing, source, out, temporary, advance, camera_s)
                else:
                    written = _annotate_video(pipeline, drawing, source, out, temporary, advance)
        os.replace(temporary, out)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}", "is the disk full?") from None
    finally:
        temporary.unlink(missing_ok=True)
    return written


def _check_output(source: Source, out: Path, is_picture: bool) -> None:
    suffixes = sorted(PICTURE_SUFFIXES) if is_picture else VIDEO_SUFFIXES
    if out.suffix.lower() not in suffixes:
        kind = "picture" if is_picture else "video"
        why = "a camera gives one" if source.live else f"{source.name} is one"
        raise UsageError(f"{out}: is not a {kind}: {why}", f"end its name with one of {' '.join(suffixes)}")
    if not source.live and is_same_file(out, Path(source.name)):
        raise UsageError(f"{out}: would overwrite the original", "choose another output name")
    check_folder(out)


def _annotate_picture(
    config: Config, perception: Perception, presence: Presence | None, source: Source, out: Path, temporary: Path
) -> Written:
    frame = source.read()
    assert frame is not None
    decision = decide_image(config, perception, frame.picture, config.camera.picture_s or PICTURE_S, presence)
    drawing = Drawing(config, perception)
    temporary.write_bytes(encode(drawing.draw(frame.picture, decision), out))
    return Written(out, describe(decision), (source.damage,) if source.damage else ())


def _annotate_camera(
    pipeline: Pipeline,
    drawing: Drawing,
    source: Source,
    out: Path,
    temporary: Path,
    advance: Advance,
    camera_s: float,
) -> Written:
    """Watch a camera for `camera_s` as the door does, and write its last picture."""
    start: float | None = None
    watched_s = 0.0
    for frame, decision in decisions(pipeline, source):
        if frame is None:
            raise CameraError(decision.fault or f"{source.name}: no picture", "check cable and power of the camera")
        drawing.add_looks(decision)
        start = frame.t if start is None else start
        advance(frame.t - start - watched_s, camera_s)
        watched_s = frame.t - start
        if watched_s >= camera_s:
            break
    assert frame is not None
    temporary.write_bytes(encode(drawing.draw(frame.picture, decision), out))
    height, width = frame.picture.shape[:2]
    return Written(out, f"{source.name}, {width} x {height}, {describe(decision)}")


def _annotate_video(
    pipeline: Pipeline,
    drawing: Drawing,
    source: Source,
    out: Path,
    temporary: Path,
    advance: Advance,
) -> Written:
    writer: VideoWriter | None = None
    decided: set[int] = set()
    try:
        while (frame := source.read()) is not None:
            decision = pipeline.step(frame)
            decided.update(person.number for person in decision.people.values() if person.number)
            drawn = drawing.draw(frame.picture, decision)
            if writer is None:
                writer = VideoWriter(out, temporary, drawn, output_fps(source.fps))
            writer.write(drawn, frame.t)
            advance(1, source.length)
        assert writer is not None  # a source that opens has at least one frame
        if not writer.close():
            raise OSError(errno.EIO, "frames are missing")
    finally:
        if writer is not None:
            writer.abort()
    height, width = drawn.shape[:2]
    summary = f"{writer.seconds:.1f} s, {width} x {height}, {writer.format.name}; people decided: {len(decided)}"
    notes = [note for note in (source.note, writer.format.note, source.damage) if note]
    if writer.shortened:
        shortened = counted(writer.shortened, "long time without a picture was", "long times without a picture were")
        notes.append(f"{shortened} shortened")
    return Written(out, summary, tuple(notes))


def describe(decision: Decision) -> str:
    """Return a decision in a few words: "PASS: 2 people (1 mask, 1 undecided)"."""
    outside = ", ".join(
        f"{len(boxes)} {text}"
        for boxes, text in ((decision.outside, "outside the zone"), (decision.still, "without any motion"))
        if boxes
    )
    present = [track.number for track in decision.tracks if track.last_seen >= decision.t]
    counts = Counter(VERDICT_TEXTS[decision.verdict(number)] for number in present)
    if not present:
        nobody = "no face in the zone" if decision.outside else "no face that counts" if outside else "no face found"
        nobody += f", {outside}" if outside else ""
        return f"{decision.signal.value}: {decision.fault or nobody}"
    people = counted(len(present), "person", "people")
    parts = ", ".join(f"{n} {text}" for text, n in sorted(counts.items()))
    return f"{decision.signal.value}: {people} ({parts}){f', {outside}' if outside else ''}"


@contextlib.contextmanager
def _progress(description: str, total: float | None = None) -> Iterator[Advance]:
    """Show a progress bar on stderr, if that is a terminal; yield a function that advances it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(printable(description), total=total)

        yield lambda steps, new_total: bar.update(task, advance=steps, total=new_total)
