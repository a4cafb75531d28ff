"""Heat maps from fewer questions to the model: a test of what is around them needs no fine map."""

from __future__ import annotations

from functools import partial

import pytest

from edge.explain import explanation, methods
from edge.explain.methods import Method


@pytest.fixture
def coarse_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a tenth of the usual questions."""
    coarse = {
        Method.RISE: partial(methods.rise, masks=40),
        Method.LIME: partial(methods.lime, samples=40, across=4),
        Method.OCCLUSION: partial(methods.occlusion, sizes=(0.4,), step=1 / 4),
    }
    monkeypatch.setattr(explanation, "HEAT_MAPS", coarse)
