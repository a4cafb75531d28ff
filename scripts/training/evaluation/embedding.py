"""Evaluate the face embedder: how well it tells people apart, as the door aligns them, with and without masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import people, plots
from ..arrays import Floats, Picture, as_floats
from ..dataset import Dataset
from ..records import Record
from .common import Result
from .stages import Stages


def evaluate_embedding(data: Dataset, records: Sequence[Record], stages: Stages) -> Result:
    """Evaluate on people who are in several pictures.

    "bare" are pairs of bare faces, "drawn" a bare face and one with a drawn mask, "masked" pairs with real masks, "bare_visit"
    and "drawn_visit" a template of several pictures and the mean of several looks. Beside the figures of `people.Pairs`: the shares found and mistaken at the model's threshold, and the numbers.
    """
    model, landmarks = stages.embedding, stages.landmarks
    assert model is not None
    assert landmarks is not None
    judge = people.Judge(data, records, landmarks.find, model.entry.input.shape[1])

    def embed(crops: Picture) -> Floats:
        vectors = []
        for crop in crops:
            model.invoke(crop)
            vectors.append(model.dequantized("embedding"))
        return as_floats(np.stack(vectors))

    pairs = judge.pairs(embed)
    threshold = model.entry.threshold
    figures: dict[str, Any] = {}
    for name, of in pairs.items():
        names = judge.masked_names if name == "masked" else judge.bare_names
        least = 2 * people.LOOKS if name.endswith("_visit") else 2
        counts = [n for n in Counter(names).values() if n >= least]
        figures |= {f"{name}_{key}": value for key, value in of.figures().items()}
        figures |= {f"{name}_found": of.found(threshold), f"{name}_mistaken": of.mistaken(threshold)}
        figures |= {
            f"{name}_people": len(counts),
            f"{name}_pairs": len(of.same),
            f"{name}_strangers": len(of.strangers),
        }

    def draw(out: Path) -> None:
        plots.draw_curves(
            out / "pairs.png",
            {name: of.curve() for name, of in pairs.items()},
            "share of strangers taken for one person",
            "share of one person's pairs found",
        )

    return Result(figures, draw)
