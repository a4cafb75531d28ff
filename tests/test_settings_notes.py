"""Notes about settings without effect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge import config, settings_notes
from edge.config import CameraSettings, Config
from edge.settings_notes import camera_notes, other_notes


def loaded(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "door.toml"
    file.write_text(text)
    return config.load(file)


def test_default_settings_have_no_notes() -> None:
    for source in ("picamera", "/dev/video0", "rtsp://door/", "film.mp4"):
        assert list(camera_notes(config.load(), source)) == []
    assert list(other_notes(config.load())) == []


def test_every_key_of_the_camera_has_its_sources() -> None:
    assert set(settings_notes.EFFECTIVE_FOR) == set(CameraSettings.__struct_fields__)


@pytest.mark.parametrize(
    ("source", "text", "note"),
    [
        ("/dev/video0", 'metering = "spot"\ngrey = true\nrotate = 90', "no effect on a USB camera: camera.metering"),
        ("/dev/video0", "lores_width = 128\nmax_exposure_s = 0.01", "camera.lores_width, camera.max_exposure_s"),
        ("rtsp://door/", "width = 320\nfps = 5", "no effect on a network camera: camera.width, camera.fps"),
        ("http://door/", "height = 320\nfps = 5", "no effect on an HTTP camera: camera.height"),
        (
            "film.mp4",
            "wait = true\nfps = 5\nexposure_stops = 1",
            "no effect on a video with time stamps: camera.fps, camera.wait, camera.exposure_stops",
        ),
        ("a/FILM.MKV", "fps = 5\npicture_s = 3", "video with time stamps: camera.fps, camera.picture_s"),
        ("photo.jpg", "fps = 5\npicture_s = 3", "no effect on a picture: camera.fps"),
        ("photo.webp", "timeout_s = 5\nfps = 5", "no effect on a picture: camera.fps, camera.timeout_s"),
        ("raw.h264", "fps = 5\nwait = true", "no effect on a file: camera.wait"),
        ("photos/", "fps = 5\nwait = true", "no effect on a file: camera.wait"),
        (
            "http://door/film.mp4?x=1",
            "fps = 5\ntimeout_s = 5\nwait = true",
            "no effect if the address is a video, not a camera: camera.fps, camera.timeout_s, camera.wait",
        ),
        ("picamera", "lores_width = 700", "camera.lores_width is 700, not less than camera.width (640)"),
        ("picamera", "max_exposure_s = 0.5", "camera.max_exposure_s is limited to 0.0667 s by camera.fps (15)"),
    ],
)
def test_camera_settings_without_effect(tmp_path: Path, source: str, text: str, note: str) -> None:
    (found,) = camera_notes(loaded(tmp_path, f'[camera]\nsource = "{source}"\n{text}'))
    assert note in found


@pytest.mark.parametrize(
    "text",
    [
        "[relay]\npin = 9",
        "[relay]\npin = 26\nseconds = 0.5",
        "[relay]\npin = 8\nactive_low = true",
        '[relay]\npin = 23\nseconds = 3\nfail = "safe"',
    ],
)
def test_a_usual_relay_has_no_notes(tmp_path: Path, text: str) -> None:
    assert list(other_notes(loaded(tmp_path, text.replace("27", "26")))) == []


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("[lights]\nbuzzer = 0", 'lights.buzzer = 0 is the pin GPIO0, .*; for no buzzer write buzzer = "none"'),
        ("[lights]\ngreen = 0", 'lights.green = 0 is the pin GPIO0, .*; for no green lamp write green = "none"'),
        ("[lights]\nred = 0", "lights.red = 0 is the pin GPIO0, which is reserved for add-on boards$"),
        ('[lights]\nbuzzer = "none"\nbuzzer_tone_hz = 2500', "no effect without a buzzer: lights.buzzer_tone_hz"),
        (
            "[expression]\nenabled = false\nrecheck_s = 1\n[policy]\nalarm_max_s = 1",
            "no effect with expression.enabled = false: expression.recheck_s, policy.alarm_max_s",
        ),
        (
            '[expression]\nenabled = false\n[lights]\nquiet_hours = "22:00-07:00"\nbuzzer_active_low = true',
            "no effect with expression.enabled = false: lights.quiet_hours$",
        ),
        ("[relay]\nseconds = 3", r"no effect without a relay \(relay.pin\): relay.seconds$"),
        (
            '[relay]\nfail = "safe"\nactive_low = true',
            r"no effect without a relay \(relay.pin\): relay.fail, relay.active_low$",
        ),
        ("[relay]\npin = 23\nactive_low = true", r"GPIO23 .*pulled low .*on \(unlocked\) .* GPIO4 to GPIO8$"),
        ('[relay]\npin = 9\nactive_low = true\nfail = "safe"', r"GPIO9 .*pulled low .*on \(locked\)"),
        ("[relay]\npin = 8", r"GPIO8 .*pulled high .*on \(unlocked\) .* GPIO9 to GPIO27$"),
        ("[relay]\npin = 0\nactive_low = true", "relay.pin = 0 is the pin GPIO0, which is reserved"),
        ('[relay]\npin = 9\nseconds = 0.5\nfail = "safe"', r'on all the time, except for 0.5 s .*"secure"$'),
        ("[expression]\nmasked_alarm = true", "no effect with expression.masked = false: expression.masked_alarm$"),
        ("[expression]\nmasked = true", "expression.masked is true: .* uncertain, and never raise an alarm; the sign"),
        ("[expression]\nmasked = true\nmasked_alarm = true", "masked_alarm is true: .* raised by calm people who wear"),
        (
            "[expression]\nenabled = false\nmasked = true\nmasked_alarm = true",
            "no effect with expression.enabled = false: expression.masked, expression.masked_alarm$",
        ),
        ("[landmarks]\nmax_turn = 60", "no effect with landmarks.enabled = false: landmarks.max_turn$"),
        (
            "[tracker]\nnew_score = 0.3\n[detector]\nthreshold = 0.9",
            r"new_score is 0.3, below detector.threshold \(0.9\)",
        ),
        ("[detector]\nthreshold = 0.9", r"new_score is 0.8, below detector.threshold \(0.9\)"),
    ],
)
def test_other_settings_without_effect(tmp_path: Path, text: str, note: str) -> None:
    (found,) = other_notes(loaded(tmp_path, text))
    assert re.search(note, found)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("[policy]\nmin_score = 0", "policy.min_score is 0: every face has such a score"),
        ("[policy]\nmin_score = 0.05", "policy.min_score is 0.05: every face"),
        ("[policy]\nmin_score = 1", "policy.min_score is 1: people stay above 0.74, so some are never decided"),
        ("[policy]\nmax_misfit = 1e9", "policy.max_misfit is 1e.09: hardly anything is so inconsistent"),
        ("[policy]\nmax_misfit = 0.001", "policy.max_misfit is 0.001: people reach 1.5, so some are never decided"),
        ("[door]\nignore_still_s = 0", "door.ignore_still_s is 0: posters and statues count as people"),
        ("[door]\nignore_still_s = 0.5", "door.ignore_still_s is 0.5 s: a person who stands still may be ignored"),
    ],
)
def test_values_that_let_every_face_pass_or_none(tmp_path: Path, text: str, note: str) -> None:
    (found,) = other_notes(loaded(tmp_path, text))
    assert re.search(note, found)


@pytest.mark.parametrize("text", ["", "[policy]\nmin_score = 0.7\nmax_misfit = 1.5\n[door]\nignore_still_s = 10\n"])
def test_usual_values_have_no_note(tmp_path: Path, text: str) -> None:
    assert list(other_notes(loaded(tmp_path, text))) == []
