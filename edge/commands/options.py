"""Arguments and argument types that several commands share."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ..system.terminal import printable

if TYPE_CHECKING:
    from ..config import Config

Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"

#: Event log of a run that names none, in the working directory.
LOCAL_LOG = Path("doorlight-events.jsonl")
#: Longest line of an error message, in characters.
MAX_MESSAGE_LENGTH = 2000


class Parser(argparse.ArgumentParser):
    """An argument parser that keeps the line breaks of help texts, and whose errors are safe to print."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        super().error(printable(message, MAX_MESSAGE_LENGTH))


def add_config(parser: Parser) -> None:
    """Add --config."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings file (TOML); it overrides the defaults (default: none)"
    )


def add_models(parser: Parser) -> None:
    """Add --models."""
    parser.add_argument(
        "--models",
        type=Path,
        metavar="FOLDER",
        help="folder with manifest.toml and the models (default: models.directory in the settings, else the shipped models)",
    )


def add_source(parser: Parser) -> None:
    """Add --source."""
    parser.add_argument(
        "--source",
        metavar="SOURCE",
        help="picamera, a device (/dev/video0), an address (rtsp://…), a video file, or a folder of pictures "
        "(default: camera.source in the settings)",
    )


def add_simulate(parser: Parser) -> None:
    """Add --simulate."""
    parser.add_argument(
        "--simulate", action="store_true", help="use no GPIO pins: print the lights as lines (default: use the pins)"
    )


def add_door(parser: Parser) -> None:
    """Add the options that describe a door: settings, models, source, lights and event log."""
    add_config(parser)
    add_models(parser)
    add_source(parser)
    add_simulate(parser)
    parser.add_argument(
        "--events",
        type=Path,
        metavar="FILE",
        help=f"event log (default: events.file in the settings, else ./{LOCAL_LOG})",
    )


def seconds(max_s: float) -> Callable[[str], float]:
    """Return an argument type for a number of seconds above 0 and up to `max_s`."""

    def parse(text: str) -> float:
        with contextlib.suppress(ValueError):
            if 0 < (value := float(text)) <= max_s:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and up to {max_s:g}")

    return parse


def count(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return an argument type for a whole number from `minimum` to `maximum`."""

    def parse(text: str) -> int:
        with contextlib.suppress(ValueError):
            if minimum <= (value := int(text)) <= maximum:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {minimum} to {maximum}")

    return parse


def models_folder(args: argparse.Namespace, config: Config) -> Path | None:
    """Return the folder of --models or of the settings; None for the shipped models."""
    folder: Path | None = args.models
    if folder is None and config.models.directory:
        folder = Path(config.models.directory)
    return folder
