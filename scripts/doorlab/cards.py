"""Model cards: what a model is, what it was made from, how good it is, and what it must not be used for."""

from __future__ import annotations

from edge.manifest import Row

from .dataset import Record

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
}

ABOUT = {
    "face_detector": (
        "Finds every face, masked or not, from about 6 % of the picture's height up.",
        "Below 8 % of the picture's height it misses many; faces turned by more than about 60 degrees, seen from above, or "
        "cut by the picture's edge are weak. Round things can fool it: of 26 pictures of things inside scikit-image and "
        "scikit-learn, 5 (a clock, a cup, coins, a retina and a piece of one) got a box, 3 of them below the score from "
        "which the door takes a box for somebody new.",
        "It must not be used to identify, count or follow people across cameras, nor where a miss endangers somebody.",
    ),
    "mask_classifier": (
        "Says whether a face wears a mask over mouth and nose. A mask under the nose or on the chin is no mask.",
        "Black or skin-coloured masks in dim light, scarves pulled over the nose, visors, and faces below 20 pixels are weak. "
        "Web pictures of 2020 and 2021 are most of what it has seen; people of some ages and skin tones are few among them.",
        "It is no medical device: it cannot tell a fitting FFP2 mask from a loose one, or a mask from a printed one.",
    ),
    "expression_classifier": (
        "Guesses which of seven posed expressions an unmasked face shows; the door uses angry + disgust alone.",
        "An expression is not an emotion: people agree with FER2013's own labels on about two faces in three, and so does this. "
        "Disgust is rare in the data (1.5 %) and often taken for anger. Beards, glasses, wrinkles and strong light shift it.",
        "Inferring emotions of people at work or in education is prohibited in the EU (AI Act, Art. 5(1)(f)). It must not "
        "decide anything about a person; at most it calls one to the door. `[expression] enabled = false` turns it off.",
    ),
}


def _table(figures: dict[str, object]) -> list[str]:
    rows = ["| figure | value |", "|---|---|"]
    return rows + [f"| {k} | {v} |" for k, v in figures.items() if not isinstance(v, dict | list)]


def card(name: str, row: Row, ops: dict[str, int], splits: dict[str, list[Record]]) -> str:
    """The card of one model, as Markdown."""
    what, weak, never = ABOUT[name]
    kind = name.partition("_")[0]
    kind = {"face": "detector"}.get(kind, kind)
    used = sorted({s for counts in row.data.values() for s in counts})
    test = row.metrics.get("test", {})
    own = {k: v for k, v in row.metrics.items() if k != "test"}
    lines = [
        f"# {name}",
        "",
        what,
        "",
        f"- Architecture: {row.architecture}; full-integer 8-bit TFLite (uint8 in and out, int8 inside)",
        f"- Input: {list(row.input.shape)} {row.colour}, plain pixels 0..255"
        + (f"; crop margin {row.margin}" if row.margin != 1 else ""),
        f"- Outputs: {'; '.join(f'{k} {list(t.shape)}' for k, t in row.outputs.items())}; labels: {', '.join(row.labels)}",
        f"- Threshold {row.threshold}; calibration on the log-odds scale: slope {row.slope}, offset {row.offset} (chosen on validation data)",
        f"- Ops: {', '.join(f'{k} v{v}' for k, v in ops.items())}",
        f"- File: {row.file}, {row.metrics['bytes']:,} bytes, sha256 {row.sha256}",
        f"- Date: {row.date}; training started from Coral's ImageNet MobileNetV2 (Apache-2.0)"
        if name != "expression_classifier"
        else f"- Date: {row.date}; trained from scratch",
        "",
        "## Data",
        "",
        "| source | train | val | test | what |",
        "|---|---|---|---|---|",
        *(
            f"| {s} | {' | '.join(str(row.data[split].get(s, 0)) for split in ('train', 'val', 'test'))} | {SOURCES.get(s, '')} |"
            for s in used
        ),
        "",
        "Splits are by family: the same person, the same original picture, or pictures that look alike are on one side.",
        "",
        "## Figures",
        "",
        "On validation data, which chose checkpoint and thresholds:",
        "",
        *_table(own),
        "",
    ]
    if test:
        split = (
            "PublicTest, which also chose the checkpoint"
            if name == "expression_classifier"
            else "test, used for no choice"
        )
        lines += [
            f"Through the door's own code, 8-bit, on the split '{split}'",
            f"(`scripts/evaluate.py {kind} --data DIR --split {'val' if name == 'expression_classifier' else 'test'}`):",
            "",
            *_table(test),
            "",
        ]
    lines += ["## Known weaknesses", "", weak, "", "## What it must not be used for", "", never, ""]
    return "\n".join(lines)
