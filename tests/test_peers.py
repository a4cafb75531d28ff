# ruff: noqa: E402  (what is judged here is imported once it is known that it can be)
"""evaluate_peers.py: how the public peers are fed and read, and the comparison with ours."""

from __future__ import annotations

import doctest
import json
import math
import sys
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "scripts"))

pytest.importorskip("tqdm", reason="evaluate_peers.py needs the extra: pip install .[train]")

import evaluate_peers

from doorlab import cards, peers
from edge import manifest
from edge.errors import ModelError, OutputError

# ---------------------------------------------------------------- anchors and boxes


def test_aizoo_anchors() -> None:
    anchors = peers.aizoo_anchors()
    assert anchors.shape == (5972, 4)
    assert anchors.dtype == np.float32
    at, tall = 0.5 / 33, math.sqrt(0.62)
    np.testing.assert_allclose(
        anchors[:4],
        [
            [at, at, 0.04, 0.04],
            [at, at, 0.056, 0.056],
            [at, at, 0.04 * tall, 0.04 / tall],
            [at, at, 0.04 * math.sqrt(0.42), 0.04 / math.sqrt(0.42)],
        ],
        rtol=1e-5,
    )
    np.testing.assert_allclose(anchors[4, :2], [1.5 / 33, 0.5 / 33], rtol=1e-5)  # the next one to the right
    np.testing.assert_allclose(anchors[33 * 4, :2], [0.5 / 33, 1.5 / 33], rtol=1e-5)  # the first of the next row
    np.testing.assert_allclose(anchors[33 * 33 * 4], [0.5 / 17, 0.5 / 17, 0.08, 0.08], rtol=1e-5)
    np.testing.assert_allclose(anchors[-3], [2.5 / 3, 2.5 / 3, 0.72, 0.72], rtol=1e-5)


def test_ultralight_anchors() -> None:
    anchors = peers.ultralight_anchors()
    assert anchors.shape == (4420, 4)
    np.testing.assert_allclose(anchors[0], [4 / 320, 4 / 240, 10 / 320, 10 / 240], rtol=1e-5)
    np.testing.assert_allclose(anchors[2], [4 / 320, 4 / 240, 24 / 320, 24 / 240], rtol=1e-5)
    np.testing.assert_allclose(anchors[3, :2], [12 / 320, 4 / 240], rtol=1e-5)
    # The last row of stride 32 lies on the lower edge: eight rows of 32 are more than 240.
    first = 30 * 40 * 3 + 15 * 20 * 2
    np.testing.assert_allclose(anchors[first + 7 * 10 * 2], [16 / 320, 1.0, 64 / 320, 64 / 240], rtol=1e-5)
    np.testing.assert_allclose(anchors[-1], [288 / 320, 224 / 240, 0.8, 1.0], rtol=1e-5)  # 256 of 240: cut to 1


def test_decode() -> None:
    anchors = np.array([[0.5, 0.5, 0.2, 0.4]] * 2, np.float32)
    offsets = np.array([[0, 0, 0, 0], [1, -1, math.log(2) / 0.2, 0]], np.float32)
    np.testing.assert_allclose(
        peers.decode(offsets, anchors), [[0.4, 0.3, 0.6, 0.7], [0.32, 0.26, 0.72, 0.66]], atol=1e-6
    )
    assert peers.decode(offsets[:0], anchors[:0]).shape == (0, 4)


def test_examples_in_docstrings() -> None:
    for module in (peers, cards):
        failed, tried = doctest.testmod(module, extraglobs={"np": np})
        assert tried
        assert not failed


# ---- A graph that finds faces: a red rectangle whose blue is the score; green says how sure it is of a mask.


