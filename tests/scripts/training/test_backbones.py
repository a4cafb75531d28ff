"""The comparison of backbones: the networks and their 8-bit forms, the command from end to end, and its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.training import script, script_here

pytest.importorskip("torch", reason="training needs the extra: pip install .[train]")

import torch

from edge.inference import manifest
from training import backbone_costs, backbone_nets, backbone_table, backbones, convert, modelfile, nets, tflite_weights

#: What each network has with 1,000 classes in its paper or in its authors' code, millions of parameters.
PUBLISHED = {
    "mobilenet_v2_100": 3.50,
    "mobilenet_v2_050": 1.97,
    "mobilenet_v2_035": 1.68,
    "mobilenet_v3_small": 2.54,
    "efficientnet_lite0": 4.65,
    "resnet_18": 11.69,
}


def test_the_command_knows_all_networks() -> None:
    assert tuple(backbone_nets.NETWORKS) == backbones.NAMES


@pytest.mark.parametrize(("name", "millions"), PUBLISHED.items())
def test_networks_are_those_of_the_papers(name: str, millions: float) -> None:
    net = backbone_nets.NETWORKS[name].build(3, 1000, 2)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize("name", backbone_nets.NETWORKS)
def test_small_and_large_faces_leave_places_to_average(name: str) -> None:
    network = backbone_nets.NETWORKS[name]
    for colours, side, stride in ((3, 128, 2), (1, 48, 1)):
        net = network.build(colours, 7, stride).eval()
        with torch.no_grad():
            x = torch.zeros(1, colours, side, side)
            assert net.features(x).shape[2] >= 3
            assert net(x).shape == (1, 7)


def test_the_vgg_is_the_shipped_expression_network() -> None:
    shapes = [
        [tuple(p.shape) for p in net.parameters()] for net in (backbone_nets.vgg(1, 14, 1), nets.ExpressionClassifier())
    ]
    assert shapes[0] == shapes[1]


def test_imagenet_weights_answer_the_same_for_a_grey_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first layer for grey is the sum over the colours: without it nothing would be copied at all."""
    coloured = backbone_nets.mobilenet_v2(3, 2, 1).eval()
    layers = [
        (layer.weight.detach().numpy(), np.full(layer.out_channels, 0.1, np.float32))
        for layer, _ in tflite_weights.normed(coloured)
    ]
    monkeypatch.setattr(tflite_weights, "tflite_layers", lambda path: layers)
    grey = backbone_nets.mobilenet_v2(1, 2, 1).eval()
    pictures = torch.rand(4, 1, 48, 48) * 2 - 1
    assert tflite_weights.transplant(grey, tmp_path / "x.tflite", pictures) == len(layers)
    tflite_weights.transplant(coloured, tmp_path / "x.tflite", pictures.expand(-1, 3, -1, -1))
    with torch.no_grad():
        a, b = grey.features(pictures), coloured.features(pictures.expand(-1, 3, -1, -1))
    assert torch.allclose(a, b, atol=1e-3)


def test_costs_are_counted_as_in_the_file() -> None:
    """The shipped expression classifier and the VGG-like network are the same."""
    counted = backbone_costs.count_macs(backbone_nets.vgg(1, 7, 1), torch.zeros(1, 1, 48, 48))
    assert counted == modelfile.macs(manifest.load().read("expression_classifier"))
    lines = backbone_costs.table(["mask", "expression"], ["vgg", "mobilenet_v2_100_imagenet"]).splitlines()
    assert [line.split(" | ")[0] for line in lines] == [
        "| mask, 128x128", "|---|---:|---:|---:|---:|---:|---:|", "| VGG-like, 8 convolutions", "",
        "| expression, 48x48", "|---|---:|---:|---:|---:|---:|---:|", "| VGG-like, 8 convolutions",
    ]  # fmt: skip


def figures(accuracy: float, ms: float, seconds: float = 0.0, **more: Any) -> dict[str, Any]:
    found = {"accuracy": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02, "n": 400}
    row: dict[str, Any] = {
        "title": f"net {ms:g}",
        "bytes": 1_234_000,
        "mmacs": 30.4,
        "ms_here": ms,
        "not_on_edge_tpu": [],
    }
    row |= {"ms_estimated": {"Zero 2 W": 40.0, "3B+": 30.0, "4": 12.34, "5": 2.0}, "int8": {"test split": found}}
    if seconds:
        curve = [(seconds / 2, accuracy - 0.1), (seconds, accuracy)]
        row |= {"steps": 250, "train_seconds": seconds, "curve": curve, "validation_faces": 600}
        row["float"] = {"test split": found | {"accuracy": accuracy + 0.01}}
    return row | more


