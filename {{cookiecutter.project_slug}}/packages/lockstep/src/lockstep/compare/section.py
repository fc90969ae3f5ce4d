"""A page as sections of tables and lines, and the page as Markdown or HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lockstep.report import html, markdown


@dataclass(frozen=True)
class Section:
    """A part of a page: a table with lines of text below it.

    Attributes:
        numeric: The headings of the columns of numbers.
    """

    title: str
    headings: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    numeric: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=list)


def as_markdown(title: str, headline: str, sections: Iterable[Section]) -> str:
    """A page in Markdown."""
    lines = [f"# {title}", "", headline]
    for section in sections:
        table = markdown.table(section.headings, section.rows, section.numeric)
        between = [""] if table and section.notes else []
        lines += markdown.section(section.title, [*table, *between, *section.notes])
    return "\n".join(lines) + "\n"


def as_html(title: str, headline: str, sections: Iterable[Section]) -> str:
    """A page in HTML that needs no other file and no network."""
    return html.page(title, as_markdown(title, f"**{headline}**", sections))
