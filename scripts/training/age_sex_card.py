"""The card of the laboratory model of age and sex, and its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CARD = """# Age and sex, in the laboratory only

Estimates the sex of a face (*male*, *female*: the two labels of UTKFace) and the age in classes of ten years, for
`python -m training.audit`. This card is written by `python -m training.judge_age_sex`.

## Why it is not in the product

- **A light needs neither.** A door asks whether a face wears a mask. The answer is the same for everybody.
- **Sex is a protected attribute.** A door that reads it could treat people differently, and nobody could check that it
  does not. Reading it from a face is *biometric categorisation*, which the EU's AI Act counts among the high-risk uses (Annex III 1b).
- **It would be wrong about people.** It knows two labels, which strangers gave by looks. It misjudges some people each
  day, and most often those whom others misjudge too.
- **Its training data do not allow it.** UTKFace is for non-commercial research.

Therefore no file of the model is in this repository, in the wheel or in `models_tflite/`; a test says so. The model
stays in the folder of its training. `python -m training.draw_age_sex` draws its answers on a picture; `doorlight annotate`
does not know it.

## What it is for

One question: is the door's detector, mask or expression model worse for some people than for others, in pictures where
nobody wrote down age or sex? Only averages over many faces mean something. Do not use it to say anything about one
person, and do not publish its answers about pictures of identifiable people.
"""
NOT_JUDGED = """
## Figures

None yet: no training of full length has been judged.
"""
FIGURES = """
## Data and training

8-bit TFLite, {kilobytes:,} KB, {mmacs:.0f} million multiplications. {steps:,} steps, started from the shipped mask classifier. {labelled:,} faces of UTKFace have labels. {taught:,} bare faces of
other sources have the answers of a regression on dlib's vectors of those faces, so that its mistakes are in them.
Half of the faces get a mask drawn on. The splits are those of all models: no family is on two sides.

## Figures

Held-back people of UTKFace (split `test`, which chose nothing), 8-bit, in brackets the 95 % interval. Groups by sex and
ethnicity are adults; groups by age are everybody.

{table}
"""


def card(figures: Mapping[str, Any] | None) -> str:
    """Return the card as Markdown; `figures` are those of `judge_age_sex`, None before there are any."""
    if figures is None:
        return CARD + NOT_JUDGED
    return CARD + FIGURES.format(
        kilobytes=round(figures["bytes"] / 1000),
        mmacs=figures["mmacs"],
        steps=figures["steps"],
        labelled=figures["faces"]["with labels"],
        taught=figures["faces"]["with the answers of a regression"],
        table=table(figures["groups"]),
    )


def table(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures by group as Markdown."""
    lines = [
        "| people | n | sex, bare | sex, masked | age, bare: mean error, years | age, masked |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, own in groups.items():
        cells = [name.replace("_", " "), f"{own['n']:,}"]
        cells += [_share(own[f"{kind}_sex"]) for kind in ("bare", "masked")]
        cells += [_years(own[f"{kind}_years"]) for kind in ("bare", "masked")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(found: Mapping[str, float]) -> str:
    return f"{found['share']:.1%} ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


def _years(found: Mapping[str, float]) -> str:
    return f"{found['mean']:.1f} ({found['low']:.1f} to {found['high']:.1f})"
