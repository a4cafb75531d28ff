"""The door judged on scenes with several people."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

pytest.importorskip("scipy", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("sklearn", reason="training.evaluation needs the extra: pip install .[train]")
pytest.importorskip("tqdm", reason="training.evaluation needs the extra: pip install .[train]")

from edge import config
from edge.inference import manifest
from edge.records import Box, Signal
from support.evaluation import needs_matplotlib
from training import evaluate, recording
from training.evaluation import walkups
from training.evaluation.identity import Followed
from training.evaluation.outcomes import Shown, figures, judge
from training.walkups import truth
from training.walkups.truth import AGITATED, BACKGROUND, MASKED, UNMASKED, VISITOR, Claim, Person, SceneTruth

from .test_passages import FakePerception

IDLE, PASS, STOP, ALARM, FAULT = Signal.IDLE, Signal.PASS, Signal.STOP, Signal.ALARM, Signal.FAULT
FACE = (1, 200.0, 100.0, 300.0, 220.0, 1.0)


def scene(label: str | None, tags: tuple[str, ...] = ()) -> SceneTruth:
    """Return 10 s at 10 frames/s: empty, a person from 2 to 7 who must be decided from 4 on, empty from 9 on."""
    people = [Person(1, BACKGROUND, "a.png")]
    boxes = [[] if label is None or not 20 <= k < 70 else [FACE] for k in range(100)]
    if label is not None:
        people = [Person(1, VISITOR, "a.png", [Claim(label, [(2.0, 9.0)], [(4.0, 6.9)])])]
    return SceneTruth("0.mp4", "alone", 10.0, 10.0, 640, 480, list(tags), people, boxes)


def shown(*spans: tuple[float, Signal], track: int = 5) -> list[Shown]:
    """Return what a door showed at ten frames a second. Each signal lasts until the next one."""
    out = []
    for k in range(100):
        signal = [s for t, s in spans if t <= k / 10][-1]
        tracks = (Followed(track, Box(*FACE[1:5])),) if 20 <= k < 70 else ()
        out.append(Shown(k / 10, signal, tracks, {track: 1} if 25 <= k < 70 else {}))
    return out


@pytest.mark.parametrize(
    ("label", "light", "mistake"),
    [
        (MASKED, PASS, None),
        (MASKED, STOP, "red_for_masked"),
        (MASKED, ALARM, "red_for_masked"),
        (UNMASKED, STOP, None),
        (UNMASKED, PASS, "green_for_bare"),
        (UNMASKED, ALARM, "alarm_for_calm"),
        (AGITATED, STOP, None),
        (AGITATED, ALARM, None),
        (AGITATED, PASS, "green_for_bare"),
        (None, PASS, "light_for_nobody"),
        (MASKED, FAULT, "fault"),
    ],
)
def test_a_light_and_its_mistake(label: str | None, light: Signal, mistake: str | None) -> None:
    outcome = judge(scene(label), shown((0, IDLE), (3, light), (8, IDLE)))
    assert list(outcome.mistakes) == ([] if mistake is None else [mistake])
    groups = {kind: right for kind, _, right in outcome.groups if kind != "nobody"}
    wanted = {} if label is None else {"masked" if label == MASKED else "bare": mistake in (None, "alarm_for_calm")}
    if label == UNMASKED and light is ALARM:
        wanted = {"bare": False}
    assert groups == wanted


def test_a_late_light_is_not_wrong_but_a_missing_one_is() -> None:
    late = judge(scene(MASKED), shown((0, IDLE), (6, PASS), (8, IDLE)))
    missing = judge(scene(MASKED), shown((0, IDLE)))
    assert [g[2] for g in late.groups if g[0] == "masked"] == [True]
    assert [g[2] for g in missing.groups if g[0] == "masked"] == [False]
    assert (late.mistakes, missing.mistakes) == ({}, {})
    assert (late.decision_s, missing.decision_s) == (pytest.approx(4.0), None)


def test_a_light_that_stays_after_everybody_left() -> None:
    stays = judge(scene(UNMASKED), shown((0, IDLE), (3, STOP)))
    assert stays.mistakes == {"light_for_nobody": pytest.approx(9.1)}
    assert ("nobody", pytest.approx(9.9), False) in stays.groups


def test_figures_have_intervals_and_parts() -> None:
    good = judge(scene(MASKED, ("dim",)), shown((0, IDLE), (3, PASS), (8, IDLE)))
    bad = judge(scene(AGITATED), shown((0, IDLE), (3, PASS), (8, IDLE)))
    empty = judge(scene(None), shown((0, IDLE)))
    total = figures([good, bad, empty])
    assert total["masked_right"]["share"] == 1.0
    assert total["bare_right"] == {"n": 1, "hits": 0, "share": 0.0, "interval": pytest.approx((0, 0.7934), abs=1e-3)}
    assert (total["wrong_light"]["hits"], total["wrong_light"]["n"]) == (1, 2)
    assert (total["alarm_for_angry"]["hits"], total["alarm_for_angry"]["n"]) == (0, 1)
    assert total["light_for_nobody"]["n"] == 3
    assert total["errors"] == 3  # the group, the green light, the alarm that is missing
    assert total["by_tag"]["dim"]["right"]["share"] == 1.0
    who = total["identity"]
    # The background person of the empty scene has no number; in it a track is of nobody.
    assert (who["visitors"], who["unnumbered"], who["numbered_twice"]) == (2, 0, 0)
    json.dumps(total, allow_nan=False)


def test_numbers_in_the_log_are_compared_with_the_visitors() -> None:
    twice = shown((0, IDLE), (3, PASS), (8, IDLE))
    twice[45:] = shown((0, IDLE), (3, PASS), (8, IDLE), track=6)[45:]
    outcome = judge(scene(MASKED), twice)
    assert (outcome.doubles, outcome.strangers, outcome.unnumbered, outcome.identity.switches) == (1, 0, 0, 1)
    nobody = judge(scene(None), twice)
    assert (nobody.strangers, nobody.visitors) == (2, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one scene: a green rectangle, which FakePerception takes for a mask, from 2 to 7 s."""
    writer = cv2.VideoWriter(str(tmp_path / "0.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (160, 120))
    y, x = np.mgrid[0:120, 0:160]
    wall = np.repeat((60 + 30 * np.sin(x / 9) + 20 * np.sin(y / 7))[:, :, None], 3, 2).astype(np.uint8)
    for k in range(100):
        picture = wall.copy()
        if 20 <= k < 70:
            picture[25:55, 50:75] = (40, 220, 40)
        writer.write(picture)
    writer.release()
    boxes = [[(1, 50.0, 25.0, 75.0, 55.0, 1.0)] if 20 <= k < 70 else [] for k in range(100)]
    small = msgspec.structs.replace(scene(MASKED), width=160, height=120, boxes=boxes)
    truth.write(tmp_path, truth.Truth(truth.VERSION, "val", 1, "MPEG-4", [small]))
    return tmp_path


@pytest.mark.parametrize("drawn", [False, pytest.param(True, marks=needs_matplotlib)])
def test_scenes_run_through_the_door(
    folder: Path, drawn: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(walkups, "Perception", FakePerception)
    monkeypatch.setattr(manifest, "load", lambda _: None)
    out = ["--out", str(folder / "out")] if drawn else []
    assert evaluate.main(["passages", "--video", str(folder), *out]) == 0
    total = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (total["masked_right"]["hits"], total["masked_right"]["n"], total["errors"]) == (1, 1, 0)
    assert total["identity"]["idf1"] > 0.9
    for name in ("worst", "right") if drawn else ():
        assert cv2.imread(str(folder / "out" / f"{name}.png")) is not None


def test_a_recording_shows_what_the_videos_show(folder: Path) -> None:
    fake = FakePerception()
    settings, scenes = config.load(), truth.read(folder).scenes
    recording.record_scenes(folder, scenes, folder / "kept", settings, fake)  # type: ignore[arg-type]
    replay = recording.ScenesReplay(scenes, folder / "kept", fake)  # type: ignore[arg-type]
    total = replay.figures(settings, 0.5)
    assert (total["masked_right"]["hits"], total["errors"]) == (1, 0)
    slow = replay.figures(config.replaced(settings, "policy", min_decide_s=9.0), 0.5)
    assert slow["masked_right"]["hits"] == 0
    # A second recording keeps the first.
    kept = folder / "kept" / "0.npz"
    before = kept.stat().st_mtime_ns
    recording.record_scenes(folder, scenes, folder / "kept", settings, fake)  # type: ignore[arg-type]
    assert kept.stat().st_mtime_ns == before


def test_a_folder_without_truth_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["passages", "--video", str(tmp_path)]) == 66
    assert "make_walkups" in capsys.readouterr().err
