"""The figures of an evaluation as the manifest and scripts/peers/figures.json keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The name of a group's figures begins with this.
GROUP = "group_"


def flat(figures: Mapping[str, Any], key: str = "test") -> dict[str, dict[str, Any]]:
    """Return the figures of training.evaluate, rounded and without lists, by part of the data.

    `key` has the figures of all pictures, `key_SOURCE` those of one source, `group_GROUP` those of one group of people.

    >>> flat({"accuracy": 0.98765, "n": 9, "confusion": [[9]], "per_source": {"ilc": {"accuracy": None}}})
    {'test': {'accuracy': 0.9877, 'n': 9}, 'test_ilc': {'accuracy': None}}
    """
    whole = {
        k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items() if not isinstance(v, Mapping | list)
    }
    out = {key: whole}
    for source, own in figures.get("per_source", {}).items():
        out[f"{key}_{source}"] = flat(own)["test"]
    for group, own in figures.get("per_group", {}).items():
        out[f"{GROUP}{group}"] = flat(own)["test"]
    return out


def held_back(figures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return those of a row's metrics that are of held-back pictures: of all pictures first, then by source."""
    return {k: figures[k] for k in sorted(figures, key=lambda k: (k != "test", k)) if isinstance(figures[k], Mapping)}
