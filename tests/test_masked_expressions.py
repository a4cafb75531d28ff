"""`[expression] masked`: expressions above a mask, from the model to what the door shows and logs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from edge import cli, config
from edge.config import Config
from edge.drawing import Drawing
from edge.errors import ModelError
from edge.explain import sheet
from edge.explain.explanation import Stage, explain
from edge.explain.people import explain_people
from edge.inference import manifest
from edge.inference.interpreter import Model
from edge.inference.perception import Perception, required_models
from edge.pipeline import Decision, Pipeline, decide_image
from edge.policy import Person, Verdict
from edge.records import Box, Detection, Face, Frame, Signal, Track
from edge.tracker import Tracker
from edge.view.snapshot import Snapshots
from support.clip import MASKED_S, UNMASKED_S, frame_at
from support.masked_models import MASKED, manifest_without, write_models_without
from support.paths import DEMO
from support.view import decision

OFF = config.load()
ON = config.replaced(OFF, "expression", masked=True)
ALARM = config.replaced(OFF, "expression", masked=True, masked_alarm=True)
LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@pytest.fixture(scope="module")
def perception() -> Perception:
    return Perception(ON, manifest.load())


def look(perception: Perception, second: float) -> Face:
    picture = frame_at(second)
    (found,) = perception.detector.detect(picture)
    return perception.classify(picture, found)


class TestPerception:
    def test_a_masked_face_is_read_by_the_other_model(self, perception: Perception) -> None:
        face = look(perception, MASKED_S)
        assert face.expression is None
        assert face.masked_expression is not None
        assert sum(face.masked_expression) == pytest.approx(1.0, abs=1e-5)

    def test_a_bare_face_is_read_as_before(self, perception: Perception) -> None:
        assert look(perception, UNMASKED_S) == look(Perception(OFF, manifest_without()), UNMASKED_S)

    def test_a_bare_face_never_runs_the_other_model(
        self, perception: Perception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert perception.expression is not None
        assert perception.masked_expression is not None
        ran: list[str] = []

        def listen(name: str, model: Model) -> None:
            invoke = model.invoke

            def invoke_and_note(pixels: npt.NDArray[np.uint8]) -> None:
                ran.append(name)
                invoke(pixels)

            monkeypatch.setattr(model, "invoke", invoke_and_note)

        listen("bare", perception.expression.model)
        listen("masked", perception.masked_expression.model)
        look(perception, UNMASKED_S)
        look(perception, MASKED_S)
        assert ran == ["bare", "masked", "masked"], "above a mask, the face and its mirror image"

    @pytest.mark.parametrize(("max_turn", "is_read"), [(1e-6, False), (90.0, True)])
    def test_a_masked_head_that_is_turned_away_is_not_read(self, max_turn: float, is_read: bool) -> None:
        settings = config.replaced(ON, "landmarks", enabled=True, max_turn=max_turn)
        face = look(Perception(settings, manifest.load()), MASKED_S)
        assert (face.masked_expression is not None) is is_read
        assert not face.is_undecided, "the mask is visible from the side"

    @pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (48, 48)])
    def test_pictures_of_unusual_shape_give_a_result(self, perception: Perception, shape: tuple[int, int]) -> None:
        assert perception.masked_expression is not None
        picture = np.full((*shape, 3), 200, np.uint8)
        for box in (Box(-50.0, -50.0, 5000.0, 5000.0), Box(0.0, 0.0, 0.0, 0.0)):
            perception.classify(picture, Detection(box, 1.0))
            assert len(perception.masked_expression.probabilities(picture, box)) == 7


class TestOff:
    @pytest.mark.parametrize(
        ("settings", "is_needed"),
        [
            (OFF, False),
            (ON, True),
            (config.replaced(ON, "expression", enabled=False), False),
            (config.replaced(OFF, "expression", masked_alarm=True), False),
        ],
    )
    def test_the_model_is_needed_only_if_it_is_asked_for(self, settings: Config, is_needed: bool) -> None:
        assert (MASKED in required_models(settings)) is is_needed
        assert (Perception(settings, manifest.load()).masked_expression is not None) is is_needed

    def test_nothing_is_opened(self, tmp_path: Path) -> None:
        models = manifest.find_shipped_models()
        code = (
            "import sys\n"
            "from pathlib import Path\n"
            "opened = []\n"
            "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
            "from edge import config\n"
            "from edge.inference import manifest\n"
            "from edge.inference.perception import Perception\n"
            "for masked in (False, True):\n"
            "    settings = config.replaced(config.load(), 'expression', masked=masked)\n"
            "    Perception(settings, manifest.load(Path(sys.argv[1])))\n"
            f"    print(any(name.endswith('{MASKED}.tflite') for name in opened))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, models], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.stdout.split() == ["False", "True"], done.stderr

    def test_a_masked_face_costs_what_it_did(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Off, a look at a masked face runs the mask classifier, and no other model."""
        plain = Perception(OFF, manifest.load())
        assert plain.expression is not None
        monkeypatch.setattr(plain.expression.model, "invoke", lambda _: pytest.fail("the expression was read"))
        face = look(plain, MASKED_S)
        assert (face.expression, face.masked_expression) == (None, None)