class FakeGraph:
    """Answers as a detector would that is always right: the anchor nearest to a face says where that is."""

    anchors = peers.aizoo_anchors()
    size = (260, 260)

    def __init__(self, path: Path) -> None:
        self.width, self.height = self.size
        self.pixels = np.zeros(0)
        self._outputs: dict[int, np.ndarray] = {}

    def classes(self, masked: float, score: float) -> tuple[float, float]:
        return (score * masked, score * (1 - masked))

    def invoke(self, pixels: np.ndarray) -> None:
        assert pixels.shape == (self.height, self.width, 3)
        assert pixels.dtype == np.float32
        self.pixels = pixels
        offsets, classes = np.zeros((len(self.anchors), 4), np.float32), np.zeros((len(self.anchors), 2), np.float32)
        grey = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1e-6)
        _, _, stats, _ = cv2.connectedComponentsWithStats((grey[..., 0] > 0.9).astype(np.uint8))
        for x, y, w, h, _ in stats[1:]:
            face = np.array([(x + w / 2) / self.width, (y + h / 2) / self.height, w / self.width, h / self.height])
            # Two anchors say so, the better one a little surer: one face, not two.
            for rank, k in enumerate(np.argsort(np.abs(self.anchors - face).sum(1), kind="stable")[:2]):
                anchor = self.anchors[k]
                offsets[k] = [*((face[:2] - anchor[:2]) / anchor[2:] / 0.1), *(np.log(face[2:] / anchor[2:]) / 0.2)]
                _, masked, score = (float(v) for v in grey[y + h // 2, x + w // 2])
                classes[k] = self.classes(masked, score - 0.01 * rank)
        self._outputs = {4: offsets, 2: classes}

    def output(self, values: int) -> np.ndarray:
        return self._outputs[values]


class FakeUltraLight(FakeGraph):
    anchors = peers.ultralight_anchors()
    size = (320, 240)

    def classes(self, masked: float, score: float) -> tuple[float, float]:
        return (1 - score, score)


def scene(*faces: tuple[tuple[int, int, int, int], float, float]) -> np.ndarray:
    """A picture 640x480 with faces ((x1, y1, x2, y2), P(mask), score), black elsewhere."""
    picture = np.zeros((480, 640, 3), np.uint8)
    for (x1, y1, x2, y2), masked, score in faces:
        picture[y1:y2, x1:x2] = 255, round(masked * 255), round(score * 255)
    return picture


A, B = (64, 48, 192, 240), (384, 96, 512, 336)


@pytest.fixture
def aizoo(monkeypatch: pytest.MonkeyPatch) -> peers.Aizoo:
    monkeypatch.setattr(peers, "Graph", FakeGraph)
    return peers.Aizoo(Path("aizoo.tflite"))


def test_aizoo_finds_each_face_once_and_says_what_it_wears(aizoo: peers.Aizoo) -> None:
    picture = scene((A, 0.9, 0.95), (B, 0.1, 0.8))
    found = aizoo.detect(picture)
    assert [d.score for d in found] == sorted((d.score for d in found), reverse=True)
    assert len(found) == 2
    for d, box in zip(found, (A, B), strict=True):
        np.testing.assert_allclose(d.box, box, atol=4)  # to a pixel of 260
    mask = peers.AizooMask(aizoo)
    assert [mask.probability(picture, d.box) >= mask.threshold for d in found] == [True, False]


def test_aizoo_is_fed_as_its_authors_do(aizoo: peers.Aizoo) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:] = 255, 102, 0
    aizoo.detect(picture)
    np.testing.assert_allclose(aizoo.graph.pixels[100, 100], [1.0, 0.4, 0.0], atol=1e-6)  # RGB, 0..1


def test_a_threshold_of_ones_own(aizoo: peers.Aizoo) -> None:
    picture = scene((A, 1.0, 0.4))
    assert aizoo.detect(picture) == []
    assert len(aizoo.detect(picture, 0.05)) == 1


def test_aizoo_on_a_picture_that_is_a_face(aizoo: peers.Aizoo) -> None:
    mask = peers.AizooMask(aizoo)
    assert mask.probability_of_crop(scene()) is None
    said = mask.probability_of_crop(scene((A, 0.9, 0.99)))
    assert said is not None
    assert said == pytest.approx(0.9, abs=0.02)


def test_ultralight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "Graph", FakeUltraLight)
    detector = peers.UltraLight(Path("ultralight.tflite"))
    found = detector.detect(scene((A, 0.0, 0.9), (B, 0.0, 0.6)))  # the second one is below its threshold
    assert len(found) == 1
    np.testing.assert_allclose(found[0].box, A, atol=3)
    assert detector.graph.pixels.max() == 1.0  # (255 - 127) / 128
    assert detector.graph.pixels.min() == pytest.approx(-127 / 128)


def test_another_model_in_a_peers_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "Graph", FakeUltraLight)
    with pytest.raises(ModelError, match="4420 anchors, expected 5972"):
        peers.Aizoo(Path("wrong.tflite"))


def test_files_that_are_no_peer_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.tflite.*No such file"):
        peers.Graph(tmp_path / "none.tflite")
    (tmp_path / "torn.tflite").write_bytes(b"TFL3" * 100)
    with pytest.raises(ModelError, match=r"torn\.tflite"):
        peers.Graph(tmp_path / "torn.tflite")
    models = manifest.load()
    with pytest.raises(ModelError, match="takes no single float picture"):
        peers.Graph(models.folder / models["face_detector"].file)


