"""Set up: draw the zone and the areas to ignore on the picture, and read focus and brightness while the camera is turned.

The page gives the lines for the settings file. With `[web] may_configure` it asks the door to use them at once: this process
cannot write.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ...areas_file import Areas, applied, read
from ...config import Config, DoorSettings, load
from ...config_checks import check_door
from ...errors import ConfigError
from ..feed import NoAnswerError
from ..page import Page, read_form, render, site_of
from ..translation import N_
from .live import WORDS

Corners = list[tuple[float, float]]

#: A number as a share, 0 to 1.
_SHARE = r"(?:0?\.\d+|[01](?:\.\d+)?)"
#: For a text without blanks around it: with them, Python would try 32 kB of blanks for half a minute.
_CORNER = re.compile(rf"\(?\s*({_SHARE})[ ;]+({_SHARE})\s*\)?")
#: As in the settings: the limits of msgspec say it in words that are not for this page.
MAX_CORNERS, MAX_AREAS = 100, 20
#: The settings file of the installed service.
DEFAULT_SETTINGS = Path("/etc/doorlight/doorlight.toml")
RESTART = "sudo systemctl restart doorlight"
#: Longer than the door takes to write (seconds).
TIMEOUT_S = 20.0

DONE = {
    "set_areas": N_("The door uses these areas from now on."),
    "undo_areas": N_("The last change is undone. The door uses these areas from now on."),
}
#: Why the door has changed nothing, by the state of its answer.
REFUSED = {
    "off": N_(
        "The running door does not allow changes on the page: set may_configure = true under [web], and restart it."
    ),
    "same": N_("The door uses these areas already."),
    "nothing": N_("There is nothing to undo."),
    "busy": N_("The door is busy with another change. Try again."),
    "failed": N_("The areas could not be saved."),
    "no_answer": N_("The door does not answer. Is it running, and of the same version as this page?"),
}


class Current(NamedTuple):
    """The areas in force, whether the page may change them, the file that has them, and what is wrong with the settings."""

    areas: Areas
    may_configure: bool
    is_set_here: bool
    can_undo: bool
    problem: str


async def show(request: Request) -> HTMLResponse:
    """Return the page, with the areas in force."""
    return _page(request)


async def lines(request: Request) -> Response:
    """Return the settings of the areas of a form, as JSON for the script, else as the page."""
    form = await read_form(request)
    zone, ignore = form.get("zone", ""), form.get("ignore", "")
    text, problem = "", ""
    try:
        async with site_of(request).busy:  # many corners take a while
            text = await run_in_threadpool(settings_lines, zone, ignore)
    except (ConfigError, ValueError) as error:
        problem = _sentence(error)
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"lines": text, "problem": problem})
    return _page(request, zone=zone, ignore=ignore, lines=text, problem=problem)


async def apply(request: Request) -> Response:
    """Let the door use the areas of a form from now on."""
    form = await read_form(request)
    zone, ignore = form.get("zone", ""), form.get("ignore", "")
    try:
        areas = parse_areas(zone, ignore)
    except ValueError as error:
        return _page(request, zone=zone, ignore=ignore, problem=str(error))
    return await _change(request, {"ask": "set_areas", **areas}, zone=zone, ignore=ignore)


async def undo(request: Request) -> Response:
    """Let the door use the areas before the last change."""
    await read_form(request)
    return await _change(request, {"ask": "undo_areas"})


async def _change(request: Request, asked: dict[str, Any], **fields: str) -> Response:
    """Ask the door for a change, and return the page that says what became of it."""
    try:
        answer = (await site_of(request).feed.ask(asked, TIMEOUT_S)).values
    except NoAnswerError:
        answer = {"state": "no_answer"}
    if answer.get("state") == "done":
        return _page(request, done=DONE[asked["ask"]])
    if answer.get("state") == "wrong":  # the message is that of check-config
        return _page(request, **fields, problem=_without_file(str(answer.get("problem"))))
    refused = REFUSED.get(str(answer.get("state")), REFUSED["failed"])
    return _page(request, **fields, refused=refused, reason=str(answer.get("problem", "")))


def _page(request: Request, **values: Any) -> HTMLResponse:
    """Return the page; `values` replace what is in force or empty."""
    site, current = site_of(request), _current(request)
    is_service = site.config_file in (None, DEFAULT_SETTINGS)
    shown: dict[str, Any] = {
        "zone": format_area(current.areas.zone),
        "ignore": "\n".join(format_area(area) for area in current.areas.ignore),
        "problem": current.problem,
        **dict.fromkeys(("lines", "done", "refused", "reason"), ""),
    }
    return render(
        request,
        "setup.html",
        words=WORDS,
        in_force=current,
        settings_path=str(site.config_file or DEFAULT_SETTINGS),
        restart=RESTART if is_service else shlex.join(["doorlight", "run", "--config", str(site.config_file)]),
        areas_path=str(site.areas_file or ""),
        **{**shown, **values},
    )


def settings_lines(zone: str, ignore: str) -> str:
    """Return the lines of [door] for the areas of a form: corners "x y" with commas, one area to ignore a line.

    Raises ValueError if they are malformed, and ConfigError if the settings would be wrong.
    """
    zone_corners, ignored = parse_areas(zone, ignore).values()
    try:
        others = msgspec.to_builtins(load().door)
        door = msgspec.convert({**others, "zone": zone_corners, "ignore": ignored}, DoorSettings)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    check_door(door, "doorlight.toml")
    areas = "".join(f"\n  {_toml(area)}," for area in ignored) + ("\n" if ignored else "")
    return f"[door]\nzone = {_toml(zone_corners)}\nignore = [{areas}]\n"


def parse_areas(zone: str, ignore: str) -> dict[str, Any]:
    """Return the zone and the areas to ignore of a form, as in [door]. Raises ValueError if they are malformed."""
    ignored = [parse_area(line) for line in ignore.splitlines() if line.strip()]
    if len(ignored) > MAX_AREAS:
        raise ValueError(f"there are more than {MAX_AREAS} areas to ignore")
    return {"zone": parse_area(zone), "ignore": ignored}


def parse_area(text: str) -> Corners:
    """Return the corners of "0.25 0, 0.75 0, 0.75 1"; none for a blank text. Raises ValueError."""
    if not text.strip():
        return []
    corners = []
    for part in text.strip().strip(",").split(","):
        found = _CORNER.fullmatch(part.strip())
        if found is None or not all(0 <= float(value) <= 1 for value in found.groups()):
            raise ValueError(f"{part.strip()[:40]!r} is not a corner: write two numbers from 0 to 1, such as 0.25 0.5")
        corners.append((float(found[1]), float(found[2])))
    if len(corners) > MAX_CORNERS:
        raise ValueError(f"an area has more than {MAX_CORNERS} corners")
    return corners


def format_area(corners: object) -> str:
    """Return corners as `parse_area` reads them."""
    return ", ".join(f"{x:.3g} {y:.3g}" for x, y in corners)  # type: ignore[attr-defined]


def _toml(corners: Corners) -> str:
    return "[" + ", ".join(f"[{round(x, 3)}, {round(y, 3)}]" for x, y in corners) + "]"


def _current(request: Request) -> Current:
    site = site_of(request)
    try:
        own: Config = load(site.config_file)
    except ConfigError as error:
        return Current(Areas(), False, False, False, str(error))
    config, _ = applied(own, site.areas_file, site.config_file)
    found = None
    if own.web.may_configure and site.areas_file is not None and site.config_file is not None:
        with contextlib.suppress(ConfigError):
            found = read(site.areas_file, site.config_file)
    is_set_here = found is not None and found.areas is not None
    areas = Areas(config.door.zone, config.door.ignore)
    return Current(areas, own.web.may_configure, is_set_here, found is not None, "")


def _sentence(error: Exception) -> str:
    text = _without_file(str(error))
    return f"{text}: {error.hint}" if isinstance(error, ConfigError) and error.hint else text


def _without_file(text: str) -> str:
    """Return a message about settings without the name of the file: there is none."""
    return text.removeprefix("doorlight.toml: ").removeprefix("settings: ")


PAGE = Page(
    "/setup",
    N_("Set up"),
    [
        Route("/setup", show),
        Route("/setup/lines", lines, methods=["POST"]),
        Route("/setup/apply", apply, methods=["POST"]),
        Route("/setup/undo", undo, methods=["POST"]),
    ],
)