class TestMissingModel:
    def test_the_message_names_key_and_model(self) -> None:
        with pytest.raises(
            ModelError, match=rf"no model '{MASKED}', which \[expression\] masked = true needs"
        ) as found:
            Perception(ON, manifest_without())
        assert "set [expression] masked = false" in found.value.hint

    def test_the_same_for_another_model_that_a_setting_needs(self) -> None:
        shipped = manifest.load()
        without = manifest.Manifest(shipped.folder, {k: row for k, row in shipped.items() if k != "face_landmarks"})
        with pytest.raises(ModelError, match=r"'face_landmarks', which \[landmarks\] enabled = true needs"):
            Perception(config.replaced(OFF, "landmarks", enabled=True), without)

    @pytest.mark.parametrize("command", ["annotate", "run"])
    def test_commands_say_so(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
        settings, still = tmp_path / "door.toml", str(DEMO / "still.jpg")
        models = write_models_without(tmp_path / "models")
        settings.write_text(f'[expression]\nmasked = true\n[models]\ndirectory = "{models}"\n')
        arguments = [still, str(tmp_path / "out.jpg")] if command == "annotate" else ["--simulate", "--source", still]
        log = ["--events", str(tmp_path / "e.jsonl")] if command == "run" else []
        assert cli.main([command, "--config", str(settings), *arguments, *log]) not in (0, 1)
        assert f"no model '{MASKED}', which [expression] masked = true needs" in capsys.readouterr().err


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "reads", "alarms"),
        [
            ("", False, False),
            ("masked = true", True, False),
            ("masked = true\nmasked_alarm = true", True, True),
            ("masked_alarm = true", False, False),
            ("enabled = false\nmasked = true\nmasked_alarm = true", False, False),
        ],
    )
    def test_each_needs_the_one_before(self, tmp_path: Path, text: str, reads: bool, alarms: bool) -> None:
        path = tmp_path / "door.toml"
        path.write_text(f"[expression]\n{text}\n")
        found = config.load(path).expression
        assert (found.reads_masked, found.alarms_masked) == (reads, alarms)

    @pytest.mark.parametrize("answered", [False, True])
    def test_they_wait_for_the_answers(self, tmp_path: Path, answered: bool) -> None:
        path = tmp_path / "door.toml"
        controller = "Dr. Who" if answered else ""
        path.write_text(
            "[expression]\nenabled = true\nmasked = true\nmasked_alarm = true\n"
            f'[privacy]\nanswers_required = true\ncontroller = "{controller}"\nsign = "left"\n'
        )
        loaded = config.load(path)
        assert (loaded.expression.reads_masked, loaded.expression.alarms_masked) == (answered, answered)
        assert (MASKED in required_models(loaded)) is answered


