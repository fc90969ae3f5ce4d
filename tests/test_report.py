"""Markdown, and the HTML page made of it."""

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from lockstep.report import html
from lockstep.report.markdown import code, lines_of, section, table


def test_a_page_needs_nothing_else(tmp_path: Path) -> None:
    picture = tmp_path / "roc.svg"
    picture.write_text("<svg/>", encoding="utf-8")
    text = "\n".join(
        [
            "# A title",
            "",
            lines_of(["one", "two"]),
            *section("Empty", []),
            *section("Plots", ["![ROC](plots/roc.svg)", "![lost](plots/lost.png)"]),
            *section("Rows", table(["name", "value"], [["log_loss", "0.5"]], numeric=["value"])),
            *section("Rebuild", code("uv run lockstep reproduce <NAME>")),
            "<script>alert(1)</script>",
        ]
    )
    page = html.page("A & B", text, {"plots/roc.svg": picture})
    assert page.startswith("<!doctype html>")
    assert "<title>A &amp; B</title>" in page
    assert '<img src="data:image/svg+xml;base64,PHN2Zy8+" alt="ROC"' in page
    assert "lost" not in page
    assert "Empty" not in page
    assert "one<br />\ntwo" in page
    assert '<td style="text-align:right">0.5</td>' in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    "text",
    ["log_loss", "model._target_", "_", "*", "a*b*c", "<b>", "a|b", "a\nb", "__init__", "x_ y"],
)
def test_a_cell_shows_the_text_that_it_was_given(text: str) -> None:
    lines = table(["heading"], [[text]])
    tokens = MarkdownIt("commonmark").enable("table").parse("\n".join(lines))
    cells = [token for token in tokens if token.type == "inline"]
    shown = ["".join(child.content for child in cell.children or []) for cell in cells]
    assert shown == ["heading", text.replace("\n", " ")]


def test_no_rows_make_no_table() -> None:
    assert table(["heading"], []) == []
    assert "model.\\_target\\_" in table(["a"], [["model._target_"]])[2]
