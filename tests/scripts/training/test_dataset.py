"""Data sets made of several folders: what belongs together, missed faces, and families across folders."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import cv2
import pytest

pytest.importorskip("sklearn", reason="training.metrics needs the extra: pip install .[train]")

from support.data_folder import BOX, DataFolder, picture
from training import dataset
from training.dataset import SPLITS, Dataset
from training.metrics import asked_for
from training.records import DataError, Face


def package(folder: Path, source: str, seeds: range) -> DataFolder:
    made = DataFolder(folder)
    for seed in seeds:
        made.add(f"{source}/{seed:04d}.png", picture(seed), faces=[])
    return made


def sides(data: Dataset) -> dict[str, str]:
    return {r.file: split for split, records in data.splits().items() for r in records}


def test_several_folders_are_one_data_set(tmp_path: Path) -> None:
    first, second = package(tmp_path / "a", "street", range(3)), package(tmp_path / "b", "door", range(10, 12))
    first.write()
    second.write()
    with zipfile.ZipFile(second.folder / "images.zip", "w") as archive:
        for row in second.rows:
            archive.write(second.folder / row["file"], row["file"])
            (second.folder / row["file"]).unlink()
    data = Dataset(first.folder, second.folder)
    assert [r.source for r in data.records] == ["street"] * 3 + ["door"] * 2
    for record in data.records:
        assert (cv2.cvtColor(data.picture(record), cv2.COLOR_RGB2BGR) == picture(int(record.file[-8:-4]))).all()
    assert {r.source for r in Dataset(first.folder, second.folder, sources=["door"]).records} == {"door"}
    with pytest.raises(DataError, match="no picture of source window"):
        Dataset(first.folder, second.folder, sources=["window"])


def test_a_file_name_in_two_folders_is_named(tmp_path: Path) -> None:
    folders = [package(tmp_path / name, "street", range(2)).write() for name in "ab"]
    with pytest.raises(DataError, match=r"b/index.jsonl:1: field 'file': 'street/0000.png' is there twice"):
        Dataset(*folders)


def test_a_family_is_on_one_side_across_folders(tmp_path: Path) -> None:
    first = package(tmp_path / "a", "z", range(60))
    second = DataFolder(tmp_path / "b")
    for seed in range(60):
        second.add(f"a/{seed:04d}.png", cv2.convertScaleAbs(picture(seed), alpha=0.9), faces=[])
    together = sides(Dataset(first.write(), second.write()))
    assert all(together[f"z/{k:04d}.png"] == together[f"a/{k:04d}.png"] for k in range(60))
    assert set(together.values()) == set(SPLITS)


def test_a_folder_added_later_moves_no_family(tmp_path: Path) -> None:
    """Otherwise a network trained before has seen what it is judged by now."""
    first = package(tmp_path / "a", "z", range(60))
    second = package(tmp_path / "b", "a", range(30, 90))
    before, after = sides(Dataset(first.write())), sides(Dataset(first.folder, second.write()))
    assert {file: after[file] for file in before} == before


def test_the_same_group_of_one_source_is_a_family_across_folders(tmp_path: Path) -> None:
    packages = [DataFolder(tmp_path / name) for name in "ab"]
    for k, made in enumerate(packages):
        for person in range(40):
            made.add(f"s/{k}{person:03d}.png", picture(1000 * k + person), faces=[], group=str(person))
    found = sides(Dataset(*(made.write() for made in packages)))
    assert all(found[f"s/0{p:03d}.png"] == found[f"s/1{p:03d}.png"] for p in range(40))


def missed(file: str, **fields: Any) -> dict[str, Any]:
    return {"file": file, "faces": [{"box": BOX, "score": 0.8, "looks": 4, "agree": True, **fields}]}


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({}, "unknown"),
        ({"mask": True}, "mask"),
        ({"mask": False}, "no_mask"),
        ({"score": 0.69}, "ignore"),
        ({"looks": 2}, "ignore"),
        ({"agree": False}, "ignore"),
        ({"points": [[1, 2]] * 5}, "unknown"),
    ],
)
def test_missed_faces_are_added(fields: dict[str, Any], label: str, tmp_path: Path) -> None:
    """The file may lie beside another index, and may be about pictures that are not there."""
    first, second = package(tmp_path / "a", "street", range(2)), package(tmp_path / "b", "door", range(10, 12))
    rows = missed("street/0001.png", **fields), missed("elsewhere/0001.png", **fields)
    faces = {r.file: r.faces for r in Dataset(first.write(), second.write(*rows)).records}
    assert faces.pop("street/0001.png") == (
        Face(tuple(BOX), label, "teacher", fields.get("score", 0.8), fields.get("looks", 4)),  # type: ignore[arg-type]
    )
    assert set(faces.values()) == {()}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"file": "street/0000.png"}, "missing required field faces"),
        (missed("street/0000.png", box=[1, 2, 3]), r"field 'faces\[0\].box': Expected array of length 4"),
        (missed("street/0000.png", score="high"), r"field 'faces\[0\].score': Expected float, got str"),
        (missed("street/0000.png", looks=None), r"field 'faces\[0\].looks': Expected float, got null"),
    ],
)
def test_a_damaged_list_of_missed_faces_is_named(row: dict[str, Any], why: str, tmp_path: Path) -> None:
    made = package(tmp_path / "a", "street", range(2))
    with pytest.raises(DataError, match=rf"missed.jsonl:1: .*{why}"):
        Dataset(made.write(row))


def test_what_a_teacher_added_to_human_boxes_is_not_asked_for(tmp_path: Path) -> None:
    made = DataFolder(tmp_path / "a")
    made.add("s/0.png", picture(0), faces=[{"box": [50, 10, 75, 50], "label": "mask", "by": "human"}])
    made.add("s/1.png", picture(1), faces=[{"box": BOX, "label": "mask", "by": "teacher", "score": 0.9, "looks": 3}])
    made.add("s/2.png", picture(2), faces=[{"box": BOX, "label": "mask", "by": "teacher", "score": 0.4, "looks": 1}])
    records = Dataset(made.write(missed("s/0.png"))).records
    assert [asked_for(r, 0.1).tolist() for r in records] == [[True, False], [True], [False]]


@pytest.mark.parametrize(
    ("fields", "face_free"),
    [
        ({}, True),
        ({"faces": None}, False),
        ({"crop": True}, False),
        ({"label": "mask"}, False),
        ({"expression": "happy"}, False),
        ({"group": "7"}, False),
    ],
)
def test_a_picture_of_a_person_is_not_free_of_faces(fields: dict[str, Any], face_free: bool, tmp_path: Path) -> None:
    made = DataFolder(tmp_path / "a")
    made.add("s/0.png", picture(0), **({"faces": []} | fields))
    assert Dataset(made.write()).records[0].face_free is face_free


def test_wrong_labels_are_corrected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "corrections.jsonl"
    monkeypatch.setattr(dataset, "CORRECTIONS", listed)
    made = DataFolder(tmp_path / "a")
    other = [50.0, 10.0, 75.0, 50.0]
    rows: list[dict[str, object]] = []

    def correct(name: str, *faces: tuple[list[float], str]) -> None:
        rows.append({"file": name, "faces": [{"box": b, "label": label} for b, label in faces]})

    for k in range(3):
        made.add(f"s/{k}.png", picture(k), faces=[{"box": b, "label": "no_mask", "by": "human"} for b in (BOX, other)])
    correct("s/0.png", (BOX, "not_a_face"))
    correct("s/1.png", (other, "mask"), (BOX, "unknown"))
    made.add("s/3.png", picture(3), label="mask", faces=[{"box": BOX, "label": "mask", "by": "human"}])
    correct("s/3.png", (BOX, "incorrect"))
    whole = [0.0, 0.0, 80.0, 60.0]
    for k, (label, right) in enumerate(
        (("mask", "no_mask"), ("mask", "incorrect"), ("no_mask", "mask"), ("mask", "unknown"))
    ):
        made.add(f"s/{4 + k}.png", picture(4 + k), crop=True, label=label)
        correct(f"s/{4 + k}.png", (whole, right))
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    records = Dataset(made.write()).records
    assert [[f.label for f in r.faces or ()] for r in records[:4]] == [
        ["no_mask"],
        ["unknown", "mask"],
        ["no_mask", "no_mask"],
        ["incorrect"],
    ]
    assert [list(f.box) for f in records[0].faces or ()] == [other]
    assert [r.label for r in records[3:]] == [None, "no_mask", "no_mask", "mask", None]


def test_corrections_of_the_project_name_labels_and_boxes() -> None:
    corrections = dataset.read_corrections(dataset.CORRECTIONS)
    labels = {label for right in corrections.values() for label in right.values()}
    assert labels == {"mask", "no_mask", "incorrect", "unknown", "not_a_face"}