def test_looks_above_a_mask_and_at_the_bare_face_are_averaged_apart() -> None:
    tracker = Tracker(OFF.tracker)
    (number,) = tracker.update([Detection(Box(0, 0, 100, 100), 0.9)], 0.0, 480)
    for t, bare, above in ((0.0, 0.2, 0.9), (0.1, 0.2, 0.7), (0.2, 0.2, 0.8)):
        tracker.add_masked_expression_score(number, above, t)
        tracker.add_expression_score(number, bare, t)
    (track,) = tracker.tracks
    assert (track.agitation, track.expression_looks) == (pytest.approx(0.2), 3)
    assert (track.masked_agitation, track.masked_expression_looks) == (pytest.approx(0.8, abs=0.05), 3)


def with_every_expression(settings: Config) -> Config:
    """Return settings for which every face looks agitated."""
    return config.replaced(settings, "expression", agitated=LABELS)


def kinds(decisions: list[Decision]) -> list[str]:
    return [e.data["signal"] if e.kind == "signal" else e.kind for d in decisions for e in d.events]  # type: ignore[misc]


class TestDoor:
    def play(self, settings: Config, perception: Perception, seconds: list[float]) -> list[Decision]:
        """Show each moment of the clip for 2 s."""
        pipeline = Pipeline(settings, perception)
        pictures = [frame_at(second) for second in seconds for _ in range(20)]
        return [pipeline.step(Frame(k, k / 10, picture)) for k, picture in enumerate(pictures)]

    def test_a_masked_person_is_green_and_logged_as_uncertain(self, perception: Perception) -> None:
        decisions = self.play(with_every_expression(ON), perception, [MASKED_S])
        assert kinds(decisions) == ["masked", "PASS", "maybe_agitated"]

    def test_with_masked_alarm_it_is_an_alarm(self, perception: Perception) -> None:
        decisions = self.play(with_every_expression(ALARM), perception, [MASKED_S])
        assert kinds(decisions) == ["masked", "PASS", "agitated", "ALARM"]

    def test_off_the_same_door_says_nothing(self) -> None:
        decisions = self.play(with_every_expression(OFF), Perception(OFF, manifest.load()), [MASKED_S])
        assert kinds(decisions) == ["masked", "PASS"]

    def test_bare_people_have_the_same_decisions_on_and_off(self, perception: Perception) -> None:
        plain = self.play(OFF, Perception(OFF, manifest_without()), [UNMASKED_S])
        both = self.play(ON, perception, [UNMASKED_S])
        assert [(d.signal, d.events, d.faces, d.tracks) for d in both] == [
            (d.signal, d.events, d.faces, d.tracks) for d in plain
        ]

    def test_a_masked_face_is_looked_at_as_often_as_a_bare_one(self, perception: Perception) -> None:
        calm = msgspec.structs.replace(
            ON, expression=msgspec.structs.replace(ON.expression, agitated=("angry",))
        )  # and nobody in the clip is
        looks = {
            name: [d.t for d in self.play(settings, perception, [second])[10:] if d.faces]
            for name, settings, second in (
                ("bare, agitated", with_every_expression(ON), UNMASKED_S),
                ("masked, agitated", with_every_expression(ON), MASKED_S),
                ("masked, calm", calm, MASKED_S),
            )
        }
        assert looks["masked, agitated"] == looks["bare, agitated"]
        assert len(looks["masked, calm"]) < len(looks["masked, agitated"]) / 2


