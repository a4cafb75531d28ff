# ruff: noqa: E402  (the scripts make their packages importable first)
"""compare_peers.py, check_speed.py, estimate_speed.py: scenes, race, verdicts. Not how fast anything is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "scripts"))

pytest.importorskip("tflite", reason="estimate_speed.py reads models: pip install .[dev]")

import check_speed
import compare_peers
import estimate_speed

from doorlab import modelfile, peers, speed
from edge import config, manifest
from edge.door import Decision
from edge.errors import InputMissing, ModelError, OutputError, Unavailable
from edge.perception import Perception
from edge.policy import Verdict
from edge.records import Box, Frame, Signal, Track

CONFIG = config.load()


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


@pytest.fixture(scope="module")
def footage(perception: Perception) -> speed.Footage:
    return speed.film(CONFIG, perception, str(compare_peers.CLIP))


# ---------------------------------------------------------------- scenes


def test_the_clip_shows_everything_that_is_timed(footage: speed.Footage, perception: Perception) -> None:
    scenes = speed.scenes(footage, CONFIG)
    assert list(scenes) == [
        "empty door",
        "one settled face, masked",
        "one settled face, unmasked",
        "one new face, masked",
        "one new face, unmasked",
        "ten faces",
    ]
    for name in (speed.EMPTY, speed.one("settled", "unmasked"), speed.one("new", "masked"), speed.TEN_FACES):
        scene = scenes[name]()
        assert len(scene.frames) >= speed.LEAST
        assert {(f.shape, f.dtype.name) for f in scene.frames} == {((480, 640, 3), "uint8")}
        contestant = speed.Door(perception, CONFIG.camera.fps)
        contestant.begin(scene)
        people = [contestant.look(scene.frames[k % len(scene.frames)]) for k in range(12)]
        decision = contestant.decision
        assert decision is not None
        verdicts = set(decision.verdicts.values())
        if name == speed.EMPTY:
            assert set(people) == {0}
        elif name == speed.TEN_FACES:
            assert min(people) >= 9
            assert max(people) <= 11
            assert verdicts == {Verdict.MASKED, Verdict.UNMASKED}
        else:
            assert set(people) == {1}
            new = "new" in name
            assert verdicts == {Verdict.UNKNOWN if new else Verdict(name.rpartition(" ")[2])}
            # Somebody new is looked at in every frame; whoever is decided is not.
            assert contestant.looks == 12 if new else 0 < contestant.looks < 12


def test_pictures_are_looked_at_one_by_one(tmp_path: Path, perception: Perception, footage: speed.Footage) -> None:
    for k, kind in enumerate(("masked", "empty", "unmasked")):
        assert cv2.imwrite(str(tmp_path / f"{k}.png"), footage[kind][0].picture[:, :, ::-1])
    found = speed.film(CONFIG, perception, str(tmp_path))
    assert {kind: len(shots) for kind, shots in found.items()} == {"masked": 1, "empty": 1, "unmasked": 1}
    assert found["masked"][0].box is not None
    assert found["empty"][0].box is None


def test_nobody_to_be_timed_on(tmp_path: Path, perception: Perception) -> None:
    assert cv2.imwrite(str(tmp_path / "grey.png"), np.full((480, 640, 3), 120, np.uint8))
    with pytest.raises(InputMissing, match=r"grey\.png: shows nobody"):
        speed.film(CONFIG, perception, str(tmp_path / "grey.png"))


def test_a_circle_has_no_jump_and_no_two_equal_frames() -> None:
    pictures = [np.full((480, 640, 3), v, np.uint8) for v in (50, 100, 150, 200)]
    frames = speed.circle(pictures)
    assert len(frames) >= speed.LEAST
    levels = [round(float(f.mean()), -1) for f in frames]
    steps = {abs(a - b) for a, b in zip(levels, levels[1:] + levels[:1], strict=True)}
    assert steps == {50}
    for a, b in zip(frames, [*frames[1:], frames[0]], strict=True):
        assert not np.array_equal(a, b)
    assert 0.8 * speed.NOISE < float((frames[0].astype(float) - 50).std()) < 1.2 * speed.NOISE
    assert len(speed.circle(pictures[:1])) == speed.LEAST


@pytest.mark.parametrize(("shape", "kept"), [((480, 640), 1.0), ((720, 1280), 0.75), ((800, 600), 0.5625)])
def test_the_middle_of_any_picture(shape: tuple[int, int], kept: float) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    picture[shape[0] // 2 - 20 : shape[0] // 2 + 20, shape[1] // 2 - 20 : shape[1] // 2 + 20] = 255
    out = speed.fitted(picture)
    assert out.shape == (480, 640, 3)
    ys, xs = np.nonzero(out[..., 0] > 127)
    assert (ys.mean() + 0.5, xs.mean() + 0.5) == pytest.approx((240, 320), abs=2)
    assert (ys.ptp() + 1) / (xs.ptp() + 1) == pytest.approx(1, abs=0.06)  # aspect is kept
    assert kept == pytest.approx(min(shape[1] * 3, shape[0] * 4) ** 2 / 12 / (shape[0] * shape[1]))


# ---------------------------------------------------------------- the race


class Fake(speed.Contestant):
    """Takes as long as it says, by a clock of its own; writes down what it was shown."""

    def __init__(
        self, name: str, seconds: float, clock: list[float], log: list[tuple[str, int]], every: int = 1
    ) -> None:
        self.name, self.every = name, every
        self._seconds, self._clock, self._log = seconds, clock, log

    def begin(self, scene: speed.Scene) -> None:
        self._log.append((self.name, -1))
        self._clock[0] += 100  # whatever it does to get ready is not counted

    def look(self, picture: speed.Picture) -> int:
        self._log.append((self.name, int(picture[0, 0, 0])))
        self._clock[0] += self._seconds
        return 2


def scene_of(n: int) -> speed.Scene:
    return speed.Scene([np.full((480, 640, 3), k, np.uint8) for k in range(n)], CONFIG)


def test_everybody_in_turn_on_the_same_frames() -> None:
    clock, log = [0.0], []
    fast, slow = Fake("fast", 0.002, clock, log), Fake("slow", 0.03, clock, log, every=2)
    timings = speed.race([fast, slow], scene_of(6), 3, 4, 1, (lambda: clock[0], lambda: clock[0] * 2))
    assert log == [
        *(("fast", -1), ("slow", -1)),
        *(("fast", k) for k in (1, 2, 3, 4)),
        *(("slow", k) for k in (1, 3)),
        *(("slow", k) for k in (5, 1)),  # another one first; the circle goes on
        *(("fast", k) for k in (5, 0, 1, 2)),
        *(("fast", k) for k in (3, 4, 5, 0)),
        *(("slow", k) for k in (3, 5)),
    ]
    assert timings["fast"].cpu_ms == pytest.approx([2, 2, 2])
    assert timings["slow"].cpu_ms == pytest.approx([30, 30, 30])
    assert timings["slow"].wall_ms == pytest.approx([60, 60, 60])
    assert timings["slow"].found == pytest.approx(2)
    figures = timings["fast"].figures()
    assert figures["cpu_ms"]["median"] == 2
    assert json.loads(json.dumps(figures)) == figures


def test_the_table_says_how_many_times() -> None:
    timings = {
        "ours": speed.Timing([2.0, 1.0, 3.0], [9.0] * 3, 1.0),
        "AIZOO, network alone": speed.Timing([14.0] * 3, [9.0] * 3, 0.0),
    }
    lines = compare_peers.table("one face", timings).splitlines()
    assert lines[1].split() == ["ours", "2", "(1.5", "to", "2.5)", "1.00", "1.0"]
    assert lines[2].split() == ["AIZOO,", "network", "alone", "14", "(14", "to", "14)", "7.00"]


# ---------------------------------------------------------------- the tutorials


def test_a_tutorial_is_fed_as_it_feeds_itself() -> None:
    fed: list[np.ndarray] = []

    def classify(cuts: np.ndarray) -> np.ndarray:
        fed.append(cuts)
        return np.tile(np.float32([0.25, 0.75]), (len(cuts), 1))

    picture = np.zeros((480, 640, 3), np.uint8)
    picture[100:200, 100:200] = 255, 0, 127
    boxes = [Box(100, 100, 200, 200), Box(-50, -50, 40, 40), Box(700, 10, 900, 90)]
    found = peers.Tutorial(lambda _: boxes, classify).look(picture)
    assert [box for box, _ in found] == boxes[:2]  # one lies outside
    assert found[0][1].tolist() == [0.25, 0.75]
    (cuts,) = fed  # all of a frame at once
    assert cuts.shape == (2, 224, 224, 3)
    assert cuts.dtype == np.float32
    np.testing.assert_allclose(cuts[0, 100, 100], [1, -1, 0], atol=0.01)
    assert (cuts[1] == -1).all()
    assert peers.Tutorial(lambda _: [], classify).look(picture) == []
    assert len(fed) == 1  # no face, no classifier


def test_the_haar_cascade_finds_a_bare_face(footage: speed.Footage) -> None:
    picture, box = footage["unmasked"][-1]
    assert box is not None
    found = peers.Haar().find(picture)
    assert len(found) == 1
    x, y = (found[0].x1 + found[0].x2) / 2, (found[0].y1 + found[0].y2) / 2
    assert box.x1 < x < box.x2
    assert box.y1 < y < box.y2
    assert peers.Haar().find(np.zeros((480, 640, 3), np.uint8)) == []


class FakeSsd:
    """OpenCV's network: one face in the left half, surer than 0.5, and one less sure."""

    def setInput(self, blob: np.ndarray) -> None:
        assert blob.shape == (1, 3, 300, 300)
        # BGR, less its means.
        assert blob[0, :, 0, 0].tolist() == [30 - 104, 20 - 177, 10 - 123]

    def forward(self) -> np.ndarray:
        return np.float32([[[[0, 1, 0.9, 0.25, 0.25, 0.5, 0.75], [0, 1, 0.4, 0.6, 0.1, 0.9, 0.9]]]])


