"""The pages in a real browser: they load without errors, live frames change, and a drawn zone becomes settings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge import config
from edge.fleet.messages import Message, read_message
from edge.policy import Person, Verdict
from edge.records import Box, Frame, Signal, Track
from edge.view.area_keeper import AreaKeeper
from edge.view.encoder import FrameEncoder
from edge.view.explainer import Explainer
from edge.view.requests import DoorRequests
from edge.view.server import ViewServer
from edge.view.snapshot import Snapshots
from edge.web import server
from fleet.servers import Postgres
from support.paths import ROOT
from support.postgres import cluster
from support.view import decision

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
__all__ = ["cluster"]
SIZES = {"phone": {"width": 390, "height": 844}, "desk": {"width": 1280, "height": 800}}
FACE = Box(250, 120, 350, 250)
VISITOR = Box(247, 153, 333, 261)


@contextmanager
def watched_door(folder: Path, settings: config.Config | None = None, known: str | None = None) -> Iterator[ViewServer]:
    """Yield a door that offers 20 frames a second, with someone without a mask, from a thread.

    `known` is the name of the visitor, "" for a known one without a name, None for a stranger.
    """
    settings = settings or config.load()
    encoder = FrameEncoder(settings, Snapshots(settings, "camera", lambda: "CPU", list))
    (folder / "doorlight").mkdir(exist_ok=True)
    view = ViewServer(folder / "doorlight/view.sock", encoder, group_may_watch=False)
    stop = threading.Event()
    chance = np.random.default_rng(1)

    def offer() -> None:
        number = 0
        while not stop.wait(0.05):
            number += 1
            t = number / 20
            track = Track(1, FACE, 0.27, 0.0, t, 9, 0.0, t, evidence=-2.0)
            person = Person(0.0, Verdict.UNMASKED, 7)
            picture = chance.integers(0, 255, (480, 640, 3), np.uint8)
            found = decision(t, Signal.STOP, (track,), {1: person}, found=(FACE,))
            view.offer(Frame(number, t, picture), replace(found, known={} if known is None else {1: known}))

    thread = threading.Thread(target=offer)
    thread.start()
    try:
        yield view
    finally:
        stop.set()
        thread.join()
        view.close()


@contextmanager
def explaining_door(folder: Path) -> Iterator[ViewServer]:
    """Yield a door that shows the same visitor without a mask, explains, and may be configured."""
    settings = config.load()
    encoder = FrameEncoder(settings, Snapshots(settings, "camera", lambda: "CPU", list))
    (folder / "doorlight").mkdir(exist_ok=True)
    keeper = AreaKeeper(config.load(folder / "door.toml"), folder / "doorlight/areas.toml", folder / "door.toml", print)
    requests = DoorRequests(settings, lambda: Explainer(settings, None), keeper)
    view = ViewServer(folder / "doorlight/view.sock", encoder, group_may_watch=False, requests=requests)
    stop = threading.Event()
    picture = np.full((480, 640, 3), 150, np.uint8)
    picture[100:330, 200:384] = cv2.imread(str(ROOT / "edge/bench/visitor.jpg"))[..., ::-1]

    def offer() -> None:
        number = 0
        while not stop.wait(0.1):
            number += 1
            t = number / 10
            track = Track(1, VISITOR, 0.27, 0.0, t, 9, 0.0, t, evidence=-2.0)
            people = {1: Person(0.0, Verdict.UNMASKED, 7)}
            view.offer(Frame(number, t, picture), decision(t, Signal.STOP, (track,), people, found=(VISITOR,)))

    thread = threading.Thread(target=offer)
    thread.start()
    try:
        yield view
    finally:
        stop.set()
        thread.join()
        view.close()


@pytest.fixture
def link(folder: Path) -> Iterator[str]:
    """The link to a page whose door may be in `folder`."""
    with page_of(folder, "may_configure = true") as found:
        yield found


@contextmanager
def page_of(folder: Path, settings_of_web: str) -> Iterator[str]:
    """Yield the link to a page with these settings of [web]."""
    with server.open_socket("127.0.0.1", 0) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = folder / "door.toml"
    settings.write_text(f"[web]\n{settings_of_web}\n")
    command = [sys.executable, "-m", "edge", "web", "--for", "10m", "--listen", address, "--events", folder / "log"]
    command += ["--config", settings]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(folder)}
    with subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def browser_page(link: str, size: str = "desk", scheme: str = "light") -> Iterator[Any]:
    """Yield a page that has followed the link. Errors of scripts and of the content security policy fail the test."""
    errors: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport=SIZES[size], color_scheme=scheme, locale="en-US")
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(link)
        page.wait_for_url("**/live")
        yield page
        browser.close()
    assert errors == []


def colours(page: Any) -> str:
    """Return the pixels of the picture, as text."""
    return str(page.evaluate("document.getElementById('picture').toDataURL()"))


@pytest.mark.parametrize("size", SIZES)
def test_every_page_loads_and_nothing_is_wider_than_the_screen(folder: Path, link: str, size: str) -> None:
    with watched_door(folder), browser_page(link, size, "dark") as page:
        for path in ("live", "why", "setup", "events", "statistics", "health"):
            page.goto(f"{link.partition('/?')[0]}/{path}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            run_axe(page, path)


@pytest.mark.postgres
@pytest.mark.parametrize("size", SIZES)
def test_all_doors_fit_the_screen_and_are_loaded_again(folder: Path, cluster: Postgres, size: str) -> None:
    from edge.fleet import database, store

    address = cluster.new_database()
    with database.connect(database.Address(address)) as db, page_of(folder, f'fleet_database = "{address}"') as link:
        database.prepare(db, database.Address(address))
        for name, problem in (
            ("entrance", None),
            ("radiology-2nd-floor-west", "the camera is lost: " + "no frames " * 20),
        ):
            state = json.dumps({"signal": "FAULT" if problem else "IDLE", "problem": problem, "version": "0.2.0"})
            message = Message(f"doorlight/{name}/state", state.encode())
            store.Store(db).write([read_message(message)])
        with browser_page(link, size, "dark") as page:
            page.goto(f"{link.partition('/?')[0]}/doors")
            assert page.locator("tbody tr").count() == 2
            assert "radiology" in page.locator("tbody tr").first.inner_text(), "trouble comes first"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            heading = page.locator("thead")
            assert (heading.bounding_box()["width"] > 10) is (size == "desk"), "cards on a phone, a table on a desk"
            run_axe(page, "doors")


def run_axe(page: Any, path: str) -> None:
    """Let axe-core look for what shuts people out, if it is installed."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        return
    response = Axe().run(page).response
    assert response["passes"], "axe-core has looked"
    violations = response["violations"]
    assert [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in violations] == [], path


