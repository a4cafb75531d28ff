"""The sign as a picture: every text is on it, inside of the page, and is safe XML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from edge.errors import UsageError
from edge.sign.page import HEIGHT, MARGIN, WIDTH, Side, render, text_width, wrap
from edge.sign.sentences import Section

NAMESPACE = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[tuple[str, float, float]]:
    """Return text, place of its right end and of its baseline of each line below the header."""
    root = ET.fromstring(picture)
    group = root.findall(f"{NAMESPACE}g")[-1]
    size = float(group.attrib["font-size"])
    return [
        (line.text or "", float(line.attrib["x"]) + size * text_width(line.text or ""), float(line.attrib["y"]))
        for line in group.findall(f"{NAMESPACE}text")
    ]


def test_everything_is_on_the_page() -> None:
    paragraph = " ".join(f"word{k}" for k in range(60))
    picture = render(
        [Side("One", [Section("Head", (paragraph, "Name:"))]), Side("Two", [Section("Kopf", (paragraph,))])]
    )
    lines = texts(picture)
    assert " ".join(line for line, _, _ in lines).count(" word59") == 2
    assert all(right <= WIDTH - MARGIN + 0.01 and y <= HEIGHT - MARGIN for _, right, y in lines)
    assert [y for _, _, y in lines] == sorted(y for _, _, y in lines)


@pytest.mark.parametrize("words", [1, 4, 8, 40])
def test_the_line_to_write_on_is_on_the_page(words: int) -> None:
    """The name of who is responsible may end with a colon, too."""
    picture = render([Side("T", [Section("H", (" ".join(["Controller"] * words) + ":",))])])
    for start, length in re.findall(r'd="M([\d.]+) [\d.]+h([\d.]+)"', picture):
        assert float(start) + float(length) <= WIDTH - MARGIN
    assert all(right <= WIDTH - MARGIN + 0.01 for _, right, _ in texts(picture))


def test_much_text_is_smaller() -> None:
    few = render([Side("T", [Section("H", ("a few words",))])])
    many = render([Side("T", [Section("H", (" ".join(["many words"] * 200),))])])
    size = [ET.fromstring(each).findall(f"{NAMESPACE}g")[-1].attrib["font-size"] for each in (few, many)]
    assert float(size[0]) == 7.0
    assert float(size[1]) < 6.0


def test_too_much_text_is_refused() -> None:
    with pytest.raises(UsageError, match="does not fit"):
        render([Side("T", [Section("H", ("words " * 5000,))])])


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "A & B", "\"q\" 'p'", "Łódź 東京 😀", "x" * 200, "&amp;"]
)
def test_any_text_is_only_text(text: str) -> None:
    picture = render([Side(text, [Section("H", (text,))])])
    assert "".join(line for line, _, _ in texts(picture)[1:]).replace(" ", "") == text.replace(" ", "")
    assert {element.tag.removeprefix(NAMESPACE) for element in ET.fromstring(picture).iter()} <= {
        "svg", "title", "style", "rect", "g", "path", "circle", "text",
    }  # fmt: skip


def test_lines_are_broken_at_spaces_and_long_words_are_cut() -> None:
    assert wrap("aaa bbb ccc", text_width("aaa bbb")) == ["aaa bbb", "ccc"]
    assert wrap("a " + "b" * 10, text_width("b" * 4)) == ["a", "bbbb", "bbbb", "bb"]
    assert wrap("", 10) == []