def test_xception_is_fed_as_its_authors_do() -> None:
    picture = np.zeros((48, 48, 3), np.uint8)
    picture[:, 24:] = 255
    pixels = peers.xception_input(picture)
    assert pixels.shape == (64, 64, 1)
    assert pixels.dtype == np.float32
    assert (pixels[0, 0, 0], pixels[0, -1, 0]) == (-1.0, 1.0)
    red = np.full((48, 48, 3), (255, 0, 0), np.uint8)
    assert peers.xception_input(red)[0, 0, 0] == pytest.approx(0.299 * 2 - 1, abs=0.01)


# ---------------------------------------------------------------- the comparison


def row(name: str, **metrics: Any) -> manifest.Row:
    return msgspec.structs.replace(manifest.load()[name], metrics={"bytes": 888_000, **metrics}, date="2026-01-01")


def peer(**figures: Any) -> dict[str, Any]:
    return {"name": "Peer", "date": "2026-02-02", "bytes": 4_060_000, **figures}


DETECTOR = {"ap35_h10": 0.97, "empty_fp": 0.02, "images": 228, "faces": 450, "empty_images": 11}


def test_the_better_figure_is_bold() -> None:
    rows = {"face_detector": row("face_detector", test=DETECTOR, test_ilc={"ap35_h10": 0.9, "images": 9, "faces": 20})}
    figures = {
        "test": DETECTOR | {"ap35_h10": 0.94, "empty_fp": 0.01},
        "test_ilc": {"ap35_h10": 0.95, "images": 9, "faces": 20, "empty_fp": None},
        "test_bikes": {"ap35_h10": None, "images": 0, "empty_images": 2, "empty_fp": 0.0},
    }
    lines = cards.comparison(
        rows, {"p": peer(detector=figures, times_ours=5.43, ours="another architecture")}
    ).splitlines()
    assert lines[:4] == [
        "### Finding faces",
        "",
        "| | ours, 8-bit (2026-01-01) | Peer, float (2026-02-02) |",
        "|---|---:|---:|",
    ]
    assert lines[4:] == [
        "| **all** (228 pictures, 450 faces, 11 pictures without a face) | | |",
        "| AP at IoU 0.35, faces ≥ 10 % of the height | **0.970** | 0.940 |",
        "| pictures without a face that get a box | 2.0 % | **1.0 %** |",
        "| **`ilc`** (9 pictures, 20 faces) | | |",
        "| AP at IoU 0.35, faces ≥ 10 % of the height | 0.900 | **0.950** |",
        "| **file**, MB | **0.89** | 4.06 |",
    ]


def test_a_time_belongs_to_the_architecture_it_was_taken_beside() -> None:
    ours = row("face_detector", test=DETECTOR)
    text = cards.comparison(
        {"face_detector": ours}, {"p": peer(detector={"test": DETECTOR}, times_ours=5.43, ours=ours.architecture)}
    )
    assert "| **1.0** | 5.4 |" in text


def test_figures_of_other_pictures_are_not_compared() -> None:
    rows = {"mask_classifier": row("mask_classifier", test={"accuracy": 0.99, "n": 99})}
    text = cards.comparison(rows, {"p": peer(mask={"test": {"accuracy": 0.9, "n": 100}})})
    assert "| right; a face not found is wrong | – | 90.0 % |" in text
    assert "99.0 %" not in text
    assert text.endswith("Not judged yet on the same pictures as the peers: ours on all.")


def test_only_models_with_a_peer_are_compared() -> None:
    rows = {name: row(name, test={"n": 5}) for name in manifest.NAMES}
    text = cards.comparison(rows, {"p": peer(expression={"test": {"accuracy": 0.5, "n": 5}})})
    assert text.count("###") == 1
    assert "**FER2013 PublicTest** (5 judged)" in text
    assert cards.comparison(rows, {}) == ""


def test_the_rest_of_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"above\n\n{cards.BEGIN}\nold\n{cards.END}\n\nbelow\n")
    cards.write_comparison(page, manifest.load())
    text = page.read_text()
    assert text.startswith(f"above\n\n{cards.BEGIN}\n\n")
    assert text.endswith(f"\n\n{cards.END}\n\nbelow\n")
    assert "\nold\n" not in text
    cards.write_comparison(page, manifest.load())
    assert page.read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]

    page.write_text("no place for it")
    with pytest.raises(OutputError, match="no place"):
        cards.write_comparison(page, manifest.load())
    assert page.read_text() == "no place for it"


