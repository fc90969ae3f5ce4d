"""Pieces of Markdown, each as lines: MLflow shows them, `html.page` makes a page of them."""

import re
from collections.abc import Collection, Iterable, Sequence


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], numeric: Collection[str] = ()
) -> list[str]:
    """A table; the columns whose heading is in `numeric` are aligned to the right.

    Returns:
        No lines if there are no rows.
    """
    lines = [_row(row) for row in rows]
    rule = ("--:" if heading in numeric else "---" for heading in headings)
    return [_row(headings), f"|{'|'.join(rule)}|", *lines] if lines else []


def section(title: str, content: Iterable[str], level: int = 2) -> list[str]:
    """A heading and what is below it; no lines if there is nothing."""
    lines = list(content)
    return ["", f"{'#' * level} {title}", "", *lines] if lines else []


def lines_of(paragraph: Iterable[str]) -> str:
    """A paragraph that keeps its line breaks."""
    return "  \n".join(paragraph)


def code(command: str) -> list[str]:
    """A command, in a block to copy it from."""
    return ["```console", command, "```"]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    text = text.replace("|", "\\|").replace("\n", " ")
    # Within a word, an underscore is no emphasis: `_target_` needs this, `log_loss` does not.
    return text if "`" in text else re.sub(r"(?<![^\W_])_|_(?![^\W_])|\*|<", r"\\\g<0>", text)
