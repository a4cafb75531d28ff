"""The documents show what the program prints, and name files that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.cli import main
from support.paths import CLIP, ROOT

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", ".github/*.md", "edge/*.md", "models_tflite/*.md", "scripts/**/*.md", "systemd/*.md")
    for path in ROOT.glob(pattern)
)


def shown_lines(text: str) -> list[str]:
    """Return the lines of the demo's output in README.md, without the indentation of the block."""
    block = text.partition("<!-- demo:")[2].partition("\n\n")[2].partition("\n\nThe person")[0]
    return [line.removeprefix("    ") for line in block.splitlines() if line.strip() not in ("", "…")]


def test_the_demo_output_in_the_readme_is_what_the_demo_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert", reason="the other runtime decides a frame earlier or later")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--simulate", "--source", str(CLIP)]) == 0
    printed = iter(capsys.readouterr().out.splitlines())
    expected = shown_lines((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(expected) > 5
    for line in expected:
        assert line in printed, f"not printed, or not in this order: {line}"


def test_the_line_of_the_event_log_in_the_documents_is_what_the_door_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users search the log for what they see there, with every space."""
    pytest.importorskip("ai_edge_litert", reason="the other runtime decides a frame earlier or later")
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--simulate", "--source", str(CLIP), "--events", "x.jsonl"]) == 0
    written = {re.sub(r'"time": "[^"]*"', '"time": ""', line) for line in Path("x.jsonl").read_text().splitlines()}
    shown = [
        line.strip()
        for document in DOCUMENTS
        for line in document.read_text(encoding="utf-8").splitlines()
        if re.match(r'\s*{"seq"', line)
    ]
    assert shown
    for line in shown:
        assert re.sub(r'"time": "[^"]*"', '"time": ""', line) in written


def test_the_readme_fits_on_three_screens() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (document.parent / target).exists(), f"{document.name} links to {target}, which does not exist"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_scripts_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for name in re.findall(r"(?<![\w/.])scripts/[\w./-]*\w", text):
        assert (ROOT / name).exists(), f"{document.name} names {name}, which does not exist"
    for module in re.findall(r"python -m ((?:training|speed|fuzz|assets|virtual_door)[\w.]*\w)", text):
        path = ROOT / "scripts" / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{document.name} names {module}"
