"""Live: the newest picture with its boxes, the lights, and each person with the evidence.

The script asks for the next moment when it has shown the last one. So a slow phone gets fewer pictures, and never old
ones: nothing can queue up on the way, as it does with a stream of JPEG pictures.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ...view import protocol
from ..page import Page, render, site_of
from ..translation import N_

#: People who watch at the same time, on all pages together.
MAX_VIEWERS = 8

#: Texts for the scripts, by the values of the door's JSON.
WORDS = {
    "IDLE": N_("Nobody is there"),
    "PASS": N_("Everyone wears a mask"),
    "STOP": N_("Someone wears no mask"),
    "ALARM": N_("Someone looks agitated"),
    "FAULT": N_("The door is blind"),
    "undecided": N_("Nobody is decided yet"),
    "masked": N_("mask"),
    "unmasked": N_("no mask"),
    "unknown": N_("undecided"),
    "too_far": N_("too far away"),
    "agitated": N_("agitated"),
    "known": N_("known"),
    "outside": N_("does not count"),
    "on": N_("on"),
    "off": N_("off"),
    "blinks": N_("blinks"),
    "silent": N_("silent: quiet hours"),
    "silenced": N_("silenced until {time}"),
    "none": N_("not there"),
    "verdict": N_("decided in {s} s"),
    "verdict_open": N_("not clear yet"),
    "change": N_("verdict changes in {s} s"),
    "agitation": N_("alarm in {s} s"),
    "person": N_("Person {n}"),
    "new_person": N_("New person"),
    "evidence": N_("Evidence for a mask: {p} %"),
    "agitation_share": N_("Agitation: {p} %"),
    "agitation_above_mask": N_("Agitation above the mask: {p} %, uncertain"),
    "door_off": N_("The door is not running, or it does not offer its pictures. Waiting for it …"),
    "door_silent": N_("The door does not answer. Waiting for it …"),
    "page_lost": N_("No connection to the box. Trying again …"),
    "full": N_("Too many people are watching. Waiting for a place …"),
    "locked": N_("The link to this page is no longer valid."),
    "other_version": N_("The door runs another version than this page. Restart the door."),
    "no_picture": N_("No picture"),
    "faces_hidden": N_("Faces are hidden"),
    "faces_shown": N_("Faces are shown"),
    "bright and sharp enough": N_("bright and sharp enough"),
    "dark": N_("dark"),
    "too bright": N_("too bright"),
    "bright light behind the people": N_("bright light behind the people"),
    "blurred (or nothing in view has edges)": N_("blurred (or nothing in view has edges)"),
    # How to improve the picture, as doctor.picture_quality says it.
    'turn the camera away from the window; or in [camera] metering = "spot", exposure_stops = 1.0 (Pi camera)': N_(
        'turn the camera away from the window; or in [camera] metering = "spot", exposure_stops = 1.0 (Pi camera)'
    ),
    "shade the lens; or in [camera] exposure_stops = -1.0 (Pi camera)": N_(
        "shade the lens; or in [camera] exposure_stops = -1.0 (Pi camera)"
    ),
    "put a lamp at the door; or in [camera] exposure_stops = 1.0 (Pi camera)": N_(
        "put a lamp at the door; or in [camera] exposure_stops = 1.0 (Pi camera)"
    ),
    "remove the protective film, clean the lens, turn its focus ring; repeat while nothing moves": N_(
        "remove the protective film, clean the lens, turn its focus ring; repeat while nothing moves"
    ),
    "explaining": N_("Explaining … On a small box this takes some seconds."),
    "smallest": N_("Smallest face"),
    "zone": N_("Zone"),
    "ignore": N_("Area to ignore {n}"),
    "corner": N_("{area}, corner {n}: {x} % from the left, {y} % from the top"),
}


async def show(request: Request) -> HTMLResponse:
    """Return the page."""
    return render(request, "live.html", words=WORDS)


async def next_moment(request: Request) -> Response:
    """Return the next moment after ?after=NUMBER as the door sent it, or 204 with the door's state if there is none."""
    number = request.query_params.get("after", "0")
    after = int(number) if number.isascii() and number.isdigit() and len(number) < 16 else 0
    feed = site_of(request).feed
    if feed.viewers >= MAX_VIEWERS:
        return Response(status_code=503, headers={"Retry-After": "2"})
    moment = await feed.after(after)
    if moment is None:
        return Response(status_code=204, headers={"Doorlight-State": feed.state})
    body = protocol.encode(moment.decision, moment.jpeg)
    return Response(body, media_type="application/octet-stream", headers={"Doorlight-Number": str(moment.number)})


async def picture(request: Request) -> Response:
    """Return the newest picture, for browsers without scripts; 404 if there is none."""
    moment = await site_of(request).feed.after(0, timeout_s=3.0)
    if moment is None or not moment.jpeg:
        return Response("There is no picture.\n", 404, media_type="text/plain")
    return Response(moment.jpeg, media_type="image/jpeg")


PAGE = Page(
    "/live",
    N_("Live"),
    [Route("/live", show), Route("/live/next", next_moment), Route("/live/picture.jpg", picture)],
)