def test_the_shipped_page_shows_the_shipped_figures(tmp_path: Path) -> None:
    shipped = manifest.load()
    page = tmp_path / "README.md"
    page.write_bytes((shipped.folder / cards.README).read_bytes())
    cards.write_comparison(page, shipped)
    assert page.read_bytes() == (shipped.folder / cards.README).read_bytes(), (
        "renew it: scripts/evaluate_peers.py --table models_tflite/README.md"
    )


# ---------------------------------------------------------------- the command


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty pictures, a few of which fall to the split `test`; every second one holds a masked and a bare face."""
    folder = tmp_path / "data"
    (folder / "made").mkdir(parents=True)
    rng = np.random.default_rng(3)
    rows = []
    for k in range(40):
        picture = scene((A, 0.9, 0.95), (B, 0.1, 0.9)) if k % 2 else scene()
        # Something dark behind them, so that no two pictures look alike.
        noise = cv2.resize(rng.integers(0, 90, (6, 8, 3), np.uint8), (640, 480))
        picture = np.where(picture.max(axis=2, keepdims=True) > 0, picture, noise)
        name = f"made/{k:02}.png"
        assert cv2.imwrite(str(folder / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        faces = [
            {"box": list(box), "label": label, "by": "human"}
            for box, label in (((A, "mask"), (B, "no_mask")) if k % 2 else ())
        ]
        rows.append({"file": name, "source": "made", "width": 640, "height": 480, "faces": faces})
    (folder / "index.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder


def test_command_judges_keeps_and_renews(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cards, "PEERS", tmp_path / "peers.json")
    monkeypatch.setattr(peers, "Graph", FakeGraph)
    (tmp_path / "aizoo.tflite").write_bytes(b"stands in")
    page = tmp_path / "README.md"
    page.write_text(f"{cards.BEGIN}\n{cards.END}\n")
    given = ["--data", str(data), "--aizoo", str(tmp_path / "aizoo.tflite"), "--table", str(page)]
    assert evaluate_peers.main(given) == 0
    out, err = capsys.readouterr()
    found = json.loads(out.splitlines()[-1])
    assert "face_detector" in err  # progress
    assert list(found) == ["aizoo"]
    figures = found["aizoo"]
    test = figures["detector"]["test"]
    assert test["images"] > 0
    assert (test["ap35_h10"], test["ap50_h20"], test["recall"], test["precision"]) == (1.0, 1.0, 1.0, 1.0)
    assert figures["detector"]["test_made"] == test
    assert (figures["mask"]["test"]["accuracy"], figures["mask"]["test"]["n"]) == (1.0, 2 * test["images"])
    assert figures["times_ours"] > 0
    assert figures["bytes"] == 9
    assert json.loads((tmp_path / "peers.json").read_text()) == found
    assert "| **all** (" in page.read_text()

    # Another peer, judged later, stands beside it; the first one is kept.
    monkeypatch.setattr(peers, "Graph", FakeUltraLight)
    given[2:4] = ["--ultralight", str(tmp_path / "aizoo.tflite")]
    assert evaluate_peers.main(given) == 0
    assert set(json.loads((tmp_path / "peers.json").read_text())) == {"aizoo", "ultralight"}
    assert "| AIZOO, float (" in page.read_text()
    assert "| Ultra-Light RFB-320, float (" in page.read_text()


def test_command_without_a_peer_only_renews(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "peers.json"
    kept.write_text(json.dumps({"p": peer(mask={"test": {"accuracy": 0.5, "n": 7}})}))
    monkeypatch.setattr(cards, "PEERS", kept)
    page = tmp_path / "README.md"
    page.write_text(f"{cards.BEGIN}\n{cards.END}\n")
    assert evaluate_peers.main(["--table", str(page)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "{}"
    assert "Mask or no mask" in page.read_text()


@pytest.mark.parametrize(
    ("given", "code", "named"),
    [
        (["--data", "nowhere", "--aizoo", "aizoo.tflite"], 65, "index.jsonl"),
        (["--table", "/nowhere/README.md"], 74, "/nowhere/README.md"),
        (["--models", "/nowhere", "--table", "x"], 69, "manifest.toml"),
    ],
)
def test_what_is_missing_is_named(
    given: list[str],
    code: int,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cards, "PEERS", tmp_path / "peers.json")
    assert evaluate_peers.main(given) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err


@pytest.mark.parametrize("given", [[], ["--aizoo", "x"], ["--data", "x"]])
def test_usage(given: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        evaluate_peers.main(given)
    assert caught.value.code == 2