def test_the_ssd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.prototxt"):
        peers.Ssd(tmp_path / "no.prototxt", tmp_path / "no.caffemodel")
    monkeypatch.setattr(cv2.dnn, "readNetFromCaffe", lambda *_: FakeSsd())
    picture = np.full((480, 640, 3), (10, 20, 30), np.uint8)
    assert peers.Ssd(Path("a"), Path("b")).find(picture) == [Box(160, 120, 320, 360)]


def test_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(Unavailable, match="needs TensorFlow"):
        peers.KerasMobileNet(None)


# ---------------------------------------------------------------- the commands


@pytest.mark.parametrize(
    ("given", "code", "named"),
    [
        (["nowhere.mp4"], 66, "nowhere.mp4: no such file"),
        (["{tmp}/grey.png"], 66, "grey.png: shows nobody alone"),
        (["--aizoo", "nowhere.tflite"], 69, "nowhere.tflite: cannot be read"),
        (["--aizoo", "{tmp}/text.tflite"], 69, "text.tflite: is not a TFLite model"),
        (["--ultralight", "{detector}"], 69, "face_detector.tflite: takes no single float picture"),
        (["--mobilenet", "{tmp}/text.tflite"], 69, "text.tflite: is not a TFLite model"),
        (["--models", "{tmp}"], 69, "manifest.toml"),
        (["--config", "nowhere.toml"], 78, "nowhere.toml"),
    ],
)
@pytest.mark.parametrize("command", ["compare_peers", "check_speed"])
def test_bad_input_is_one_line(
    command: str, given: list[str], code: int, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cv2.imwrite(str(tmp_path / "grey.png"), np.full((480, 640, 3), 120, np.uint8))
    (tmp_path / "text.tflite").write_text("no model\n" * 20)
    models = manifest.load()
    filled = [g.format(tmp=tmp_path, detector=models.folder / models["face_detector"].file) for g in given]
    assert sys.modules[command].main([*filled, "--json"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    said = [line for line in err.splitlines() if line.startswith(f"{command}.py: ")]
    assert len(said) == 1
    assert named in said[0]


@pytest.mark.parametrize("given", [["--rounds", "0"], ["--rounds", "x"], ["--ssd", "one"]])
def test_usage(given: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        compare_peers.main(given)
    assert caught.value.code == 2


class TinyField:
    """What `Field` gives, with no model and no frame of size."""

    fps = 5.0
    perception = SimpleNamespace(runtime="none")

    def __init__(self, args: Any) -> None:
        self.scenes = {"one face": lambda: scene_of(4)}
        clock: list[float] = [0.0]
        self.contestants = [Fake("ours", 0.1, clock, []), Fake("theirs", 0.2, clock, [])]

    def race(self, name: str, contestants: Sequence[speed.Contestant], rounds: int) -> dict[str, speed.Timing]:
        return {c.name: speed.Timing([float(k + 1)] * rounds, [1.0] * rounds, 1.0) for k, c in enumerate(contestants)}


def test_the_command_prints_tables_or_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(compare_peers, "Field", TinyField)
    assert compare_peers.main(["--rounds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "processor's time, median of 2 rounds, one after the other on the same frames"
    assert lines[-1].split() == ["theirs", "2", "(2", "to", "2)", "2.00", "1.0"]
    assert compare_peers.main(["--rounds", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["threads"], said["width"], said["rounds"]) == (1, 640, 2)
    assert said["scenes"]["one face"]["theirs"]["times_ours"] == 2


def test_two_rounds_for_real(footage: speed.Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "film", lambda *_: {"unmasked": footage["unmasked"]})
    args = SimpleNamespace(config=None, models=None, aizoo=None, ultralight=None, mobilenet=None, ssd=None, footage="")
    field = compare_peers.Field(args)
    assert list(field.scenes) == ["one settled face, unmasked", "one new face, unmasked", "ten faces"]
    assert field.config.models.threads == 1
    monkeypatch.setattr(compare_peers, "BLOCK_S", 0.4)
    timings = field.race("one new face, unmasked", field.contestants, 2)
    assert list(timings) == ["Doorlight, frame to light"]
    assert len(timings["Doorlight, frame to light"].cpu_ms) == 2
    assert timings["Doorlight, frame to light"].found == 1


@pytest.mark.train
def test_the_tutorial_as_they_build_it(footage: speed.Footage, tmp_path: Path) -> None:
    """Keras, its port to TFLite and the Haar cascade, all real; a process of its own, for TensorFlow's threads."""
    assert cv2.imwrite(str(tmp_path / "bare.png"), footage["unmasked"][-1].picture[:, :, ::-1])
    command = [sys.executable, str(REPOSITORY / "scripts" / "compare_peers.py"), str(tmp_path / "bare.png")]
    done = subprocess.run(
        [*command, "--mobilenet", "build", "--rounds", "1", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    scene = json.loads(done.stdout)["scenes"]["one settled face, unmasked"]
    assert list(scene)[1:] == ["tutorial: Haar + Keras predict", "tutorial, ported: Haar + TFLite"]
    assert {who: row["faces_found"] for who, row in scene.items()} == dict.fromkeys(scene, 1.0)


# ---------------------------------------------------------------- promises


def times(**changed: float) -> dict[str, dict[str, float]]:
    """Milliseconds by scene and contestant, of a door that keeps every promise."""
    peer = {"AIZOO, frame to boxes": 12.0, "AIZOO, network alone": 10.0}
    tutorial = {"tutorial: Haar + Keras predict": 120.0, "tutorial, ported: Haar + TFLite": 50.0}
    ours = {
        "empty door": 0.4,
        "settled, masked": 2.0,
        "settled, unmasked": 2.5,
        "new, masked": 5.0,
        "new, unmasked": 6.5,
    }
    ours |= {key.replace("_", ", "): value for key, value in changed.items() if key != "empty"}
    found = {"empty door": {"ours": changed.get("empty", 0.4)}}
    for what in ("settled", "new"):
        for kind in ("masked", "unmasked"):
            found[speed.one(what, kind)] = {"ours": ours[f"{what}, {kind}"], **peer, **tutorial}
    return found


def met(checks: Sequence[check_speed.Check]) -> list[bool | None]:
    return [check.met for check in checks]


def test_ratios_are_those_of_the_worse_kind_and_the_bare_network() -> None:
    kept = check_speed.ratios(times(), "ours")
    assert met(kept) == [True, True, True, True]
    assert kept[0].measured == "0.25 × the bare network, 0.21 × frame to boxes"
    assert kept[1].measured.startswith("0.65 ×")
    assert kept[2].measured == "48 × (ported to TFLite: 20 ×)"
    assert kept[3].measured.startswith("8.0% (0.40 of 5.00 ms")
    assert met(check_speed.ratios(times(settled_masked=3.01), "ours")) == [False, True, False, True]
    assert met(check_speed.ratios(times(new_unmasked=7.01), "ours")) == [True, False, True, True]
    assert met(check_speed.ratios(times(empty=0.51), "ours")) == [True, True, True, False]


def test_what_is_not_there_is_not_measured() -> None:
    alone = {name: {"ours": row["ours"]} for name, row in times().items()}
    assert met(check_speed.ratios(alone, "ours")) == [None, None, None, True]
    del alone["empty door"]
    assert met(check_speed.ratios(alone, "ours")) == [None, None, None, None]
    ported = {name: {k: v for k, v in row.items() if "Keras" not in k} for name, row in times().items()}
    assert met(check_speed.ratios(ported, "ours")) == [True, True, None, True]


def decision(t: float, people: dict[int, tuple[float, Verdict]]) -> Decision:
    """At `t`, `people` (person: since, verdict) are there."""
    box = Box(0, 0, 100, 100)
    tracks = tuple(Track(person, box, 0.2, since, t) for person, (since, _) in people.items())
    return Decision(t, Signal.IDLE, tracks, {}, {p: v for p, (_, v) in people.items()}, frozenset(), [])


def test_the_slowest_of_a_crowd_counts() -> None:
    unknown, masked = Verdict.UNKNOWN, Verdict.MASKED
    seen = [
        (0.0, decision(0.0, {1: (0.0, unknown)})),
        (1.0, decision(1.0, {1: (0.0, masked), 2: (0.5, unknown), 3: (1.0, unknown)})),
        (2.0, decision(1.9, {1: (0.0, masked), 2: (0.5, masked)})),
    ]
    assert check_speed.crowd(seen, 3.0) == (1.0, 1.5, 2)  # the third was nobody
    assert check_speed.crowd(seen[:2], 2.0) == (1.0, 1.0, 1)
    late = [*seen, (3.0, decision(3.0, {1: (0.0, masked), 2: (0.5, masked), 3: (1.0, unknown)}))]
    assert check_speed.crowd(late, 4.0)[1:] == (None, 3)
    assert check_speed.crowd([], 1.0) == (0.0, None, 0)


@pytest.mark.parametrize(("slower", "numbers"), [(1.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), (25.0, [0, 2, 5, 7])])
def test_a_slower_machine_drops_frames(slower: float, numbers: list[int]) -> None:
    """Ten frames a second, 0.01 s each: 25 times that are two frames and a half."""
    clock, seen = [0.0], []

    def step(frame: Frame) -> Decision:
        clock[0] += 0.01
        seen.append((frame.number, round(frame.t, 6), int(frame.picture[0, 0, 0])))
        return decision(frame.t, {})

    made = list(check_speed.live(step, scene_of(4).frames, 10, 1.0, slower, lambda: clock[0]))
    assert [number for number, _, _ in seen] == numbers
    assert all(t == number / 10 and shown == number % 4 for number, t, shown in seen)
    waited = [t for t, _ in made]
    assert waited == pytest.approx([k / 10 + 0.01 for k in range(10)] if slower == 1 else [0.25, 0.5, 0.75, 1.0])


def test_a_slow_disk_is_slow_for_as_long_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr(check_speed.time, "sleep", naps.append)
    real = os.fsync
    with (tmp_path / "log").open("wb") as file:
        with check_speed.slow_disk(3.0) as through:
            os.fsync(file.fileno())
            assert len(through) == 1
        assert naps == [3.0]
        assert os.fsync is real
        with pytest.raises(OSError, match="Bad file"), check_speed.slow_disk(1.0):
            os.fsync(987654)  # what a disk says still counts
        assert os.fsync is real


def test_lights_while_the_disk_is_slow(perception: Perception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real door, log and lights, for a second or so; nothing is said about how fast."""
    monkeypatch.setattr(check_speed, "SLOW_DISK_S", 0.2)
    field: Any = SimpleNamespace(config=CONFIG, perception=perception)
    (check,) = check_speed.lights(field, str(compare_peers.CLIP), seconds=2.5)
    assert "of 1 changes" in check.measured or "of 2 changes" in check.measured
    written, told = check.measured.rpartition("; ")[2].split(", ")[1].split(" of ")
    assert written == told.split()[0] != "0"


def test_memory_is_flat_or_not() -> None:
    hours = np.linspace(0.1, 1, 40)
    rng = np.random.default_rng(1)
    flat = [(float(h), float(100 + n)) for h, n in zip(hours, rng.normal(0, 0.3, 40), strict=True)]
    slope, noise = check_speed.growth(flat)
    assert abs(slope) < 0.5
    assert 0.15 < noise < 0.45
    leaking = [(h, mb + 6 * h) for h, mb in flat]
    assert check_speed.growth(leaking)[0] == pytest.approx(slope + 6)


def test_a_video_again_and_again() -> None:
    again = check_speed.Again(check_speed.open_source(CONFIG.camera, str(compare_peers.CLIP)), hours=50 / 3600)
    with again:
        frames = []
        while (frame := again.read()) is not None:
            frames.append((frame.number, frame.t))
    numbers, t = (list(column) for column in zip(*frames, strict=True))
    assert numbers == list(range(750))  # 50 s at 15 frames/s, of a clip of 20.6 s
    assert np.diff(t) == pytest.approx(1 / 15)
    assert [round(hours * 3600) for hours, _ in again.samples] == [0]
    assert 10 < again.samples[0][1] < 4000


@pytest.mark.parametrize(("kept", "code"), [(True, 0), (None, 0), (False, 1)])
def test_a_broken_promise_ends_with_1(
    kept: bool | None, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare_peers, "Field", TinyField)
    monkeypatch.setattr(check_speed, "start", lambda: [check_speed.Check("start ≤ 1 s", "2 s", kept)])
    assert check_speed.main(["--only", "start", "--json"]) == code
    said = json.loads(capsys.readouterr().out)
    assert said == {"start": [{"target": "start ≤ 1 s", "measured": "2 s", "met": kept}]}
    assert check_speed.main(["--only", "start"]) == code
    assert capsys.readouterr().out.splitlines()[-1].split() == [
        *("start", "≤", "1", "s"),
        {True: "yes", False: "NO", None: "–"}[kept],
        *("2", "s"),
    ]


# ---------------------------------------------------------------- estimates


def test_multiplications_are_counted() -> None:
    rows = manifest.load()
    # The first layer of the expression classifier alone: 48x48 places, 3x3 of one channel, 32 times.
    assert modelfile.macs(rows.read("expression_classifier")) > 48 * 48 * 9 * 32
    assert modelfile.macs(rows.read("mask_classifier")) == pytest.approx(
        estimate_speed.MOBILENET * 1e6 * (160 / 224) ** 2, rel=0.01
    )


def test_estimates_follow_the_board_and_the_models() -> None:
    rows = manifest.load()
    macs = estimate_speed.work(rows)
    by = {
        (board.name, how): estimate_speed.estimate(board, how, rows, macs, CONFIG)
        for board in estimate_speed.BOARDS
        for how in ("1 thread", "4 threads", "Coral")
    }
    for name in ("Zero 2 W", "3B+", "4", "5"):
        one, four, coral = (by[name, how] for how in ("1 thread", "4 threads", "Coral"))
        assert one.detector == pytest.approx(four.detector * 189.95 / 67.39)
        assert one.rest == four.rest == coral.rest
        assert one.new_fps < four.new_fps < coral.new_fps
        assert one.new_fps <= one.settled_fps
    assert by["4", "4 threads"].mask == pytest.approx(17 * (160 / 224) ** 2, rel=0.01)
    assert by["4", "Coral"].detector == by["5", "Coral"].detector < by["3B+", "Coral"].detector


def test_first_light_waits_for_looks_and_for_time() -> None:
    """Four looks over half a second at least; 15 frames/s."""
    settings = replace(
        CONFIG,
        policy=replace(CONFIG.policy, looks=4, decide_s=0.5),
        camera=replace(CONFIG.camera, fps=15.0),
    )
    assert estimate_speed.first_light(10, settings) == pytest.approx(0.5 / 15 + 8 / 15 + 0.01)
    assert estimate_speed.first_light(1000, settings) == pytest.approx(0.5 + 3 + 1)


def test_the_estimate_has_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"above\n{estimate_speed.BEGIN}\nold\n{estimate_speed.END}\nbelow\n")
    assert estimate_speed.main(["--table", str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"above\n{estimate_speed.BEGIN}\n\n| **Estimate, not measured**")
    assert text.endswith(f"\n\n{estimate_speed.END}\nbelow\n")
    assert "\nold\n" not in text
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]
    page.write_text("no place")
    assert estimate_speed.main(["--table", str(page)]) == OutputError.exit_code
    assert "has no place for the estimate" in capsys.readouterr().err
    assert page.read_text() == "no place"


def test_the_readme_shows_the_estimate_of_these_models() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    shown = text.partition(estimate_speed.BEGIN)[2].partition(estimate_speed.END)[0].strip()
    assert shown == estimate_speed.table(manifest.load(), CONFIG), (
        "renew it: scripts/estimate_speed.py --table README.md"
    )