def test_live_shows_what_the_door_shows_and_says_when_it_is_gone(folder: Path, link: str) -> None:
    with browser_page(link) as page:
        with watched_door(folder):
            page.wait_for_selector("#people .person-unmasked")
            first = colours(page)
            page.wait_for_function("before => document.getElementById('picture').toDataURL() !== before", arg=first)
            assert page.inner_text("#signal-name") == "STOP"
            assert page.get_attribute("#red", "data-lit") == "on"
            assert "Person 7" in page.inner_text("#people")
            assert page.text_content("#overlay text") == "#7 no mask"
        page.wait_for_selector("#stage.is-stale")
        assert "not running" in page.inner_text("#note")
        assert page.inner_text("#signal-name") == "–"
        assert not page.is_visible("#picture"), "the last picture is not the present"
        with watched_door(folder):
            page.wait_for_selector("#people .person-unmasked")


def wait_for_zone(page: Any, is_right: Callable[[list[list[float]]], object]) -> None:
    """Wait until the settings that the page shows have the right zone."""
    zone = None
    for _ in range(600):
        text = page.text_content("#lines")
        zone = tomllib.loads(text)["door"]["zone"] if text else None
        if zone is not None and is_right(zone):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"the zone is {zone}")


@pytest.mark.parametrize(
    ("page_has", "name", "expected"), [("known", "", "known"), ("name", "Ada <b>", "Ada <b>"), ("nothing", "", "")]
)
def test_live_says_who_is_known(folder: Path, link: str, page_has: str, name: str, expected: str) -> None:
    settings = config.replaced(config.load(), "people", enabled=True, page=page_has)
    with browser_page(link) as page, watched_door(folder, settings, name):
        page.wait_for_selector("#people .person-unmasked")
        assert page.inner_text("#people .person-head > :first-child") == ", ".join(filter(None, ["Person 7", expected]))
        assert page.text_content("#overlay .tag") == ", ".join(filter(None, ["#7 no mask", expected]))


