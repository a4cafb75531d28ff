"""What leaves the door: a small JPEG with hidden faces, and JSON without pixels."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import config
from edge.policy import Person, Verdict
from edge.records import Box, Frame, Signal, Track
from edge.view.encoder import MAX_WIDTH_PX, FrameEncoder
from edge.view.offer import Offer
from edge.view.snapshot import Snapshots
from support.view import decision

NOISE = np.random.default_rng(3).integers(0, 256, (240, 320, 3), np.uint8)
FACE = Box(100, 80, 160, 140)


def encoder(tmp_path: Path, text: str = "") -> FrameEncoder:
    file = tmp_path / "door.toml"
    file.write_text(text)
    settings = config.load(file)
    return FrameEncoder(settings, Snapshots(settings, "camera", lambda: "CPU", lambda: ["disk full"]))


def decoded(jpeg: bytes) -> np.ndarray:  # type: ignore[type-arg]
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def detail(picture: np.ndarray) -> float:  # type: ignore[type-arg]
    """Return the mean difference of neighbouring pixels."""
    return float(np.abs(np.diff(picture.astype(int), axis=1)).mean())


@pytest.mark.parametrize(
    ("settings", "faces", "face_is_hidden", "rest_is_hidden"),
    [
        ("", (FACE,), True, False),
        ("", (), False, False),
        ("", None, True, True),
        ("[web]\nshow_faces = true", (FACE,), False, False),
        ("[web]\nshow_faces = true", None, False, False),
    ],
)
def test_which_pixels_leave_the_door(
    settings: str, faces: tuple[Box, ...] | None, face_is_hidden: bool, rest_is_hidden: bool, tmp_path: Path
) -> None:
    offer = Offer(Frame(0, 0.0, NOISE), decision(), faces, 15.0)
    picture = decoded(encoder(tmp_path, settings)(offer)[1])
    assert (detail(picture[80:140, 100:160]) < 12) is face_is_hidden
    assert (detail(picture[180:, :]) < 12) is rest_is_hidden


def test_red_stays_red(tmp_path: Path) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 200
    jpeg = encoder(tmp_path)(Offer(Frame(0, 0.0, red), decision(), (), 15.0))[1]
    assert decoded(jpeg).reshape(-1, 3).mean(axis=0).round(-1).tolist() == [200, 0, 0]


def test_a_large_picture_is_reduced(tmp_path: Path) -> None:
    large = np.zeros((1080, 1920, 3), np.uint8)
    jpeg = encoder(tmp_path)(Offer(Frame(0, 0.0, large), decision(), (), 15.0))[1]
    assert decoded(jpeg).shape == (360, MAX_WIDTH_PX, 3)


def test_without_a_frame_there_is_no_jpeg(tmp_path: Path) -> None:
    data, jpeg = encoder(tmp_path)(Offer(None, decision(signal=Signal.FAULT, fault="lost", found=None), None, 0.0))
    record = json.loads(data)
    assert jpeg == b""
    assert (record["fault"], record["size"], record["people"], record["quality"]) == ("lost", None, [], None)
    assert record["lights"] == {"green": "off", "red": "blinks", "buzzer": "off"}


def test_quality_is_that_of_the_picture_before_faces_are_hidden(tmp_path: Path) -> None:
    encode = encoder(tmp_path)
    record = json.loads(encode(Offer(Frame(0, 0.0, NOISE), decision(), None, 15.0))[0])
    assert record["quality"]["result"] == "bright and sharp enough"
    assert record["problems"] == ["disk full"]
    assert record["faces_hidden"]


TRACK = Track(4, Box(32, 24, 96, 120), 0.4, 0.0, 2.0, looks=2, first_look=1.8, last_look=2.0, evidence=2.0)


def describe(track: Track, person: Person, text: str = "", t: float = 2.0, signal: Signal = Signal.STOP) -> dict:  # type: ignore[type-arg]
    settings = config.load()
    snapshots = Snapshots(settings, "camera", lambda: "CPU", list)
    return snapshots.describe(decision(t, signal, (track,), {4: person}), (320, 240), 10.0)


def test_boxes_are_shares_of_the_picture() -> None:
    (person,) = describe(TRACK, Person(0.0))["people"]
    assert person["box"] == [0.1, 0.1, 0.2, 0.4]
    assert person["evidence"] == 0.881


def test_seconds_to_the_first_verdict() -> None:
    """Two of four looks and 0.2 of 0.4 s, at 10 frames/s: 0.2 s are missing."""
    (person,) = describe(TRACK, Person(0.0))["people"]
    assert (person["next"], person["next_s"]) == ("verdict", 0.2)


def test_unclear_evidence_has_no_time() -> None:
    unclear = Track(4, TRACK.box, 0.4, 0.0, 2.0, looks=20, first_look=0.0, last_look=2.0, evidence=0.1)
    (person,) = describe(unclear, Person(0.0))["people"]
    assert (person["next"], person["next_s"]) == ("verdict", None)


@pytest.mark.parametrize(
    ("person", "expected"),
    [
        (Person(0.0, Verdict.MASKED, 1), (None, None)),
        (Person(0.0, Verdict.MASKED, 1, doubt_since=1.6), ("change", 0.6)),
        (Person(0.0, Verdict.UNMASKED, 1, agitation_since=1.8), ("agitation", 0.5)),
        (Person(0.0, Verdict.UNMASKED, 1, agitation_since=1.0, agitated=True, alarm_from=1.7), (None, None)),
    ],
)
def test_seconds_to_a_change(person: Person, expected: tuple[str | None, float | None]) -> None:
    (shown,) = describe(TRACK, person)["people"]
    assert (shown["next"], shown["next_s"]) == expected


def test_who_is_not_in_the_frame_is_not_shown() -> None:
    assert describe(TRACK, Person(0.0), t=2.1)["people"] == []


@pytest.mark.parametrize(
    ("signal", "lights"),
    [
        (Signal.IDLE, ("off", "off", "off")),
        (Signal.PASS, ("on", "off", "off")),
        (Signal.STOP, ("off", "on", "off")),
        (Signal.ALARM, ("off", "on", "on")),
        (Signal.FAULT, ("off", "blinks", "off")),
    ],
)
def test_lights(signal: Signal, lights: tuple[str, str, str]) -> None:
    assert tuple(describe(TRACK, Person(0.0), signal=signal)["lights"].values()) == lights
