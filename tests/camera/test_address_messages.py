"""No message about an address shows a password, wherever it stands in the address and whatever is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge import config
from edge.camera import http_pictures, network_errors, rtsp_probe
from edge.camera.address import split, without_password
from edge.camera.factory import open_source
from edge.camera.http_client import HttpCameraError
from edge.errors import DoorlightError
from edge.settings_notes import camera_notes
from support.camera import quick_settings
from support.network_cameras import HttpCamera, RtspCamera, serving

#: Pieces of the password. The forms below write it with characters that have a meaning in an address.
PIECES = ("geheim", "hidden", "segreto")
FORMS = (
    "{scheme}://me:geheim@{host}/{path}",
    "{scheme}://me:geheim@hidden#segreto@{host}/{path}",
    "{scheme}://me:geheim/hidden?segreto@{host}/{path}",
    "{scheme}://me:geheim%40hidden@{host}/{path}",
    "{scheme}://m?e:geheim:hidden@{host}/{path}",
    "{scheme}://me:geheim@{host}/{path}?user=me&pwd=hidden@segreto",
    "{scheme}://me@{host}/{path}?user=me&pwd=hidden@segreto",
    "{scheme}://{host}/{path}?user=me&pwd=hidden@segreto",
    "{scheme}://{host}/user=me&password=geheim&x=1/{path}",
)
HTTP_ANSWERS = (
    *("404", "403", "503", "401", "204", "page", "json", "png", "hls", "video", "redirect-loop", "redirect-to-login"),
    *("login/basic/stream", "login/digest/stream"),
)
RTSP_ANSWERS = ("404", "403", "503", "454", "login/basic/1", "login/digest/1", "200")


@pytest.fixture(scope="module")
def http_host() -> Iterator[str]:
    with serving(HttpCamera) as host:
        yield host


@pytest.fixture(scope="module")
def rtsp_host() -> Iterator[str]:
    with serving(RtspCamera) as host:
        yield host


def http_message(address: str) -> str:
    """Return what the HTTP process and the source say about an address."""
    with pytest.raises(HttpCameraError) as caught:
        http_pictures.jpegs(split(address), timeout_s=60.0, fps=5.0)
    return f"{without_password(address)}: {caught.value} {caught.value.hint}"


def rtsp_message(address: str) -> str:
    return f"{without_password(address)}: {' '.join(rtsp_probe.problem(split(address)))}"


def message_before_connecting(address: str) -> str:
    """Return the error for an address that cannot be opened as it is."""
    with pytest.raises(DoorlightError) as caught:
        open_source(quick_settings(), address).open()
    return f"{caught.value} {caught.value.hint}"


def check(message: str) -> None:
    assert re.search(r": .{5}", message), "it says what is wrong"
    assert not [piece for piece in PIECES if piece in message], message


@pytest.mark.parametrize("form", FORMS)
def test_answers_of_http_cameras(http_host: str, form: str) -> None:
    for path in HTTP_ANSWERS:
        check(http_message(form.format(scheme="http", host=http_host, path=path)))


@pytest.mark.parametrize("form", FORMS)
def test_answers_of_rtsp_cameras(rtsp_host: str, form: str) -> None:
    for path in RTSP_ANSWERS:
        check(rtsp_message(form.format(scheme="rtsp", host=rtsp_host, path=path)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("scheme", "message"), [("http", http_message), ("rtsp", rtsp_message)])
def test_hosts_that_cannot_be_reached(scheme: str, message: Callable[[str], str], form: str) -> None:
    for host in ("127.0.0.1:1", "no-such-door.invalid"):
        check(message(form.format(scheme=scheme, host=host, path="live")))


@pytest.mark.parametrize("form", FORMS)
def test_addresses_that_are_not_valid(tmp_path: Path, form: str) -> None:
    wrong = [form.format(scheme="gopher", host="door", path="live")]
    wrong += [form.format(scheme="rtsp", host=host, path="live") for host in ("[door", "door:99999", "[]")]
    wrong += [form.format(scheme="rtsp", host="door", path="live").replace("://", mark) for mark in (":/", ";//", ":")]
    wrong.append(form.format(scheme="http", host="door", path="live\udcff"))
    for address in wrong:
        check(message_before_connecting(address))


@pytest.mark.parametrize("form", FORMS)
def test_settings_with_an_address(tmp_path: Path, form: str) -> None:
    path = tmp_path / "door.toml"
    address = form.format(scheme="rtsp", host="door", path="live")
    for line in (
        f"source = {address}",
        f'source = "{address}',
        f"source = {address.replace('://', ':/')}",
        f"source: {address}",
        f"source = {address.partition('://')[2]}",
        f'source = ["{address}"]',
        f'sources = "{address}"',
        f'fps = "{address}"',
        f'source = "{address.replace("://", ":/")}"',
    ):
        path.write_text(f"[camera]\n{line}\n", encoding="utf-8")
        with pytest.raises(DoorlightError) as caught:
            config.load(path)
        check(f"{caught.value} {caught.value.hint}")
    path.write_text(f'[camera]\nsource = "{address}"\nfps = 7\nlores_width = 100\n', encoding="utf-8")
    for note in camera_notes(config.load(path)):
        check(f"note: {note}")


def test_sentences_have_no_place_for_an_address() -> None:
    """What follows the name of a camera is made of status codes, ports and the system's reasons alone."""
    for code in (302, 401, 403, 404, 429, 453, 500, 999):
        problem, hint = network_errors.status_problem(code, "Reason", "geheim")
        check(f"x: {problem} {hint}")
    for error in (OSError(113, "No route to host"), TimeoutError(), ConnectionResetError(), ConnectionRefusedError()):
        check(f"x: {' '.join(network_errors.connection_problem(error, 80))}")
