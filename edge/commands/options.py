"""Arguments and argument types that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from ..system.terminal import printable

if TYPE_CHECKING:
    from ..config import Config

Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"

#: Event log of a run that names none, in the working directory.
LOCAL_LOG = Path("doorlight-events.jsonl")
#: Settings of the installed service, as in systemd/doorlight.service.
SERVICE_SETTINGS = Path("/etc/doorlight/doorlight.toml")
#: How an address begins.
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: Longest line of an error message, in characters.
MAX_MESSAGE_LENGTH = 2000


def local_file(text: str) -> Path:
    """Return a path of this machine. Refuses addresses, which may contain a password, without repeating them."""
    if ADDRESS.match(text):
        raise argparse.ArgumentTypeError("is an address: give a file of this machine")
    return Path(text)


class Parser(argparse.ArgumentParser):
    """An argument parser that keeps the line breaks of help texts, and whose errors are safe to print."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        super().error(printable(message, MAX_MESSAGE_LENGTH))


def add_config(parser: Parser) -> None:
    """Add --config. Read the settings with `load_settings`."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"settings file (TOML); it overrides the defaults (default: {SERVICE_SETTINGS} if it exists: the settings "
        "of the installed service)",
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


def load_settings(given: Path | None) -> Config:
    """Return the settings of the file of --config; without one, of the installed service, else the defaults.

    If the service's file is used, or exists but cannot be read by this user, a line on standard error says so. The service
    itself passes --config. Raises ConfigError.
    """
    from ..config import load

    return load(settings_file(given))


def load_door_settings(given: Path | None) -> Config:
    """Return the settings as `load_settings`, with the areas that were set on the page; a line says so."""
    return with_areas(settings_file(given))


def with_areas(settings: Path | None) -> Config:
    """Return the settings of a file, or the defaults, with the areas that were set on the page; a line says so."""
    from ..areas_file import applied
    from ..config import load

    config, note = applied(load(settings), areas_path(settings), settings)
    if note:
        _print_note(f"note: {note}")
    return config


def areas_path(settings: Path | None) -> Path | None:
    """Return the file of the areas that were set on the page for these settings; None if there is none."""
    from ..areas_file import path_for

    return path_for(settings, is_service=settings is not None and os.path.abspath(settings) == str(SERVICE_SETTINGS))


def settings_file(given: Path | None) -> Path | None:
    """Return the settings file of a command: that of --config, else of the installed service; None if there is none.

    A line says that the service's file is used, or cannot be read.
    """
    return given or _service_settings()


def _service_settings() -> Path | None:
    """Return the settings file of the service; None if the service is not installed or this user may not read the file."""
    try:
        os.stat(SERVICE_SETTINGS)
        is_readable = os.access(SERVICE_SETTINGS, os.R_OK, effective_ids=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:  # of a folder above it
        is_readable = False
    if not is_readable:
        _print_note(f"note: {SERVICE_SETTINGS}: no permission to read it; the defaults are used (to use it: sudo)")
        return None
    _print_note(f"settings: {SERVICE_SETTINGS}")
    return SERVICE_SETTINGS


def _print_note(line: str) -> None:
    """Print a line to standard error, also if that is closed or full."""
    with contextlib.suppress(OSError):
        print(printable(line), file=sys.stderr, flush=True)


def models_folder(args: argparse.Namespace, config: Config) -> Path | None:
    """Return the folder of --models or of the settings; None for the shipped models."""
    folder: Path | None = args.models
    if folder is None and config.models.directory:
        folder = Path(config.models.directory)
    return folder
