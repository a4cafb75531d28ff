"""Write the model cards: what a model is, what it was made from, how good it is, and what it must not be used for.

As a command, write the cards of a folder of models again from its manifest, after a change of their text.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import DoorlightError
from edge.inference import manifest
from edge.inference.manifest import ModelEntry

from . import modelfile
from .figures import GROUP, held_back

SOURCES = {
    "ilc": "face-mask-dataset-ilc-2021 (jolignier): web pictures, students' boxes",
    "maks": "Kaggle Face Mask Detection (andrewmvd), CC0: human boxes",
    "rwmfd": "Real-World Masked Face Dataset, research use: teacher boxes",
    "chand": "chandrikadeb7/Face-Mask-Detection, MIT: picture labels, teacher boxes",
    "prajna": "prajnasb/observations: masks pasted on",
    "k12": "Kaggle Face Mask 12K (ashishjangra27), CC0: one picture per augmented family",
    "mux": "muxspace/facial_expressions, Apache-2.0: expressions, teacher boxes",
    "bikes": "mukammilbasha/Dataset: streets and cyclists, teacher boxes",
    "fer2013": "FER2013 (Kaggle) with FER+ votes (Microsoft, MIT): 48x48 grey faces",
    "doors": "DoorDetect (Open Images, mostly CC BY): doors, hallways, cupboards, no face",
    "rooms": "Houses-dataset (emanhamed): rooms and house fronts, no face",
    "scenes": "fifteen scene categories, research use: grey streets, offices, shops, coasts, no face",
    "textures": "Describable Textures (DTD), research use: no face",
    "objects": "ImageNet samples (EliSchwartz), research use: one thing or animal each, no face",
    "animals": "Flickr8k, research use: dogs, horses, birds, no human face",
    "wild": "Flickr8k, research use: everyday photographs, teacher boxes (YuNet)",
    "rwmfd2": "Real-World Masked Face Dataset, part 2, research use: news pictures, teacher boxes (YuNet)",
    "crowds": "KaranFriends/Mask-Dataset: stock pictures of groups, teacher boxes (YuNet)",
    "utk": "UTKFace, non-commercial research: bare face crops",
}
IMAGENET = "Coral's ImageNet MobileNetV2 (Apache-2.0)"


@dataclass(frozen=True)
class CardText:
    """The text of a card around its figures.

    `task` is the model's name in training.evaluate, `start` where training started, `curve` the legend of the picture
    that chose the threshold, `split` the arguments of training.evaluate for the held-back pictures that `judged_on`
    describes, `training` says what was trained on besides the data set, `by_group` what the table by age, sex and
    ethnicity shows.
    """

    task: str
    what: str
    weak: str
    never: str
    start: str
    curve: str
    judged_on: str = "through the door's own code, 8-bit, on the split `test`, which chose nothing"
    split: str = "test"
    training: Sequence[str] = field(default_factory=tuple)
    by_group: str = ""


TEXTS = {
    "face_detector": CardText(
        task="detector",
        what="Finds every face, masked or not, that is at least about 6 % of the picture's height.",
        weak="Misses many faces below 8 % of the picture's height. Faces turned by more than about 60 degrees, seen from "
        "above, or cut off by the picture's edge are weak. Round things can get a box: of 7 pictures in scikit-image and "
        "scikit-learn that it has never seen, a clock got one (0.82); of 13 that were among its training pictures, none "
        "did. The door needs a higher score for a new person.",
        never="It must not be used to identify, count or follow people across cameras, or where a miss endangers somebody.",
        start="pruned from an earlier detector, then trained",
        curve="Precision and recall on validation data by the minimum score of a face, and the share of the pictures without "
        "a face that get a box of any size. The threshold is the lowest score that at most 0.5 % of these reach.",
        training=(
            "Further pictures without a face: drawn scenes, and 13 pictures that come with scikit-image and scikit-learn.",
            "Unboxed faces that both YuNet and another detector find count as faces. What only one of them finds is ignored.",
            f"It was pruned from the detector of 2026-11-20, whose training started from {IMAGENET}.",
        ),
    ),
    "mask_classifier": CardText(
        task="mask",
        what="Decides whether a face wears a mask over mouth and nose. A mask under the nose or on the chin is no mask.",
        weak="Black or skin-coloured masks in dim light, scarves pulled over the nose, visors, and faces below 20 pixels are "
        "weak. Most training pictures are web pictures of 2020 and 2021, which show few people of some ages and skin tones.",
        never="It is not a medical device: it cannot tell a fitting FFP2 mask from a loose one, or a mask from a printed one.",
        start=f"training started from {IMAGENET}",
        curve="Left: P(mask) against the share of masks on validation data, before and after calibration. Right: the share of "
        "wrong answers by threshold. The calibration is a logistic regression in which each source and each answer has the "
        "same weight, with wrongly worn masks as an answer of their own. Its offset makes 0.5 the threshold.",
        by_group="on held-back portraits, bare and with drawn masks",
        training=("A third of the bare faces get a drawing: a mask, a wrongly worn mask, or a hand, cup, scarf …",),
    ),
    "face_landmarks": CardText(
        task="landmarks",
        what="Finds two eyes, the nose tip and two mouth corners of a face, with or without a mask. The door uses it only with "
        "`[landmarks] enabled`, to draw the points and to know a head that is turned to the side.",
        weak="Profiles: of the far eye and the far mouth corner nothing is visible. Faces below 40 pixels, in the dark, and "
        "tilted by more than about 25 degrees are weak. Under a mask, nose and mouth are a guess. All points lie inside the "
        "crop: the outermost of a face in a corner of it are drawn inwards.",
        never="It must not be used to identify people or to measure faces: its points are off by a tenth of the distance between "
        "the eyes, and by a fifth under a mask.",
        start="trained from scratch",
        curve="Mean error by the turn of the head, on validation faces in the boxes of the data set. Numbers at the points are "
        "the counts.",
        judged_on="through the door's own code, 8-bit, in boxes of our detector, on the split `test`, which chose nothing. The "
        "truth is the answer of a larger detector (YuNet), which is a guess under a mask. `bare` and `masked` are mean "
        "distances from it divided by the distance between the eyes. Of heads turned by more than 30 degrees (`turned`) the "
        "eyes are close together: there 0.9 times the distance from the eyes to the mouth divides, if that is longer",
        training=(
            "Only faces with landmarks count. They are YuNet's; a bare face often gets a drawn mask, under which they are "
            "known.",
            "YuNet itself, asked again about 500 faces in whole pictures of the test split in another size or mirrored, is "
            "off from its own points by 11 to 16 % of the distance between the eyes (bare) and 19 to 25 % (masked): "
            "`python -m training.repeat_landmarks --split test`. No model can be expected to be much closer.",
        ),
    ),
    "face_embedding": CardText(
        task="embedding",
        what="Turns an aligned face, bare or masked, into 128 numbers whose cosine says how alike two faces are. The door uses "
        "it only with `[people] enabled`, to recognise people who enrolled.",
        weak="A picture or a telephone's screen held up to the camera is taken for the person: it has no sense of depth or life. "
        "Under a mask, brothers, sisters and people of one age and hair are mistaken for each other far more often. Profiles, "
        "faces below 40 pixels, the dark and sunglasses are weak. The training pictures show celebrities, web and news "
        "pictures; who is rare there is told apart less well, and children hardly at all.",
        never="It must not search for people who did not agree to be enrolled, nor decide alone about access to what needs a "
        "lock. In the EU, templates of faces are special data (GDPR, Art. 9): explicit consent, and another way in for those "
        "who refuse.",
        start="training started from dlib's face recognition network (King 2017; CC0)",
        curve="The share of pairs of one person, and of strangers, whose cosine is at least that on the axis, on validation data. "
        "The threshold is the lowest that at most 0.1 % of the strangers reach, bare or with a drawn mask, in one look or in the "
        "mean of three, in validation or, of means, in training, where many more people have several pictures.",
        judged_on="through the door's own code, 8-bit, aligned by our landmarks, on the split `test`, which chose nothing. `bare` "
        "are pairs of bare faces, `drawn` a bare face and one with a drawn mask, `masked` pairs with real masks in news "
        "pictures, of which about one in seven has a wrong name. `visit` is a template of three pictures and the mean of three "
        "looks at other pictures, of the few people who have six. `at_1_in_100` is the share of one person's pairs found while 1 % "
        "of the strangers are; `found` and `mistaken` are the shares at the threshold. Every person counts the same",
        training=(
            "It is dlib's network with each convolution from the second stage on replaced by two of fewer channels, the principal "
            "components of its answers (Zhang et al. 2015). It imitates the whole network on bare faces and on blends of two; two "
            "of three faces wear something that the teacher does not see. Pictures of one person (`mux`, `rwmfd`, `rwmfd2`) are "
            "pulled together.",
            "Landmarks of `utk` are YuNet's.",
        ),
    ),
    "expression_classifier": CardText(
        task="expression",
        what="Estimates which of seven posed expressions an unmasked face shows. The door uses only angry + disgust.",
        weak="An expression is not an emotion. People agree with FER2013's own labels on about two faces in three, and so does "
        "this model. Disgust is rare in the data (1.5 %) and often taken for anger. Beards, glasses, wrinkles and strong "
        "light change the answer: portraits of men and of people over 60 are called agitated more often than others.",
        never="Inferring emotions of people at work or in education is prohibited in the EU (AI Act, Art. 5(1)(f)). The model "
        "must not decide anything about a person; at most it calls a human to the door. `[expression] enabled = false` "
        "turns it off.",
        start="trained from scratch",
        curve="Left: P(answer) against the accuracy on validation data, before and after calibration. Right: the log loss of "
        "the labels by slope (1 / temperature); the lowest is chosen.",
        judged_on="through the door's own code, 8-bit. `test` is FER2013's PublicTest, which also chose the checkpoint; `wild` "
        "is the split `test`, which chose nothing",
        split="val --sources fer2013",
        by_group="on held-back portraits of the split `test`: the share called agitated, and the mean probability of the "
        "answer. What these people felt is not known; their portraits are mostly calm",
        training=(
            "Half of each training target is the answer of two other networks: the model shipped before, and a larger one that "
            f"started from {IMAGENET.removesuffix(' (Apache-2.0)')}.",
        ),
    ),
    "masked_expression_classifier": CardText(
        task="masked_expression",
        what="Guesses which of seven posed expressions a face with a mask shows, from the eyes, brows and forehead. The door uses "
        "it only with `[expression] masked`, calls its answers uncertain, and lets them raise an alarm only with `masked_alarm`.",
        weak="A mask hides the mouth and most of the nose, which tell most of disgust, happiness and surprise. Masks are drawn on "
        "in training and in the figures: a real mask moves with the face, throws shadows and fogs glasses. What people reach on "
        "faces with a mask is not known: labels and votes were given for whole faces. All weaknesses of `expression_classifier` "
        "apply, and nobody has measured this model by age, sex or ethnicity.",
        never="All of `expression_classifier`: inferring emotions of people at work or in education is prohibited in the EU (AI "
        "Act, Art. 5(1)(f)), and the model must not decide anything about a person. Its answers are too uncertain for an alarm.",
        start="training started from the shipped `expression_classifier`",
        curve="Left: P(answer) against the accuracy on validation data, before and after calibration. Right: the log loss of "
        "the labels by slope (1 / temperature); the lowest is chosen.",
        judged_on="with drawn masks of all shapes and colours, through the door's own code, 8-bit: the geometric mean of the "
        "answers to the face and to its mirror image. `test` is FER2013's PublicTest, which also chose the checkpoint; `wild` is "
        "the split `test`, which chose nothing. FER2013's PrivateTest is not in the data. Figures without a prefix are of this "
        "model on faces with a mask. `bare_model` is `expression_classifier` on the same faces, `on_bare` either model on the "
        "faces before a mask was drawn on. `mask_seen` is the share of the drawn masks that the mask classifier sees: the door "
        "reads only those with this model. Faces without landmarks (`no_points`) are left out",
        split="val --sources fer2013",
        training=(
            "Masks are drawn on nine of ten faces, by their landmarks. Half of each target is what `expression_classifier` answers "
            "about the same face without a mask.",
        ),
    ),
}


def card(name: str, row: ModelEntry, ops: dict[str, int], has_curve: bool) -> str:
    """Return the card of a model as Markdown; `has_curve` if the picture NAME.png lies beside it."""
    text = TEXTS[name]
    shown = (
        "The error by the turn of the head" if _has_points(row) else "The curves that chose threshold and calibration"
    )
    curve = [f"![{shown}]({name}.png)", "", text.curve, ""] if has_curve else []
    lines = [
        *(f"# {name}", "", text.what, ""),
        *_properties(row, ops, text),
        "",
        *curve,
        *_data(row, text),
        "",
        *_figures(row, text),
        *("## Known weaknesses", "", text.weak, "", "## What it must not be used for", "", text.never, ""),
    ]
    return "\n".join(lines)


def _properties(row: ModelEntry, ops: dict[str, int], text: CardText) -> list[str]:
    margin = f"; crop margin {row.margin}" if row.margin != 1 else ""
    outputs = "; ".join(f"{k} {list(t.shape)}" for k, t in row.outputs.items())
    calibration = (
        f"- Threshold {row.threshold}; calibration of the log-odds: slope {row.slope}, offset {row.offset} "
        "(chosen on validation data)"
    )
    return [
        f"- Architecture: {row.architecture}; full-integer 8-bit TFLite (uint8 in and out, int8 inside)",
        f"- Input: {list(row.input.shape)} {row.colour}, plain pixels 0..255{margin}",
        f"- Outputs: {outputs}" + (f"; labels: {', '.join(row.labels)}" if row.labels else ""),
        "- The outputs are x, y of each label in units of the crop, from its upper left corner"
        if _has_points(row)
        else f"- Threshold: cosine {row.threshold} (chosen on validation data)"
        if "embedding" in row.outputs
        else calibration,
        f"- Ops: {', '.join(f'{k} v{v}' for k, v in ops.items())}",
        f"- File: {row.file}, {row.metrics['bytes']:,} bytes, sha256 {row.sha256}",
        f"- Date: {row.date}; {text.start}",
    ]


def _has_points(row: ModelEntry) -> bool:
    """Return whether the model answers with points, which have no threshold."""
    return "points" in row.outputs


def _data(row: ModelEntry, text: CardText) -> list[str]:
    lines = ["## Data", "", "| source | train | val | test | what |", "|---|---|---|---|---|"]
    for source in sorted({s for counts in row.data.values() for s in counts}):
        counts = " | ".join(str(row.data[split].get(source, 0)) for split in ("train", "val", "test"))
        lines.append(f"| {source} | {counts} | {SOURCES.get(source, '')} |")
    families = "Splits are by family: the same person, the same original, and similar pictures are never in two splits."
    return [*lines, "", families, *text.training]


def _figures(row: ModelEntry, text: CardText) -> list[str]:
    judged = held_back(row.metrics)
    own = {k: v for k, v in row.metrics.items() if k not in judged}
    groups = {k.removeprefix(GROUP): judged.pop(k) for k in list(judged) if k.startswith(GROUP)}
    lines = [
        "## Figures",
        "",
        "On validation data, which chose checkpoint and thresholds:",
        "",
        *_table({"value": own}),
        "",
    ]
    if judged:
        command = f"python -m training.evaluate {text.task} --data DIR --split {text.split}"
        lines += [f"On held-back pictures, {text.judged_on} (`{command}`):", "", *_table(judged), ""]
    if groups:
        lines += [f"By age in years, sex and ethnicity, {text.by_group}:", ""]
        # A row for each group: there are more groups than figures.
        names = list(next(iter(groups.values())))
        lines += [f"| group | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
        lines += [
            f"| {group.replace('_', ' ')} | {' | '.join(str(v) for v in f.values())} |" for group, f in groups.items()
        ]
        lines += [""]
    return lines


def _table(columns: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a table with a row for each figure that a column has."""
    rows = [f"| figure | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name in dict.fromkeys(k for figures in columns.values() for k in figures):
        values = [figures.get(name) for figures in columns.values()]
        if any(v is not None for v in values):
            rows.append(f"| {name} | {' | '.join('–' if v is None else str(v) for v in values)} |")
    return rows


def write_cards(folder: Path) -> None:
    """Write the card of each model in `folder`. Raises ModelError if the manifest or a model cannot be read."""
    rows = manifest.load(folder)
    for name, row in rows.items():
        text = card(name, row, modelfile.ops(rows.read(name)), (folder / f"{name}.png").is_file())
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    from .command_line import parser_for, print_error

    parser = parser_for("cards", __doc__)
    parser.add_argument("models", type=Path, help="folder with manifest.toml")
    args = parser.parse_args(argv)
    try:
        write_cards(args.models)
    except (DoorlightError, OSError) as error:
        return print_error("cards", error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
