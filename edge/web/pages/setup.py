"""Set up: draw the zone and the areas to ignore on the picture, and read focus and brightness while the camera is turned.

The page gives the lines for doorlight.toml; it changes nothing.
"""

from __future__ import annotations

import re

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ...config import Config, DoorSettings, check_door, load
from ...errors import ConfigError
from ..page import Page, read_form, render, site_of
from ..translation import N_
from .live import WORDS

Corners = list[tuple[float, float]]

#: A number as a share, 0 to 1.
_SHARE = r"(?:0?\.\d+|[01](?:\.\d+)?)"
_CORNER = re.compile(rf"\s*\(?\s*({_SHARE})[ ;]+({_SHARE})\s*\)?\s*")
#: As in the settings: the limits of msgspec say it in words that are not for this page.
MAX_CORNERS, MAX_AREAS = 100, 20


async def show(request: Request) -> HTMLResponse:
    """Return the page, with the areas of the settings."""
    door, problem = _current(request)
    zone = format_area(door.zone) if door is not None else ""
    ignore = "\n".join(format_area(area) for area in door.ignore) if door is not None else ""
    return render(request, "setup.html", words=WORDS, zone=zone, ignore=ignore, lines="", problem=problem)


async def lines(request: Request) -> Response:
    """Return the settings of the areas of a form, as JSON for the script, else as the page."""
    form = await read_form(request)
    zone, ignore = form.get("zone", ""), form.get("ignore", "")
    text, problem = "", ""
    try:
        text = settings_lines(zone, ignore)
    except (ConfigError, ValueError) as error:
        problem = str(error).removeprefix("doorlight.toml: ")
        if isinstance(error, ConfigError) and error.hint:
            problem += f": {error.hint}"
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"lines": text, "problem": problem})
    return render(request, "setup.html", words=WORDS, zone=zone, ignore=ignore, lines=text, problem=problem)


def settings_lines(zone: str, ignore: str) -> str:
    """Return the lines of [door] for the areas of a form: corners "x y" with commas, one area to ignore a line.

    Raises ValueError if they are malformed, and ConfigError if the settings would be wrong.
    """
    zone_corners = parse_area(zone)
    ignored = [parse_area(line) for line in ignore.splitlines() if line.strip()]
    if len(ignored) > MAX_AREAS:
        raise ValueError(f"there are more than {MAX_AREAS} areas to ignore")
    try:
        others = msgspec.to_builtins(load().door)
        door = msgspec.convert({**others, "zone": zone_corners, "ignore": ignored}, DoorSettings)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    check_door(door, "doorlight.toml")
    areas = "".join(f"\n  {_toml(area)}," for area in ignored) + ("\n" if ignored else "")
    return f"[door]\nzone = {_toml(zone_corners)}\nignore = [{areas}]\n"


def parse_area(text: str) -> Corners:
    """Return the corners of "0.25 0, 0.75 0, 0.75 1"; none for a blank text. Raises ValueError."""
    if not text.strip():
        return []
    corners = []
    for part in text.strip().strip(",").split(","):
        found = _CORNER.fullmatch(part)
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


def _current(request: Request) -> tuple[DoorSettings | None, str]:
    """Return the areas of the settings file, and what is wrong with it."""
    try:
        config: Config = load(site_of(request).config_file)
    except ConfigError as error:
        return None, str(error)
    return config.door, ""


PAGE = Page("/setup", N_("Set up"), [Route("/setup", show), Route("/setup/lines", lines, methods=["POST"])])