def test_a_zone_is_drawn_by_pointer_and_by_keyboard(folder: Path, link: str) -> None:
    with watched_door(folder), browser_page(link) as page:
        page.goto(f"{link.partition('/?')[0]}/setup")
        page.wait_for_selector("#tools:not([hidden])")
        page.click("#add-zone")
        wait_for_zone(page, lambda zone: zone == [[0.2, 0.1], [0.8, 0.1], [0.8, 0.95], [0.2, 0.95]])
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
        wait_for_zone(page, lambda zone: zone[0] == [0.205, 0.15])
        frame, corner = (page.locator(name).bounding_box() for name in ("#editor", '[data-corner="2"]'))
        page.mouse.move(corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2)
        page.mouse.down()
        page.mouse.move(frame["x"] + 0.5 * frame["width"], frame["y"] + 0.5 * frame["height"], steps=5)
        page.mouse.up()
        wait_for_zone(page, lambda zone: zone[2] == pytest.approx([0.5, 0.5], abs=0.01))
        page.click("#add-corner")
        wait_for_zone(page, lambda zone: len(zone) == 5)
        page.click("#remove-area")
        wait_for_zone(page, lambda zone: zone == [])


def test_why_explains_the_picture_that_is_shown(folder: Path, link: str) -> None:
    with explaining_door(folder), browser_page(link, "phone") as page:
        page.goto(f"{link.partition('/?')[0]}/why")
        page.wait_for_selector('#t:not([value=""])', state="attached")
        page.click("#explain")
        page.wait_for_selector(".why-people li")
        assert "no mask" in page.inner_text(".why-people h3")
        assert "against a mask" in page.inner_text(".why-words")
        for image in page.query_selector_all("#result img"):
            image.evaluate("image => image.decode()")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.is_enabled("#explain")
        run_axe(page, "why")
        page.select_option("#stage-choice", "face")
        page.click("#explain")
        page.wait_for_selector(".why-words:has-text('a face')")


def test_a_drawn_zone_is_applied_and_undone(folder: Path, link: str) -> None:
    with explaining_door(folder), browser_page(link) as page:
        page.goto(f"{link.partition('/?')[0]}/setup")
        page.wait_for_selector("#tools:not([hidden])")
        page.click("#add-zone")
        wait_for_zone(page, lambda zone: len(zone) == 4)
        page.click("#apply")
        page.wait_for_selector("#done")
        assert page.input_value("#zone") == "0.2 0.1, 0.8 0.1, 0.8 0.95, 0.2 0.95"
        run_axe(page, "setup")
        page.click("#undo")
        page.wait_for_selector("#done")
        assert page.input_value("#zone") == ""


def test_forms_work_without_scripts(folder: Path, link: str) -> None:
    """With a strict Referrer-Policy, browsers send "Origin: null" with a form, which looks like another site."""
    with explaining_door(folder), sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(link)
        page.wait_for_url("**/live")
        page.goto(f"{link.partition('/?')[0]}/setup")
        page.fill("#zone", "0 0, 1 0, 1 1")
        page.click("#show-lines")
        assert "zone = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]" in page.inner_text("#lines")
        page.click("#apply")
        assert "from now on" in page.inner_text("#done")
        page.goto(f"{link.partition('/?')[0]}/why")
        page.click("#explain")
        assert "no mask" in page.inner_text(".why-people h3")
        browser.close()