def test_table_and_plot_show_what_is_complete(tmp_path: Path) -> None:
    rows = {
        "vgg": figures(0.8, 2.0, 100.0),
        "resnet_18": figures(0.9, 9.0, 300.0, not_on_edge_tpu=["HARD_SWISH"]),
        "shipped": figures(0.95, 1.0),
    }
    for key, row in rows.items():
        (tmp_path / "mask" / key).mkdir(parents=True)
        (tmp_path / "mask" / key / "figures.json").write_text(json.dumps(row))
    found = backbone_table.collect(tmp_path, backbones.TASKS, backbones.NAMES)
    assert list(found) == ["mask"]
    assert list(found["mask"]) == ["resnet_18", "vgg", "shipped"]
    backbone_table.write(tmp_path, found)
    lines = (tmp_path / "backbones.md").read_text().splitlines()
    assert "validation after 100 s of it" in lines[0]
    by_title = {line.split(" | ")[0].strip("| "): line for line in lines[2:]}
    assert "80.0% (78.0 to 82.0) | -1.0 | 250 | 100 | 80.0%" in by_title["net 2"]
    # After 100 of its 300 seconds it has no validation yet.
    assert "| 250 | 300 | – | 1,234 |" in by_title["net 9"]
    assert by_title["net 9"].endswith("| HARD_SWISH |")
    assert "| 95.0% (93.0 to 97.0) | – | – | – | – |" in by_title["net 1"]
    assert json.loads((tmp_path / "backbones.json").read_text()) == found
    assert (tmp_path / "backbones.png").stat().st_size > 1000


def test_names_and_budgets_that_make_no_sense(tmp_path: Path) -> None:
    for given, why in (
        (("--networks", "vgg,alexnet"), "'alexnet' is not one of mobilenet_v2_100"),
        (("--tasks", "detector"), "'detector' is not one of mask, expression"),
        (("--pretrained", "none.tflite"), "none.tflite: no such file"),
        (("--steps", "0"), "--steps must be more than 0"),
        (("--steps", "5", "--minutes", "5"), "not allowed with"),
        (("--tasks", "mask"), "give --data, or --costs"),
    ):
        data = () if given == ("--tasks", "mask") else ("--data", tmp_path)
        done = script_here("backbones", *data, *given, check=False)
        assert done.returncode == 2
        assert why in done.stderr


@pytest.mark.filterwarnings("default")
def test_a_network_is_trained_judged_and_not_done_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything but the conversion: the shipped model stands for its output."""
    shipped = manifest.load().read("expression_classifier")
    monkeypatch.setattr(convert, "quantise", lambda net, pictures, finish: shipped)
    command = ["--data", str(data), "--steps", "2", "--batch", "4", "--samples", "4", "--quiet"]
    command += ["--tasks", "expression", "--networks", "vgg", "--out", str(tmp_path)]
    assert backbones.main(command) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["expression"]
    assert list(rows) == ["vgg", "shipped"]
    assert rows["vgg"]["int8"] == rows["shipped"]["int8"]
    assert rows["vgg"]["int8"]["PublicTest"]["n"] == rows["vgg"]["float"]["PublicTest"]["n"] == 30
    assert [accuracy for _, accuracy in rows["vgg"]["curve"]] != []
    assert rows["vgg"]["curve"][-1][0] == rows["vgg"]["train_seconds"] > 0
    assert rows["vgg"]["not_on_edge_tpu"] == []
    # What is complete is not done again: without the data, too.
    command[1] = str(tmp_path / "none")
    assert backbones.main(command) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["expression"] == rows


@pytest.mark.train
@pytest.mark.filterwarnings("default")
def test_from_the_data_to_the_table(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command: list[object] = [
        "backbones",
        "--data",
        data,
        "--steps",
        2,
        "--batch",
        4,
        "--samples",
        4,
        "--threads",
        1,
        "--quiet",
    ]
    command += ["--networks", "mobilenet_v3_small,vgg", "--tasks", "expression", "--out", out]
    done = script(str(command[0]), *command[1:])
    rows = json.loads(done.stdout.splitlines()[-1])["expression"]
    assert list(rows) == ["mobilenet_v3_small", "vgg", "shipped"]
    assert rows["mobilenet_v3_small"]["not_on_edge_tpu"] == ["HARD_SWISH"]
    assert rows["vgg"]["not_on_edge_tpu"] == []
    for key, row in rows.items():
        assert row["int8"]["PublicTest"]["n"] == 30
        assert row["bytes"] > 100_000
        assert row["ms_here"] > 0
        assert key == "shipped" or len(row["curve"]) == 2
    content = (out / "expression" / "vgg" / "model.tflite").read_bytes()
    assert modelfile.check(content)
    assert rows["vgg"]["mmacs"] == pytest.approx(rows["shipped"]["mmacs"], abs=0.2), "the same network"
    # What is complete is not done again: without the data, too.
    command[2] = tmp_path / "none"
    again = script(str(command[0]), *command[1:])
    assert json.loads(again.stdout.splitlines()[-1])["expression"] == rows
    assert "val accuracy" not in again.stderr


@pytest.mark.train
@pytest.mark.filterwarnings("default")
def test_equal_time_gives_the_faster_network_more_steps(data: Path, tmp_path: Path) -> None:
    plan = ("--data", data, "--minutes", 0.02, "--batch", 4, "--samples", 4, "--threads", 1, "--quiet")
    done = script("backbones", *plan, "--networks", "vgg", "--tasks", "mask", "--out", tmp_path)
    row = json.loads(done.stdout.splitlines()[-1])["mask"]["vgg"]
    pace = json.loads((tmp_path / "mask" / "vgg" / "pace.json").read_text())["seconds_a_step"]
    assert row["steps"] == max(1, round(1.2 / pace))
