"""A folder of models with a stand-in embedder, pictures of the demo clip, and the place of a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("cryptography", reason="the extra `people` is not installed")

from edge import config
from edge.config import Config
from edge.inference import manifest
from edge.inference.perception import Perception
from edge.people import sealed
from edge.people.store import Place
from support.clip import EMPTY_S, MASKED_S, UNMASKED_S, frame_at
from support.embedder import darker_below, make_models
from support.people import place, ssh_key

#: A moment at which the same person looks angry.
ANGRY_S = 16.0


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped models and the stand-in."""
    return make_models(tmp_path_factory.mktemp("people") / "models")


@pytest.fixture(scope="session")
def settings() -> Config:
    """The default settings with [people] enabled."""
    return config.replaced(config.load(), "people", enabled=True)


@pytest.fixture(scope="session")
def perception(models: Path, settings: Config) -> Perception:
    return Perception(settings, manifest.load(models))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures: good ones of one person, and bad ones."""
    folder = tmp_path_factory.mktemp("pictures")
    bare = frame_at(UNMASKED_S)
    small = np.full_like(bare, 120)
    half = np.asarray(cv2.resize(bare, None, fx=0.35, fy=0.35, interpolation=cv2.INTER_AREA), np.uint8)
    small[: half.shape[0], : half.shape[1]] = half
    made: dict[str, npt.NDArray[np.uint8]] = {
        "good": bare,
        "again": frame_at(UNMASKED_S + 0.5),
        "angry": frame_at(ANGRY_S),
        "other": darker_below(bare, 124, 328),
        "masked": frame_at(MASKED_S),
        "nobody": frame_at(EMPTY_S),
        "two": np.hstack([bare, bare]),
        "blurred": np.asarray(cv2.GaussianBlur(bare, (0, 0), 4), np.uint8),
        "small": small,
    }
    for name, picture in made.items():
        cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    (folder / "broken.jpg").write_bytes((folder / "good.png").read_bytes()[:20000])
    (folder / "text.jpg").write_text("hello")
    return folder


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ssh_key(tmp_path_factory.mktemp("keys"), "clinic")


@pytest.fixture(scope="module")
def quick_passphrases() -> Iterator[None]:
    """Derive keys with little work: one test uses what everybody uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "_SCRYPT_N", 16)
        yield


@pytest.fixture
def same_nonces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every card of a test is drawn in the same way in every run."""
    random = np.random.default_rng(7)
    monkeypatch.setattr(sealed.os, "urandom", random.bytes)


@pytest.fixture
def where(tmp_path: Path) -> Place:
    """The files of a store that is not written yet."""
    return place(tmp_path)