class TestDrawing:
    ANGRY = (0.64, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06)

    @pytest.mark.parametrize(
        ("person", "line"),
        [
            (Person(0.0, Verdict.MASKED, 1), "perhaps angry 64 %"),
            (Person(0.0, Verdict.MASKED, 1, maybe_agitated=True), "perhaps agitated: angry 64 %"),
            (Person(0.0, Verdict.MASKED, 1, agitated=True), "agitated: perhaps angry 64 %"),
        ],
    )
    def test_a_label_says_that_it_is_a_guess(self, perception: Perception, person: Person, line: str) -> None:
        track = Track(1, Box(10, 10, 90, 100), 0.25, 0.0, 1.0, looks=5, evidence=2.0)
        face = Face(track.box, 0.9, 0.9, masked_expression=self.ANGRY)
        seen = Decision(1.0, Signal.PASS, (track,), {1: face}, {1: person}, [])
        drawing = Drawing(ON, perception)
        drawing.add_looks(seen)
        (label,) = drawing.labels(seen, 640, 480)
        assert label.lines == ("#1 mask 88 %", line)
        # Where there is no room for it, a guess is left out; an alarm is not.
        assert label.short == ("#1 mask", "agitated")[: 1 + person.agitated]

    def test_a_guess_is_not_shown_as_the_expression_of_a_bare_face(self, perception: Perception) -> None:
        track = Track(1, Box(10, 10, 90, 100), 0.25, 0.0, 1.0, looks=5, evidence=-2.0)
        face = Face(track.box, 0.9, 0.9, masked_expression=self.ANGRY)
        seen = Decision(1.0, Signal.STOP, (track,), {1: face}, {1: Person(0.0, Verdict.UNMASKED, 1)}, [])
        drawing = Drawing(ON, perception)
        drawing.add_looks(seen)
        (label,) = drawing.labels(seen, 640, 480)
        assert label.lines == ("#1 no mask 88 %",)

    def test_a_picture(self, perception: Perception) -> None:
        picture = frame_at(MASKED_S)
        seen = decide_image(ON, perception, picture)
        drawing = Drawing(ON, perception)
        drawing.add_looks(seen)
        (label,) = drawing.labels(seen, 640, 480)
        assert label.lines[1].startswith("perhaps ")


@pytest.mark.usefixtures("coarse_maps")
class TestExplain:
    def test_the_expression_of_a_masked_face(self, perception: Perception) -> None:
        picture = frame_at(MASKED_S)
        face = look(perception, MASKED_S)
        assert face.masked_expression is not None
        found = explain(perception, picture, face.box, Stage.EXPRESSION)
        assert found.is_above_mask
        assert found.probability == pytest.approx(max(face.masked_expression), abs=1e-6)
        assert found.verdict.startswith(f"perhaps {found.answer} above the mask, ")
        assert "sure" not in found.verdict

    def test_a_bare_face_and_other_stages_are_as_before(self, perception: Perception) -> None:
        picture = np.concatenate([frame_at(UNMASKED_S), frame_at(MASKED_S)], 1)
        faces, people = explain_people(perception, picture, "x.jpg", Stage.EXPRESSION)
        bare, masked = (person.explanation for person in people)
        assert bare is not None
        assert masked is not None
        assert (bare.is_above_mask, masked.is_above_mask) == (False, True)
        assert bare.verdict.endswith(" sure")
        assert sheet.draw(picture, faces, people).shape[2] == 3
        assert not explain(perception, picture, masked.face, Stage.MASK).is_above_mask

    def test_the_command_with_the_mask_on(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        models, settings = manifest.find_shipped_models(), tmp_path / "door.toml"
        settings.write_text("[expression]\nmasked = true\n")
        picture = tmp_path / "masked.png"
        assert cv2.imwrite(str(picture), frame_at(MASKED_S)[..., ::-1])
        options = ["--models", str(models), "--config", str(settings), "--stage", "expression"]
        assert cli.main(["explain", str(picture), str(tmp_path / "why.png"), *options]) == 0
        assert "perhaps " in capsys.readouterr().out


def test_a_stale_look_above_the_mask_is_not_the_page_s_agitation() -> None:
    """Of a bare face the page shows what its own looks say."""
    snapshots = Snapshots(ON, "camera", lambda: "CPU", list)
    track = Track(4, Box(32, 24, 96, 120), 0.4, 0.0, 2.0, looks=9, evidence=2.0, agitation=0.2, last_expression=1.0)
    track = replace(track, masked_agitation=0.7, last_masked_expression=2.0)
    for verdict, shown, above in (
        (Verdict.MASKED, 0.7, True),
        (Verdict.UNMASKED, 0.2, False),
        (Verdict.UNKNOWN, 0.2, False),
    ):
        person = Person(0.0, verdict, 1, maybe_since=1.9, maybe_agitated=verdict is Verdict.MASKED)
        (seen,) = snapshots.describe(decision(2.0, Signal.PASS, (track,), {4: person}), (320, 240), 10.0)["people"]
        assert (seen["agitation"], seen["above_mask"], seen["agitated"]) == (shown, above, False)
        assert seen["next"] != "agitation", "no alarm is announced"
