"""Fixtures of the speed tests: the shipped models, and footage of the demo clip."""

from __future__ import annotations

import pytest

from edge.inference import manifest
from edge.inference.perception import Perception
from speed import scenes
from speed.compare import CLIP
from support.speed import CONFIG


@pytest.fixture(scope="package")
def perception() -> Perception:
    return Perception(CONFIG, manifest.load())


@pytest.fixture(scope="package")
def footage(perception: Perception) -> scenes.Footage:
    return scenes.collect_footage(CONFIG, perception, str(CLIP))
