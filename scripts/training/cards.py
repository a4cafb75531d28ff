"""Model cards: what a model is, what it was made from, how good it is, and what it must not be used for.

And the comparison of all of them with the public peers, which is rendered from the manifest and from scripts/peers/figures.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import OutputError
from edge.inference.manifest import ModelEntry

#: The file beside the models that holds the comparison, between these two lines.
README = "README.md"
BEGIN, END = "<!-- comparison: written by python -m training.evaluate_peers -->", "<!-- end of comparison -->"
#: What python -m training.evaluate_peers found, kept so that exporting a model can renew the comparison without the peers.
PEERS = Path(__file__).parents[1] / "peers" / "figures.json"

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

ABOUT = {
    "face_detector": (
        "Finds every face, masked or not, from about 6 % of the picture's height up.",
        "Below 8 % of the picture's height it misses many; faces turned by more than about 60 degrees, seen from above, or "
        "cut by the picture's edge are weak. Round things can fool it: of 7 pictures of things inside scikit-image and "
        "scikit-learn that it has never seen, a clock got a box (0.82), of 13 that were among its training pictures none did. "
        "The door takes a box for somebody new only from a higher score on.",
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


#: What was trained on beside the data set.
BESIDES = {
    "face_detector": [
        "Beside them, as pictures without a face: drawn scenes, and 13 pictures that come with scikit-image and scikit-learn.",
        "Faces that nobody had boxed and that YuNet and another detector see are faces, too; what only one of them sees is ignored.",
        "It was pruned from the detector of 2026-11-20, whose training started from Coral's ImageNet MobileNetV2 (Apache-2.0).",
    ],
    "mask_classifier": [
        "A third of the bare faces get something drawn on: a mask, one worn wrongly, or a hand, cup, scarf …"
    ],
    "expression_classifier": [
        "Half of what it learns to say is what two other networks say of these faces: the model shipped before, and a larger one "
        "that started from Coral's ImageNet MobileNetV2."
    ],
}
CURVES = {
    "face_detector": "Precision and recall on validation data by the least score that counts as a face, and the share of "
    "the pictures without a face that get a box of any size. The threshold is the lowest score that at most 0.5 % of these reach.",
    "mask_classifier": "Left: what it says against what is so, on validation data, before and after calibration. Right: who is "
    "judged wrongly by which threshold. The calibration is a logistic regression in which each source and each answer, "
    "masks worn wrongly by themselves, weighs alike; its offset carries the choice, so that the threshold is 0.5.",
    "expression_classifier": "Left: how sure it is of its answer against how often that is right, on validation data, before "
    "and after calibration. Right: the slope (1 / temperature) at which the labels surprise it least.",
}


def flat(figures: Mapping[str, Any], key: str = "test") -> dict[str, dict[str, Any]]:
    """evaluate.py's figures as the manifest and scripts/peers/figures.json hold them, rounded, without lists.

    `key` holds the figures of all pictures, `key_SOURCE` those of one source.

    >>> flat({"accuracy": 0.98765, "n": 9, "confusion": [[9]], "per_source": {"ilc": {"accuracy": None}}})
    {'test': {'accuracy': 0.9877, 'n': 9}, 'test_ilc': {'accuracy': None}}
    """
    whole = {
        k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items() if not isinstance(v, Mapping | list)
    }
    out = {key: whole}
    for source, own in figures.get("per_source", {}).items():
        out[f"{key}_{source}"] = flat(own)["test"]
    return out


def held_back(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those of a row's metrics that are of held-back pictures: all of them first, then by source."""
    return {k: figures[k] for k in sorted(figures, key=lambda k: (k != "test", k)) if isinstance(figures[k], Mapping)}


def _table(columns: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One column each, one line a figure that any of them has."""
    names = list(dict.fromkeys(k for figures in columns.values() for k in figures))
    rows = [f"| figure | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name in names:
        values = ["–" if (v := figures.get(name)) is None else str(v) for figures in columns.values()]
        rows.append(f"| {name} | {' | '.join(values)} |")
    return rows


def card(name: str, row: ModelEntry, ops: dict[str, int], drawn: bool) -> str:
    """The card of one model, as Markdown; `drawn`: whether the curve that chose its threshold lies beside it."""
    what, weak, never = ABOUT[name]
    kind = name.partition("_")[0]
    kind = {"face": "detector"}.get(kind, kind)
    used = sorted({s for counts in row.data.values() for s in counts})
    judged = held_back(row.metrics)
    own = {k: v for k, v in row.metrics.items() if k not in judged}
    start = "trained from scratch"
    if name == "face_detector":
        start = "pruned from an earlier detector, then trained"
    elif name != "expression_classifier":
        start = "training started from Coral's ImageNet MobileNetV2 (Apache-2.0)"
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
        f"- Date: {row.date}; {start}",
        "",
    ]
    if drawn:
        lines += [f"![What chose threshold and calibration]({name}.png)", "", CURVES[name], ""]
    lines += [
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
        *BESIDES.get(name, []),
        "",
        "## Figures",
        "",
        "On validation data, which chose checkpoint and thresholds:",
        "",
        *_table({"value": own}),
        "",
    ]
    if judged:
        split = "val --sources fer2013" if name == "expression_classifier" else "test"
        lines += [
            "Through the door's own code, 8-bit, on pictures of the split `test`, which chose nothing"
            if name != "expression_classifier"
            else "Through the door's own code, 8-bit; `test` is FER2013's PublicTest, which also chose the checkpoint, and "
            "`wild` the split `test`, which chose nothing",
            f"(`python -m training.evaluate {kind} --data DIR --split {split}`):",
            "",
            *_table(judged),
            "",
        ]
    lines += ["## Known weaknesses", "", weak, "", "## What it must not be used for", "", never, ""]
    return "\n".join(lines)


# ---------------------------------------------------------------- the comparison with the public peers


@dataclass(frozen=True)
class Line:
    """One figure of the comparison: what it is called, its key, how it is written, and whether less is better."""

    text: str
    key: str
    form: str
    less: bool = False


@dataclass(frozen=True)
class Comparison:
    """One model beside its peers: its name, that of evaluate.py's task, the figures, and the counts that must agree."""

    name: str
    task: str
    title: str
    lines: Sequence[Line]
    counts: Sequence[str]


COMPARISONS = (
    Comparison(
        "face_detector",
        "detector",
        "Finding faces",
        (
            Line("AP at IoU 0.35, faces ≥ 10 % of the height", "ap35_h10", "{:.3f}"),
            Line("AP at IoU 0.35, faces ≥ 20 %", "ap35_h20", "{:.3f}"),
            Line("AP at IoU 0.5, faces ≥ 10 %", "ap50_h10", "{:.3f}"),
            Line("AP at IoU 0.5, faces ≥ 20 %", "ap50_h20", "{:.3f}"),
            Line("found, at the threshold", "recall", "{:.1%}"),
            Line("boxes that are faces, at the threshold", "precision", "{:.1%}"),
            Line("pictures without a face that get a box", "empty_fp", "{:.1%}", less=True),
        ),
        ("images", "faces", "empty_images"),
    ),
    Comparison(
        "mask_classifier",
        "mask",
        "Mask or no mask, as the door sees it",
        (
            Line("right; a face not found is wrong", "accuracy", "{:.1%}"),
            Line("the same, masks and bare faces weighing alike", "balanced_accuracy", "{:.1%}"),
            Line("masks worn wrongly that are refused, of those found", "incorrect_refused", "{:.1%}"),
        ),
        ("n",),
    ),
    Comparison(
        "expression_classifier",
        "expression",
        "Expressions",
        (
            Line("agrees with the label", "accuracy", "{:.1%}"),
            Line("macro F1", "macro_f1", "{:.3f}"),
            Line("agrees with most of ten people", "votes_accuracy", "{:.1%}"),
            Line("AUC of agitated, by label", "agitated_auc", "{:.3f}"),
            Line("AUC of agitated, by votes", "votes_agitated_auc", "{:.3f}"),
        ),
        ("n", "votes_n"),
    ),
)
COUNTED = {
    "images": "pictures",
    "faces": "faces",
    "empty_images": "pictures without a face",
    "n": "judged",
    "votes_n": "with votes that agree",
}
PARTS = {"test": "all", "wild": "faces in whole pictures, found by our detector"}


def comparison(rows: Mapping[str, ModelEntry], peers: Mapping[str, Any]) -> str:
    """Every model beside its peers, as Markdown.

    `peers` is what python -m training.evaluate_peers prints. Where ours was judged on other pictures than a peer, as the counts
    tell, its figures are left out and a line says so.
    """
    blocks = []
    for table in COMPARISONS:
        known = [peer for _, peer in sorted(peers.items()) if table.task in peer]
        if table.name in rows and known:
            blocks.append("\n".join(_compared(table, rows[table.name], known)))
    return "\n\n".join(blocks)


def _compared(table: Comparison, row: ModelEntry, peers: Sequence[Mapping[str, Any]]) -> list[str]:
    titles = [f"ours, 8-bit ({row.date})", *(f"{p['name']}, float ({p['date']})" for p in peers)]
    lines = [f"### {table.title}", "", f"| | {' | '.join(titles)} |", "|---|" + "---:|" * len(titles)]
    ours = held_back(row.metrics)
    elsewhere = []
    for part, first in held_back(peers[0][table.task]).items():
        if not first.get(table.counts[0]):
            continue  # a source that holds nothing but pictures without a face: too few of them to tell anything
        figures = [ours.get(part, {}), *(p[table.task].get(part, {}) for p in peers)]
        counts = {k: first[k] for k in table.counts if first.get(k)}
        if any(figures[0].get(k) != n for k, n in counts.items()):
            figures[0] = {}
            elsewhere.append(_part(table, part))
        body = [_line(line, [f.get(line.key) for f in figures]) for line in table.lines]
        if any(body):
            told = ", ".join(f"{n:,} {COUNTED[k]}" for k, n in counts.items())
            lines += [f"| **{_part(table, part)}** ({told}) |" + " |" * len(titles), *filter(None, body)]
    lines += [_line(Line("**file**, MB", "", "{:.2f}", less=True), [m["bytes"] / 1e6 for m in (row.metrics, *peers)])]
    if all("times_ours" in p and p["ours"] == row.architecture for p in peers):
        line = Line("**time of one inference**, ours = 1 (same run, LiteRT, 1 thread)", "", "{:.1f}", less=True)
        lines.append(_line(line, [1.0, *(p["times_ours"] for p in peers)]))
    if elsewhere:
        lines += ["", f"Not judged yet on the same pictures as the peers: ours on {', '.join(elsewhere)}."]
    return lines


def _part(table: Comparison, part: str) -> str:
    if table.task == "expression" and part == "test":
        return "FER2013 PublicTest"
    return PARTS.get(part) or f"`{part.removeprefix('test_')}`"


def _line(line: Line, values: Sequence[float | None]) -> str:
    """One line of a table, the best of several values in bold; empty where nobody has one."""
    known = [v for v in values if v is not None]
    if not known:
        return ""
    best = min(known) if line.less else max(known)
    best, *cells = ("–" if v is None else line.form.format(v).replace("%", " %") for v in (best, *values))
    return f"| {line.text} | {' | '.join(f'**{c}**' if c == best and len(known) > 1 else c for c in cells)} |"


def write_comparison(readme: Path, rows: Mapping[str, ModelEntry]) -> None:
    """Renew the comparison in `readme`, between its two marks. Raises OutputError where a mark is missing."""
    text = readme.read_text(encoding="utf-8")
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not begun or not ended:
        raise OutputError(f"{readme}: has no place for the comparison", f"put the lines '{BEGIN}' and '{END}' into it")
    peers = json.loads(PEERS.read_text(encoding="utf-8"))
    renewed = readme.with_name(f"{readme.name}.tmp")
    renewed.write_text(f"{before}{BEGIN}\n\n{comparison(rows, peers)}\n\n{END}{after}", encoding="utf-8")
    os.replace(renewed, readme)
